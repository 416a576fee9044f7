package embedded

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// Correct takes in what a journal of corrections says and the state does not
// have yet, each record once. It may be called again at any time.
func (s *State) Correct(ctx context.Context, disk journal.Disk) error {
	return meter.EachCorrection(disk, func(writer string, p *meter.Posting) error {
		_, err := s.Apply(ctx, &meter.Batch{Writer: writer, Root: p.Root, From: p.Seq, To: p.Seq, Postings: []meter.Posting{*p}})
		return err
	})
}
