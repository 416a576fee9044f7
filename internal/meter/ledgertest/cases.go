// Package ledgertest says what every ledger must do: cases that name one
// promise each, and random histories with faults that end with all books
// compared to what the writers journalled.
//
// Everything returns an error and fails no test by itself, so that a test can
// also ask for a failure: a ledger that is broken on purpose must not pass.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Ledger is what is tested: the seam to the meter, and reading.
type Ledger interface {
	ledger.Ledger
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
	Fold(ctx context.Context, now time.Time, hours func(root string, day time.Time) bool) error
}

// Case is one promise. Check gets an empty ledger.
type Case struct {
	Name  string
	Check func(ctx context.Context, l Ledger) error
}

// Cases are the promises of every ledger that need no fault.
var Cases = []Case{
	{"adds and moves the watermark", addsAndMoves},
	{"refuses what is not next", refusesNotNext},
	{"refuses a bad batch whole", refusesBad},
	{"refuses a sum out of range whole", refusesOverflow},
	{"keeps writers and roots apart", keepsApart},
	{"keeps every pico-dollar", keepsPicos},
	{"keeps odd names", keepsOddNames},
	{"moves the watermark past nothing", movesPastNothing},
	{"answers an empty batch", answersEmpty},
	{"yields the hours asked for", yieldsRange},
	{"stops at the reader's error", stopsAtError},
	{"folds old hours into days, once", folds},
	{"pins the root secret", pins},
}

// SharedCases are the further promises of a ledger that several processes use.
var SharedCases = []Case{
	{"refuses an old epoch", refusesOldEpoch},
	{"takes a newer epoch from a batch that is not next", fencesWithoutPosting},
}

// Run runs cases as subtests. open returns an empty ledger.
func Run(t *testing.T, cases []Case, open func(t *testing.T) Ledger) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// base is recent, so that nothing that a case writes has expired.
func base() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(10 * time.Hour) }

func row(model string) record.RowKey {
	return record.RowKey{
		Hour: base(), Tenant: "acme/support", Key: "K1", Model: model, Scope: "geo", Path: "direct",
		PriceVersion: "2026-10-01",
	}
}

// run returns a batch of root acme with n postings from number from on. Each
// adds its own number of input tokens to the row of model "m".
func run(writer string, epoch, from uint64, n int) *ledger.Batch {
	b := &ledger.Batch{Writer: writer, Epoch: epoch, Root: "acme", From: from, To: from + uint64(n) - 1}
	for i := range n {
		seq := from + uint64(i)
		b.Postings = append(b.Postings, record.Posting{
			Seq: seq, Root: "acme", Row: row("m"),
			Add: record.Counters{Requests: 1, Legs: 1, Input: int64(seq), CostInput: money.Pico(seq) * 1001},
		})
	}
	return b
}

// one returns a batch of a single posting.
func one(seq uint64, key record.RowKey, add record.Counters) *ledger.Batch {
	p := record.Posting{Seq: seq, Root: "acme", Row: key, Add: add}
	return &ledger.Batch{Writer: "w1", Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
}

// apply fails unless the batch is answered with this watermark and error.
func apply(ctx context.Context, l Ledger, b *ledger.Batch, want uint64, wantErr error) error {
	reply, err := l.Apply(ctx, b)
	if !errors.Is(err, wantErr) {
		return fmt.Errorf("apply %d to %d of %s: error %v, want %v", b.From, b.To, b.Writer, err, wantErr)
	}
	if err == nil && reply.Watermark != want {
		return fmt.Errorf("apply %d to %d of %s: watermark %d, want %d", b.From, b.To, b.Writer, reply.Watermark, want)
	}
	stored, err := l.Watermark(ctx, b.Writer, b.Root)
	if err != nil || stored != want {
		return fmt.Errorf("after %d to %d of %s: stored watermark %d, %v, want %d", b.From, b.To, b.Writer, stored, err, want)
	}
	return nil
}

// Books reads all rows.
func Books(ctx context.Context, l Ledger) (map[record.RowKey]record.Counters, error) {
	return between(ctx, l, time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
}

func between(ctx context.Context, l Ledger, from, to time.Time) (map[record.RowKey]record.Counters, error) {
	books := make(map[record.RowKey]record.Counters)
	err := l.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		sum, ok := books[k].Plus(c)
		if !ok {
			return fmt.Errorf("row %+v overflows", k)
		}
		books[k] = sum
		return nil
	})
	return books, err
}

// hold fails unless the ledger holds exactly these rows.
func hold(ctx context.Context, l Ledger, want map[record.RowKey]record.Counters) error {
	got, err := Books(ctx, l)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("books differ (-want +got):\n%s", diff)
	}
	return nil
}

// holdFirst is hold for the first n postings of run.
func holdFirst(ctx context.Context, l Ledger, n int64) error {
	sum := n * (n + 1) / 2
	return hold(ctx, l, map[record.RowKey]record.Counters{
		row("m"): {Requests: n, Legs: n, Input: sum, CostInput: money.Pico(sum) * 1001},
	})
}

func addsAndMoves(ctx context.Context, l Ledger) error {
	if wm, err := l.Watermark(ctx, "w1", "acme"); wm != 0 || err != nil {
		return fmt.Errorf("watermark of nobody is %d, %v", wm, err)
	}
	return errors.Join(
		hold(ctx, l, map[record.RowKey]record.Counters{}),
		apply(ctx, l, run("w1", 1, 1, 3), 3, nil),
		apply(ctx, l, run("w1", 1, 4, 5), 8, nil),
		holdFirst(ctx, l, 8),
	)
}

// answersEmpty sends batches without numbers: they add nothing, and an old epoch
// does not matter.
func answersEmpty(ctx context.Context, l Ledger) error {
	empty := &ledger.Batch{Writer: "w1", Root: "acme"}
	return errors.Join(
		apply(ctx, l, empty, 0, nil),
		apply(ctx, l, run("w1", 2, 1, 3), 3, nil),
		apply(ctx, l, empty, 3, nil),
		apply(ctx, l, run("w1", 2, 4, 5), 8, nil),
		holdFirst(ctx, l, 8),
	)
}

func refusesNotNext(ctx context.Context, l Ledger) error {
	return errors.Join(
		apply(ctx, l, run("w1", 1, 2, 2), 0, nil), // a gap
		apply(ctx, l, run("w1", 1, 1, 3), 3, nil),
		apply(ctx, l, run("w1", 1, 1, 3), 3, nil), // a duplicate
		apply(ctx, l, run("w1", 1, 2, 4), 3, nil), // an overlap
		apply(ctx, l, run("w1", 1, 5, 1), 3, nil), // a gap
		apply(ctx, l, run("w1", 1, 4, 1), 4, nil),
		holdFirst(ctx, l, 4),
	)
}

func refusesOldEpoch(ctx context.Context, l Ledger) error {
	return errors.Join(
		apply(ctx, l, run("w1", 2, 1, 3), 3, nil),
		apply(ctx, l, run("w1", 1, 4, 3), 3, ledger.ErrFenced),
		apply(ctx, l, run("w1", 3, 4, 1), 4, nil),
		apply(ctx, l, run("w1", 2, 5, 1), 4, ledger.ErrFenced),
		apply(ctx, l, run("w1", 2, 1, 1), 4, ledger.ErrFenced),
		holdFirst(ctx, l, 4),
	)
}

func fencesWithoutPosting(ctx context.Context, l Ledger) error {
	return errors.Join(
		apply(ctx, l, run("w1", 1, 1, 3), 3, nil),
		apply(ctx, l, run("w1", 2, 1, 1), 3, nil),
		apply(ctx, l, run("w1", 1, 4, 1), 3, ledger.ErrFenced),
		holdFirst(ctx, l, 3),
	)
}

func refusesBad(ctx context.Context, l Ledger) error {
	errs := []error{apply(ctx, l, run("w1", 1, 1, 3), 3, nil)}
	bad := func(change func(b *ledger.Batch)) {
		b := run("w1", 1, 4, 2)
		change(b)
		errs = append(errs, apply(ctx, l, b, 3, ledger.ErrBadBatch))
	}
	bad(func(b *ledger.Batch) { b.Postings = b.Postings[:1] })
	bad(func(b *ledger.Batch) { b.Postings[1].Seq++ })
	bad(func(b *ledger.Batch) { b.Postings[1].Root = "other" })
	bad(func(b *ledger.Batch) { b.Postings[1].Add.Input = 1e18 })
	bad(func(b *ledger.Batch) { b.Postings[1].Add.Output = -1e18 })
	return errors.Join(append(errs, holdFirst(ctx, l, 3))...)
}

// refusesOverflow finds a ledger that writes some rows of a batch before it
// refuses another one.
func refusesOverflow(ctx context.Context, l Ledger) error {
	const most = 8_000_000_000_000_000 // twice is too much
	want := make(map[record.RowKey]record.Counters)
	first := run("w1", 1, 1, 20)
	for i := range first.Postings {
		p := &first.Postings[i]
		p.Row = row(fmt.Sprintf("m%d", i))
		addTo(want, p.Row, p.Add)
	}
	errs := []error{apply(ctx, l, first, 20, nil)}
	post := func(seq uint64, add record.Counters, wantErr error) {
		watermark := seq
		if wantErr != nil {
			watermark--
		} else {
			addTo(want, row("z"), add)
		}
		errs = append(errs, apply(ctx, l, one(seq, row("z"), add), watermark, wantErr), hold(ctx, l, want))
	}
	post(21, record.Counters{Output: most}, nil)
	post(22, record.Counters{Input: 5, Output: most}, ledger.ErrBadBatch)
	full := run("w1", 1, 22, 20) // its last row is too much, those before are not
	for i := range full.Postings {
		full.Postings[i].Row = row(fmt.Sprintf("m%d", i))
	}
	full.Postings[19].Row, full.Postings[19].Add = row("z"), record.Counters{Output: most}
	errs = append(errs, apply(ctx, l, full, 21, ledger.ErrBadBatch), hold(ctx, l, want))
	post(22, record.Counters{Output: -most, Legs: 1}, nil)
	post(23, record.Counters{CostInput: most * 1000}, nil)
	post(24, record.Counters{CostInput: most * 1000}, ledger.ErrBadBatch)
	return errors.Join(errs...)
}

func keepsApart(ctx context.Context, l Ledger) error {
	other := run("w1", 1, 1, 2)
	other.Root = "other"
	want := make(map[record.RowKey]record.Counters)
	for i := range other.Postings {
		p := &other.Postings[i]
		p.Root, p.Row.Tenant = "other", "other/team"
		addTo(want, p.Row, p.Add)
	}
	for _, b := range []*ledger.Batch{run("w1", 5, 1, 3), run("w2", 1, 1, 1)} {
		for _, p := range b.Postings {
			addTo(want, p.Row, p.Add)
		}
	}
	return errors.Join(
		apply(ctx, l, run("w1", 5, 1, 3), 3, nil),
		apply(ctx, l, run("w2", 1, 1, 1), 1, nil),
		apply(ctx, l, other, 2, nil),
		apply(ctx, l, run("w1", 5, 1, 3), 3, nil),
		hold(ctx, l, want),
	)
}

func addTo(
	books map[record.RowKey]record.Counters,
	key record.RowKey,
	add record.Counters,
) map[record.RowKey]record.Counters {
	sum, _ := books[key].Plus(add)
	books[key] = sum
	return books
}

func keepsPicos(ctx context.Context, l Ledger) error {
	var errs []error
	var want record.Counters
	for i, pico := range []money.Pico{999, 1, 1_999, -1_500, 123_456_789_012_345, -999, 7, 1_000_000_000_000_001} {
		add := record.Counters{
			CostInput: pico, CostOutput: -pico, CostCacheRead: 2 * pico, CostCacheWrite: 3 * pico,
			CostGuardrail: pico + 1, CostWasted: pico - 1, Suspense: 999, CostCacheWrite5m: -2 * pico,
			CostCacheWrite1h: 1, CostQuery: -1, CostImage: pico, CostSecond: 2, Discount: -pico, Milliseconds: 3, Queries: 5,
		}
		want, _ = want.Plus(add)
		errs = append(errs, apply(ctx, l, one(uint64(i)+1, row("m"), add), uint64(i)+1, nil))
	}
	return errors.Join(append(errs, hold(ctx, l, map[record.RowKey]record.Counters{row("m"): want}))...)
}

func keepsOddNames(ctx context.Context, l Ledger) error {
	var errs []error
	want := make(map[record.RowKey]record.Counters)
	names := []string{
		"", "|", "%", "%41", "a|b", "{x}", "two words", "line\nbreak", "\x00\xff", "ü",
		"arn:aws:bedrock:us-east-1::x/y",
	}
	for i, name := range names {
		for j, key := range []record.RowKey{
			row(name), {Hour: base(), Tenant: name, Key: name, Cascade: name}, {Hour: base(), Region: name, Latency: "x"},
			{Hour: base(), Tenant: name, Context: name, User: name},
		} {
			seq := uint64(4*i + j + 1)
			add := record.Counters{Legs: int64(seq)}
			addTo(want, key, add)
			errs = append(errs, apply(ctx, l, one(seq, key, add), seq, nil))
		}
	}
	return errors.Join(append(errs, hold(ctx, l, want))...)
}

func movesPastNothing(ctx context.Context, l Ledger) error {
	return errors.Join(
		apply(ctx, l, one(1, row("m"), record.Counters{}), 1, nil),
		hold(ctx, l, map[record.RowKey]record.Counters{}),
		apply(ctx, l, one(2, row("m"), record.Counters{Legs: 1}), 2, nil),
		hold(ctx, l, map[record.RowKey]record.Counters{row("m"): {Legs: 1}}),
	)
}

func yieldsRange(ctx context.Context, l Ledger) error {
	at := func(h int) record.RowKey {
		k := row("m")
		k.Hour = base().Add(time.Duration(h) * time.Hour)
		return k
	}
	var errs []error
	for h := range 40 {
		errs = append(errs, apply(ctx, l, one(uint64(h)+1, at(h), record.Counters{Legs: 1}), uint64(h)+1, nil))
	}
	check := func(from, to int) {
		want := make(map[record.RowKey]record.Counters)
		for h := max(from, 0); h < min(to, 40); h++ {
			want[at(h)] = record.Counters{Legs: 1}
		}
		got, err := between(ctx, l, at(from).Hour, at(to).Hour)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			errs = append(errs, fmt.Errorf("hours %d to %d: %w\n%s", from, to, err, diff))
		}
	}
	check(0, 40)
	check(3, 4)
	check(5, 30)
	check(14, 38) // one whole day
	check(7, 7)
	check(-100, 2)
	check(39, 1000)
	return errors.Join(errs...)
}

func stopsAtError(ctx context.Context, l Ledger) error {
	stop, calls := errors.New("stop"), 0
	err := errors.Join(
		apply(ctx, l, one(1, row("a"), record.Counters{Legs: 1}), 1, nil),
		apply(ctx, l, one(2, row("b"), record.Counters{Legs: 1}), 2, nil),
	)
	got := l.Rows(ctx, base(), base().Add(time.Hour), func(record.RowKey, record.Counters) error {
		calls++
		return stop
	})
	if !errors.Is(got, stop) || calls != 1 {
		err = errors.Join(err, fmt.Errorf("after %d calls: %w", calls, got))
	}
	return err
}

func folds(ctx context.Context, l Ledger) error {
	now := base()
	old := now.Add(-record.KeepHours - 48*time.Hour).Truncate(24 * time.Hour)
	edge := now.Add(-record.KeepHours).Truncate(24 * time.Hour) // its day is not over 40 days old
	key := func(at time.Time, model string) record.RowKey {
		k := row(model)
		k.Hour = at
		return k
	}
	var errs []error
	seq := uint64(0)
	want := make(map[record.RowKey]record.Counters)
	post := func(at, standsIn time.Time, model string) {
		seq++
		add := record.Counters{Legs: 1, Input: int64(seq), CostOutput: money.Pico(seq) * 700}
		addTo(want, key(standsIn, model), add)
		errs = append(errs, apply(ctx, l, one(seq, key(at, model), add), seq, nil))
	}
	fold := func() {
		errs = append(errs, l.Fold(ctx, now, nil), hold(ctx, l, want))
	}
	for h := range 24 {
		for _, model := range []string{"a", "b", "c", "d", "e"} {
			post(old.Add(time.Duration(h)*time.Hour), old, model)
		}
		post(edge.Add(time.Duration(h)*time.Hour), edge.Add(time.Duration(h)*time.Hour), "a")
	}
	fold()
	fold()
	post(old.Add(5*time.Hour), old, "b") // a writer that was away comes late
	post(old.Add(5*time.Hour), old, "new")
	fold()
	fold()
	return errors.Join(errs...)
}

func pins(ctx context.Context, l Ledger) error {
	err := errors.Join(l.Fingerprint(ctx, "one"), l.Fingerprint(ctx, "one"))
	if other := l.Fingerprint(ctx, "two"); !errors.Is(other, ledger.ErrFingerprint) {
		err = errors.Join(err, fmt.Errorf("another secret: %w", other))
	}
	return errors.Join(err, l.Fingerprint(ctx, "one"))
}
