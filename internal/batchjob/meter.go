package batchjob

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// mostCount bounds counts, so that sums of them stay numbers.
const mostCount = 1_000_000_000_000

// Tier is what the tokens of batch jobs are priced as.
const Tier = "batch"

// Terms are who a job is metered for, and by which price.
type Terms struct {
	Tenant, Key string
	Model       string     // id as it was asked for
	SKU         record.SKU // what it is priced as; its tier is Tier whatever it says
	At          time.Time  // whose price holds, and in whose hour it counts
	Prices      *record.PriceBook
}

// Metered is what a job comes to.
type Metered struct {
	Rows    []Row // one, or two where records have a long context
	Records int64
	Failed  int64 // records that have an error, and are not billed
	// Shared is how many records report no tokens; what the manifest has beyond those of the others
	// was shared out among them.
	Shared int64
	// Differs is whether all records report tokens, and the manifest has another sum.
	Differs bool
}

// Row is what a job adds to one row of the ledger.
type Row struct {
	Key record.RowKey
	Add record.Counters
}

// Sum is all that a job adds.
func (m *Metered) Sum() (sum record.Counters) {
	for i := range m.Rows {
		sum, _ = sum.Plus(m.Rows[i].Add)
	}
	return sum
}

// Meter reads all records of a job and prices each, as the answer of one call. It fails with ErrInput
// where they are not those of the manifest, or nobody says what they used: then nothing of the
// job may be counted.
func (j *Job) Meter(t *Terms) (*Metered, error) {
	s := sums{terms: t, dialect: wire.DialectOf(t.SKU.Model), rows: map[record.RowKey]record.Counters{}}
	if err := j.Records(s.add); err != nil {
		return nil, err
	}
	if succeeded := s.Records - s.Failed; succeeded != j.Manifest.Success || s.Failed != j.Manifest.Error {
		return nil, wrong(j.Dir, "the files have %d records with modelOutput and %d with error, the manifest %d and %d; "+
			"the mirror is not complete, or they are of different jobs", succeeded, s.Failed, j.Manifest.Success,
			j.Manifest.Error)
	}
	if err := s.share(&j.Manifest); err != nil {
		return nil, wrong(j.Dir, "%w", err)
	}
	for key, add := range s.rows {
		s.Rows = append(s.Rows, Row{key, add})
	}
	slices.SortFunc(s.Rows, func(a, b Row) int { return cmp.Compare(a.Key.Context, b.Key.Context) })
	return &s.Metered, nil
}

// sums is what was read of a job so far.
type sums struct {
	Metered
	terms         *Terms
	dialect       *wire.Dialect
	rows          map[record.RowKey]record.Counters
	input, output int64 // tokens that records report
}

func (s *sums) add(r *Record) error {
	s.Records++
	if r.Output == nil {
		s.Failed++
		return s.post(record.Failed, &wire.Usage{})
	}
	u, err := s.usage(r)
	if err != nil {
		return wrong(r.Where, "%w", err)
	}
	if !u.Complete() {
		s.Shared++
		return nil
	}
	s.input += u.Input.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
	s.output += u.Output.N
	if err := s.post(record.Completed, &u); err != nil {
		return wrong(r.Where, "%w", err)
	}
	return nil
}

// usage is what a record reports. Tiers and routers that a body may name are those of calls.
func (s *sums) usage(r *Record) (u wire.Usage, err error) {
	u, fault := wire.ReadAnswer(wire.OpInvoke, s.dialect, nil, r.Output)
	if fault != "" {
		return u, fmt.Errorf("modelOutput is %s", fault)
	}
	u.ServiceTier, u.Latency, u.InvokedModel = "", "", ""
	if s.dialect == nil || len(r.Input) == 0 {
		return u, nil
	}
	var f wire.Facts
	if fault := f.Read(wire.OpInvoke, s.dialect, r.Input); fault != nil {
		return u, fmt.Errorf("modelInput cannot be read: %w", fault)
	}
	if pieces := f.Pieces(s.dialect, r.Input); !pieces.Fill(&u) {
		return u, errors.New("nobody reports how many images or seconds it is billed for; " +
			"enter the job with `gateway adjust`")
	}
	return u, nil
}

// errRange is of numbers that no record or ledger can have.
var errRange = errors.New("an amount is out of range")

// post adds one record as the end of a call.
func (s *sums) post(how record.Outcome, u *wire.Usage) error {
	t := s.terms
	sku := t.SKU
	sku.Tier = Tier
	start := record.Start{
		Root: record.RootOf(t.Tenant), Tenant: t.Tenant, Key: t.Key, Op: wire.OpInvoke, Model: t.Model, SKU: sku,
		Path: "passthrough", At: t.At,
	}
	end := record.End{Outcome: how, Usage: *u, Served: how == record.Completed, At: t.At}
	p, _ := record.Derive(&start, &end, t.Prices)
	sum, fits := s.rows[p.Row].Plus(p.Add)
	if !fits || !sum.Storable() || p.Add.Unknown > 0 {
		return errRange
	}
	s.rows[p.Row] = sum
	return nil
}

// share gives the records that report no tokens what the manifest has beyond the others, the same to
// each.
func (s *sums) share(m *Manifest) error {
	input, output := m.Input-s.input, m.Output-s.output
	if s.Shared == 0 {
		s.Differs = m.Input >= 0 && input != 0 || m.Output >= 0 && output != 0
		return nil
	}
	if m.Input < 0 || m.Output < 0 {
		return fmt.Errorf("%d records report no tokens, and the manifest has no sum of them", s.Shared)
	}
	if input < 0 || output < 0 {
		return fmt.Errorf("the records report %d input and %d output tokens, the manifest fewer: %d and %d", s.input,
			s.output, m.Input, m.Output)
	}
	for n := range s.Shared {
		u := wire.Usage{Input: wire.Known(part(input, s.Shared, n)), Output: wire.Known(part(output, s.Shared, n))}
		if err := s.post(record.Completed, &u); err != nil {
			return err
		}
	}
	return nil
}

// part is the nth of n parts of a sum, which differ by one at most.
func part(sum, parts, n int64) int64 {
	share := sum / parts
	if n < sum%parts {
		share++
	}
	return share
}
