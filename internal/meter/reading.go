package meter

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// SeqGap is numbers of a partition that the journal should hold and does not.
type SeqGap struct {
	Writer, Root string
	From, To     uint64
}

// WindowSums is what a journal has posted to one window.
type WindowSums struct{ Posted, Suspense int64 }

// JournalSums is what a journal says in sum. It can be read while a gateway
// writes.
type JournalSums struct {
	// Heads are the last numbers of each partition.
	Heads map[record.Partition]uint64
	// Rows and Windows are the sums of each partition. Hours that a checkpoint covers
	// may be days.
	Rows    map[record.Partition]map[record.RowKey]record.Counters
	Windows map[record.Partition]map[record.Window]WindowSums
	// Fenced are writers whose id another process used: the ledger need not have
	// what they wrote.
	Fenced map[string]bool
	Open   int // STARTs without an END: in flight, or cut off by a crash
	Gaps   []SeqGap
	// Damage is of segments that the checkpoint does not cover.
	Damage []journal.Damage
	// Through is the last segment that the checkpoint covers, 0 without one.
	Through uint64
}

// ReadSums adds up a journal: its checkpoint and everything behind it.
func ReadSums(disk journal.Disk) (*JournalSums, error) {
	h, err := readHistory(disk, (*history).keepSums)
	if err != nil {
		return nil, err
	}
	sums := &JournalSums{
		Heads: h.heads, Rows: h.sums, Windows: h.windows,
		Fenced: make(map[string]bool), Open: len(h.open), Gaps: h.gaps, Damage: h.damage, Through: h.through,
	}
	for writer, how := range h.retired {
		sums.Fenced[writer] = how == record.Fenced
	}
	return sums, nil
}

// ReadPosted adds up what a journal had posted when its partitions were at these
// numbers; others are left out, and so are those of which a checkpoint has gone further
// or which it does not have that far.
func ReadPosted(disk journal.Disk, upTo map[record.Partition]uint64) (*JournalSums, error) {
	h := newHistory()
	h.keepSums()
	h.upTo = upTo
	if err := h.loadCheckpoint(disk); err != nil {
		return nil, err
	}
	further := maps.Clone(h.heads)
	if err := h.read(disk, journal.Position{}); err != nil {
		return nil, err
	}
	for of := range h.heads {
		if upTo[of] == 0 || further[of] > upTo[of] || h.heads[of] < upTo[of] {
			delete(h.heads, of)
		}
	}
	return &JournalSums{Heads: h.heads, Rows: h.sums, Windows: h.windows}, nil
}

// ReadSuspended returns the attempts that a journal ended as unknown, oldest
// first: the newest 20,000 of the last 40 days.
func ReadSuspended(disk journal.Disk) ([]record.Suspended, error) {
	h, err := readHistory(disk, func(*history) {})
	if err != nil {
		return nil, err
	}
	kept := h.suspended[max(0, len(h.suspended)-maxSuspended):]
	all := make([]record.Suspended, 0, len(kept))
	for _, s := range kept {
		one := record.Suspended{Writer: s.Writer}
		p, e, err := record.ReadEnd(s.End)
		if err != nil {
			return nil, err
		}
		one.Posting, one.End = *p, e
		if s.Start != nil {
			if one.Start, err = record.ReadStart(s.Start); err != nil {
				return nil, err
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// Replay yields what the journal in the directory says, each posting once, with its
// writer; a checkpoint yields its sums, without numbers, for the postings that it
// replaces. It can be read while a gateway writes it. Damage is returned, and its
// numbers are yielded as unknown attempts. Charges are valid during the call of yield.
func Replay(disk journal.Disk, yield func(writer string, p record.Posting) error) ([]journal.Damage, error) {
	h, err := readHistory(disk, func(h *history) {
		h.postings = true
		h.each = func(of record.Partition, p *record.Posting) error { return yield(of.Writer, *p) }
	})
	if h == nil {
		return nil, err
	}
	return h.damage, err
}

// Records says which records a journal has.
type Records struct {
	// IDs are those of all attempts and adjustments that the segments have.
	IDs map[string]bool
	// Known are those of attempts whose outcome their END or a resolution has.
	Known map[string]bool
	// AWSRequests are Bedrock's ids of the calls whose answer began.
	AWSRequests map[string]bool
	// Since is the id after which IDs are complete, "" when they are from the
	// journal's beginning on. Ids are ULIDs, which sort by time.
	Since string
}

// ReadRecords reads the segments of a journal. Those that are gone after their
// time held older ids: Since is then the newest of the first segment left, so
// that attempts which began at about one time are on one side of it.
func ReadRecords(disk journal.Disk) (*Records, error) {
	all := &Records{IDs: map[string]bool{}, Known: map[string]bool{}, AWSRequests: map[string]bool{}}
	segments, err := journal.Segments(disk)
	if err != nil || len(segments) == 0 {
		return all, err
	}
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		id, err := all.add(r.Kind(), r.Payload())
		if err != nil {
			return nil, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if first := segments[0]; first > 1 && r.At().Segment == first && r.Kind() == record.KindStart {
			all.Since = max(all.Since, id)
		}
	}
	return all, r.Err()
}

func (all *Records) add(kind byte, payload []byte) (id string, err error) {
	switch kind {
	case record.KindStart, record.KindRelease:
		var at []byte
		at, err = record.ReadID(payload)
		id = string(at)
	case record.KindResolve, record.KindAdjust:
		if _, id, err = record.ReadPosting(payload); err == nil && kind == record.KindResolve {
			all.Known[id] = true
		}
	case record.KindEnd, record.KindUnknown:
		p, e, err := record.ReadEnd(payload)
		if err != nil {
			return "", err
		}
		if id = e.ID; e.AWSRequestID != "" {
			all.AWSRequests[e.AWSRequestID] = true
		}
		if p.Add.Unknown == 0 {
			all.Known[id] = true
		}
	default:
		return "", nil
	}
	if err == nil {
		all.IDs[id] = true
	}
	return id, err
}

// KeptSince is from when on the segments of a journal have each record: when the oldest one
// that is left was begun, and the zero time when none is gone.
func KeptSince(disk journal.Disk) (time.Time, error) {
	segments, err := journal.Segments(disk)
	if err != nil || len(segments) == 0 || segments[0] == 1 {
		return time.Time{}, err
	}
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	r.Next()
	return r.Began(), r.Err()
}

// Moment is what a record posts, and when its attempt ended. A correction of no attempt is
// of the beginning of its hour.
type Moment struct {
	Writer  string
	At      time.Time
	Posting record.Posting
	// End is how the attempt ended, or by a resolution did after all; nil for other
	// corrections, and for what was lost.
	End *record.End
}

// Moments yields what the segments of a journal post, each once; what is in a checkpoint
// alone is not among it. Corrections go by the times of attempts that were read before,
// from this journal or another one: ended has those of unknown outcome, by id.
func Moments(disk journal.Disk, ended map[string]time.Time, yield func(*Moment) error) error {
	heads := map[record.Partition]uint64{}
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		if !record.Posts(r.Kind()) {
			continue
		}
		m, err := momentOf(r.Kind(), r.Payload(), ended)
		if err != nil {
			return fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		m.Writer = r.Writer()
		of := record.Partition{Writer: m.Writer, Root: m.Posting.Root}
		head, known := heads[of]
		if of.Root == "" || known && m.Posting.Seq <= head {
			continue // it posts nothing, or is a copy
		}
		for seq := head + 1; known && seq < m.Posting.Seq; seq++ {
			lost := Moment{Writer: m.Writer, At: m.At, Posting: record.Lost(of.Root, seq, m.Posting.Row.Hour)}
			if err := yield(&lost); err != nil {
				return err
			}
		}
		heads[of] = m.Posting.Seq
		if err := yield(m); err != nil {
			return err
		}
	}
	return r.Err()
}

// momentOf reads a record that posts, and notes when an attempt of unknown outcome ended.
func momentOf(kind byte, payload []byte, ended map[string]time.Time) (*Moment, error) {
	switch kind {
	case record.KindEnd, record.KindUnknown:
		p, e, err := record.ReadEnd(payload)
		if err == nil && p.Add.Unknown > 0 {
			ended[e.ID] = e.At
		}
		return &Moment{At: e.At, Posting: *p, End: e}, err
	case record.KindResolve:
		var e record.ResolveEntry
		err := record.Read(payload, &e)
		if err != nil {
			return nil, err
		}
		at := cmp.Or(ended[e.End.ID], e.Posting.Row.Hour.UTC().Truncate(time.Hour))
		return &Moment{At: at, Posting: e.Posting, End: e.End}, nil
	}
	p, _, err := record.ReadPosting(payload)
	return &Moment{At: p.Row.Hour.UTC().Truncate(time.Hour), Posting: p}, err
}

// Followed is how far somebody has followed a journal. The zero value is its beginning.
type Followed struct {
	At    journal.Position
	Heads []record.Head     // last numbers of the partitions
	Open  map[string][]byte // START records of attempts that had not ended, by id
}

// Entry is what a journal posts, with the record that posts it.
type Entry struct {
	record.Partition
	Kind    byte // KindTotal for the sums of a checkpoint, 0 for a number that was lost
	Posting *record.Posting
	Payload []byte // of the record, nil without one
	Start   []byte // of the attempt, nil when it is not known
}

// ErrBehind is for a journal whose segments from a place on are gone.
var ErrBehind = errors.New("the journal no longer has the records from there on")

// Follow yields what a journal posts from a place up to another one, or until most records
// were read, each number once; the zero place is the end. It returns how far it came. From the
// beginning of a journal, its checkpoint comes first, as sums without numbers. What it yields
// is valid during the call.
func Follow(
	disk journal.Disk, from Followed, to journal.Position, most int, yield func(*Entry) error,
) (Followed, error) {
	h, now := newHistory(), Entry{}
	for _, head := range from.Heads {
		h.heads[head.Partition] = head.Seq
	}
	for id, start := range from.Open {
		h.open[id] = bytes.Clone(start)
	}
	h.each = func(of record.Partition, p *record.Posting) error {
		now.Partition, now.Posting = of, p
		if p == &h.posting || now.Kind == record.KindTotal {
			return yield(&now)
		}
		return yield(&Entry{Partition: of, Posting: p}) // a number that was lost
	}
	at := from.At
	if at == (journal.Position{}) {
		now.Kind = record.KindTotal
		if err := h.loadCheckpoint(disk); err != nil {
			return from, err
		}
		at = behindCheckpoint(h.through)
	} else if all, err := journal.Segments(disk); err != nil || len(all) > 0 && all[0] > at.Segment {
		return from, errors.Join(err, ErrBehind)
	}
	r := journal.NewReader(disk, at)
	defer r.Close()
	r.Limit(to)
	for n := 0; n < most && r.Next(); n++ {
		now = Entry{Kind: r.Kind(), Payload: r.Payload()}
		if record.Posts(now.Kind) {
			if _, id, err := record.ReadPosting(now.Payload); err == nil {
				now.Start = bytes.Clone(h.open[id])
			}
		}
		if err := h.record(r.Writer(), r.Kind(), r.Payload()); err != nil {
			return from, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		h.suspended = nil
	}
	return h.followed(r.Offset()), r.Err()
}

func (h *history) followed(at journal.Position) Followed {
	f := Followed{At: at, Open: h.open}
	for of, seq := range h.heads {
		f.Heads = append(f.Heads, record.Head{Partition: of, Seq: seq})
	}
	slices.SortFunc(f.Heads, func(a, b record.Head) int {
		return cmp.Or(cmp.Compare(a.Writer, b.Writer), cmp.Compare(a.Root, b.Root))
	})
	return f
}
