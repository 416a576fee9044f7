package audit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestCarryOut carries an order out once, also when it is made again in another
// month, and charges the windows of its time.
func TestCarryOut(t *testing.T) {
	b := newBooks()
	c := corrections(t, t.TempDir(), b)
	var asked []time.Time
	budgets := func(tenant string, at time.Time) []record.Window {
		asked = append(asked, at)
		w := month(tenant, record.UnitUSD)
		w.Start, w.End = w.Start.AddDate(0, len(asked), 0), w.End.AddDate(0, len(asked), 0)
		return []record.Window{w}
	}
	f := func(o Order, at time.Time, want bool, refused error) *record.Adjustment {
		t.Helper()
		o.Row.Tenant, o.Row.Model = "acme/a", "us.meta.m-v1:0"
		o.ID, o.Reason, o.By = "credit", "r", Signature{"who", at}
		a, made, err := c.CarryOut(&o, budgets)
		if made != want || !errors.Is(err, refused) {
			t.Errorf("%+v: %v %v", o, made, err)
		}
		return a
	}
	credit := Order{Add: record.Counters{CostInput: -3 * money.Dollar / 2}}
	a := f(credit, now, true, nil)
	if a.Root != "acme" || a.Row.Scope != "us" || !a.Row.Hour.Equal(now.Truncate(time.Hour)) || a.Actor != "who" ||
		len(a.Charges) != 1 || a.Charges[0].Amount != -1_500_000_000 {
		t.Errorf("%+v", a)
	}
	if again := f(credit, now.AddDate(0, 1, 0), false, nil); !again.Row.Hour.Equal(a.Row.Hour) {
		t.Errorf("%+v", again)
	}
	of := credit
	of.Of = now.AddDate(0, 1, 0)
	f(of, now, false, ErrOtherContents)
	f(Order{Add: record.Counters{Input: 1}}, now, false, ErrOtherContents)
	shut(t, c)
	if sum := b.sum(t); sum != credit.Add {
		t.Errorf("%+v", sum)
	}
}

// TestResolveByHand needs the id of an attempt of unknown outcome.
func TestResolveByHand(t *testing.T) {
	b := newBooks()
	c := corrections(t, t.TempDir(), b)
	defer shut(t, c)
	if _, err := c.ResolveByHand(nil, "nobody", 1, 2, "", Signature{"who", now}); err == nil {
		t.Error("an attempt that nobody knows was resolved")
	}
}

// spent is what acme/support spent on model m this month: a dollar and a half, a third of it on output.
func spent(t *testing.T) *books {
	t.Helper()
	b := newBooks()
	c := corrections(t, t.TempDir(), b)
	for i, row := range []record.RowKey{{Key: "K1", Path: "light"}, {Key: "K2"}} {
		row.Hour, row.Tenant, row.Model = now, "acme/support", "m"
		o := &Order{ID: "o" + string(rune('a'+i)), Row: row, By: Signature{"who", now},
			Add: record.Counters{Input: 50, Output: 5, CostInput: money.Dollar / 2, CostOutput: money.Dollar / 4}}
		if _, _, err := c.CarryOut(o, func(string, time.Time) []record.Window { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, c)
	return b
}

// TestDoubts: M23, an adjustment refuses what is not there.
func TestDoubts(t *testing.T) {
	b := spent(t)
	known := func(tenant string) bool { return tenant == "acme/support" || tenant == "acme" }
	f := func(change func(*Order), want ...string) {
		t.Helper()
		o := &Order{ID: "x", Reason: "r", By: Signature{"who", now},
			Row: record.RowKey{Tenant: "acme/support", Model: "m"}, Add: record.Counters{CostInput: -money.Dollar}}
		change(o)
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		doubts, err := o.Doubts(t.Context(), b, known)
		if err != nil || len(doubts) != len(want) {
			t.Errorf("%+v: %q, %v, want %q", o, doubts, err, want)
			return
		}
		for i := range want {
			if !strings.Contains(doubts[i], want[i]) {
				t.Errorf("%q lacks %q", doubts[i], want[i])
			}
		}
	}
	f(func(*Order) {})
	f(func(o *Order) { o.Add.CostInput = -3 * money.Dollar / 2 }) // all that was spent, as cost of input
	f(func(o *Order) { o.Add.CostInput = -3*money.Dollar/2 - 1 }, "the cost of acme/support and m")
	f(func(o *Order) { o.Add.CostInput = -8_000_000 * money.Dollar }, "is 1.50 USD")
	f(func(o *Order) { o.Add = record.Counters{Input: -100, Output: -10} })
	f(func(o *Order) { o.Add = record.Counters{Input: -101, Output: -11} }, "input_tokens", "output_tokens")
	f(func(o *Order) { o.Add = record.Counters{Requests: -1} }, "requests of acme/support and m")
	f(func(o *Order) { o.Add = record.Counters{Suspense: -1} }, "suspense_usd")
	f(func(o *Order) { o.Add = record.Counters{CostInput: 200_000 * money.Dollar} }, "more than one correction")
	f(func(o *Order) { o.Add = record.Counters{Input: 1 << 50} }, "more than one correction")
	f(func(o *Order) { o.Row.Tenant, o.Add.CostInput = "acme/suppport", 1 }, `no tenant "acme/suppport"`)
	f(func(o *Order) { o.Row.Tenant = "acme" }, "the cost of acme and m")
	f(func(o *Order) { o.Row.Model = "other" }, "the cost of acme/support and other")
	f(func(o *Order) { o.Of = now.AddDate(0, 0, -401) }, "before the 400 days", "the cost")
	f(func(o *Order) { o.Row.Key, o.Add.CostInput = "K1", -3*money.Dollar/4 })
	f(func(o *Order) { o.Row.Key, o.Add.CostInput = "K1", -3*money.Dollar/4-1 }, "is 0.75 USD")
	f(func(o *Order) { o.Row.Path, o.Add = "light", record.Counters{Input: -51} }, "input_tokens")
	f(func(o *Order) { o.Row.Tier, o.Add = "flex", record.Counters{Output: -1} }, "output_tokens")
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	kolkata := time.FixedZone("", 5*3600+1800)
	f(func(o *Order) { o.Of = month.In(kolkata) })
	f(func(o *Order) { o.Of = month.Add(-1).In(kolkata) }, "the cost")
	f(func(o *Order) { o.Of = o.By.At.Add(5 * time.Minute).In(kolkata) })
	f(func(o *Order) { o.Of = time.Date(2006, 1, 2, 0, 0, 0, 0, time.UTC) }, "before the 400 days", "the cost")
	f(func(o *Order) { o.Of = now.AddDate(36, 0, 0) }, "has not come yet", "the cost")
}

// TestOrderCheck: M23, what no order may hold, forced or not.
func TestOrderCheck(t *testing.T) {
	f := func(setting string) {
		t.Helper()
		o := &Order{ID: "x", Row: record.RowKey{Tenant: "acme", Model: "m"}, Add: record.Counters{Input: 1}, Force: true}
		name, value, _ := strings.Cut(setting, " ")
		switch name {
		case "id":
			o.ID = value
		case "reference":
			o.RefersTo = value
		case "reason":
			o.Reason = value
		case "nothing":
			o.Add = record.Counters{}
		default:
			if err := record.SetColumn(&o.Row, &o.Add, name+"="+value); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Check(); err == nil {
			t.Errorf("%q passes", setting)
		}
	}
	for _, setting := range []string{"tenant =cmd|x", "tenant acme//a", "tenant ", "tenant a b", "model ", "model a b",
		"model =m", "model " + strings.Repeat("m", 257), "key =1+1", "key a\tb", "scope @x", "tier a|b", "user -x",
		"price_version +1", "region ü", "id =x", "id a b", "id " + strings.Repeat("x", 201), "reference \"", "reason a\nb",
		"reason " + strings.Repeat("x", 1001), "nothing"} {
		f(setting)
	}
}
