package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Rerating is what to price anew: the rows of which something had no price, and
// with All also those whose price has another version now.
type Rerating struct {
	From, To time.Time // whole hours; To is exclusive, and not after the hour that By was made in
	All      bool
	Reason   string // beside the versions before and after
	// SKU says what a model id is priced as; scope, tier, region, latency and
	// context are those of the row.
	SKU func(model string) record.SKU
	// Budgets are the windows that spending of a tenant at a time counts in.
	Budgets func(tenant string, at time.Time) []record.Window
	By      Signature
}

// Rerated is what a rerating did.
type Rerated struct {
	Rows          int // that were priced anew
	StillUnpriced int // rows that have no price now either
	Before, After money.Total
}

// The parts of a rerating's ids: a row's amounts are taken out under the version
// that they had, and put in under the one that they get.
const (
	rerateID  = "rerate-"
	rerateOut = "-out"
	rerateIn  = "-in"
)

// Rerate prices rows anew by the prices of their time, as they are now. Per row
// it makes two corrections, which name the price versions before and after: one
// takes out what was used and what it cost, one puts it in under the new
// version. Attempts of unknown outcome stay where they are. It may be repeated,
// also after it was interrupted: what was made is not made again.
func (c *Corrections) Rerate(ctx context.Context, rows Rows, r *Rerating) (done Rerated, err error) {
	if r.To.After(r.By.At.Truncate(time.Hour)) {
		return done, fmt.Errorf("rows up to %s may still change; the last that can be rerated end at %s",
			r.To.Format(time.RFC3339), r.By.At.Truncate(time.Hour).Format(time.RFC3339))
	}
	for _, a := range c.halves() {
		if err := c.putIn(r, a, &done); err != nil {
			return done, err
		}
	}
	var outs []*record.Adjustment
	err = rows.Rows(ctx, r.From, r.To, func(key record.RowKey, row record.Counters) error {
		if row.Unpriced <= 0 && !r.All {
			return nil
		}
		out := r.takeOut(key, row)
		version, _, ok := c.priced(r, key, &row)
		switch {
		case !ok && row.Unpriced > 0:
			done.StillUnpriced++
		case ok && (version != key.PriceVersion || row.Unpriced > 0) && out.Add != (record.Counters{}):
			out.Reason = reasonOf(r, key.PriceVersion, version)
			outs = append(outs, out)
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("reading the rows: %w", err)
	}
	for _, out := range outs {
		if err := c.move(r, out, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// halves are the corrections of which the other half is missing, because a
// command was killed between the two.
func (c *Corrections) halves() (all []*record.Adjustment) {
	for _, a := range c.made.InOrder() {
		base, out := strings.CutSuffix(a.ID, rerateOut)
		if out && strings.HasPrefix(base, rerateID) && c.made.Adjusted[base+rerateIn] == nil {
			all = append(all, a)
		}
	}
	return all
}

// move makes both corrections of a row.
func (c *Corrections) move(r *Rerating, out *record.Adjustment, done *Rerated) error {
	made, err := c.Adjust(out)
	if err != nil || !made {
		return err
	}
	return c.putIn(r, out, done)
}

// putIn makes the correction that belongs to one that took a row's amounts out.
func (c *Corrections) putIn(r *Rerating, out *record.Adjustment, done *Rerated) error {
	in := *out
	in.ID, in.RefersTo, in.Actor, in.At = strings.TrimSuffix(out.ID, rerateOut)+rerateIn, out.ID, r.By.Actor, r.By.At
	in.Add = out.Add.Negative()
	before := costOf(&in.Add)
	version, costs, ok := c.priced(r, out.Row, &in.Add)
	var released int64
	if ok {
		withoutCosts(&in.Add)
		if in.Add, ok = in.Add.Plus(costs); !ok {
			return fmt.Errorf("rerating %s: the amounts are out of range", out.ID)
		}
		in.Add.Unpriced, in.Row.PriceVersion = 0, version
		released, in.Add.Withheld = int64(in.Add.Withheld/money.Nano), 0
	}
	after := costOf(&in.Add)
	late := r.charge(&in, int64((after-before)/money.Nano), released)
	for _, a := range append([]*record.Adjustment{&in}, late...) {
		if _, err := c.Adjust(a); err != nil {
			return err
		}
	}
	done.Rows++
	done.Before.Add(before)
	done.After.Add(after)
	return nil
}

// charge makes the budgets that held a row's calls count what it costs more now, in
// nano-dollars, instead of what they kept in suspense, and returns the corrections by
// which newer ones count it.
func (r *Rerating) charge(in *record.Adjustment, nanos, released int64) (late []*record.Adjustment) {
	in.Charges = nil
	for _, w := range r.Budgets(in.Row.Tenant, in.Row.Hour) {
		switch {
		case in.Row.Held == "" || record.Holds(in.Row.Held, w.Mark(in.Row.Tenant)):
			if nanos != 0 {
				in.Charges = append(in.Charges, record.Charge{Window: w, Amount: nanos})
			}
			if released != 0 {
				in.Charges = append(in.Charges, record.Charge{Window: w, Amount: -released, Suspense: true})
			}
		case nanos != 0:
			a := record.CountLate(w, nanos)
			a.ID, a.RefersTo = fmt.Sprintf("%s-late%d", in.ID, len(late)), in.ID
			a.Actor, a.Reason, a.At = in.Actor, in.Reason, in.At
			late = append(late, a)
		}
	}
	return late
}

// takeOut is the correction that takes out of a row what can be priced anew: all
// but what attempts of unknown outcome left there, guardrails, and, in a row
// without a price, money that only another correction can have put there.
func (r *Rerating) takeOut(key record.RowKey, row record.Counters) *record.Adjustment {
	moved := row
	moved.Legs = max(0, row.Legs-row.Unknown)
	moved.Unknown, moved.SuspenseTokens, moved.Suspense = 0, 0, 0
	moved.GuardrailUnits, moved.CostGuardrail, moved.Late = 0, 0, 0
	if key.PriceVersion == "" {
		withoutCosts(&moved)
	}
	for _, v := range moved.Values() {
		if v.N < 0 {
			moved = record.Counters{} // credits and the like: nothing that a price can be applied to
			break
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %+v", fmt.Sprintf("%+v", key), key.Hour.Unix(), row))
	return &record.Adjustment{
		ID: fmt.Sprintf("%s%x%s", rerateID, sum[:10], rerateOut), Actor: r.By.Actor, At: r.By.At,
		Root: record.RootOf(key.Tenant), Row: key, Add: moved.Negative(),
	}
}

// withoutCosts leaves what was used and takes away what it cost.
func withoutCosts(c *record.Counters) {
	c.CostInput, c.CostOutput, c.CostCacheRead = 0, 0, 0
	c.CostCacheWrite, c.CostCacheWrite5m, c.CostCacheWrite1h = 0, 0, 0
	c.CostQuery, c.CostImage, c.CostSecond, c.CostWasted, c.Discount = 0, 0, 0, 0, 0
}

// priced is what a row's usage costs now. What light answers that were thrown
// away cost is the same part of it as before.
func (c *Corrections) priced(r *Rerating, key record.RowKey, row *record.Counters) (string, record.Counters, bool) {
	sku := r.SKU(key.Model)
	sku.Scope, sku.Tier, sku.Region = cmp.Or(sku.Scope, key.Scope), awake.Plain(key.Tier), key.Region
	sku.Latency, sku.Context = key.Latency, key.Context
	version, costs, ok := c.prices.Reprice(sku, key.Hour, row)
	if before := costOf(row) - row.CostGuardrail; ok && before > 0 && row.CostWasted > 0 {
		wasted := big.NewInt(int64(costOf(&costs)))
		wasted.Mul(wasted, big.NewInt(int64(min(row.CostWasted, before)))).Quo(wasted, big.NewInt(int64(before)))
		costs.CostWasted = money.Pico(wasted.Int64())
	}
	return version, costs, ok
}

func reasonOf(r *Rerating, before, after string) string {
	text := fmt.Sprintf("rerate: price version %q to %q", before, after)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// ByHand reads the corrections in a journal that people made, oldest first: those of a
// rerating, which price again what was metered, are not among them. Their rows are those
// that a ledger with these closed months added to.
func ByHand(
	disk journal.Disk, closed func(root string) (ledger.Closings, error),
) ([]*record.Adjustment, error) {
	all, err := meter.ReadCorrections(disk)
	if err != nil {
		return nil, err
	}
	rerated := func(a *record.Adjustment) bool { return strings.HasPrefix(a.ID, rerateID) }
	made := slices.DeleteFunc(all.InOrder(), rerated)
	for _, a := range made {
		months, err := closed(a.Root)
		if err != nil {
			return nil, err
		}
		n := all.Numbers[a.ID]
		a.Row.Hour = a.Row.Hour.UTC().Truncate(time.Hour)
		a.Row = months.Place(n.Writer, n.Seq, a.Row)
	}
	return made, nil
}
