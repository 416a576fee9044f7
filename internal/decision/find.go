package decision

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"go.etcd.io/bbolt"
)

// What is wrong with what somebody asked for.
var (
	// ErrUnknown is a request of which there is no decision here.
	ErrUnknown = errors.New("there is no decision of this request here")
	// ErrInvalid is a question that has no answer, as after an id that is none.
	ErrInvalid = errors.New("invalid")
)

// longestRequest is how long after its arrival a decision is looked for. Requests end by
// timeouts.request and timeouts.drain; what is longer is not found by its id.
const longestRequest = 24 * time.Hour

// Find returns the decision of a request. It fails with ErrUnknown when there is none, and
// with ErrInvalid for what is no id.
func (l *Log) Find(id string) (*Decision, error) {
	want, err := ulid.ParseStrict(strings.ToUpper(id))
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no request id: it has 26 letters and digits", ErrInvalid, id)
	}
	l.flush(false)
	return l.store.Load().find(want)
}

func (s *store) find(want ulid.ULID) (found *Decision, err error) {
	arrived := want.Timestamp()
	err = s.view(func(tx *bbolt.Tx) error {
		index, blocks := tx.Bucket([]byte(bucketIndex)).Cursor(), tx.Bucket([]byte(bucketBlocks))
		for k, v := s.before(index, arrived); k != nil; k, v = index.Next() {
			if binary.BigEndian.Uint64(k) > keyAt(arrived.Add(longestRequest)) {
				break
			}
			h, err := readHead(v)
			if err != nil {
				return err
			}
			if string(h.least[:]) > string(want[:]) || string(h.most[:]) < string(want[:]) {
				continue
			}
			if found, err = s.search(blocks.Get(k), want); found != nil || err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && found == nil {
		err = ErrUnknown
	}
	return found, err
}

// before goes to the first block that may have been added to after a time. A clock may
// have been set back a little.
func (s *store) before(index *bbolt.Cursor, t time.Time) (k, v []byte) {
	return index.Seek(binary.BigEndian.AppendUint64(nil, keyAt(t.Add(-blockSpan-time.Minute))))
}

// decisions yields those of a block, as next returns them, or an error and no more.
func (s *store) decisions(packed []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		raw, err := s.unpack.DecodeAll(packed, nil)
		for err == nil && len(raw) > 0 {
			var one []byte
			if one, raw, err = next(raw); err == nil && !yield(one, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// search looks for a decision in a block.
func (s *store) search(packed []byte, want ulid.ULID) (*Decision, error) {
	for one, err := range s.decisions(packed) {
		if err != nil {
			return nil, err
		}
		if string(one[:idSize]) == string(want[:]) {
			d := &Decision{}
			return d, read(one, d)
		}
	}
	return nil, nil
}

// Filter says which decisions are wanted. Empty fields take all.
type Filter struct {
	// Tenant takes that tenant and all below it.
	Tenant string
	// Within, when not nil, is asked whether to take those of a tenant; "" is of those without.
	Within func(tenant string) bool
	Key    string
	User   string
	// Session takes those of a session, as decisions have it.
	Session string
	// Model takes what was asked for, and what served.
	Model   string
	Cascade string
	Path    string
	// Reason takes the check or rule that decided, the rule before the call, and the type
	// of an error.
	Reason string
	// Status takes a status, or with 4 and 5 all of that hundred.
	Status int
	// Since and Until bound when requests arrived.
	Since, Until time.Time
}

// takes looks at the fields in front of a decision alone, if it can.
func (f *Filter) takes(one []byte, d *Decision) (bool, error) {
	c := coder{b: one, reading: true}
	if f.Session == "" {
		c.front(d)
	} else {
		c.decision(d) // it is not in front
	}
	if c.bad {
		return false, errCoded
	}
	at := ulid.Time(ulid.ULID(one[:idSize]).Time())
	if at.Before(f.Since.Truncate(time.Millisecond)) || !f.Until.IsZero() && !at.Before(f.Until) {
		return false, nil
	}
	return f.fits(d), nil
}

func (f *Filter) fits(d *Decision) bool {
	same := func(want string, is ...string) bool { return want == "" || slices.Contains(is, want) }
	below := f.Tenant == "" || d.Tenant == f.Tenant || strings.HasPrefix(d.Tenant, f.Tenant+"/")
	below = below && (f.Within == nil || f.Within(d.Tenant))
	status := f.Status == 0 || d.Status == f.Status || f.Status < 10 && d.Status/100 == f.Status
	return below && status && same(f.Key, d.Key) && same(f.User, d.User) && same(f.Session, d.Session) &&
		same(f.Model, d.Asked, d.Served) &&
		same(f.Cascade, d.Cascade) && same(f.Path, d.Path) && same(f.Reason, d.Reason, d.Rule, d.Error)
}

// Page is a part of the decisions that a filter takes, newest first by when they ended.
type Page struct {
	Decisions []Decision
	// Next is the cursor of the page that follows, "" when there is none. A page may have
	// fewer decisions than asked for, or none, and still have a next one.
	Next string
	// Since is when the oldest request arrived of which a decision is kept, the zero time
	// when there is none.
	Since time.Time
}

const (
	// mostOfPage is how many decisions a page may have.
	mostOfPage = 1000
	// blocksOfPage bounds how much one page reads.
	blocksOfPage = 400
)

// List returns the decisions that f takes, at most limit (1 to 1,000), behind the cursor of
// an earlier page; "" is the first page. It fails with ErrInvalid for a cursor that is none.
func (l *Log) List(f Filter, cursor string, limit int) (*Page, error) {
	l.flush(false)
	return l.store.Load().list(&f, cursor, min(max(limit, 1), mostOfPage))
}

// place is behind which decision a page begins: those of a block before the given number.
type place struct {
	key    uint64
	number uint32
}

func (p place) String() string {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, p.key), p.number)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlace(cursor string) (place, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != 12 {
		return place{}, fmt.Errorf("%w: %q is no cursor", ErrInvalid, cursor)
	}
	return place{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}, nil
}

func (s *store) list(f *Filter, cursor string, limit int) (*Page, error) {
	from := place{1<<64 - 1, 0}
	if cursor != "" {
		var err error
		if from, err = parsePlace(cursor); err != nil {
			return nil, err
		}
	}
	page := &Page{Decisions: []Decision{}}
	err := s.view(func(tx *bbolt.Tx) error {
		index, blocks := tx.Bucket([]byte(bucketIndex)).Cursor(), tx.Bucket([]byte(bucketBlocks))
		if _, v := index.First(); v != nil {
			h, err := readHead(v)
			if err != nil {
				return err
			}
			page.Since = ulid.Time(ulid.ULID(h.least).Time()).UTC()
		}
		return s.walk(f, from, index, func(key uint64, h *head, before uint32) (more bool, err error) {
			packed := blocks.Get(binary.BigEndian.AppendUint64(nil, key))
			return s.pick(f, packed, place{key, min(before, h.count)}, limit, page)
		}, page)
	})
	return page, err
}

// walk goes through blocks from the newest on that may have what f takes, and leaves in
// page where it stopped.
func (s *store) walk(
	f *Filter, from place, index *bbolt.Cursor, look func(uint64, *head, uint32) (bool, error), page *Page,
) error {
	k, v := index.Seek(binary.BigEndian.AppendUint64(nil, from.key))
	if k == nil {
		k, v = index.Last()
	} else if binary.BigEndian.Uint64(k) > from.key {
		k, v = index.Prev()
	}
	for n := 0; k != nil; k, v = index.Prev() {
		key, before := binary.BigEndian.Uint64(k), uint32(1<<32-1)
		if key == from.key {
			before = from.number
		}
		h, err := readHead(v)
		if err != nil {
			return err
		}
		if time.UnixMilli(h.last).Before(f.Since) {
			return nil
		}
		if !f.Until.IsZero() && !ulid.Time(ulid.ULID(h.least).Time()).Before(f.Until) {
			continue
		}
		if n++; n > blocksOfPage {
			page.Next = place{key, before}.String()
			return nil
		}
		if more, err := look(key, &h, before); err != nil || !more {
			return err
		}
	}
	return nil
}

// pick adds to page what f takes of a block, from behind, and reports whether there is
// room for more.
func (s *store) pick(f *Filter, packed []byte, from place, limit int, page *Page) (more bool, err error) {
	all := make([][]byte, 0, from.number)
	for one, err := range s.decisions(packed) {
		if err != nil {
			return false, err
		}
		if uint32(len(all)) == from.number { //nolint:gosec // a block is small
			break
		}
		all = append(all, one)
	}
	for i, one := range slices.Backward(all) {
		var d Decision
		fits, err := f.takes(one, &d)
		if err != nil {
			return false, err
		}
		if !fits {
			continue
		}
		if len(page.Decisions) == limit {
			page.Next = place{from.key, uint32(i) + 1}.String() //nolint:gosec // as above
			return false, nil
		}
		d = Decision{}
		if err := read(one, &d); err != nil {
			return false, err
		}
		page.Decisions = append(page.Decisions, d)
	}
	return true, nil
}

// Each yields decisions in the order in which they were written, behind a place; "" is the
// first one there is. It returns the place of the last one, after most of them or at the end.
func (l *Log) Each(after string, most int, yield func(*Decision) error) (string, error) {
	l.flush(false)
	var from place
	if after != "" {
		var err error
		if from, err = parsePlace(after); err != nil {
			return after, err
		}
	}
	at, store := from, l.store.Load()
	err := store.view(func(tx *bbolt.Tx) error {
		blocks := tx.Bucket([]byte(bucketBlocks)).Cursor()
		k, packed := blocks.Seek(binary.BigEndian.AppendUint64(nil, from.key))
		for n := 0; k != nil && n < most; k, packed = blocks.Next() {
			skip := uint32(0)
			key := binary.BigEndian.Uint64(k)
			if key == from.key {
				skip = from.number
			}
			count, err := store.each(packed, skip, yield)
			if err != nil {
				return err
			}
			at = place{key, count}
			n += int(count - skip)
		}
		return nil
	})
	if err != nil || at == from {
		return after, err
	}
	return at.String(), nil
}

// each yields the decisions of a block behind the first ones, and returns how many it has.
func (s *store) each(packed []byte, skip uint32, yield func(*Decision) error) (count uint32, err error) {
	for one, err := range s.decisions(packed) {
		if err != nil {
			return 0, err
		}
		if count++; count <= skip {
			continue
		}
		var d Decision
		if err := read(one, &d); err != nil {
			return 0, err
		}
		if err := yield(&d); err != nil {
			return 0, err
		}
	}
	return count, nil
}
