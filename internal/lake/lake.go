// Package lake writes usage records and decisions as Parquet files, partitioned by day and
// root tenant, to a folder or an S3 bucket, where engines that exist already report over
// months and thousands of tenants. docs/lake.md describes the files.
//
// Each record is exported exactly once, whatever is killed when: the names of files come from
// the first record in them, a round that is repeated begins with the same record and writes
// the same names with at least the same records, and how far the export has come is noted
// behind the round's manifest.
package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wholefile"
)

// Store takes files whole: a reader sees all of one or nothing. A name that is there already
// gets other contents.
type Store interface {
	Put(ctx context.Context, name string, body []byte) error
}

// Decisions are what a gateway keeps of requests. *decision.Log is one.
type Decisions interface {
	// Each yields decisions in the order in which they were written, behind a place; "" is
	// the first one. It returns the place of the last one.
	Each(after string, most int, yield func(*decision.Decision) error) (place string, err error)
}

// Source is one journal.
type Source struct {
	Name string // in the export's state
	Disk journal.Disk
	// Synced is up to where the journal is on the disk; nil takes what is there.
	Synced func() journal.Position
}

// Options say what an Exporter exports.
type Options struct {
	Store     Store
	State     string // file that says how far it has come
	Journals  []Source
	Decisions Decisions // nil: none
	Now       func() time.Time
	// Most is how many records one round takes from one source; 0 is 100,000.
	Most int
}

// Exporter exports. It belongs to one goroutine.
type Exporter struct {
	opts  Options
	state state
}

// state is how far an export has come.
type state struct {
	Journals  map[string]meter.Followed `json:"journals"`
	Decisions string                    `json:"decisions,omitempty"`
	Rounds    uint64                    `json:"rounds"`
}

// Open reads how far an export has come.
func Open(o Options) (*Exporter, error) {
	const most = 100_000
	if o.Most == 0 {
		o.Most = most
	}
	e := &Exporter{opts: o, state: state{Journals: map[string]meter.Followed{}}}
	text, err := os.ReadFile(o.State)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &e.state)
	}
	if err != nil {
		return nil, fmt.Errorf("how far the export has come cannot be read; without it records would be exported "+
			"twice: %s: %w", o.State, err)
	}
	return e, nil
}

// Manifest lists what one round has written.
type Manifest struct {
	Round uint64    `json:"round"`
	At    time.Time `json:"at"`
	Files []File    `json:"files"`
}

// File is one file of a round.
type File struct {
	Name   string `json:"name"`
	Rows   int    `json:"rows"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	// CostUSD is the sum of cost_usd, exactly.
	CostUSD string `json:"cost_usd"`
}

// Run exports what there is, round by round, and returns how many records that were.
func (e *Exporter) Run(ctx context.Context) (records int, err error) {
	for {
		n, err := e.round(ctx)
		records += n
		if err != nil || n == 0 {
			return records, err
		}
	}
}

// round exports up to opts.Most records of each source.
func (e *Exporter) round(ctx context.Context) (records int, err error) {
	next := state{Journals: map[string]meter.Followed{}, Decisions: e.state.Decisions, Rounds: e.state.Rounds + 1}
	usage, decided := files[Usage]{}, files[Decided]{}
	moved := false
	for i := range e.opts.Journals {
		from := &e.opts.Journals[i]
		before := e.state.Journals[from.Name]
		if next.Journals[from.Name], err = e.read(from, before, usage); err != nil {
			return 0, fmt.Errorf("export of %s: %w", from.Name, err)
		}
		moved = moved || next.Journals[from.Name].At != before.At
	}
	if e.opts.Decisions != nil {
		if next.Decisions, err = e.opts.Decisions.Each(e.state.Decisions, e.opts.Most, decidedFiles(decided)); err != nil {
			return 0, err
		}
	}
	if !moved && len(decided) == 0 {
		return 0, nil
	}
	m := Manifest{Round: next.Rounds, At: e.opts.Now().UTC(), Files: []File{}}
	costOfUsage := func(u *Usage) Decimal { return u.CostUSD }
	if records, err = put(ctx, e.opts.Store, usage, costOfUsage, &m); err != nil {
		return 0, err
	}
	n, err := put(ctx, e.opts.Store, decided, func(d *Decided) Decimal { return d.CostUSD }, &m)
	if err != nil {
		return 0, err
	}
	return max(records+n, 1), e.commit(ctx, &m, next)
}

// commit writes the manifest, and then how far the export has come.
func (e *Exporter) commit(ctx context.Context, m *Manifest, next state) error {
	if len(m.Files) > 0 {
		body, err := json.MarshalIndent(m, "", " ")
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(m.Files[0].Name))
		name := fmt.Sprintf("manifests/%s/%s.json", dayOf(m.At), hex.EncodeToString(sum[:12]))
		if err := e.opts.Store.Put(ctx, name, body); err != nil {
			return err
		}
	}
	text, err := json.Marshal(&next)
	if err != nil {
		return err
	}
	if err := wholefile.Replace(e.opts.State, text, 0o600); err != nil {
		return err
	}
	e.state = next
	return nil
}

// read takes the postings of a journal into files.
func (e *Exporter) read(from *Source, before meter.Followed, to files[Usage]) (meter.Followed, error) {
	var until journal.Position
	if from.Synced != nil {
		until = from.Synced()
	}
	if all, err := journal.Segments(from.Disk); len(all) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return before, nil // nothing was ever corrected
	}
	return meter.Follow(from.Disk, before, until, e.opts.Most, func(entry *meter.Entry) error {
		if entry.Posting.Add == (record.Counters{}) {
			return nil // it only moves what budgets hold
		}
		u, err := usageOf(entry)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s-%020d", entry.Writer, entry.Posting.Seq)
		to.add("usage", dayOf(entry.Posting.Row.Hour), entry.Root, entry.Writer, name, u)
		return nil
	})
}

// place is a partition of a table, of one writer.
type place struct{ table, day, root, writer string }

// file is what goes into one file.
type file[T any] struct {
	name string
	rows []T
}

type files[T any] map[place]*file[T]

func (f files[T]) add(table, day, root, writer, name string, row *T) {
	at := place{table, day, root, writer}
	if f[at] == nil {
		f[at] = &file[T]{name: name}
	}
	f[at].rows = append(f[at].rows, *row)
}

// decidedFiles takes in decisions. Those of nobody who is known have the root "-".
func decidedFiles(f files[Decided]) func(*decision.Decision) error {
	return func(d *decision.Decision) error {
		root, _, _ := strings.Cut(d.Tenant, "/")
		if root == "" {
			root = "-"
		}
		f.add("decisions", dayOf(d.Received), root, d.Gateway, d.ID, decidedOf(d))
		return nil
	}
}

// put writes files, in order, and lists them in the manifest.
func put[T any](ctx context.Context, to Store, all files[T], cost func(*T) Decimal, m *Manifest) (rows int, err error) {
	names := map[string]*file[T]{}
	for at, f := range all {
		names[fmt.Sprintf("%s/day=%s/root=%s/%s.parquet", at.table, at.day, url.PathEscape(at.root), f.name)] = f
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		f := names[name]
		var sum money.Total
		for i := range f.rows {
			sum.Add(pico(cost(&f.rows[i])))
		}
		var body bytes.Buffer
		w := parquet.NewGenericWriter[T](&body, parquet.Compression(&parquet.Zstd))
		if _, err := w.Write(f.rows); err != nil {
			return 0, err
		}
		if err := w.Close(); err != nil {
			return 0, err
		}
		if err := to.Put(ctx, name, body.Bytes()); err != nil {
			return 0, err
		}
		digest := sha256.Sum256(body.Bytes())
		m.Files = append(m.Files, File{name, len(f.rows), body.Len(), hex.EncodeToString(digest[:]), sum.String()})
		rows += len(f.rows)
	}
	return rows, nil
}

// Folder is a store in a folder.
type Folder string

// Put implements Store.
func (f Folder) Put(_ context.Context, name string, body []byte) error {
	path := filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return wholefile.Replace(path, body, 0o600)
}
