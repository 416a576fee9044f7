package commitment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/money"
)

const importedARN = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama"

// llama is Llama 3.1 70B at the price of us-east-1.
func llama() config.Capacity {
	return config.Capacity{
		Name: "llama", Kind: config.CapacityImported, ARN: importedARN, Models: []string{"meta.llama3-1-70b-instruct-v1:0"},
		Units: 8, Copies: 1, Minute: 57_180_000_000, Month: 1_950_000_000_000, Term: "none", From: dayOf(6, 2),
	}
}

// run adds a call that ran from one time to another.
func (b *books) run(began, ended time.Time, tenant string, add record.Counters) {
	*b = append(*b, struct {
		key record.RowKey
		add record.Counters
	}{record.RowKey{Hour: ended.Truncate(time.Hour), Tenant: tenant, Model: importedARN,
		Tier: awake.Tier(config.CapacityImported, began, ended)}, add})
}

func importedBills(t *testing.T, b books, c config.Capacity, from, to, now time.Time) []*Bill {
	t.Helper()
	bills, err := Bills(t.Context(), b, []config.Capacity{c}, Query{From: from, To: to, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return bills
}

// TestImportedWindows: one lonely call of a model of eight units costs a window, 2.29 dollars. Two tenants in one
// window share it by their tokens. What failed wakes nothing; of what is unknown the window is idle. Storage is paid
// beside it.
func TestImportedWindows(t *testing.T) {
	var b books
	at := dayOf(6, 2).Add(10 * time.Hour)
	tokens := func(n int64) record.Counters { return record.Counters{Legs: 1, Requests: 1, Input: n} }
	b.run(at.Add(time.Minute), at.Add(2*time.Minute), "acme/a", tokens(300))
	b.run(at.Add(3*time.Minute), at.Add(4*time.Minute), "acme/b", tokens(100))
	b.run(at.Add(14*time.Minute), at.Add(16*time.Minute), "acme/b", tokens(7)) // in two windows
	b.run(at.Add(30*time.Minute), at.Add(30*time.Minute), "acme/b", record.Counters{Legs: 1, Requests: 1})
	b.run(at.Add(40*time.Minute), at.Add(41*time.Minute), "acme/b", record.Counters{Legs: 1, Unknown: 1})
	bills := importedBills(t, b, llama(), dayOf(6, 2), dayOf(6, 3), dayOf(6, 3))
	if len(bills) != 2 || bills[1].Name != "llama storage" {
		t.Fatalf("%d bills", len(bills))
	}
	got, shares := bills[0], bills[0].sharers()
	if got.Windows != 4 || got.Cost.String() != "9.1488" || got.Idle.String() != "2.2872" || got.Served.Input != 407 {
		t.Errorf("%d windows, cost %s, idle %s, served %+v", got.Windows, got.Cost, got.Idle, got.Served)
	}
	if a, b := shares["acme/a"].String(), shares["acme/b"].String(); a != "1.7154" || b != "5.1462" {
		t.Errorf("%s %s", a, b)
	}
	if stored := bills[1]; stored.Cost.String() != "0.52" || stored.Windows != 0 { // 8 x 1.95 for a day of 30
		t.Errorf("storage %s", stored.Cost)
	}
	var out strings.Builder
	err := Write(&out, "markdown", nil, bills...)
	if want := "| windows of five minutes | 4 |"; err != nil || strings.Count(out.String(), want) != 1 {
		t.Errorf("%v %s", err, out.String())
	}
}

// TestImportedSharesSumToTheCost: whatever ran when, the parts and what is idle sum to windows times copies times
// units, exactly; so do the hours, and so do days without their hours.
func TestImportedSharesSumToTheCost(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := llama()
		c.Units, c.Copies = 1+random.Int64N(16), 1+random.Int64N(3)
		c.Minute = money.Pico(1 + random.Int64N(int64(money.Dollar)))
		var b, folded books
		windows := map[time.Time]bool{}
		for range random.IntN(40) {
			began := dayOf(6, 2).Add(time.Duration(random.Int64N(int64(47 * time.Hour))))
			ended := began.Add(time.Duration(random.Int64N(int64(12 * time.Minute))))
			add := record.Counters{Legs: 1, Input: random.Int64N(3) * random.Int64N(9000), Output: random.Int64N(3)}
			add.Unknown = random.Int64N(2)
			b.run(began, ended, fmt.Sprintf("t%d/x", random.IntN(4)), add)
			row := b[len(b)-1]
			row.key = row.key.OfDay()
			folded = append(folded, row)
			if add.Input+add.Output+add.Unknown == 0 {
				continue
			}
			for at := began.Truncate(5 * time.Minute); !at.After(ended); at = at.Add(5 * time.Minute) {
				if !at.Before(ended.Truncate(time.Hour)) {
					windows[at] = true
				}
			}
		}
		want := c.Minute * money.Pico(5*c.Units*c.Copies*int64(len(windows)))
		hourly := money.Pico(0)
		for at := dayOf(6, 2); at.Before(dayOf(6, 4)); at = at.Add(time.Hour) {
			hourly += importedBills(t, b, c, at, at.Add(time.Hour), dayOf(6, 5))[0].Cost
		}
		old := importedBills(t, folded, c, dayOf(6, 2), dayOf(6, 4), dayOf(6, 5).Add(record.KeepHours))[0]
		whole := importedBills(t, b, c, dayOf(6, 2), dayOf(6, 4), dayOf(6, 5))[0]
		var parts, idle money.Pico
		for _, p := range whole.Parts {
			if parts += p.USD; p.Row.Path == idlePath {
				idle += p.USD
			}
		}
		if whole.Cost != want || parts != want || idle != whole.Idle || hourly != want || old.Cost != want {
			t.Errorf("seed %d: cost %s, parts %s, by hour %s, by day %s, want %s; idle %s and %s", seed, whole.Cost, parts,
				hourly, old.Cost, want, idle, whole.Idle)
		}
		inStatements(t, seed, whole)
	}
}

// TestSums: what days come to sums to what the whole comes to, over the end of a month, from and to any time; before
// anything was paid it is nothing.
func TestSums(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	reserved := config.Capacity{
		Name: "held", Kind: config.CapacityReserved, Models: []string{"amazon.nova-pro-v1:0"}, Tenants: []string{"t0"},
		Units: 3, Input: 100, Month: 700 * money.Dollar, Term: "none", From: dayOf(6, 3),
	}
	all := []config.Capacity{floor(), llama(), reserved}
	var b books
	for range 300 {
		at := dayOf(6, 1).Add(time.Duration(random.Int64N(int64(45 * 24 * time.Hour)))).Truncate(time.Hour)
		b.use(at, fmt.Sprintf("t%d", random.IntN(3)), random.Int64N(50_000), random.Int64N(4000))
		b.run(at.Add(time.Minute), at.Add(9*time.Minute), "t1", record.Counters{Legs: 1, Input: random.Int64N(90)})
	}
	q := Query{From: dayOf(6, 1).Add(5 * time.Hour), To: dayOf(7, 20), Now: dayOf(7, 13).Add(7 * time.Hour)}
	bills, err := Bills(t.Context(), b, all, q)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := Sums(t.Context(), b, all, q)
	if err != nil || len(sums) != 4 || len(bills) != 4 {
		t.Fatal(err, len(sums))
	}
	for i, s := range sums {
		var shares money.Total
		for _, usd := range s.Shares {
			shares.AddTotal(usd)
		}
		shares.AddTotal(&s.Idle)
		w := bills[i]
		if s.Name != w.Name || s.Cost.String() != w.Cost.String() || s.Idle.String() != w.Idle.String() ||
			s.Served != w.Served || s.Windows != w.Windows || s.Long != w.To.Sub(w.From) || shares.String() != w.Cost.String() {
			t.Errorf("%s: %s, idle %s, %v, %+v; shares %s; want %s, %s, %v, %+v", s.Name, s.Cost.String(), s.Idle.String(),
				s.Long, s.Served, shares.String(), w.Cost, w.Idle, w.To.Sub(w.From), w.Served)
		}
	}
	q.From, q.To = dayOf(8, 1), dayOf(9, 1)
	sums, err = Sums(t.Context(), b, all, q)
	if err != nil || len(sums) != 4 || sums[0].Cost.Sign() != 0 || sums[0].Long != 0 {
		t.Errorf("%v %+v", err, sums)
	}
}
