package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
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

// OpenNotices reads the file, or makes it, and writes it anew without what
// nobody needs to know any more. A line that a crash cut short is passed over:
// its notice is told again.
func OpenNotices(path string, now func() time.Time) (*Notices, error) {
	all, err := readNotices(path, now())
	if err != nil {
		return nil, err
	}
	next, err := os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	n := &Notices{now: now, file: next, all: all}
	for _, one := range all {
		if err == nil {
			err = n.write(one)
		}
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return n, nil
}

func readNotices(path string, now time.Time) (map[string]*notice, error) {
	all := map[string]*notice{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		one := &notice{}
		if json.Unmarshal(lines.Bytes(), one) == nil && one.Until.After(now) {
			all[one.ID] = one
		}
	}
	return all, lines.Err()
}

// Claim implements notify.Store.
func (n *Notices) Claim(_ context.Context, wanted *notify.Notice, term time.Duration) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[wanted.ID]
	if one == nil {
		one = &notice{Notice: *wanted}
		if err := n.write(one); err != nil {
			return false, err
		}
		n.all[wanted.ID] = one
	}
	now := n.now()
	if one.Delivered || now.Before(one.claimed) {
		return false, nil
	}
	one.claimed = now.Add(term)
	return true, nil
}

// End implements notify.Store.
func (n *Notices) End(_ context.Context, ended *notify.Notice, how notify.Outcome) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[ended.ID]
	if one == nil {
		return nil // it was told without a claim
	}
	one.claimed, one.Delivered = time.Time{}, one.Delivered || how == notify.Delivered
	if how != notify.Delivered {
		return nil
	}
	return n.write(one)
}

// Pending implements notify.Store. What nobody needs to know any more is
// forgotten on the way.
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

func (n *Notices) write(one *notice) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if _, err := n.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return n.file.Sync()
}

// Close closes the file.
func (n *Notices) Close() error { return n.file.Close() }
