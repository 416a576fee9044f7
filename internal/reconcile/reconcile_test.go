package reconcile

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

const (
	sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0"
	nova   = "amazon.nova-pro-v1:0"
)

// rows are a ledger.
type rows map[record.RowKey]record.Counters

func (r rows) Rows(_ context.Context, _, _ time.Time, yield func(record.RowKey, record.Counters) error) error {
	for key, c := range r {
		if err := yield(key, c); err != nil {
			return err
		}
	}
	return nil
}

// billed is a line of CUR 2.0.
type billed struct {
	Product string            `parquet:"line_item_product_code"`
	Usage   string            `parquet:"line_item_usage_type"`
	Kind    string            `parquet:"line_item_line_item_type"`
	Unit    string            `parquet:"pricing_unit"`
	Amount  float64           `parquet:"line_item_usage_amount"`
	USD     float64           `parquet:"line_item_unblended_cost"`
	Start   time.Time         `parquet:"line_item_usage_start_date,timestamp(millisecond)"`
	Of      map[string]string `parquet:"product"`
}

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }

func novaLine(n int, class string, thousands float64) billed {
	return billed{"AmazonBedrock", "USE1-NovaPro-" + class, "Usage", "1K tokens", thousands, thousands / 1000, day(n), nil}
}

func claudeLine(n int, usage string, millions float64) billed {
	return billed{"c123", "USE1-MP:USE1_" + usage + "-Units", "Usage", "Units", millions, millions, day(n),
		map[string]string{"product_name": "Claude Sonnet 4.5 (Amazon Bedrock Edition)"}}
}

// faults are a month of a bill and a ledger with twelve planted faults, and nothing else
// that differs.
func faults() (bill []billed, ledger rows, want []string) {
	ledger = rows{}
	add := func(n, hour int, model, tier string, c record.Counters) {
		key := record.RowKey{Hour: day(n).Add(time.Duration(hour) * time.Hour), Tenant: "acme", Model: model, Tier: tier}
		ledger[key], _ = ledger[key].Plus(c)
	}
	dollars := func(millions float64) money.Pico { return money.Pico(millions * float64(money.Dollar)) }
	for n := 1; n <= 25; n++ { // what is equal
		add(n, 9, nova, "", record.Counters{Input: 2_000_000, CostInput: dollars(2)})
		bill = append(bill, novaLine(n, "input-token-count", 2000))
		add(n, 9, "us."+sonnet, "", record.Counters{Output: 1_000_000, CostOutput: dollars(1)})
		bill = append(bill, claudeLine(n, "OutputTokenCount", 1))
	}
	fault := func(text string) { want = append(want, text) }

	bill = append(bill, novaLine(2, "output-token-count", 500)) // nobody counted it ...
	add(2, 9, nova, "", record.Counters{Output: 100_000, CostOutput: dollars(0.1)})
	fault("2026-11-02 past the gateway " + nova + " output")

	add(3, 23, nova, "", record.Counters{Output: 300_000})
	add(4, 9, nova, "", record.Counters{Output: 50_000})
	bill = append(bill, novaLine(3, "output-token-count", 100), novaLine(4, "output-token-count", 250))
	fault("2026-11-03 hour edge " + nova + " output")

	add(5, 9, nova, "", record.Counters{Output: 100_000, CostOutput: dollars(0.1)})
	cheap := novaLine(5, "output-token-count", 100)
	cheap.USD = 0.08
	bill = append(bill, cheap)
	fault("2026-11-05 discount " + nova + " output")

	bill = append(bill, claudeLine(6, "CacheReadInputTokenCount", 3))
	fault("2026-11-06 missing class " + sonnet + " cache_read")

	add(7, 9, sonnet, "", record.Counters{CacheWrite5m: 4_000_000})
	bill = append(bill, claudeLine(7, "CacheWrite1hInputTokenCount", 4))
	fault("2026-11-07 another class " + sonnet + " cache_write_1h")

	bill = append(bill, novaLine(8, "input-token-count-batch", 900))
	fault(" batch ")

	mantle := novaLine(9, "mantle-input-tokens-standard", 70)
	bill = append(bill, mantle)
	fault(" unprovable ")

	add(10, 9, nova, "", record.Counters{Output: 600_000})
	bill = append(bill, novaLine(10, "output-token-count", 600_000)) // tokens, and the unit says thousands
	fault("2026-11-10 units " + nova + " output")

	unmapped := claudeLine(11, "InputTokenCount", 1)
	unmapped.Of = map[string]string{"product_name": "Claude Sonata 9 (Amazon Bedrock Edition)"}
	bill = append(bill, unmapped)
	fault(" unmapped ")

	add(12, 9, sonnet, "", record.Counters{Input: 1_000_000, Unknown: 1, SuspenseTokens: 250_000})
	bill = append(bill, claudeLine(12, "InputTokenCount", 1.2))
	fault("2026-11-12 suspense " + sonnet + " input")

	add(13, 9, nova, "priority", record.Counters{Output: 80_000})
	bill = append(bill, novaLine(13, "output-token-count-flex", 80))
	fault("2026-11-13 another tier " + nova + " output")

	add(27, 9, nova, "", record.Counters{Input: 5_000})
	fault("2026-11-27 not billed yet " + nova + " input")

	tax := novaLine(14, "input-token-count", 0)
	tax.Kind, tax.USD = "Tax", 17
	hours := novaLine(14, "ProvisionedThroughput_NoCommit_ModelUnits_Usage", 24)
	hours.Unit = "hours"
	other := billed{"AmazonS3", "USE1-Requests", "Usage", "Requests", 9, 9, day(14), nil}
	return append(bill, tax, hours, other), ledger, want
}

func writeCUR(t *testing.T, bill []billed) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cur.csv")
	var b strings.Builder
	w := csv.NewWriter(&b)
	cells := [][]string{{"line_item_product_code", "line_item_usage_type", "line_item_line_item_type", "pricing_unit",
		"line_item_usage_amount", "line_item_unblended_cost", "line_item_usage_start_date", "product"}}
	for _, l := range bill {
		product := "{}"
		if name := l.Of["product_name"]; name != "" {
			product = fmt.Sprintf("{%q: %q}", "product_name", name)
		}
		cells = append(cells, []string{l.Product, l.Usage, l.Kind, l.Unit, fmt.Sprint(l.Amount), fmt.Sprint(l.USD),
			l.Start.Format("2006-01-02T15:04:05.000Z"), product})
	}
	if err := errors.Join(w.WriteAll(cells), os.WriteFile(path, []byte(b.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFOCUS(t *testing.T, bill []billed) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "focus.csv")
	var b strings.Builder
	w := csv.NewWriter(&b)
	cells := [][]string{{"ServiceName", "x_UsageType", "ChargeCategory", "ConsumedUnit", "ConsumedQuantity",
		"EffectiveCost", "ChargePeriodStart"}}
	for _, l := range bill {
		service := l.Of["product_name"]
		if service == "" {
			service = strings.Replace(l.Product, "Amazon", "Amazon ", 1)
		}
		cells = append(cells, []string{service, l.Usage, l.Kind, l.Unit, fmt.Sprint(l.Amount), fmt.Sprint(l.USD),
			l.Start.Format(time.RFC3339)})
	}
	if err := errors.Join(w.WriteAll(cells), os.WriteFile(path, []byte(b.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func reader() *prices.Bill { return prices.NewBill([]string{sonnet, nova}) }

// TestTwelveFaults: a bill with twelve planted faults names all twelve and nothing else, in each format.
func TestTwelveFaults(t *testing.T) {
	lines, ledger, want := faults()
	slices.Sort(want)
	columns := filepath.Join(t.TempDir(), "cur.parquet")
	if err := parquet.WriteFile(columns, lines); err != nil {
		t.Fatal(err)
	}
	for format, path := range map[string]string{
		"CUR 2.0 CSV": writeCUR(t, lines), "CUR 2.0 Parquet": columns, "FOCUS CSV": writeFOCUS(t, lines),
	} {
		bill, err := ReadBill(path, "2026-11", reader(), Attribution{})
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		r, err := Compare(t.Context(), bill, ledger, nil)
		if err != nil {
			t.Fatal(err)
		}
		keeps(t, r)
		var got []string
		for _, f := range r.Findings {
			if f.Kind.Fault() {
				got = append(got, fmt.Sprintf("%s %s %s %s", f.Day, f.Kind, f.Key.Model, f.Key.Class))
			}
		}
		for i := range got {
			if strings.HasPrefix(got[i], " ") {
				got[i] = strings.TrimRight(got[i], " ") + " "
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || len(want) != 12 || !strings.HasPrefix(format, bill.Format) {
			t.Errorf("%s\n%s", format, diff)
		}
	}
}

// TestBadBills: each file that cannot be right ends with an error that says where.
func TestBadBills(t *testing.T) {
	good := []billed{novaLine(1, "input-token-count", 1), novaLine(2, "input-token-count", 1)}
	f := func(change func(l *billed), want string) {
		t.Helper()
		lines := slices.Clone(good)
		change(&lines[1])
		_, err := ReadBill(writeCUR(t, lines), "", reader(), Attribution{})
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(func(l *billed) { l.Unit = "1M tokens" }, `in units of "1K tokens" and of "1M tokens"`)
	f(func(l *billed) { l.Usage, l.Unit = "USE1-NovaPro-output-token-count", "hours" }, `cur.csv:3: unit "hours" of USE1-`)
	f(func(l *billed) { l.Start = day(31) }, "is of 2026-12, and the month is 2026-11") // there is no 31st
	f(func(l *billed) { l.Amount = -1 }, "is below zero")
	if _, err := ReadBill(writeCUR(t, good), "2026-10", reader(), Attribution{}); !errors.Is(err, ErrInput) {
		t.Errorf("another month: %v", err)
	}
	if _, err := ReadBill(writeCUR(t, nil), "", reader(), Attribution{}); !errors.Is(err, ErrInput) {
		t.Errorf("no line: %v", err)
	}
	whole := filepath.Join(t.TempDir(), "whole.parquet")
	if err := parquet.WriteFile(whole, good); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "no table": "hello\n", "cut": string(data[:len(data)-9]), "other columns": "a,b\n1,2\n",
		"only its mark":        "PAR1",
		"broken in the middle": string(data[:40]) + strings.Repeat("\xff", len(data)-48) + string(data[len(data)-8:]),
		"cut gzip":             "\x1f\x8b\x08\x00", "short line": "ChargeCategory,ServiceName\nUsage\n",
	} {
		path := filepath.Join(t.TempDir(), "bill")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBill(path, "", reader(), Attribution{}); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNumbersOfBills: a bill has decimal numbers. What a library reads beside them, and what spreadsheets make of
// them, is refused with its line; a table of another form says what is wrong with it.
func TestNumbersOfBills(t *testing.T) {
	const head = "line_item_usage_type,line_item_product_code,line_item_line_item_type,pricing_unit," +
		"line_item_usage_amount,line_item_unblended_cost,line_item_usage_start_date"
	read := func(text string) (*Bill, error) {
		path := filepath.Join(t.TempDir(), "bill.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadBill(path, "2026-11", reader(), Attribution{})
	}
	row := func(amount, usd string) string {
		return head + "\nUSE1-NovaPro-input-token-count,AmazonBedrock,Usage,1K tokens," + amount + "," + usd +
			",2026-11-05T00:00:00Z\n"
	}
	for amount, want := range map[string]int64{"10": 10_000, "10.5": 10_500, "1e3": 1_000_000, "1.5E-2": 15, ".5": 500,
		"0010": 10_000, "+10": 10_000} {
		if b, err := read(row(amount, "0.1")); err != nil || b.cells[at{Key{Model: "amazon.nova-pro-v1:0", Class: "input"},
			"2026-11-05"}].bill != want {
			t.Errorf("%s: %v", amount, err)
		}
	}
	for _, wrong := range []string{"0x10", "0b1", "0o7", "1/3", "1_000", "Inf", "NaN", "1e999999999", `"10,5"`, `"1,000"`,
		"1.2.3", "10 tokens", "$1", "- 1", "٣", "1e", "e5", "--1"} {
		if _, err := read(row(wrong, "0.1")); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "bill.csv:2") {
			t.Errorf("the amount %s: %v", wrong, err)
		}
		if _, err := read(row("10", wrong)); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "bill.csv:2") {
			t.Errorf("the cost %s: %v", wrong, err)
		}
	}
	for what, text := range map[string]string{
		"is there twice":    strings.Replace(row("10", "0.1"), head, head+",Pricing_Unit", 1),
		"separated by ';'":  strings.ReplaceAll(row("10", "0.1"), ",", ";"),
		`separated by '\t'`: strings.ReplaceAll(row("10", "0.1"), ",", "\t"),
	} {
		if _, err := read(text); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, text := range []string{"\ufeff" + row("10", "0.1"), strings.ReplaceAll(row("10", "0.1"), "\n", "\r\n")} {
		if _, err := read(text); err != nil {
			t.Error(err)
		}
	}
}

// TestDecimalsInParquet: a decimal is not the number of its last digits.
func TestDecimalsInParquet(t *testing.T) {
	type line struct {
		Usage   string   `parquet:"line_item_usage_type"`
		Product string   `parquet:"line_item_product_code"`
		Kind    string   `parquet:"line_item_line_item_type"`
		Unit    string   `parquet:"pricing_unit"`
		Amount  int64    `parquet:"line_item_usage_amount,decimal(3:18)"`
		USD     [16]byte `parquet:"line_item_unblended_cost,decimal(2:38)"`
		Start   string   `parquet:"line_item_usage_start_date"`
	}
	path := filepath.Join(t.TempDir(), "bill.parquet")
	credit := [16]byte{}
	for i := range credit {
		credit[i] = 0xff
	}
	credit[15] = 0x9c // -100
	if err := parquet.WriteFile(path, []line{{"USE1-NovaPro-input-token-count", "AmazonBedrock", "Usage", "1K tokens",
		1_500, credit, "2026-11-05"}}); err != nil {
		t.Fatal(err)
	}
	b, err := ReadBill(path, "", reader(), Attribution{})
	if err != nil {
		t.Fatal(err)
	}
	if o := b.Owners(); len(o) != 1 || o[0].Bill != 1_500 || o[0].USD != "-1.00" {
		t.Errorf("%+v", o)
	}
}

// keeps keeps a comparison, and demands that it is found as it is.
func keeps(t *testing.T, r *Result) {
	t.Helper()
	dir := Dir(filepath.Join(t.TempDir(), "reconciled"))
	if k, err := dir.Of("2026-11"); k != nil || err != nil {
		t.Errorf("before: %v, %v", k, err)
	}
	if err := dir.Keep(r, day(30)); err != nil {
		t.Fatal(err)
	}
	k, err := dir.Of("2026-11")
	if err != nil {
		t.Fatal(err)
	}
	agreed := int64(25 * (2_000_000 + 1_000_000)) // what is equal, and what has another price
	want := Kept{"2026-11", r.Bill.Format, day(30), r.Billed, r.Known, agreed + 100_000, 12}
	if diff := cmp.Diff(want, *k); diff != "" {
		t.Error(diff)
	}
}

// TestOwners: the bill says by application profile, or by a tag of sessions, whose the usage is, and calls that one
// side has and the other has not are seen at whose they are.
func TestOwners(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"
	type line struct {
		Product  string            `parquet:"line_item_product_code"`
		Usage    string            `parquet:"line_item_usage_type"`
		Kind     string            `parquet:"line_item_line_item_type"`
		Unit     string            `parquet:"pricing_unit"`
		Amount   float64           `parquet:"line_item_usage_amount"`
		USD      float64           `parquet:"line_item_unblended_cost"`
		Start    time.Time         `parquet:"line_item_usage_start_date,timestamp(millisecond)"`
		Resource string            `parquet:"line_item_resource_id"`
		Tags     map[string]string `parquet:"tags"`
	}
	of := func(resource, tag string, thousands float64) line {
		return line{"AmazonBedrock", "USE1-NovaPro-input-token-count", "Usage", "1K tokens", thousands, thousands / 100,
			day(3), resource, map[string]string{"iamPrincipal/tenant": tag}}
	}
	lines := []line{
		of(arn+"support", "support", 7), of(arn+"search", "search", 2), of("", "", 1), of(arn+"search", "search", 1),
	}
	path := filepath.Join(t.TempDir(), "cur.parquet")
	if err := parquet.WriteFile(path, lines); err != nil {
		t.Fatal(err)
	}
	ledger := rows{}
	for tenant, n := range map[string]int64{"acme/support": 7000, "acme/search": 2000, "acme/web": 500} {
		model := map[string]string{"acme/support": arn + "support", "acme/search": arn + "search"}[tenant]
		if model == "" {
			model = nova
		}
		ledger[record.RowKey{Hour: day(3), Tenant: tenant, Model: model}] = record.Counters{Input: n}
	}
	models := map[string]string{arn + "support": nova, arn + "search": nova}
	f := func(by Attribution, want ...Owner) {
		t.Helper()
		bill, err := ReadBill(path, "", reader(), by)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compare(t.Context(), bill, ledger, models); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, bill.Owners()); diff != "" {
			t.Error(diff)
		}
	}
	owners := func(prefix string) []Owner {
		return []Owner{
			{prefix + "support", []string{"acme/support"}, 7000, 7000, "0.07"},
			{prefix + "search", []string{"acme/search"}, 3000, 2000, "0.03"},
			{"", []string{"acme/web"}, 1000, 500, "0.01"},
		}
	}
	f(Attribution{}, owners(arn)...)
	f(Attribution{Tag: "Tenant", Of: func(tenant string) string {
		return map[string]string{"acme/support": "support", "acme/search": "search"}[tenant]
	}}, owners("")...)
}
