package commitment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/statement"
)

const floorARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/floor"

// books are rows of a ledger.
type books []struct {
	key record.RowKey
	add record.Counters
}

func (b books) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for _, r := range b {
		if r.key.Hour.Before(from) || !r.key.Hour.Before(to) {
			continue
		}
		if err := yield(r.key, r.add); err != nil {
			return err
		}
	}
	return nil
}

func (b *books) use(hour time.Time, tenant string, input, output int64) {
	*b = append(*b, struct {
		key record.RowKey
		add record.Counters
	}{record.RowKey{Hour: hour, Tenant: tenant, Model: floorARN, Tier: config.CapacityProvisioned},
		record.Counters{Legs: 1, Input: input, Output: output}})
}

func dayOf(month, day int) time.Time {
	return time.Date(2026, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func floor() config.Capacity {
	return config.Capacity{
		Name: "floor", Kind: config.CapacityProvisioned, ARN: floorARN, Models: []string{"amazon.nova-pro-v1:0"},
		Units: 2, Input: 1000, Output: 100, Hour: 30 * money.Dollar, Term: "none", From: dayOf(6, 2),
	}
}

func bill(t *testing.T, b books, c config.Capacity, from, to, now time.Time) *Bill {
	t.Helper()
	bills, err := Bills(t.Context(), b, []config.Capacity{c}, Query{From: from, To: to, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return bills[0]
}

// TestBill shares an hour of two units: 60 dollars, of which a quarter is used by its output, in the ratio of what each
// had of input and output.
func TestBill(t *testing.T) {
	var b books
	at := dayOf(6, 2)
	b.use(at, "acme/a", 12_000, 3000)  // a tenth of the input, a quarter of the output
	b.use(at, "acme/b", 12_000, 0)     // a tenth of the input
	b.use(dayOf(6, 1), "acme/a", 5, 5) // before the first day
	got := bill(t, b, floor(), dayOf(6, 1), at.Add(2*time.Hour), at.Add(90*time.Minute))
	if got.Cost != 90*money.Dollar || got.Idle != 75*money.Dollar || got.Served != (Tokens{24_000, 3000}) {
		t.Errorf("cost %s, idle %s, served %+v", got.Cost, got.Idle, got.Served)
	}
	shares := got.sharers() // 0.35 and 0.1 of 0.45
	if a, b := shares["acme/a"].String(), shares["acme/b"].String(); a != "11.666666666667" || b != "3.333333333333" {
		t.Errorf("%s %s", a, b)
	}
	idle := got.Parts[len(got.Parts)-1].Row
	if idle.Tenant != Nobody || idle.Model != "floor (idle)" || idle.Path != "idle" {
		t.Errorf("%+v", idle)
	}
	for format, want := range map[string]string{
		"markdown": "| of that idle | 75.00 |", "html": "<td>of that idle</td><td>75.00</td>", "json": `"idle_usd": "75.00"`,
	} {
		var out strings.Builder
		if err := Write(&out, format, nil, got); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v %s", format, err, out.String())
		}
	}
}

// TestBillWithoutRoom: where nobody knows what units serve, an hour is used whole or not at all.
func TestBillWithoutRoom(t *testing.T) {
	var b books
	b.use(dayOf(6, 2), "acme", 1, 2)
	c := floor()
	c.Input, c.Output = 0, 0
	got := bill(t, b, c, dayOf(6, 2), dayOf(6, 3), dayOf(7, 1))
	if got.Cost != 1440*money.Dollar || got.Idle != 1380*money.Dollar {
		t.Errorf("cost %s, idle %s", got.Cost, got.Idle)
	}
}

// TestReservedIsPaidByTheMonth: a whole month costs its price, whatever its length, and a part of one its share.
func TestReservedIsPaidByTheMonth(t *testing.T) {
	c := config.Capacity{Name: "r", Kind: config.CapacityReserved, Models: []string{"amazon.nova-pro-v1:0"}, Units: 1,
		Tenants: []string{"acme"}, Month: 9000 * money.Dollar, From: dayOf(6, 16), To: dayOf(8, 31)}
	for month, want := range map[int]string{5: "0.00", 6: "4500.00", 7: "9000.00", 8: "9000.00", 9: "0.00"} {
		if got := bill(t, nil, c, dayOf(month, 1), dayOf(month+1, 1), dayOf(12, 1)); got.Cost.String() != want {
			t.Errorf("month %d: %s, want %s", month, got.Cost, want)
		}
	}
}

// TestSharesSumToTheCost: whatever was used by whom, the parts and what is idle sum to what the units cost, exactly.
// The costs of times that follow each other sum to that of all, and statements have the same.
func TestSharesSumToTheCost(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := floor()
		c.Units, c.Hour = 1+random.Int64N(7), money.Pico(1+random.Int64N(int64(90*money.Dollar)))
		c.Input, c.Output = random.Int64N(3)*random.Int64N(5000), random.Int64N(3)*random.Int64N(500)
		if random.IntN(2) == 0 {
			c.IdleTo = "platform"
		}
		var b books
		for range random.IntN(60) {
			hour := dayOf(6, 1).Add(time.Duration(random.IntN(72)) * time.Hour)
			b.use(hour, fmt.Sprintf("t%d/x", random.IntN(5)), random.Int64N(200_000), random.Int64N(20_000))
		}
		now := dayOf(6, 4)
		if random.IntN(3) == 0 {
			now = now.Add(record.KeepHours) // days instead of hours
		}
		whole, apart := bill(t, b, c, dayOf(6, 1), dayOf(6, 4), now), money.Pico(0)
		for d := 1; d < 4; d++ {
			apart += bill(t, b, c, dayOf(6, d), dayOf(6, d+1), now).Cost
		}
		var parts, idle money.Pico
		for _, p := range whole.Parts {
			if parts += p.USD; p.USD < 0 {
				t.Errorf("seed %d: a part of %s", seed, p.USD)
			}
			if p.Row.Path == "idle" {
				idle += p.USD
			}
		}
		want := c.Hour * money.Pico(48*c.Units)
		if whole.Cost != want || apart != want || parts != want || idle != whole.Idle {
			t.Errorf("seed %d: cost %s, by day %s, parts %s, want %s; idle %s and %s", seed, whole.Cost, apart, parts, want,
				idle, whole.Idle)
		}
		inStatements(t, seed, whole)
		inReport(t, seed, b, whole)
	}
}

// inStatements compares with what statements have.
func inStatements(t *testing.T, seed uint64, whole *Bill) {
	t.Helper()
	costs, unborne := Costs([]*Bill{whole})
	shared, err := statement.Split(costs, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sum money.Total
	for _, root := range shared {
		for _, s := range root {
			for _, p := range s.Parts {
				usd, err := money.ParseDollars(p.USD)
				if err != nil {
					t.Fatal(err)
				}
				sum.Add(usd)
			}
		}
	}
	if len(unborne) == 0 && sum.String() != whole.Cost.String() || len(unborne) > 0 && sum.Sign() != 0 {
		t.Errorf("seed %d: statements have %s of %s; %v", seed, sum.String(), whole.Cost, unborne)
	}
}

// inReport compares with what a report has.
func inReport(t *testing.T, seed uint64, b books, whole *Bill) {
	t.Helper()
	for _, by := range [][]string{{"tenant", "model"}, {"hour", "path"}, {"class"}} {
		r, err := report.Build(t.Context(), b, report.Query{
			From: dayOf(6, 1), To: dayOf(6, 4), Now: dayOf(6, 4), By: by, Fixed: Fixed([]*Bill{whole}),
		})
		if err != nil {
			t.Fatal(err)
		}
		var sum money.Total
		for _, row := range r.Rows {
			sum.AddTotal(row.Cost())
		}
		if sum.String() != whole.Cost.String() || r.Total.Cost().String() != whole.Cost.String() {
			t.Errorf("seed %d: by %v the report has %s, in all %s, want %s", seed, by, sum.String(), r.Total.Cost(), whole.Cost)
		}
	}
}
