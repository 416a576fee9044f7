package money

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// rows is a source of so many rows.
type rows int

func (n rows) Rows(_ context.Context, _, _ time.Time, yield func(record.RowKey, record.Counters) error) error {
	for range n {
		if err := yield(record.RowKey{}, record.Counters{}); err != nil {
			return err
		}
	}
	return nil
}

// TestProgress: a report that takes long says how far it is, and leaves nothing of it; one that does not says nothing.
func TestProgress(t *testing.T) {
	f := func(step time.Duration, want string) {
		t.Helper()
		var out bytes.Buffer
		now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
		p := progress{rows(4 * lookEvery), &out, func() time.Time { now = now.Add(step); return now }}
		read := 0
		err := p.Rows(t.Context(), now, now, func(record.RowKey, record.Counters) error { read++; return nil })
		if err != nil || read != 4*lookEvery {
			t.Errorf("%d rows, %v", read, err)
		}
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
	f(time.Millisecond, "")
	f(400*time.Millisecond, "\rreading the ledger: 12288 rows in 1.2 s\r\x1b[K")
	f(600*time.Millisecond,
		"\rreading the ledger: 8192 rows in 1.2 s\rreading the ledger: 12288 rows in 1.8 s"+
			"\rreading the ledger: 16384 rows in 2.4 s\r\x1b[K")
}
