package embedded

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

var _ notify.Store = (*Notices)(nil)

// Notices remembers, in an append-only file, which notices were claimed and
// which were delivered. Make it with OpenNotices.
type Notices struct {
	now func() time.Time

	mu   sync.Mutex // guards the following fields
	file *os.File
	all  map[string]*notice
}

// notice is a line of the file: what became of a notice last.
type notice struct {
	notify.Notice
	Delivered bool `json:"delivered,omitempty"`

	claimed time.Time // until when; of this process only
}

// OpenNotices reads the file, or makes it, and writes it again without what is
// of no use any more. A line that a crash cut short is passed over: its notice is
// sent again.
func OpenNotices(path string, now func() time.Time) (*Notices, error) {
	n := &Notices{now: now, all: map[string]*notice{}}
	err := readLines(path, func(one *notice) {
		if one.Until.After(now()) {
			n.all[one.ID] = one
		}
	})
	if err != nil {
		return nil, err
	}
	n.file, err = replaceLines(path, maps.Values(n.all))
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Claim implements notify.Store.
func (n *Notices) Claim(_ context.Context, wanted *notify.Notice, ttl time.Duration) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[wanted.ID]
	if one == nil {
		one = &notice{Notice: *wanted}
		if err := addLine(n.file, one); err != nil {
			return false, err
		}
		n.all[wanted.ID] = one
	}
	now := n.now()
	if one.Delivered || now.Before(one.claimed) {
		return false, nil
	}
	one.claimed = now.Add(ttl)
	return true, nil
}

// End implements notify.Store.
func (n *Notices) End(_ context.Context, ended *notify.Notice, how notify.Outcome) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[ended.ID]
	if one == nil {
		return nil // it was sent without a claim
	}
	one.claimed, one.Delivered = time.Time{}, one.Delivered || how == notify.Delivered
	if how != notify.Delivered {
		return nil
	}
	return addLine(n.file, one)
}

// Pending implements notify.Store. What is past its time is forgotten on
// the way.
func (n *Notices) Pending(context.Context) ([]notify.Notice, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	var pending []notify.Notice
	for id, one := range n.all {
		switch {
		case !one.Until.After(now):
			delete(n.all, id)
		case !one.Delivered:
			pending = append(pending, one.Notice)
		}
	}
	slices.SortFunc(pending, func(a, b notify.Notice) int { return strings.Compare(a.ID, b.ID) })
	return pending, nil
}

// Close closes the file.
func (n *Notices) Close() error { return n.file.Close() }
