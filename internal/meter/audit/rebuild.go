package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Rebuilding says what a ledger is made from.
type Rebuilding struct {
	Reading
	// Meter has the ledger to post to, prices and log. Its disk is each journal's
	// in turn.
	Meter meter.Options
	// Wipe removes all that the ledger has of a root in one step. Nil: nothing is
	// removed, and only what the ledger lacks is posted, which is enough after a
	// total loss. A counter that was changed or deleted needs it.
	Wipe func(ctx context.Context, root string) error
	// Abandon are writers whose journals are lost. Wiping their root loses their
	// counts, so it is refused without their names.
	Abandon []string
}

// ErrJournalMissing is returned when a wipe would lose the counts of a writer
// whose journal was not given.
var ErrJournalMissing = errors.New("the ledger has records of a writer whose journal is not here")

// Rebuild posts to the ledger what it lacks of the journals, and compares the
// two. No gateway may have one of the journals open (journal.ErrLocked).
// It may be broken off and run again. It returns how many differences remain.
func Rebuild(ctx context.Context, r Rebuilding, out io.Writer) (differences int, err error) {
	if r.Wipe != nil {
		if err := wipe(ctx, r, out); err != nil {
			return 0, err
		}
	}
	for _, j := range r.Journals {
		if err := post(ctx, r, j, out); err != nil {
			return 0, fmt.Errorf("%s: %w", j.Name, err)
		}
	}
	return Verify(ctx, r.Reading, out)
}

// wipe removes the roots of the journals from the ledger while it holds the
// journals' locks.
func wipe(ctx context.Context, r Rebuilding, out io.Writer) (err error) {
	if r.Writers == nil && !r.All {
		return fmt.Errorf("%w, perhaps: it is not known whether these are all", ErrJournalMissing)
	}
	heads := map[record.Partition]uint64{}
	for _, j := range r.Journals {
		lock, err := j.Disk.Lock()
		if err != nil {
			return fmt.Errorf("%s: %w", j.Name, err)
		}
		defer lock.Close() //nolint:errcheck // the kernel drops the lock in any case
		b, err := meter.ReadSums(j.Disk)
		if err != nil {
			return fmt.Errorf("%s: %w", j.Name, err)
		}
		for l, head := range b.Heads {
			heads[l] = max(heads[l], head)
		}
	}
	roots := map[string]bool{}
	for l := range heads {
		roots[l.Root] = true
	}
	for root := range roots {
		if err := r.coversRoot(ctx, root, heads); err != nil {
			return err
		}
	}
	for root := range roots {
		if err := r.Wipe(ctx, root); err != nil {
			return fmt.Errorf("wipe root %s: %w", root, err)
		}
		fmt.Fprintf(out, "root %s: wiped\n", root)
	}
	return nil
}

// coversRoot fails when the journals lack a writer that the ledger knows.
func (r *Rebuilding) coversRoot(ctx context.Context, root string, heads map[record.Partition]uint64) error {
	if r.Writers == nil {
		return nil
	}
	writers, err := r.Writers(ctx, root)
	if err != nil {
		return err
	}
	for _, w := range writers {
		if _, ok := heads[record.Partition{Writer: w, Root: root}]; !ok && !slices.Contains(r.Abandon, w) {
			return fmt.Errorf("%w: root %s, writer %s", ErrJournalMissing, root, w)
		}
	}
	return nil
}

// post opens a journal as a gateway would, which posts what the ledger lacks,
// and closes it again.
func post(ctx context.Context, r Rebuilding, j Source, out io.Writer) error {
	o := r.Meter
	o.Disk = j.Disk
	m, err := meter.Open(ctx, o)
	if err != nil {
		return err
	}
	if err := m.Close(ctx); err != nil {
		return err
	}
	if s := m.Status(); len(s.Stopped) > 0 {
		for root, why := range s.Stopped {
			err = errors.Join(err, fmt.Errorf("root %s: %w", root, why))
		}
		return err
	}
	fmt.Fprintf(out, "%s: posted\n", j.Name)
	return nil
}
