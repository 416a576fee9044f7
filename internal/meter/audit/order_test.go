package audit

import (
	"errors"
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
		o.ID, o.Tenant, o.Model, o.Reason, o.By = "credit", "acme/a", "us.meta.m-v1:0", "r", Signature{"who", at}
		a, made, err := c.CarryOut(&o, budgets)
		if made != want || !errors.Is(err, refused) {
			t.Errorf("%+v: %v %v", o, made, err)
		}
		return a
	}
	credit := Order{Cost: -3 * money.Dollar / 2}
	a := f(credit, now, true, nil)
	if a.Root != "acme" || a.Row.Scope != "geo" || !a.Row.Hour.Equal(now.Truncate(time.Hour)) || a.Actor != "who" ||
		len(a.Charges) != 1 || a.Charges[0].Amount != -1_500_000_000 {
		t.Errorf("%+v", a)
	}
	if again := f(credit, now.AddDate(0, 1, 0), false, nil); !again.Row.Hour.Equal(a.Row.Hour) {
		t.Errorf("%+v", again)
	}
	of := credit
	of.Of = now.AddDate(0, 1, 0)
	f(of, now, false, ErrOtherContents)
	f(Order{Input: 1}, now, false, ErrOtherContents)
	shut(t, c)
	if sum := b.sum(t); sum.CostInput != credit.Cost {
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
