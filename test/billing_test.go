package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// billed is a gateway whose traffic is billed: with a commitment, and exported to a folder.
type billed struct {
	*harness.Gateway
	t       *testing.T
	sandbox *harness.Sandbox
	key     harness.Key
	lake    string
}

// startBilling starts one that has served so many calls of Nova Pro.
func startBilling(t *testing.T, calls int) *billed {
	t.Helper()
	b := &billed{t: t, sandbox: harness.StartSandbox(t, budgetScript), key: harness.NewKey(t, "acme/app")}
	b.lake = filepath.Join(t.TempDir(), "lake")
	b.Gateway = harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q, "+
		"tag_requests: true}\n"+
		"export: {to: %q, every: 1s}\ncommitments: [{usd: 1000, from: 2026-01-01, to: 2030-01-01}]\n"+
		"tenants: [{id: acme/app, keys: [%s]}]\n", b.sandbox.URL(), b.lake, b.key.KeyID)})
	for range calls {
		b.call()
	}
	return b
}

func (b *billed) call() {
	b.t.Helper()
	if a := b.Post(b.t, b.key.BearerCredential, "/model/amazon.nova-pro-v1:0/converse", ask); a.Status != 200 {
		b.t.Fatal(a.Status, string(a.Body))
	}
}

// run runs a command of the gateway's configuration.
func (b *billed) run(want int, args ...string) string {
	b.t.Helper()
	out, failed := harness.RunBoth(b.t, want, nil, append(args, "--config", b.ConfigFile())...)
	return out + failed
}

// TestReconcileInvocationLog: calls are matched by request id. Each kind of difference is named, and nothing else.
func TestReconcileInvocationLog(t *testing.T) {
	t.Parallel()
	b := startBilling(t, 6)
	text, err := os.ReadFile(b.sandbox.InvocationLog)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines of the log", len(lines))
	}
	wantText(t, b.run(0, "reconcile", "invocation-log", b.sandbox.InvocationLog), "6 calls", "6 with their record",
		"0 differences")
	f := func(want []string, change func(lines []string) []string) {
		t.Helper()
		file := harness.File(t, "log.jsonl", strings.Join(change(append([]string{}, lines...)), ""))
		out := b.run(1, "reconcile", "invocation-log", file, "--all")
		wantText(t, out, want...)
		wantText(t, out, fmt.Sprintf("; %d differences", len(want)))
	}
	tokens := `"inputTokenCount":95`
	f([]string{"other tokens"}, func(l []string) []string {
		l[1] = strings.Replace(l[1], tokens, `"inputTokenCount":96`, 1)
		return l
	})
	f([]string{"another model"}, func(l []string) []string {
		l[2] = strings.Replace(l[2], "nova-pro", "nova-lite", 1)
		return l
	})
	f([]string{"past the gateway", "no record"}, func(l []string) []string {
		untagged := strings.Replace(l[3], `"requestId":"`, `"requestId":"x`, 1)
		untagged = strings.Replace(untagged, `"requestMetadata"`, `"no"`, 1)
		var line struct{ RequestMetadata map[string]string }
		if err := json.Unmarshal([]byte(l[3]), &line); err != nil {
			t.Fatal(err)
		}
		lost := strings.Replace(l[3], `"requestId":"`, `"requestId":"y`, 1)
		for _, record := range line.RequestMetadata {
			lost = strings.Replace(lost, record, "01ZZZZZZZZZZZZZZZZZZZZZZZZ", 1)
		}
		return append(l, "\n", untagged, lost)
	})
	f([]string{"logged twice, differently"}, func(l []string) []string {
		return append(l, "\n", strings.Replace(l[4], tokens, `"inputTokenCount":4`, 1))
	})
	f([]string{"not in the log"}, func(l []string) []string {
		for _, i := range []int{0, 5} { // the seconds that the log is whole of
			l[i] = strings.Replace(l[i], `"timestamp":"20`, `"timestamp":"`+[]string{"19", "", "", "", "", "21"}[i], 1)
		}
		return append(l[:2], l[3:]...)
	})
	for text, want := range map[string]string{
		"": "it has no call", "{}": "not a line of a model invocation log", "\x1f\x8bxx": "EOF",
		"<xml>": "invalid character",
	} {
		wantText(t, b.run(2, "reconcile", "invocation-log", harness.File(t, "bad", text)), want)
	}
}

// bill is the AWS bill of the calls in CUR 2.0, with that much input too many.
func (b *billed) bill(calls, more int) string {
	day := time.Now().UTC().Truncate(24 * time.Hour).Format(time.RFC3339)
	text := "line_item_product_code,line_item_usage_type,line_item_line_item_type,pricing_unit," +
		"line_item_usage_amount,line_item_unblended_cost,line_item_usage_start_date\n"
	for _, line := range []struct {
		class  string
		tokens int
		price  float64 // of a thousand
	}{{"input-tokens", 95*calls + more, 0.0008}, {"output-tokens", 5 * calls, 0.0032}} {
		thousands := float64(line.tokens) / 1000
		text += fmt.Sprintf("AmazonBedrock,USE1-NovaPro-%s,Usage,1K tokens,%g,%g,%s\n", line.class, thousands,
			thousands*line.price, day)
	}
	return harness.File(b.t, "cur.csv", text)
}

// TestBillingCommands: what finance does, on the built program: a bill that agrees and one that does not, a month that
// is closed, corrected and stays, a page for a negotiation, and records in a lake.
func TestBillingCommands(t *testing.T) {
	t.Parallel()
	b := startBilling(t, 20)
	wantText(t, b.run(0, "reconcile", "cur", b.bill(20, 0)), "0 differences")
	wantText(t, b.run(1, "reconcile", "cur", b.bill(20, 400)), "past the gateway", "1 differences")
	for text, want := range map[string]string{
		"": "no table", "a,b\n1,2\n": "neither line_item_usage_type of CUR 2.0 nor", "PAR1xxxxPAR1": "",
	} {
		wantText(t, b.run(2, "reconcile", "cur", harness.File(t, "bad.csv", text)), want)
	}
	wantText(t, b.run(2, "reconcile", "cur", b.bill(20, 0), "--month", "2020-01"), "2020-01")

	// 20 calls of 95 tokens at 0.8 and of 5 at 3.2 dollars per million.
	wantText(t, b.run(0, "commitments", "--format", "json"), "0.00184")
	wantText(t, b.run(0, "commitments"), "amazon")
	b.closes()
	b.exports()
}

// closes closes the last month.
func (b *billed) closes() {
	b.t.Helper()
	now := time.Now().UTC()
	end := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	month, within := end.AddDate(0, -1, 0).Format("2006-01"), end.Add(-50*time.Hour).Format(time.RFC3339)
	adjust := func(id string) string {
		return b.run(0, "adjust", "--tenant", "acme/app", "--model", "amazon.nova-pro-v1:0", "--id", id, "--usd", "1.5",
			"--at", within, "--reason", "support plan", "--force")
	}
	wantText(b.t, adjust("one"), "made")
	wantText(b.t, b.run(2, "close", now.Format("2006-01")), "can be closed")
	wantText(b.t, b.run(2, "close", "2026-13"), "2026-13")
	wantText(b.t, b.run(0, "close", month), "acme "+month+" closed: 1.50 USD")
	file := filepath.Join(b.Dir, "data", "statements", "acme", month+".json")
	was, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	wantText(b.t, adjust("two"), "made")
	wantText(b.t, b.run(0, "close", month), "was closed before, at 1.50 USD")
	if is, err := os.ReadFile(file); err != nil || string(is) != string(was) {
		b.t.Errorf("the statement has changed: %v", err)
	}
	period := []string{"--from", end.AddDate(0, -1, 0).Format(time.DateOnly), "--to", end.Format(time.DateOnly)}
	wantText(b.t, b.run(0, append([]string{"report", "--format", "csv", "--by", ""}, period...)...), ",1.50,")
	wantText(b.t, b.run(0, "report", "--format", "csv"), ",1.50,", "support plan")
}

// exports waits until all records are in the lake, and has DuckDB add them up.
func (b *billed) exports() {
	b.t.Helper()
	python := filepath.Join(harness.Root(b.t), ".tools", "python", "bin", "python")
	if exec.Command(python, "-c", "import duckdb").Run() != nil {
		b.t.Skip("no DuckDB in .tools/python")
	}
	query := fmt.Sprintf("import duckdb; print(duckdb.sql(\"select sum(requests), sum(input_tokens), sum(cost_usd) "+
		"from read_parquet('%s/usage/*/*/*.parquet', hive_partitioning = true) where kind = 'usage'\").fetchall())", b.lake)
	harness.Eventually(b.t, time.Minute, func() (bool, string) {
		out, err := exec.Command(python, "-c", query).CombinedOutput()
		return err == nil && strings.Contains(string(out), "Decimal('0.001840000000')") &&
			strings.Contains(string(out), "1900"), string(out)
	})
}
