package embedded

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Rows yields every row of an hour at or after from and before to, as
// they stand at the call, in no order. It stops at the first error of yield and
// returns it. Rows that were folded into days are of hour 0.
func (s *State) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	return s.each(from, to, func(d *day) map[record.RowKey]record.Counters { return d.rows }, yield)
}

// Days is Rows of whole days for who wants no hours: as far as it can, it yields the sum of all rows
// that have the same record.RowKey.OfDay in place of them. These sums are kept, so that two months of
// hundreds of tenants are read in a moment.
func (s *State) Days(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	return s.each(from, to, func(d *day) map[record.RowKey]record.Counters {
		if d.sums == nil {
			return d.rows
		}
		return d.sums
	}, yield)
}

// row is one of a map.
type row struct {
	key record.RowKey
	add record.Counters
}

// each yields what of has of each day.
func (s *State) each(
	from, to time.Time, of func(*day) map[record.RowKey]record.Counters,
	yield func(record.RowKey, record.Counters) error,
) error {
	for _, part := range s.copied(from, to, of) {
		for i := range part {
			if err := yield(part[i].key, part[i].add); err != nil {
				return err
			}
		}
	}
	return nil
}

// copied are rows as they are now. Whoever posts waits meanwhile: a map would hash all keys again, and
// one list would be copied as it grows.
func (s *State) copied(from, to time.Time, of func(*day) map[record.RowKey]record.Counters) (parts [][]row) {
	const size = 512
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, d := range s.rows {
		if n < dayOf(from) || n > dayOf(to) {
			continue
		}
		for key, c := range of(d) {
			if key.Hour.Before(from) || !key.Hour.Before(to) || c == (record.Counters{}) {
				continue
			}
			if n := len(parts); n == 0 || len(parts[n-1]) == size {
				parts = append(parts, make([]row, 0, size))
			}
			last := &parts[len(parts)-1]
			*last = append(*last, row{key, c})
		}
	}
	return parts
}

// sumLocked adds what rows have gained to the sums of their days. A day of which a sum is out of range
// has none any more.
func (s *State) sumLocked(gained map[record.RowKey]record.Counters) {
	for key, add := range gained {
		d, whole := s.rows[dayOf(key.Hour)], key.OfDay()
		if d.sums == nil {
			continue
		}
		sum, fits := d.sums[whole].Plus(add)
		if d.sums[whole] = sum; !fits {
			d.sums = nil
		}
	}
}
