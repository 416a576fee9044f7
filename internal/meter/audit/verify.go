package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Source is one journal and its name in reports: data_dir/journal of a gateway,
// or data_dir/corrections.
type Source struct {
	Name        string
	Disk        journal.Disk
	Corrections bool // whether it is data_dir/corrections
}

// SourcesIn are the journals of a gateway's data directory. There is one of
// corrections once anything was corrected.
func SourcesIn(dataDir string) ([]Source, error) {
	var sources []Source
	names := []string{"journal", "corrections"}
	beside, err := journal.Dir(filepath.Join(dataDir, "journal")).Beside()
	if err != nil {
		return nil, err
	}
	for _, dir := range beside {
		names = append(names, filepath.Base(string(dir)))
	}
	for _, name := range names {
		dir := filepath.Join(dataDir, name)
		_, err := os.Stat(dir)
		switch {
		case err == nil:
			sources = append(sources, Source{Name: dir, Disk: journal.Dir(dir), Corrections: name == "corrections"})
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		case name == "journal":
			return nil, fmt.Errorf("no journal in %s: has this gateway been started?", dataDir)
		}
	}
	return sources, nil
}

// Ledger is what an audit reads of a ledger.
type Ledger interface {
	Watermark(ctx context.Context, writer, root string) (uint64, error)
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// Reading says which journals and which ledger are compared.
type Reading struct {
	Journals []Source
	// Ledger is nil for the embedded one: the journal alone is then checked, and
	// the ledger is made from it at each start.
	Ledger Ledger
	// Writers returns the ids of all writers that a ledger has numbers of, for a
	// root. Nil: nobody knows, and the sums are compared only if All.
	Writers func(ctx context.Context, root string) ([]string, error)
	// Windows returns what a ledger has of each window of a root. Nil: windows are
	// not compared.
	Windows func(ctx context.Context, root string) ([]ledger.WindowBook, error)
	// Closings returns the closed months of a root: what came too late for one is
	// compared with it. Nil: none is closed.
	Closings func(ctx context.Context, root string) (ledger.Closings, error)
	// All is whether Journals are of all gateways that ever posted.
	All bool
	Now time.Time
	// Patience is how long a running gateway gets to post what it has just
	// written, before that counts as a difference.
	Patience time.Duration
}

// verifier is one run of Verify.
type verifier struct {
	Reading
	out         io.Writer
	differences int
	sums        []*meter.JournalSums // of Journals, in their order
	closed      map[string]ledger.Closings
}

// Verify checks checksums, chain and numbers of every journal, and compares
// their sums with the ledger. It prints what it looked at and every difference,
// and returns how many there are. It only reads; gateways may run.
func Verify(ctx context.Context, r Reading, out io.Writer) (differences int, err error) {
	v := &verifier{Reading: r, out: out}
	for _, j := range r.Journals {
		if err := v.journal(j); err != nil {
			return v.differences, fmt.Errorf("%s: %w", j.Name, err)
		}
	}
	if r.Ledger != nil {
		if err := v.ledger(ctx); err != nil {
			return v.differences, fmt.Errorf("ledger: %w", err)
		}
	}
	v.say("%d differences", v.differences)
	return v.differences, nil
}

func (v *verifier) say(format string, args ...any) { fmt.Fprintf(v.out, format+"\n", args...) }

func (v *verifier) differ(format string, args ...any) {
	v.differences++
	v.say("DIFFERENCE "+format, args...)
}

// journal checks one journal by itself.
func (v *verifier) journal(j Source) error {
	segments, err := journal.Segments(j.Disk)
	if err != nil {
		return err
	}
	records, err := v.scan(j)
	if err != nil {
		return err
	}
	b, err := meter.ReadSums(j.Disk)
	if err != nil {
		return err
	}
	v.sums = append(v.sums, b)
	v.say("%s: %d segments, %d records, checkpoint through segment %d, %d attempts open", j.Name, len(segments),
		records, b.Through, b.Open)
	if len(segments) == 0 {
		v.differ("%s: there is no segment, and a gateway that was started has one", j.Name)
	}
	if len(segments) > 0 && segments[0] > b.Through+1 {
		v.differ("%s: segments %d to %d are missing and no checkpoint covers them", j.Name, b.Through+1, segments[0]-1)
	}
	for _, g := range b.Gaps {
		v.differ("%s: numbers %d to %d of root %s, writer %s, are missing", j.Name, g.From, g.To, g.Root, g.Writer)
	}
	return nil
}

// scan reads every frame of every segment, also of those that a checkpoint
// covers.
func (v *verifier) scan(j Source) (records int, err error) {
	r := journal.NewReader(j.Disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		records++
	}
	for _, d := range r.Damage() {
		v.differ("%s: %s", j.Name, d)
	}
	return records, r.Err()
}

// progress is how far a partition is, read in this order: the journal, the ledger,
// the journal again. A gateway that runs moves all three.
type progress struct{ first, applied, last uint64 }

// still reports whether nothing moved or waits.
func (p progress) still() bool { return p.applied == p.last }

// ledger compares partitions, and where nothing moves meanwhile, sums.
func (v *verifier) ledger(ctx context.Context) error {
	parts, err := v.settled(ctx)
	if err != nil {
		return err
	}
	roots := map[string]bool{} // value: whether its sums can be compared
	for _, l := range sortedPartitions(parts) {
		v.partition(l, parts[l])
		equal, seen := roots[l.Root]
		roots[l.Root] = (equal || !seen) && parts[l].still()
	}
	if err := v.dropForeign(ctx, roots, parts); err != nil {
		return err
	}
	if err := v.rows(ctx, roots); err != nil {
		return err
	}
	return v.windows(ctx, roots)
}

func (v *verifier) partition(l record.Partition, p progress) {
	switch {
	case v.fenced(l.Writer):
		v.say("root %s: writer %s was fenced; ledger has %d of %d", l.Root, l.Writer, p.applied, p.last)
	case p.applied > p.last:
		v.differ("root %s: the ledger has numbers up to %d of writer %s, the journal up to %d", l.Root, p.applied,
			l.Writer, p.last)
	case p.applied < p.first:
		v.differ("root %s: the ledger lacks numbers %d to %d of writer %s", l.Root, p.applied+1, p.first, l.Writer)
	case !p.still():
		v.say("root %s: writer %s is posting; sums not compared", l.Root, l.Writer)
	default:
		v.say("root %s: writer %s, %d records", l.Root, l.Writer, p.last)
	}
}

// settled asks until the ledger has what the journals say, or patience ends.
func (v *verifier) settled(ctx context.Context) (map[record.Partition]progress, error) {
	deadline := time.NewTimer(v.Patience)
	defer deadline.Stop()
	first := v.heads()
	for {
		parts, err := v.progress(ctx, first)
		if err != nil || v.allStill(parts) {
			return parts, err
		}
		select {
		case <-deadline.C:
			return parts, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (v *verifier) progress(
	ctx context.Context, first map[record.Partition]uint64,
) (map[record.Partition]progress, error) {
	parts := make(map[record.Partition]progress, len(first))
	for l, head := range first {
		applied, err := v.Ledger.Watermark(ctx, l.Writer, l.Root)
		if err != nil {
			return nil, err
		}
		parts[l] = progress{first: head, applied: applied}
	}
	if err := v.readAgain(); err != nil {
		return nil, err
	}
	for l, head := range v.heads() {
		p := parts[l] // a partition that has just begun has nothing in first
		p.last = head
		parts[l] = p
	}
	return parts, nil
}

func (v *verifier) allStill(parts map[record.Partition]progress) bool {
	for l, p := range parts {
		if !p.still() && !v.fenced(l.Writer) {
			return false
		}
	}
	return true
}

func (v *verifier) readAgain() error {
	for i, j := range v.Journals {
		b, err := meter.ReadSums(j.Disk)
		if err != nil {
			return fmt.Errorf("%s: %w", j.Name, err)
		}
		v.sums[i] = b
	}
	return nil
}

func (v *verifier) heads() map[record.Partition]uint64 {
	heads := map[record.Partition]uint64{}
	for _, b := range v.sums {
		for l, head := range b.Heads {
			heads[l] = max(heads[l], head)
		}
	}
	return heads
}

func (v *verifier) fenced(writer string) bool {
	return slices.ContainsFunc(v.sums, func(b *meter.JournalSums) bool { return b.Fenced[writer] })
}

// dropForeign takes roots out of the comparison to which somebody else posts,
// too.
func (v *verifier) dropForeign(ctx context.Context, roots map[string]bool, parts map[record.Partition]progress) error {
	for root := range roots {
		if v.Writers == nil {
			if !v.All {
				roots[root] = false
				v.say("root %s: sums not compared, because other gateways may post to it", root)
			}
			continue
		}
		writers, err := v.Writers(ctx, root)
		if err != nil {
			return err
		}
		for _, w := range writers {
			_, known := parts[record.Partition{Writer: w, Root: root}]
			switch {
			case known:
			case v.All:
				v.differ("root %s: the ledger has records of writer %s, whose journal is not here", root, w)
			default:
				roots[root] = false
				v.say("root %s: sums not compared, because writer %s posts to it, whose journal is not here", root, w)
			}
		}
	}
	return nil
}

func sortedPartitions(parts map[record.Partition]progress) []record.Partition {
	all := make([]record.Partition, 0, len(parts))
	for l := range parts {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b record.Partition) int {
		return cmpText(a.Root, b.Root, a.Writer, b.Writer)
	})
	return all
}
