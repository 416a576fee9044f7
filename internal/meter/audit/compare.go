package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// rows compares the rows of the roots whose partitions agree.
func (v *verifier) rows(ctx context.Context, roots map[string]bool) error {
	from := v.Now.Add(-record.KeepDays).UTC().Truncate(24*time.Hour).AddDate(0, 0, 2) // both sides still have these
	if err := v.closings(ctx, roots); err != nil {
		return err
	}
	want, err := v.journalRows(from)
	if err != nil {
		return err
	}
	got := map[record.RowKey]record.Counters{}
	err = v.Ledger.Rows(ctx, from, v.Now.AddDate(10, 0, 0), func(key record.RowKey, c record.Counters) error {
		return addRow(got, v.fold(key), c)
	})
	if err != nil {
		return err
	}
	if err := v.unmoved(ctx, roots); err != nil {
		return err
	}
	compared := 0
	strange := map[string]bool{}
	for _, key := range sortedRows(want, got) {
		root := record.RootOf(key.Tenant)
		if _, known := roots[root]; !known && v.All && !strange[root] {
			strange[root] = true
			v.differ("root %s: the ledger has rows, and no journal here has a record of it", root)
		}
		if !roots[root] {
			continue
		}
		compared++
		v.row(key, want[key], got[key])
	}
	v.say("%d rows compared", compared)
	if v.All && len(roots) == 0 && len(got) == 0 {
		v.differ("there is nothing to compare: neither the journals nor the ledger have a record")
	}
	return nil
}

// closings reads which months are closed of the roots.
func (v *verifier) closings(ctx context.Context, roots map[string]bool) (err error) {
	v.closed = map[string]ledger.Closings{}
	for root := range roots {
		if v.Closings != nil && err == nil {
			v.closed[root], err = v.Closings(ctx, root)
		}
	}
	return err
}

func (v *verifier) journalRows(from time.Time) (map[record.RowKey]record.Counters, error) {
	sums := map[record.RowKey]record.Counters{}
	longest := v.longest()
	for l, i := range longest {
		if err := v.addRows(sums, v.sums[i].Rows[l], from); err != nil {
			return nil, err
		}
	}
	return sums, v.shared(longest, from)
}

// longest returns which journal has most of each partition. Copies of a directory
// share what was written before the copy, and it counts once.
func (v *verifier) longest() map[record.Partition]int {
	longest := map[record.Partition]int{}
	for i, b := range v.sums {
		for l, head := range b.Heads {
			if other, seen := longest[l]; !seen || head > v.sums[other].Heads[l] {
				longest[l] = i
			}
		}
	}
	return longest
}

// shared demands that journals which end a partition with the same number have the
// same contents there.
func (v *verifier) shared(longest map[record.Partition]int, from time.Time) error {
	for i, b := range v.sums {
		for l, head := range b.Heads {
			other := longest[l]
			if i == other || head < v.sums[other].Heads[l] {
				continue
			}
			same, err := v.sameRows(b.Rows[l], v.sums[other].Rows[l], from)
			if err != nil {
				return err
			}
			if !same {
				v.differ("root %s: the numbers up to %d of writer %s are others in %s than in %s",
					l.Root, head, l.Writer, v.Journals[i].Name, v.Journals[other].Name)
			}
		}
	}
	return nil
}

func (v *verifier) sameRows(a, b map[record.RowKey]record.Counters, from time.Time) (bool, error) {
	sumsA, sumsB := map[record.RowKey]record.Counters{}, map[record.RowKey]record.Counters{}
	err := errors.Join(v.addRows(sumsA, a, from), v.addRows(sumsB, b, from))
	return maps.Equal(sumsA, sumsB), err
}

func (v *verifier) addRows(to, rows map[record.RowKey]record.Counters, from time.Time) error {
	for key, c := range rows {
		if key.Hour.Before(from) {
			continue
		}
		if err := addRow(to, v.fold(key), c); err != nil {
			return err
		}
	}
	return nil
}

// fold makes days of hours that either side may have folded, and one of all that is of
// a closed month: the journals do not know what came too late for it.
func (v *verifier) fold(key record.RowKey) record.RowKey {
	key = v.closed[record.RootOf(key.Tenant)].Origin(key)
	key.Hour = key.Hour.UTC()
	if key.Hour.Before(v.Now.Add(-record.KeepHours).UTC().Truncate(24*time.Hour).AddDate(0, 0, 2)) {
		key.Hour = key.Hour.Truncate(24 * time.Hour)
	}
	return key
}

func addRow(to map[record.RowKey]record.Counters, key record.RowKey, c record.Counters) error {
	sum, ok := to[key].Plus(c)
	if !ok {
		return fmt.Errorf("the sums of tenant %s overflow", key.Tenant)
	}
	to[key] = sum
	return nil
}

// unmoved takes roots out of the comparison that were posted to while the rows
// were read.
func (v *verifier) unmoved(ctx context.Context, roots map[string]bool) error {
	for l, head := range v.heads() {
		if !roots[l.Root] || v.fenced(l.Writer) {
			continue
		}
		applied, err := v.Ledger.Watermark(ctx, l.Writer, l.Root)
		if err != nil {
			return err
		}
		if applied != head {
			roots[l.Root] = false
			v.say("root %s: sums not compared, because a gateway posts to it right now", l.Root)
		}
	}
	return nil
}

// row prints every counter of a row that differs.
func (v *verifier) row(key record.RowKey, want, got record.Counters) {
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		if w.Field(i).Int() != g.Field(i).Int() {
			v.differ("tenant %s, key %s, model %s, %s, %s: %s is %v in the journals and %v in the ledger", key.Tenant,
				key.Key, key.Model,
				key.Path, key.Hour.Format("2006-01-02T15"), w.Type().Field(i).Name, w.Field(i).Interface(), g.Field(i).Interface())
		}
	}
}

// windows compares what was posted to budgets and limits. A ledger's suspense
// may be larger than the journals': it has the leases of dead gateways, too.
func (v *verifier) windows(ctx context.Context, roots map[string]bool) error {
	if v.Windows == nil {
		return nil
	}
	want := map[string]map[record.Window]meter.WindowSums{}
	for l, i := range v.longest() {
		if want[l.Root] == nil {
			want[l.Root] = map[record.Window]meter.WindowSums{}
		}
		for w, sums := range v.sums[i].Windows[l] {
			sum := want[l.Root][w]
			want[l.Root][w] = meter.WindowSums{Posted: sum.Posted + sums.Posted, Suspense: sum.Suspense + sums.Suspense}
		}
	}
	for root, compare := range roots {
		if !compare {
			continue
		}
		books, err := v.Windows(ctx, root)
		if err != nil {
			return err
		}
		got := make(map[record.Window]ledger.WindowState, len(books))
		for _, b := range books {
			got[b.Window] = b.WindowState
		}
		v.windowsOf(root, want[root], got)
	}
	return nil
}

func (v *verifier) windowsOf(
	root string, want map[record.Window]meter.WindowSums, got map[record.Window]ledger.WindowState,
) {
	for w, sums := range want {
		state, there := got[w]
		if !there && w.End.Before(v.Now) {
			continue // the ledger forgets windows some time after their end
		}
		if state.Posted != sums.Posted || state.Suspense < sums.Suspense {
			v.differ("budget of %s, %s from %s: %d posted and %d in suspense by the journals, %d and %d by the ledger", w.Tenant,
				w.Period, w.Start.Format(time.RFC3339), sums.Posted, sums.Suspense, state.Posted, state.Suspense)
		}
	}
	for w, state := range got {
		if _, there := want[w]; !there && state.Posted != 0 {
			v.differ("budget of %s, %s from %s: nothing posted by the journals, %d by the ledger of root %s", w.Tenant,
				w.Period, w.Start.Format(time.RFC3339), state.Posted, root)
		}
	}
}

func sortedRows(a, b map[record.RowKey]record.Counters) []record.RowKey {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.SortedFunc(maps.Keys(all), func(x, y record.RowKey) int {
		return cmp.Or(x.Hour.Compare(y.Hour), cmpText(x.Tenant, y.Tenant, x.Model, y.Model, x.Key, y.Key, x.Path, y.Path,
			x.Scope, y.Scope, x.Tier, y.Tier, x.Cascade, y.Cascade, x.PriceVersion, y.PriceVersion))
	})
}

// cmpText compares pairs of texts in turn.
func cmpText(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}
