package saving

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

const (
	strong = "anthropic.strong"
	weak   = "amazon.weak"
)

// strongPrices has the escalation model at 3 and 15 dollars per million tokens,
// cached reads at 0.75.
func strongPrices(t testing.TB) *record.PriceBook {
	t.Helper()
	perMillion := func(cents int64) money.Price { return money.Price(cents) * money.Price(money.Dollar) / 100 }
	table, problems := record.CompilePrices([]config.PriceBook{{Prices: []config.Price{{
		Models: []string{strong}, Rates: config.Rates{
			Input: perMillion(300), HasInput: true, Output: perMillion(1500), HasOutput: true,
			CacheRead: perMillion(75), HasCacheRead: true,
		},
	}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

func savingsOf(t testing.TB, source rows, cascades ...string) []Saving {
	t.Helper()
	got, err := Of(t.Context(), source, query(t, cascades...))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// query asks for the savings of these cascades.
func query(t testing.TB, cascades ...string) Query {
	t.Helper()
	q := Query{From: at(1, 0), To: at(31, 0), Prices: strongPrices(t)}
	for _, c := range cascades {
		q.Baselines = append(q.Baselines, baseline(c))
	}
	return q
}

// bound is that of a certificate.
var bound = Quality{Loss: 0.018, Confidence: 0.9, N: 500, Bound: true}

func at(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }

// rows is a ledger.
type rows []Row

func (s rows) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for _, r := range s {
		if r.Key.Hour.Before(from) || !r.Key.Hour.Before(to) {
			continue
		}
		if err := yield(r.Key, r.Add); err != nil {
			return err
		}
	}
	return nil
}

// share is what was saved of the counterfactual, "" when that is not known.
func share(s *Saving) string {
	of, ok := s.Share()
	if !ok {
		return ""
	}
	return of.FloatString(4)
}

func counted(cascade, path, model string, hour int, c record.Counters) Row {
	return Row{record.RowKey{Hour: at(1, hour), Tenant: "acme", Cascade: cascade, Path: path, Model: model}, c}
}

const cent = money.Dollar / 100

// lightHour is 80 requests answered by 100 light legs, for 3.84 cents.
func lightHour(cascade string, hour int) Row {
	return counted(cascade, "light", weak, hour, record.Counters{
		Requests: 80, Legs: 100, Input: 400_000, Output: 60_000, CostInput: 24 * cent / 10, CostOutput: 144 * cent / 100,
		CostWasted: cent,
	})
}

// strongHour is 20 escalated requests with so many output tokens.
func strongHour(cascade string, hour int, output int64) Row {
	return counted(cascade, "escalated", strong, hour, record.Counters{
		Requests: 20, Legs: 20, Escalated: 20, Input: 100_000, Output: output,
		CostInput: 30 * cent, CostOutput: money.Pico(output) * 15 * cent / 10_000,
	})
}

// TestSavings works the example by hand.
func TestSavings(t *testing.T) {
	got := savingsOf(t, rows{
		lightHour("support", 0), strongHour("support", 0, 8_000),
		lightHour("support", 1), strongHour("support", 1, 12_000),
		counted("", "passthrough", strong, 0, record.Counters{Requests: 1000, Legs: 1000, Output: 1, CostOutput: 1}),
	}, "support")
	if len(got) != 1 {
		t.Fatalf("%d rows", len(got))
	}
	f := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	s := &got[0]
	f("spent", s.Spent.String(), "0.9768") // 2 * 0.0384 + 0.42 + 0.48
	// Escalated as paid 0.90; light's share of input 640,000 at 3 = 1.92; 160
	// answers of 500 tokens at 15 = 1.20.
	f("counterfactual", s.Counterfactual.String(), "4.02")
	f("saved", s.Saved.String(), "3.0432")
	// The hours are 2,000 tokens off the mean: 12.706 * sqrt(2 * 8e6) / 40 =
	// 1,270.6 tokens in 160 answers at 15 = 3.04944.
	f("low", s.Low.String(), "-0.00624")
	f("high", s.High.String(), "6.09264")
	f("basis", s.Basis, "served")
	f("share", share(s), "0.7570")
	if s.Answers != 40 || s.Requests != 200 || s.Light != 160 || !s.Interval {
		t.Errorf("%+v", s)
	}
}

// TestSavingsOfProfiles: rows of tenants' own profiles measure as those of their model.
func TestSavingsOfProfiles(t *testing.T) {
	f := func(arn string, want int64) {
		t.Helper()
		row := strongHour("support", 0, 8_000)
		row.Key.Model = arn
		q := query(t, "support")
		q.Models = map[string]string{"arn:mine": strong, "arn:weak": weak}
		all, err := Of(t.Context(), rows{lightHour("support", 0), row}, q)
		if err != nil || len(all) != 1 || all[0].Answers != want {
			t.Errorf("%s: %+v, %v", arn, all, err)
		}
	}
	f(strong, 20)
	f("arn:mine", 20)
	f("arn:weak", 0)
	f("arn:others", 0)
}

// TestShadowsFirst takes the mean from a sample of what light answered, when it
// is large enough, and not from what was hard enough to escalate.
func TestShadowsFirst(t *testing.T) {
	sample := func(answers, output int64) rows {
		return rows{
			lightHour("c", 0), strongHour("c", 0, 10_000), strongHour("c", 1, 10_000),
			counted("c", "shadow", strong, 0, record.Counters{Legs: answers + 1, Unknown: 1, Output: output, CostOutput: cent}),
			counted("c", "shadow", weak, 0, record.Counters{Legs: 1000, Output: 9}),
		}
	}
	f := func(source rows, basis string, answers int64, counterfactual string) {
		t.Helper()
		got := savingsOf(t, source, "c")
		s := &got[0]
		if s.Basis != basis || s.Answers != answers || s.Counterfactual.String() != counterfactual {
			t.Errorf("%s, %d answers, %s; want %s, %d, %s", s.Basis, s.Answers, s.Counterfactual.String(), basis, answers,
				counterfactual)
		}
	}
	f(sample(30, 6_000), "shadow", 30, "2.10")            // 0.90 + 0.96 + 80 * 200 tokens
	f(sample(10, 5_000), "served and shadow", 50, "2.46") // 0.90 + 0.96 + 80 * 500 tokens
}

// TestJudgeIsNoShadow takes no length from verdicts of the escalation model.
func TestJudgeIsNoShadow(t *testing.T) {
	source := rows{
		lightHour("c", 0), strongHour("c", 0, 10_000), strongHour("c", 1, 10_000),
		counted("c", "shadow", strong, 0, record.Counters{Legs: 100, Output: 100, CostOutput: cent}),
	}
	judge := baseline("c")
	judge.Judges = true
	got, err := Of(t.Context(), source, Query{From: at(1, 0), To: at(2, 0), Prices: strongPrices(t),
		Baselines: []Baseline{judge}})
	if err != nil {
		t.Fatal(err)
	}
	if s := &got[0]; s.Basis != "served" || s.Answers != 40 || s.Counterfactual.String() != "2.46" {
		t.Errorf("%s, %d answers, %s", s.Basis, s.Answers, s.Counterfactual.String())
	}
}

// TestNotMeasured never shows zero for what is not known.
func TestNotMeasured(t *testing.T) {
	f := func(source rows, reason string, cascades ...string) {
		t.Helper()
		got := savingsOf(t, source, cascades...)
		s := &got[0]
		if !strings.Contains(s.NotMeasured, reason) || s.Interval {
			t.Errorf("%q, want %q", s.NotMeasured, reason)
		}
		if _, ok := s.Share(); ok {
			t.Error("a share of what is not measured")
		}
	}
	f(rows{lightHour("c", 0), strongHour("c", 0, 1)}, "has 20 answers here, of the 30", "c")
	f(rows{lightHour("c", 0), strongHour("c", 0, 1), strongHour("c", 1, 1)}, "no such cascade")
	flex := lightHour("c", 0)
	flex.Key.Tier = "flex"
	f(rows{flex, strongHour("c", 0, 1), strongHour("c", 1, 1)}, "no price", "c")
	f(nil, "has 0 answers", "c")
}

// TestSpentHoldsAllLegs charges the cascade for everything done in its name.
func TestSpentHoldsAllLegs(t *testing.T) {
	for _, path := range []string{"light", "partner", "shadow", "judge", "direct", "escalated", "of tomorrow"} {
		got := savingsOf(t, rows{counted("c", path, weak, 0, record.Counters{
			Legs: 1, CostInput: 1, CostOutput: 2, CostCacheRead: 4, CostCacheWrite: 8, CostGuardrail: 16,
		})}, "c")
		if want := money.Pico(31).String(); got[0].Spent.String() != want {
			t.Errorf("%s: %s, want %s", path, got[0].Spent.String(), want)
		}
	}
}

// TestSavingsAddUp holds for any rows: the counterfactual is what was spent and
// saved, the interval is around the saving, and the order of rows is no matter.
func TestSavingsAddUp(t *testing.T) {
	paths := []string{"light", "partner", "shadow", "judge", "direct", "escalated"}
	rapid.Check(t, func(rt *rapid.T) {
		var source rows
		for range rapid.IntRange(1, 30).Draw(rt, "rows") {
			n := func(name string, most int64) int64 { return rapid.Int64Range(0, most).Draw(rt, name) }
			legs := 1 + n("legs", 100)
			c := record.Counters{
				Legs: legs, Requests: n("requests", legs), Input: n("input", 1e6), Output: n("output", 1e6), CacheRead: n("cached",
					1e6),
				CostInput: money.Pico(n("cost", 1e13)), CostGuardrail: money.Pico(n("guardrail", 1e12)),
			}
			source = append(source, counted("c", rapid.SampledFrom(paths).Draw(rt, "path"),
				rapid.SampledFrom([]string{strong, weak}).Draw(rt, "model"), int(n("hour", 23)), c))
		}
		got := savingsOf(t, source, "c")
		slices.Reverse(source)
		again := savingsOf(t, source, "c")
		if diff := cmp.Diff(fmt.Sprint(got), fmt.Sprint(again)); diff != "" {
			rt.Fatalf("the order of rows matters:\n%s", diff)
		}
		s := &got[0]
		if s.NotMeasured != "" {
			return
		}
		var sum money.Total
		sum.AddTotal(&s.Spent)
		sum.AddTotal(&s.Saved)
		if sum.String() != s.Counterfactual.String() {
			rt.Fatalf("spent and saved are %s, the counterfactual %s", sum.String(), s.Counterfactual.String())
		}
		if s.Interval && (s.Low.Rat().Cmp(s.Saved.Rat()) > 0 || s.High.Rat().Cmp(s.Saved.Rat()) < 0) {
			rt.Fatalf("%s is not between %s and %s", s.Saved.String(), s.Low.String(), s.High.String())
		}
	})
}

// away is a ledger that cannot be read.
type away struct{}

func (away) Rows(ctx context.Context, _, _ time.Time, _ func(record.RowKey, record.Counters) error) error {
	return ctx.Err()
}

func TestSavingsSourceFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Of(ctx, away{}, Query{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestIntervalCovers draws hours of different lengths and counts how often the
// interval of the mean holds the true one. Hours that share a topic make
// answers alike; an interval over single answers would be too narrow.
func TestIntervalCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	f := func(hours int) {
		t.Helper()
		const trials, truth = 1000, 500
		covered := 0
		for range trials {
			l := lengths{}
			for h := range hours {
				topic := truth + 200*random.NormFloat64()
				answers, output := int64(5+random.IntN(30)), 0.0
				for range answers {
					output += topic + 300*random.NormFloat64()
				}
				l.add(int64(h), answers, int64(output))
			}
			half, ok := l.halfWidth(big.NewRat(int64(money.Dollar), 1))
			if !ok {
				t.Fatal("no interval")
			}
			off := l.mean()
			off.Sub(off, big.NewRat(truth, 1)).Abs(off).Mul(off, big.NewRat(int64(money.Dollar), 1))
			if off.Cmp(half.Rat()) <= 0 {
				covered++
			}
		}
		t.Logf("%d hours: %d of %d", hours, covered, trials)
		if covered < trials*92/100 || covered > trials*98/100 {
			t.Errorf("%d hours: the 95 %% interval holds the truth in %d of %d trials", hours, covered, trials)
		}
	}
	f(6)
	f(24)
	f(24 * 7)
}

// TestEarlyLegs has an escalation leg that was started early and not needed: it
// is spent, and the escalation model alone would not have cost it.
func TestEarlyLegs(t *testing.T) {
	source := rows{lightHour("c", 0), strongHour("c", 0, 10_000), strongHour("c", 1, 10_000)}
	before := savingsOf(t, source, "c")[0]
	early := counted("c", "escalated", strong, 1, record.Counters{Legs: 1, CostInput: cent, CostWasted: cent})
	after := savingsOf(t, append(source, early), "c")[0]
	if got, want := after.Counterfactual.String(), before.Counterfactual.String(); got != want {
		t.Errorf("the counterfactual rose from %s to %s", want, got)
	}
	var spent money.Total
	spent.AddTotal(&before.Spent)
	spent.Add(cent)
	if after.Spent.String() != spent.String() {
		t.Errorf("spent %s, want %s", after.Spent.String(), spent.String())
	}
}
