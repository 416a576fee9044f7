package ledgertest

import (
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// check finds an overrun before it is spent, and accounts that do not add up.
func (b *bank) check() error {
	books, err := again(b, func() ([]ledger.WindowBook, error) { return b.Gateways[0].Windows(b.ctx, "acme") })
	if err != nil {
		return err
	}
	for i := range books {
		if err := Balanced(&books[i]); err != nil {
			return err
		}
	}
	if b.over {
		return nil
	}
	for i, w := range b.windows {
		if b.loose && w.Unit == record.UnitConcurrent {
			continue
		}
		if most := b.exposed(i); most > b.limits[i] {
			return fmt.Errorf("window %d: %d may be spent of %d", i, most, b.limits[i])
		}
		for _, book := range books {
			if sum := book.Posted + book.Held + book.Suspense; book.Window == w && !b.lost && sum > b.limits[i] {
				return fmt.Errorf("window %d: its sums %+v are above %d", i, book.WindowState, b.limits[i])
			}
		}
	}
	return nil
}

// exposed is what was spent, may have been, and may yet be without asking.
func (b *bank) exposed(i int) int64 {
	var sum int64
	for _, w := range slices.Concat(b.past, b.writers) {
		sum += w.journalled(b.windows[i]).Posted + w.journalled(b.windows[i]).Suspense
		for _, hold := range w.holds {
			sum += amounts(hold)[i]
		}
		if b.Now().Sub(w.renewed) < ttl {
			sum += w.accounts[i].idle
		}
	}
	return sum
}

func (w *spender) journalled(in record.Window) ledger.WindowState {
	var sum ledger.WindowState
	for i := range w.journal {
		for _, c := range w.journal[i].Charges {
			switch {
			case c.Window != in:
			case c.Suspense:
				sum.Suspense += c.Amount
			default:
				sum.Posted += c.Amount
			}
		}
	}
	return sum
}

func (b *bank) end() error {
	b.healAll()
	for _, w := range b.writers {
		if err := b.leave(w); err != nil {
			return err
		}
	}
	books, err := b.Gateways[0].Windows(b.ctx, "acme")
	if err != nil {
		return err
	}
	got := make(map[record.Window]ledger.WindowState)
	for _, book := range books {
		got[book.Window] = book.WindowState
	}
	for i, window := range b.windows {
		var want ledger.WindowState
		for _, w := range slices.Concat(b.past, b.writers) {
			sum := w.journalled(window)
			want.Posted, want.Suspense = want.Posted+sum.Posted, want.Suspense+sum.Suspense
		}
		if got[window] != want {
			return fmt.Errorf("window %d ends with %+v, the journals say %+v", i, got[window], want)
		}
	}
	return nil
}
