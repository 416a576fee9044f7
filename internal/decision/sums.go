package decision

import (
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// mostRows bounds the rows of one minute; what has no row of its own is in the root's row
// of model "other", and beyond twice as many in that of root "other".
const mostRows = 2000

// other is where sums go that have no row of their own.
const other = "other"

// Row is what one root tenant used of one model and tier in one minute, by the time at
// which its requests ended.
type Row struct {
	Minute       time.Time `json:"minute"`
	Root         string    `json:"root"`
	Model        string    `json:"model"`
	Tier         string    `json:"tier,omitempty"`
	Requests     int64     `json:"requests"` // that it served
	Legs         int64     `json:"legs"`
	Input        int64     `json:"input_tokens"`
	Output       int64     `json:"output_tokens"`
	CacheRead    int64     `json:"cache_read_tokens"`
	CacheWrite5m int64     `json:"cache_write_5m_tokens"`
	CacheWrite1h int64     `json:"cache_write_1h_tokens"`
	Cost         Dollars   `json:"cost_usd"`
}

// of is which row.
type of struct{ root, model, tier string }

// sums adds up the minute that runs. The zero value is empty; it is safe for concurrent use.
type sums struct {
	mu   sync.Mutex // guards the following
	at   int64      // the minute since 1970
	rows map[of]*Row
	over []minute // those that are over and not taken yet
}

// minute is the rows of one minute.
type minute struct {
	at   int64
	rows map[of]*Row
}

// add counts the legs of a request that is over.
func (s *sums) add(now time.Time, d *Decision) {
	if len(d.Legs) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now.Unix() / 60)
	for i := range d.Legs {
		leg := &d.Legs[i]
		payer := leg.Payer
		if payer == "" {
			payer = d.Tenant
		}
		root, _, _ := strings.Cut(payer, "/")
		s.row(of{root, leg.Model, leg.Tier}).add(leg)
	}
}

// turn ends the minute that ran, when another one does.
func (s *sums) turn(at int64) {
	if at == s.at && s.rows != nil {
		return
	}
	if len(s.rows) > 0 {
		s.over = append(s.over, minute{s.at, s.rows})
	}
	s.at, s.rows = at, map[of]*Row{}
}

// row finds or makes a row. Its names are copies: those of a request are used again.
func (s *sums) row(k of) *Row {
	r := s.rows[k]
	if r != nil {
		return r
	}
	switch n := len(s.rows); {
	case n >= 2*mostRows:
		k = of{other, other, ""}
	case n >= mostRows:
		k = of{k.root, other, ""}
	}
	if r = s.rows[k]; r == nil {
		k = of{strings.Clone(k.root), strings.Clone(k.model), strings.Clone(k.tier)}
		r = &Row{}
		s.rows[k] = r
	}
	return r
}

func (r *Row) add(l *Leg) {
	r.Legs++
	if l.Is&FateServed != 0 {
		r.Requests++
	}
	r.Input += l.Tokens.Input.N
	r.Output += l.Tokens.Output.N
	r.CacheRead += l.Tokens.CacheRead.N
	r.CacheWrite5m += l.Tokens.CacheWrite5m.N
	r.CacheWrite1h += l.Tokens.CacheWrite1h.N
	r.Cost += l.Cost
}

// take returns the minutes that are over, and with all the one that runs too.
func (s *sums) take(now time.Time, all bool) []minute {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := now.Unix() / 60; s.rows != nil && (all || at != s.at) {
		s.turn(-1)
	}
	over := s.over
	s.over = nil
	return over
}

// putMinute stores a minute. After a restart there may be one of the same minute already:
// both count.
func (s *store) putMinute(tx *bbolt.Tx, m *minute) error {
	var c coder
	for k, r := range m.rows {
		r.Root, r.Model, r.Tier = k.root, k.model, k.tier
		c.row(r)
	}
	packed := s.compress(c.b)
	bucket := tx.Bucket([]byte(bucketMinutes))
	n, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	key := binary.BigEndian.AppendUint32(nil, uint32(m.at)) //nolint:gosec // enough until the year 10,000
	s.bytes += int64(len(packed))
	return bucket.Put(binary.BigEndian.AppendUint64(key, n), packed)
}

func (c *coder) row(r *Row) {
	c.str(&r.Root)
	c.str(&r.Model)
	c.str(&r.Tier)
	for _, n := range [...]*int64{
		&r.Requests, &r.Legs, &r.Input, &r.Output, &r.CacheRead, &r.CacheWrite5m, &r.CacheWrite1h, (*int64)(&r.Cost),
	} {
		c.int(n)
	}
}

func (s *store) forgetMinutes(tx *bbolt.Tx, oldest time.Time) error {
	cursor := tx.Bucket([]byte(bucketMinutes)).Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.First() {
		if int64(binary.BigEndian.Uint32(k)) >= oldest.Unix()/60 {
			return nil
		}
		if err := cursor.Delete(); err != nil {
			return err
		}
		s.bytes -= int64(len(v))
	}
	return nil
}

// Minutes yields the rows of the minutes from one time to another, oldest first, and
// returns since when there are any; the zero time when there are none.
func (l *Log) Minutes(from, to time.Time, yield func(*Row) error) (since time.Time, err error) {
	l.flush(false)
	store := l.store.Load()
	err = store.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket([]byte(bucketMinutes)).Cursor()
		if k, _ := cursor.First(); k != nil {
			since = minuteOf(k)
		}
		least := binary.BigEndian.AppendUint32(nil, uint32(max(0, from.Unix()/60))) //nolint:gosec // as above
		for k, v := cursor.Seek(least); k != nil && minuteOf(k).Before(to); k, v = cursor.Next() {
			if err := store.rows(v, minuteOf(k), yield); err != nil {
				return err
			}
		}
		return nil
	})
	return since, err
}

func minuteOf(key []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(key))*60, 0).UTC()
}

func (s *store) rows(packed []byte, at time.Time, yield func(*Row) error) error {
	raw, err := s.unpack.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	c := coder{b: raw, reading: true}
	for len(c.b) > 0 {
		r := Row{Minute: at}
		if c.row(&r); c.bad {
			return errCoded
		}
		if err := yield(&r); err != nil {
			return err
		}
	}
	return nil
}
