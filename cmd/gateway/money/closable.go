package money

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/report"
)

// closable is a ledger of which months are closed.
type closable interface {
	report.Source
	// Closings returns the closed months of a root, oldest first.
	Closings(ctx context.Context, root string) (ledger.Closings, error)
	// CloseMonth marks a month as closed, and returns its mark.
	CloseMonth(ctx context.Context, root string, c ledger.Closing) (ledger.Closing, error)
	// Gaps names what is written and not in the ledger.
	Gaps(ctx context.Context, f *closeFlags) ([]string, error)
}

func openClosable(cfg *config.Config) (closable, func(), error) {
	source, done, err := openSource(cfg)
	if err != nil {
		return nil, nil, err
	}
	switch source := source.(type) {
	case *redis.Ledger:
		return &sharedBooks{source, cfg}, done, nil
	case *embedded.State:
		return &ownBooks{State: source, cfg: cfg}, done, nil
	}
	done()
	return nil, nil, fmt.Errorf("a ledger of %T cannot be closed", source)
}

// sharedBooks are those of a ledger in Redis.
type sharedBooks struct {
	*redis.Ledger
	cfg *config.Config
}

// Gaps looks for counters that were lost, and in the journals that it is given.
func (b *sharedBooks) Gaps(ctx context.Context, f *closeFlags) (gaps []string, err error) {
	found, err := redis.NewMender(b.Ledger).Inspect(ctx, time.Now(), true)
	if err != nil {
		return nil, err
	}
	for i := range found.Lost {
		gaps = append(gaps, fmt.Sprintf("the ledger lost counters of root %s, and no gateway has restored them yet",
			found.Lost[i].Root))
	}
	journals, err := f.journals(b.cfg)
	if err != nil {
		return nil, err
	}
	err = eachSums(journals, func(j audit.Source, sums *meter.JournalSums) error {
		gaps = append(gaps, damageOf(j, sums)...)
		for of, head := range sums.Heads {
			applied, err := b.Watermark(ctx, of.Writer, of.Root)
			if err != nil {
				return err
			}
			if applied < head && !sums.Fenced[of.Writer] {
				gaps = append(gaps, fmt.Sprintf("%s: %d records of root %s, writer %s, are not in the ledger yet", j.Name,
					head-applied, of.Root, of.Writer))
			}
		}
		return nil
	})
	return gaps, err
}

// eachSums reads what journals come to, one after the other.
func eachSums(journals []audit.Source, yield func(audit.Source, *meter.JournalSums) error) error {
	for _, j := range journals {
		sums, err := meter.ReadSums(j.Disk)
		if err != nil {
			return fmt.Errorf("%s: %w", j.Name, err)
		}
		if err := yield(j, sums); err != nil {
			return err
		}
	}
	return nil
}

// damageOf names what a journal has lost.
func damageOf(j audit.Source, sums *meter.JournalSums) (gaps []string) {
	for _, g := range sums.Gaps {
		gaps = append(gaps, fmt.Sprintf("%s: numbers %d to %d of root %s are missing", j.Name, g.From, g.To, g.Root))
	}
	for _, d := range sums.Damage {
		gaps = append(gaps, fmt.Sprintf("%s: %s", j.Name, d))
	}
	return gaps
}

// ownBooks are those of the embedded ledger: the journals of one gateway.
type ownBooks struct {
	*embedded.State
	cfg   *config.Config
	heads map[record.Partition]uint64 // what its journals have, nil before they were read for it
}

// Gaps looks for damage in the journals.
func (b *ownBooks) Gaps(_ context.Context, f *closeFlags) (gaps []string, err error) {
	journals, err := f.journals(b.cfg)
	if err != nil {
		return nil, err
	}
	err = eachSums(journals, func(j audit.Source, sums *meter.JournalSums) error {
		gaps = append(gaps, damageOf(j, sums)...)
		return nil
	})
	return gaps, err
}

// CloseMonth notes the month in the data directory, with what its journals have: those of
// roots that are closed together are read once.
func (b *ownBooks) CloseMonth(_ context.Context, root string, c ledger.Closing) (ledger.Closing, error) {
	if c.UpTo == nil {
		if err := b.readHeads(); err != nil {
			return c, err
		}
		c.UpTo = map[string]uint64{}
		for of, head := range b.heads {
			if of.Root == root {
				c.UpTo[of.Writer] = head
			}
		}
	}
	return embedded.AppendClosing(command.ClosingsFile(b.cfg), root, c)
}

func (b *ownBooks) readHeads() error {
	if b.heads != nil {
		return nil
	}
	journals, err := audit.SourcesIn(b.cfg.DataDir)
	if err != nil {
		return err
	}
	heads := map[record.Partition]uint64{}
	err = eachSums(journals, func(_ audit.Source, sums *meter.JournalSums) error {
		maps.Copy(heads, sums.Heads)
		return nil
	})
	if err == nil {
		b.heads = heads
	}
	return err
}
