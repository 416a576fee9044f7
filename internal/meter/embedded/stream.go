package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Stream yields the rows of a journal as it is read, and keeps none of them: a row comes
// in as many parts as there are postings. It is for who adds rows up, over more of them
// than should be in memory.
type Stream struct {
	replay Replayer
	closed map[string]ledger.Closings
}

// NewStream makes one of a journal and the months that are closed, by root.
func NewStream(replay Replayer, closed map[string]ledger.Closings) *Stream {
	return &Stream{replay, closed}
}

// Rows reads the journal and yields parts of each row of an hour at or after from and
// before to, in any order. It stops at the first error of yield and returns it.
func (s *Stream) Rows(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	return s.replay(func(writer string, p record.Posting) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if key := s.place(writer, &p); !key.Hour.Before(from) && key.Hour.Before(to) {
			return yieldPart(key, &p, yield)
		}
		return nil
	})
}

// place is the row that a posting adds to. Sums of a checkpoint are where they belong.
func (s *Stream) place(writer string, p *record.Posting) record.RowKey {
	key := p.Row
	key.Hour = key.Hour.UTC().Truncate(time.Hour)
	if p.Seq > 0 {
		key = s.closed[p.Root].Place(writer, p.Seq, key)
	}
	return key
}

func yieldPart(key record.RowKey, p *record.Posting, yield func(record.RowKey, record.Counters) error) error {
	switch {
	case p.Add == (record.Counters{}):
		return nil
	case !p.Add.Storable():
		return fmt.Errorf("%w: number %d: an amount is out of range", ledger.ErrBadBatch, p.Seq)
	}
	return yield(key, p.Add)
}

// Closings returns the closed months of a root, oldest first.
func (s *Stream) Closings(_ context.Context, root string) (ledger.Closings, error) {
	return s.closed[root], nil
}
