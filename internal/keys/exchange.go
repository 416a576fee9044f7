package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Cursor is how far somebody has read a board. The zero value is its beginning.
type Cursor struct {
	Mark string // of the board's contents: another one after they were lost
	Read int64  // entries
	Last string // the last one of them and, by a digest, all before it
}

// Carried is an entry on the board.
type Carried struct {
	ID   string // of the text: a digest of it
	Text []byte // the entry as JSON
}

// Page is what a board has behind a cursor.
type Page struct {
	Cursor  Cursor // behind the entries
	Entries [][]byte
	More    bool
	// Again is whether the cursor was of contents that are gone, so that the entries
	// are the board's first.
	Again bool
}

// Board is where the gateways of a shared ledger leave acts for each other.
type Board interface {
	// Swap puts entries on the board that it does not have, and returns those behind
	// the cursor. It may be repeated after any error.
	Swap(ctx context.Context, from Cursor, add []Carried) (Page, error)
	// Used notes when keys were used last, in Unix seconds, and returns what it has of
	// all keys when nothing is given.
	Used(ctx context.Context, at map[string]int64) (map[string]int64, error)
}

// perSwap is how many entries are sent at once.
const perSwap = 256

// exchange gives the board what it lacks and takes what it has.
func (b *Book) exchange(ctx context.Context) error {
	if b.opts.Board == nil {
		return nil
	}
	for {
		b.mu.Lock()
		from, add := b.cursor, b.uncarried()
		b.mu.Unlock()
		page, err := b.opts.Board.Swap(ctx, from, add)
		if err != nil {
			return err
		}
		if done := b.took(&page, add); done {
			return nil
		}
	}
}

// uncarried are entries that the board is not known to have. The caller holds mu.
func (b *Book) uncarried() (all []Carried) {
	for _, k := range b.sorted {
		if k.carried || !k.verified || b.opts.ReadOnly {
			continue
		}
		all = append(all, k.carry())
		if len(all) == perSwap {
			break
		}
	}
	return all
}

// carry is an entry as the board has it.
func (k *known) carry() Carried {
	text := appendEntry(nil, &k.Entry)
	sum := sha256.Sum256(text)
	return Carried{hex.EncodeToString(sum[:]), text}
}

// took takes in a page and reports whether nothing is left to do.
func (b *Book) took(page *Page, added []Carried) (done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if page.Again {
		for _, k := range b.sorted {
			k.carried = false
		}
	}
	more := false
	for _, text := range slices.Concat(texts(added), page.Entries) {
		e, err := parseLine(text)
		if err != nil {
			b.health.foreign++
			b.opts.Log.Error("the ledger has an act about keys that cannot be read", "err", err)
			continue
		}
		before := len(b.sorted)
		if k := b.take(e, false); k != nil && k.Seal == e.Seal { // somebody may have put it there with another
			k.carried = true
		}
		more = more || len(b.sorted) > before
	}
	b.cursor = page.Cursor
	if more {
		b.merge()
	}
	return !page.More && len(b.uncarried()) == 0
}

func texts(all []Carried) (texts [][]byte) {
	for i := range all {
		texts = append(texts, all[i].Text)
	}
	return texts
}

// staleAfter is how long a board may be silent before that is trouble: what is done
// elsewhere is in effect here within it, as long as the board answers.
const staleAfter = 2 * time.Second

// Trouble is why the keys here may not be as they should, nil when they are.
func (b *Book) Trouble() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []error
	h, now := &b.health, b.opts.Now()
	switch silent := now.Sub(h.heard); {
	case b.opts.Board == nil:
	case h.heard.IsZero():
		all = append(all, fmt.Errorf("the ledger was not heard since the start: keys that were revoked, frozen or "+
			"issued elsewhere meanwhile are not known here: %w", h.board))
	case silent > staleAfter:
		all = append(all, fmt.Errorf("the ledger was last heard %s ago: what was done to keys elsewhere since then is not "+
			"known here: %w", silent.Round(time.Second), h.board))
	}
	if h.file != nil {
		all = append(all, fmt.Errorf("not all acts are kept on disk: %w", h.file))
	}
	if waiting := b.waiting(); waiting > 0 && b.opts.Board != nil && h.board != nil {
		all = append(all, fmt.Errorf("%d acts of here wait for the ledger", waiting))
	}
	if n := b.state.Load().Unsealed; n > 0 {
		all = append(all, fmt.Errorf("%d acts in the ledger are not sealed with the root secret, and give no rights", n))
	}
	if n := b.file.bad + h.foreign; n > 0 {
		all = append(all, fmt.Errorf("%d acts cannot be read; gateway keys audit names them", n))
	}
	if n := b.missing(); n > 0 {
		all = append(all, fmt.Errorf("%d acts are missing between those that are known: keys that they revoked may be "+
			"admitted; gateway keys audit names their places", n))
	}
	return errors.Join(all...)
}

// missing is how many acts writers have numbered and the book lacks. The caller holds mu.
func (b *Book) missing() (n uint64) {
	type acts struct{ known, most uint64 }
	by := map[string]acts{}
	for _, k := range b.sorted {
		if k.verified {
			w := by[k.Act.Writer]
			by[k.Act.Writer] = acts{w.known + 1, max(w.most, k.Act.Number)}
		}
	}
	for _, w := range by {
		n += max(w.most, w.known) - w.known
	}
	return n
}

// Heard reports whether the board answered the last time, or was not asked yet.
func (b *Book) Heard() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.health.board == nil
}

// waiting is how many acts the board is not known to have. The caller holds mu.
func (b *Book) waiting() (n int) {
	for _, k := range b.sorted {
		if !k.carried && k.verified {
			n++
		}
	}
	return n
}

// Waiting is how many acts the board is not known to have, 0 without one.
func (b *Book) Waiting() int {
	if b.opts.Board == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting()
}
