package embedded

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Correct takes in a record of a journal of corrections, once: it may be called
// again with all that a journal has.
func (s *State) Correct(ctx context.Context, writer string, p *record.Posting) error {
	b := &ledger.Batch{Writer: writer, Root: p.Root, From: p.Seq, To: p.Seq, Postings: []record.Posting{*p}}
	_, err := s.Apply(ctx, b)
	return err
}
