package audit

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Order is an adjustment as an operator asks for it. The amounts may be negative.
type Order struct {
	ID               string // the same order with the same id is carried out once
	RefersTo, Reason string
	Row              record.RowKey   // its hour is that of Of
	Add              record.Counters // what the row gets
	Of               time.Time       // when what it corrects happened; zero: when the order is made
	By               Signature
	// Force carries out an order that Doubts finds something wrong with.
	Force bool
}

// time is when what the order corrects happened.
func (o *Order) time() time.Time { return cmp.Or(o.Of, o.By.At).UTC() }

// CarryOut makes the adjustment that an order asks for and reports whether it is
// new. It charges the windows that budgets returns for its tenant and time. An
// order without a time that is made again later is still the same. It fails like
// Adjust.
func (c *Corrections) CarryOut(
	o *Order, budgets func(tenant string, at time.Time) []record.Window,
) (a *record.Adjustment, made bool, err error) {
	row := o.Row
	row.Hour = o.time().Truncate(time.Hour)
	row.Scope = cmp.Or(row.Scope, wire.ParseModelID(row.Model).Scope)
	a = &record.Adjustment{
		ID: o.ID, RefersTo: o.RefersTo, Reason: o.Reason, Actor: o.By.Actor, Root: record.RootOf(row.Tenant), At: o.By.At,
		Row: row, Add: o.Add,
	}
	cost := costOf(&o.Add)
	if nano := int64(cost / money.Nano); nano != 0 {
		for _, w := range budgets(row.Tenant, o.time()) {
			a.Charges = append(a.Charges, record.Charge{Window: w, Amount: nano})
		}
	}
	if before := c.made.Adjusted[o.ID]; before != nil && o.Of.IsZero() {
		a.Row.Hour, a.Charges = before.Row.Hour, before.Charges
	}
	a.Row.Held = record.HeldBy(row.Tenant, a.Charges)
	made, err = c.Adjust(a)
	return a, made, err
}

// costOf is the cost of all classes.
func costOf(c *record.Counters) (sum money.Pico) {
	for _, class := range c.CostClasses() {
		sum += class
	}
	return sum
}

// ResolveByHand posts what an operator knows that a suspended attempt used, in
// tokens, and reports whether it is new. It fails like Resolve, and when none of
// the attempts has the id.
func (c *Corrections) ResolveByHand(
	all []record.Suspended, id string, input, output int64, note string, by Signature,
) (made bool, err error) {
	for i := range all {
		if all[i].End.ID == id {
			usage := wire.Usage{Input: wire.Known(input), Output: wire.Known(output)}
			return c.Resolve(&all[i], &record.Resolution{
				End:    &record.End{ID: id, Outcome: record.Completed, Usage: usage},
				Source: record.FromOperator, Actor: by.Actor, Note: note, At: by.At,
			})
		}
	}
	return false, fmt.Errorf("no attempt %s of unknown outcome: `gateway resolve` lists them", id)
}
