package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// EnterOnce carries out an order for something that is known by its id alone, such as a batch job,
// and reports whether it is new. What was entered before stays as it was, with the hour and the
// price that it had then. Another owner or other counts fail with ErrOtherContents.
func (c *Corrections) EnterOnce(
	o *Order, budgets func(tenant string, at time.Time) []record.Window,
) (made bool, err error) {
	before := c.made.Adjusted[o.ID]
	if before == nil {
		_, made, err = c.CarryOut(o, budgets)
		return made, err
	}
	was, is := &before.Row, &o.Row
	if was.Tenant != is.Tenant || was.Key != is.Key || was.Model != is.Model || counts(&before.Add) != counts(&o.Add) {
		return false, fmt.Errorf("%s: %w: tenant %s, key %q, model %s, %d calls, %d input and %d output tokens", o.ID,
			ErrOtherContents, was.Tenant, was.Key, was.Model, before.Add.Legs, before.Add.Input, before.Add.Output)
	}
	return false, nil
}

// counts are what of counters no price changes.
func counts(c *record.Counters) [10]int64 {
	return [...]int64{
		c.Requests, c.Legs, c.Input, c.Output, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h, c.Queries, c.Images,
		c.Milliseconds,
	}
}

// Knows reports whether an attempt is one of all, or was resolved here.
func (c *Corrections) Knows(all []record.Suspended, id string) bool {
	return c.made.Resolved[id] != nil || slices.ContainsFunc(all, func(s record.Suspended) bool { return s.End.ID == id })
}

// Release resolves a suspended attempt as one that was billed nothing by itself: what it stood for is entered under
// another id. It reports whether the attempt is resolved now, be it by this or before, and false where none of all is
// it.
func (c *Corrections) Release(all []record.Suspended, id, note string, by Signature) (resolved bool, err error) {
	if c.made.Resolved[id] != nil {
		return true, nil
	}
	for i := range all {
		if all[i].End.ID == id {
			_, err := c.Resolve(&all[i], &record.Resolution{
				End: &record.End{ID: id, Outcome: record.Failed}, Source: record.FromOperator, Actor: by.Actor, Note: note,
				At: by.At,
			})
			return err == nil, err
		}
	}
	return false, nil
}
