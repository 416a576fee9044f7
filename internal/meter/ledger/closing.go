package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Closing is the mark of a month that was closed for one root tenant. Once it is
// set, nothing is added to the hours before Through any more: what comes later is
// a correction in the open month.
type Closing struct {
	Month string // "2026-11"
	Zone  string // IANA name of the time zone that the month is of
	// Through is the first moment behind the month, a whole hour in UTC.
	Through time.Time
	// UpTo are, by writer, the numbers that the ledger had then. They are in the
	// month however often they are posted again.
	UpTo map[string]uint64
}

// Closings are those of one root, oldest first.
type Closings []Closing

// ErrClosing is returned for a month that cannot be closed after those that were.
var ErrClosing = errors.New("the month cannot be closed")

// String writes all but Through, as ParseClosing reads it. Writers are in order.
func (c *Closing) String() string {
	text := c.Month + " " + c.Zone
	writers := make([]string, 0, len(c.UpTo))
	for writer, n := range c.UpTo {
		writers = append(writers, fmt.Sprintf(" %s=%d", writer, n))
	}
	slices.Sort(writers)
	return text + strings.Join(writers, "")
}

// ParseClosing reads a closing that was written with String.
func ParseClosing(through time.Time, text string) (c Closing, err error) {
	words := strings.Split(text, " ")
	if len(words) < 2 {
		return c, fmt.Errorf("closing %q has no month and zone", text)
	}
	c = Closing{Month: words[0], Zone: words[1], Through: through.UTC(), UpTo: map[string]uint64{}}
	if _, err := time.Parse("2006-01", c.Month); err != nil {
		return c, fmt.Errorf("closing %q has no month", text)
	}
	for _, word := range words[2:] {
		writer, number, _ := strings.Cut(word, "=")
		if c.UpTo[writer], err = strconv.ParseUint(number, 10, 64); err != nil || writer == "" {
			return c, fmt.Errorf("closing %q has no number in %q", text, word)
		}
	}
	return c, nil
}

// With returns the closings with one more, in order. One that is there stays as it
// is.
func (all Closings) With(c Closing) Closings {
	if all.Find(c.Through) != nil {
		return all
	}
	return slices.SortedFunc(slices.Values(append(slices.Clone(all), c)), func(a, b Closing) int {
		return a.Through.Compare(b.Through)
	})
}

// Find returns the closing of the month that ends there, nil for none.
func (all Closings) Find(through time.Time) *Closing {
	for i := range all {
		if all[i].Through.Equal(through) {
			return &all[i]
		}
	}
	return nil
}

// Last is where the newest closed month ends, the zero time for none.
func (all Closings) Last() time.Time {
	if len(all) == 0 {
		return time.Time{}
	}
	return all[len(all)-1].Through
}

// place is the row that a posting of a batch adds to: its own, or that of a
// correction. Sums of a checkpoint have no numbers of their own and stay.
func (all Closings) place(b *Batch, seq uint64, key record.RowKey) record.RowKey {
	if b.Totals {
		return key
	}
	return all.Place(b.Writer, seq, key)
}

// Place is the row that a posting of a writer with that number adds to.
func (all Closings) Place(writer string, seq uint64, key record.RowKey) record.RowKey {
	for i := range all {
		if c := &all[i]; key.Hour.Before(c.Through) && seq > c.UpTo[writer] {
			key.Hour, key.Corrects = c.Through, cmp.Or(key.Corrects, c.Month)
		}
	}
	return key
}

// Origin is a row's key as it would be in books that know of closed months only
// as a whole: all hours of such a month are one, and so is what corrects it.
// Books that closed a month sooner or later then have the same keys.
func (all Closings) Origin(key record.RowKey) record.RowKey {
	month := key.Corrects
	for i := range all {
		if c := &all[i]; month == "" && key.Hour.Before(c.Through) {
			month = c.Month
		}
	}
	if start, err := time.Parse("2006-01", month); err == nil {
		key.Hour, key.Corrects = start, ""
	}
	return key
}
