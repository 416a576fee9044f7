package simulate

import (
	"bytes"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

var update = flag.Bool("update", false, "write the golden files")

// rates are dollars per million tokens.
func rates(input, output string) record.TokenRates {
	price := func(s string) money.Price {
		p, err := money.ParseDollars(s)
		if err != nil {
			panic(err)
		}
		return money.Price(p)
	}
	return record.TokenRates{Input: price(input), Output: price(output)}
}

var (
	sonnet = Model{ID: "anthropic.claude-3-5-sonnet-20241022-v2:0", Rates: rates("3", "15")}
	haiku  = Model{ID: "anthropic.claude-3-5-haiku-20241022-v1:0", Rates: rates("0.80", "4")}
	micro  = Model{ID: "amazon.nova-micro-v1:0", Rates: rates("0.035", "0.14")}

	// document is the worked example: 50,000 requests a day, 30 days.
	document = Workload{1_500_000, 6_000_000_000, 900_000_000}
)

func share(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

// TestDocument holds the arithmetic to the figures of the worked example, to the
// cent, and its savings to exact fractions.
func TestDocument(t *testing.T) {
	f := func(discount, light, escalation, mix, cascade string) {
		t.Helper()
		r, err := Run(document, nil, Setup{Light: haiku, Escalation: sonnet, Escalated: share("0.2"),
			Discount: share(discount)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, want string
			spend      *Spend
		}{{"light", light, &r.Light}, {"escalation", escalation, &r.Escalation}, {"mix", mix, &r.Mix}, {"cascade", cascade,
			&r.Cascade}} {
			if got := c.spend.Cost.String(); got != c.want {
				t.Errorf("discount %s: %s costs %s, want %s", discount, c.name, got, c.want)
			}
		}
		if got := r.Mix.Saving.RatString() + " " + r.Cascade.Saving.RatString() + " " +
			r.Ratio.RatString(); got != "44/75 8/15 4/15" {
			t.Errorf("discount %s: savings and ratio %s", discount, got)
		}
	}
	f("0", "8400.00", "31500.00", "13020.00", "14700.00")
	f("0.35", "5460.00", "20475.00", "8463.00", "9555.00")
}

// TestCeiling checks targets against the price ratio.
func TestCeiling(t *testing.T) {
	f := func(s Setup, allowed, warning string) {
		t.Helper()
		r, err := Run(document, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Allowed.FloatString(4); got != allowed {
			t.Errorf("allowed %s, want %s", got, allowed)
		}
		if got := strings.Join(r.Warnings(), "\n"); (got == "") != (warning == "") || !strings.Contains(got, warning) {
			t.Errorf("warning %q, want %q", got, warning)
		}
	}
	pair := func(target string) Setup {
		return Setup{Light: haiku, Escalation: sonnet, Escalated: share("0.2"), Target: share(target)}
	}
	f(pair("0.5"), "0.2333", "")
	f(pair("0.55"), "0.1833", "allows 18.3 % of the requests to escalate, not 20.0 %")
	f(pair("0.75"), "-0.0167", "out of reach for this pair: with nothing escalated it saves 73.3 %")
	wordy := pair("0.6")
	wordy.Verbosity = share("1.6") // a light model that writes more has a lower ceiling, here 66.5 %
	f(wordy, "0.0648", "allows 6.5 %")
	direct := pair("0.7")
	direct.Direct = share("0.3")
	f(direct, "-0.1867", "while 30.0 % of the requests go to the escalation model at once")
	direct.Target = share("0.313333333333333333")
	direct.Escalated = share("0.2")
	f(direct, "0.2000", "")
}

func TestRunRefuses(t *testing.T) {
	f := func(w Workload, s Setup, want error) {
		t.Helper()
		s.Light, s.Escalation = haiku, sonnet
		if _, err := Run(w, nil, s); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", s, err, want)
		}
	}
	f(document, Setup{Escalated: share("0.7"), Direct: share("0.4")}, ErrShare)
	f(document, Setup{Escalated: share("-0.1")}, ErrShare)
	f(document, Setup{Direct: share("-0.1"), Escalated: share("0.5")}, ErrShare)
	f(document, Setup{Discount: share("1")}, ErrFactor)
	f(document, Setup{Discount: share("-0.1")}, ErrFactor)
	f(document, Setup{Verbosity: share("-1")}, ErrFactor)
	f(Workload{Requests: 5}, Setup{}, ErrNoCost)
}

// TestFormula compares the sums of money with the closed form of the saving.
func TestFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := func(name string, most int64) *big.Rat {
			return big.NewRat(rapid.Int64Range(0, most).Draw(t, name), 1000)
		}
		w := Workload{1, rapid.Int64Range(1, 1e12).Draw(t, "input"), rapid.Int64Range(0, 1e12).Draw(t, "output")}
		s := Setup{
			Light: haiku, Escalation: sonnet, Partner: &micro, Direct: part("direct", 500), Escalated: part("escalated", 500),
			Discount: part("discount", 999), Verbosity: part("verbosity", 3000),
		}
		r, err := Run(w, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		one := big.NewRat(1, 1)
		want := less(one, sum(s.Direct, product(less(one, s.Direct), r.Ratio), s.Escalated))
		if r.Cascade.Saving.Cmp(want) != 0 {
			t.Fatalf("saving %s, formula %s", r.Cascade.Saving, want)
		}
		paid := new(big.Rat).Quo(r.Cascade.Cost.Rat(), r.Escalation.Cost.Rat())
		if off := less(less(one, paid), want); off.Abs(off).Cmp(big.NewRat(1, 1e6)) > 0 &&
			r.Escalation.Cost.Rat().Cmp(big.NewRat(1e7, 1)) > 0 {
			t.Fatalf("the amounts give a saving that is %s off", off.FloatString(9))
		}
	})
}

func TestPick(t *testing.T) {
	models := []Model{haiku, sonnet, {ID: "anthropic.claude-3-haiku-20240307-v1:0"},
		{ID: "amazon.titan-text-premier-v1:0"}}
	f := func(name, want, fault string) {
		t.Helper()
		got, err := pick(models, name)
		if got.ID != want || (err == nil) != (fault == "") || err != nil &&
			(!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: %q, %v", name, got.ID, err)
		}
	}
	f("claude-3.5-haiku", haiku.ID, "")
	f("Sonnet", sonnet.ID, "")
	f(sonnet.ID, sonnet.ID, "")
	f("haiku", "", "fits "+haiku.ID+", anthropic.claude-3-haiku")
	f("", "", "no model with a price")
	f("x", "", "no model with a price")
	f("opus", "", "no model with a price")
}

func TestGolden(t *testing.T) {
	f := func(name string, s Setup) {
		t.Helper()
		r, err := Run(document, []Model{sonnet, haiku, micro}, s)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.WriteTable(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	f("list.txt", Setup{Light: haiku, Escalation: sonnet, Escalated: share("0.2")})
	f("discount.txt", Setup{Light: haiku, Escalation: sonnet, Escalated: share("0.2"), Discount: share("0.35"),
		Target: share("0.5")})
	f("partner.txt", Setup{Light: haiku, Partner: &micro, Escalation: sonnet, Escalated: share("0.2"),
		Direct: share("0.1"), Target: share("0.8")})
	f("loss.txt", Setup{Light: sonnet, Escalation: haiku, Escalated: share("0.2")})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestDollars(t *testing.T) {
	f := func(p money.Pico, want string) {
		t.Helper()
		var total money.Total
		total.Add(p)
		if got := dollars(&total); got != want {
			t.Errorf("%d: %s, want %s", p, got, want)
		}
	}
	f(0, "$0.00")
	f(-1_234_567*money.Dollar, "-$1,234,567.00")
	f(999*money.Dollar, "$999.00")
	f(money.Dollar/100, "$0.010000")
	f(-money.Dollar/1_000_000, "-$0.000001")
	f(money.Dollar+1, "$1.00")
}
