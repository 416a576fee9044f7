package saving

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestSumsFollowTheHours adds answers to hours, takes hours away, and compares
// the sums that are kept with those of the hours that are left.
func TestSumsFollowTheHours(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var l lengths
		hours := map[int64]length{}
		for range rapid.IntRange(1, 40).Draw(rt, "changes") {
			hour := rapid.Int64Range(1, 20).Draw(rt, "hour")
			if rapid.IntRange(0, 9).Draw(rt, "drop") == 0 {
				l.drop(hour)
				for h := range hours {
					if h <= hour {
						delete(hours, h)
					}
				}
				continue
			}
			n := length{rapid.Int64Range(1, 1e6).Draw(rt, "answers"), rapid.Int64Range(0, record.MaxValue).Draw(rt, "output")}
			l.add(hour, n.answers, n.output)
			hours[hour] = length{hours[hour].answers + n.answers, hours[hour].output + n.output}
		}
		answers, output := int64(0), new(big.Int)
		for _, n := range hours {
			answers += n.answers
			output.Add(output, big.NewInt(n.output))
		}
		spread := new(big.Int)
		for _, n := range hours {
			off := product(n.output, answers)
			off.Sub(off, new(big.Int).Mul(output, big.NewInt(n.answers)))
			spread.Add(spread, off.Mul(off, off))
		}
		if len(l.hours) != len(hours) || l.answers != answers || l.output.Cmp(output) != 0 || l.spread().Cmp(spread) != 0 {
			rt.Fatalf("%d hours, %d answers, %v tokens, spread %v; want %d, %d, %v, %v",
				len(l.hours), l.answers, &l.output, l.spread(), len(hours), answers, output, spread)
		}
	})
}

// TestRequestMeasuresWhatIsLeft compares the sums that a tally keeps with its rows,
// after it has forgotten hours and met attempts that answered nobody.
func TestRequestMeasuresWhatIsLeft(t *testing.T) {
	prices := strongPrices(t)
	var tally Tally
	for hour := range 400 {
		for _, path := range []string{"light", "partner", "shadow", "direct", "escalated"} {
			served := int64(hour % 3)
			r := counted("c", path, strong, hour, record.Counters{
				Requests: served, Legs: 1 + served, Unknown: int64(hour % 2), Output: int64(hour) * 10,
			})
			tally.Add(&r.Key, &r.Add)
			tally.Add(&r.Key, &record.Counters{Legs: 1, Output: 7})
		}
	}
	light := counted("c", "light", weak, 399, record.Counters{Requests: 1, Legs: 1, Input: 1000, Output: 9000})
	for _, judges := range []bool{false, true} {
		base := baseline("c")
		base.Judges = judges
		want := newBook(base, &Query{Prices: prices})
		want.charge(&light.Key, &light.Add)
		for _, row := range tally.copied() {
			want.measure(&row.Key, &row.Add)
		}
		want.settle()
		got := tally.Request(base, prices, []Row{light})
		if fmt.Sprint(*got) != fmt.Sprint(want.Saving) || got.NotMeasured != "" {
			t.Errorf("judges %t: %v, want %v", judges, *got, want.Saving)
		}
	}
}
