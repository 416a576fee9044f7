// Package embedded is the ledger of a single gateway: the counters in memory,
// fed by the same batches as the one in Redis and with the same answers.
//
// It writes nothing. The journal is what survives: at start, and for a report
// in a second process, the state is made again from the journal's checkpoint
// and the postings behind it (Load).
package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// State is the whole ledger. The zero value is empty and ready. It is safe for
// use by several goroutines.
type State struct {
	// FingerprintFile is where the root secret's mark is kept between starts; ""
	// keeps it in memory only. It must be set before the first call.
	FingerprintFile string
	// Now is the clock of the TTLs of leases; nil is time.Now. It must be set
	// before the first call.
	Now func() time.Time

	mu sync.Mutex
	// The fields below are guarded by mu.
	rows        rowsByDay
	closings    map[string]ledger.Closings // by root
	marks       map[markKey]uint64         // the last numbers applied
	leases      map[string]*leases         // by root
	fingerprint string
}

type markKey struct{ writer, root string }

var _ ledger.Ledger = (*State)(nil)

// Replayer yields every posting that a journal holds and who wrote it, in any
// order, each once; a checkpoint may yield totals in place of the postings that it
// sums up. It stops at the first error of yield and returns it.
type Replayer func(yield func(writer string, p record.Posting) error) error

// Load makes a state from a journal and the months that are closed, by root. Only
// Rows and Closings of it are of use: totals of a checkpoint have no sequence
// numbers, so no watermark is set.
func Load(replay Replayer, closed map[string]ledger.Closings) (*State, error) {
	s := &State{closings: closed}
	err := replay(func(writer string, p record.Posting) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		one := ledger.Batch{
			Writer: writer, Root: p.Root, From: p.Seq, To: p.Seq, Totals: p.Seq == 0, Postings: []record.Posting{p},
		}
		if one.Totals {
			one.From, one.To = 1, 1
		}
		rows, err := one.Sums(closed[p.Root])
		if err != nil {
			return err
		}
		one.Totals = true // it takes nothing out of accounts
		windows, err := one.WindowSums(0)
		if err != nil {
			return err
		}
		return s.addAllLocked(&one, rows, windows)
	})
	if err != nil {
		return nil, fmt.Errorf("replay of the journal: %w", err)
	}
	return s, nil
}

// Apply implements ledger.Ledger. Epochs do not matter here, since the postings
// of a writer come from the one process that has its journal; and there is no other
// gateway to carry facts to.
func (s *State) Apply(ctx context.Context, b *ledger.Batch) (r ledger.Reply, err error) {
	if b.Empty() {
		r.Watermark, err = s.Watermark(ctx, b.Writer, b.Root)
		return r, err
	}
	r.Watermark, err = s.post(b)
	return r, err
}

func (s *State) post(b *ledger.Batch) (watermark uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := b.Sums(s.closings[b.Root])
	var windows map[record.Window]ledger.WindowSum
	if err == nil {
		windows, err = b.WindowSums(0)
	}
	key := markKey{b.Writer, b.Root}
	if err != nil || b.From != s.marks[key]+1 {
		return s.marks[key], err
	}
	if err := s.addAllLocked(b, rows, windows); err != nil {
		return s.marks[key], err
	}
	if s.marks == nil {
		s.marks = make(map[markKey]uint64)
	}
	s.marks[key] = b.To
	return b.To, nil
}

// rowsByDay are counters by the day since 1970, so that who reads a few days does not go through
// all there are while others wait.
type rowsByDay map[int64]*day

// day are the counters of one, and how often some of them were changed.
type day struct {
	rows map[record.RowKey]record.Counters
	// sums are of rows by the hour, each under record.RowKey.OfDay; nil where rows are of the day already.
	sums    map[record.RowKey]record.Counters
	version uint64
}

func dayOf(t time.Time) int64 { return t.Truncate(24*time.Hour).Unix() / (24 * 60 * 60) }

// of are the counters of a key, zero for none.
func (r rowsByDay) of(key record.RowKey) record.Counters {
	if d := r[dayOf(key.Hour)]; d != nil {
		return d.rows[key]
	}
	return record.Counters{}
}

// Version is another number whenever the counters of a day have changed.
func (s *State) Version(at time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.rows[dayOf(at)]; d != nil {
		return d.version
	}
	return 0
}

// addAllLocked adds the batch's rows and charges, or nothing.
func (s *State) addAllLocked(
	b *ledger.Batch, sums map[record.RowKey]record.Counters, windows map[record.Window]ledger.WindowSum,
) error {
	rows, err := s.addedLocked(sums)
	if err != nil {
		return err
	}
	if err := s.leasesLocked(b.Root).charge(b.Account(), windows); err != nil {
		return err
	}
	s.keepLocked(rows)
	s.sumLocked(sums)
	return nil
}

// addedLocked returns the rows as they are with the sums.
func (s *State) addedLocked(sums map[record.RowKey]record.Counters) (map[record.RowKey]record.Counters, error) {
	after := make(map[record.RowKey]record.Counters, len(sums))
	for key, add := range sums {
		sum, ok := s.rows.of(key).Plus(add)
		if !ok || !sum.Storable() {
			return nil, fmt.Errorf("%w: a counter of tenant %q in %s would be out of range",
				ledger.ErrBadBatch, key.Tenant, key.Hour.Format(time.RFC3339))
		}
		after[key] = sum
	}
	return after, nil
}

func (s *State) keepLocked(rows map[record.RowKey]record.Counters) {
	if s.rows == nil {
		s.rows = rowsByDay{}
	}
	for key, c := range rows {
		d := s.rows[dayOf(key.Hour)]
		if d == nil {
			d = &day{rows: map[record.RowKey]record.Counters{}, sums: map[record.RowKey]record.Counters{}}
			s.rows[dayOf(key.Hour)] = d
		}
		d.rows[key] = c
		d.version++
	}
}

// Watermark implements ledger.Ledger.
func (s *State) Watermark(_ context.Context, writer, root string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[markKey{writer, root}], nil
}

// Fingerprint implements ledger.Ledger. A mismatch is ledger.ErrFingerprint.
func (s *State) Fingerprint(_ context.Context, fp string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.FingerprintFile != "" && s.fingerprint == "" {
		kept, err := os.ReadFile(s.FingerprintFile)
		if errors.Is(err, os.ErrNotExist) {
			err = os.WriteFile(s.FingerprintFile, []byte(fp), 0o600)
		}
		if err != nil {
			return err
		}
		s.fingerprint = string(kept)
	}
	if s.fingerprint == "" {
		s.fingerprint = fp
	}
	if s.fingerprint != fp {
		return ledger.ErrFingerprint
	}
	return nil
}

// Rotate replaces the mark of the root secret.
func (s *State) Rotate(_ context.Context, fp string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.FingerprintFile != "" {
		if err := os.WriteFile(s.FingerprintFile, []byte(fp), 0o600); err != nil {
			return err
		}
	}
	s.fingerprint = fp
	return nil
}

// Fold turns hours that are older than record.KeepHours into days and drops what
// is older than record.KeepDays. Hours whose day would be out of range stay, and so
// do those of days that hours, if not nil, wants as hours.
func (s *State) Fold(_ context.Context, now time.Time, hours func(root string, day time.Time) bool) error {
	oldestHour := now.Add(-record.KeepHours).UTC().Truncate(24 * time.Hour)
	oldestDay := now.Add(-record.KeepDays).UTC().Truncate(24 * time.Hour)
	kept := s.daysKept(oldestHour, hours)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, d := range s.rows {
		if n < dayOf(oldestDay) {
			delete(s.rows, n)
		} else if n < dayOf(oldestHour) {
			s.foldLocked(d, kept)
		}
	}
	return nil
}

// foldLocked adds the hours of a day to the day, but for roots of which it is kept.
func (s *State) foldLocked(d *day, kept map[rootDay]bool) {
	hours := false
	for key, c := range d.rows { // also those that are added meanwhile, which are of the day already
		day := key
		day.Hour = key.Hour.Truncate(24 * time.Hour)
		if day == key {
			continue
		}
		sum, err := s.addedLocked(map[record.RowKey]record.Counters{day: c})
		if err != nil || kept[rootDay{record.RootOf(key.Tenant), day.Hour}] {
			hours = true
			continue
		}
		s.keepLocked(sum)
		delete(d.rows, key)
	}
	if !hours {
		d.sums = nil
	}
}

// rootDay is a day of a root.
type rootDay struct {
	root string
	day  time.Time
}

// daysKept asks hours about each day before oldest, which may ask this ledger.
func (s *State) daysKept(oldest time.Time, hours func(root string, day time.Time) bool) map[rootDay]bool {
	days := map[rootDay]bool{}
	if hours == nil {
		return days
	}
	s.mu.Lock()
	for n, d := range s.rows {
		if n >= dayOf(oldest) {
			continue
		}
		for key := range d.rows {
			days[rootDay{record.RootOf(key.Tenant), key.Hour.Truncate(24 * time.Hour)}] = true
		}
	}
	s.mu.Unlock()
	maps.DeleteFunc(days, func(d rootDay, _ bool) bool { return !hours(d.root, d.day) })
	return days
}

// Correct applies a record of a journal of corrections, once: it may be called
// again with all that a journal has.
func (s *State) Correct(ctx context.Context, writer string, p *record.Posting) error {
	b := &ledger.Batch{Writer: writer, Root: p.Root, From: p.Seq, To: p.Seq, Postings: []record.Posting{*p}}
	_, err := s.Apply(ctx, b)
	return err
}

// Claim reports whether this gateway may do what only one should. There is no
// other.
func (s *State) Claim(context.Context, string, string, time.Duration) (bool, error) { return true, nil }
