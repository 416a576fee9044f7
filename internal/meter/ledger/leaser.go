package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Account is what one writer has leased of one window: what the ledger granted
// and has not got back or seen spent. The ledger keeps it beside the window's
// sums, so that Σ posted + Σ held + Σ suspense ≤ limit holds for any number of
// writers.
type Account struct {
	Window record.Window
	// Granted and Returned are totals since the account was opened, so that a
	// repeated call changes nothing.
	Granted, Returned int64
}

// Want asks for more of one window.
type Want struct {
	Account
	Limit int64
	// Min must be granted or nothing is; Ask is what would be welcome.
	Min, Ask int64
}

// GrantRequest asks for leases of windows of one root, all or nothing.
type GrantRequest struct {
	Writer string
	Epoch  uint64
	Root   string
	// Watermark is the last sequence number that the ledger has confirmed to this
	// writer. A ledger that has less has lost writes.
	Watermark uint64
	// Lost is whether the writer knows otherwise that the ledger has lost writes
	// of the root: from its journal, for one that asks for the first time.
	Lost  bool
	Wants []Want
	TTL   time.Duration // after it without a renewal, what is left goes into suspense
}

// GrantState is how a grant ended.
type GrantState uint8

// The states. The zero value is not used.
const (
	_       GrantState = iota
	Granted            // every want got at least its Min
	Refused            // the window Reply.Refused has too little left
	Frozen             // the ledger has lost writes; nothing is granted until Reply.Until
)

// WindowState is what the ledger has of one window.
type WindowState struct{ Posted, Held, Suspense int64 }

// GrantReply answers a GrantRequest, its amounts in the order of the wants.
type GrantReply struct {
	State   GrantState
	Amounts []int64 // granted now, by this call
	Windows []WindowState
	Refused int       // index of the want, when Refused
	Until   time.Time // when Frozen
	Recall  bool      // as in RenewReply
}

// Leaser leases parts of budgets to writers. Both ledgers do.
type Leaser interface {
	// Grant leases more. It fails with ErrFenced when a newer epoch of the writer is
	// known. After any other error its outcome is unknown; asking again with the same
	// totals finds out, because Granted in each want is what the writer knows to have.
	Grant(ctx context.Context, r *GrantRequest) (*GrantReply, error)
	// Renew extends the writer's accounts of a root, takes returns and, after a
	// loss, lets the writer assert what it holds. Totals never go back. It fails with
	// ErrFenced as Grant does.
	Renew(ctx context.Context, r *RenewRequest) (*RenewReply, error)
}

// RenewRequest is what a writer reports, periodically, of its accounts of one root.
type RenewRequest struct {
	Writer string
	Epoch  uint64
	Root   string
	// Watermark is the last sequence number that the ledger has confirmed to this
	// writer, as in GrantRequest.
	Watermark uint64
	// Head is the last sequence number that the writer had journalled for the
	// root when it took Held. Postings up to it are not in Held, so after a loss
	// they take nothing out of the account again. 0 means Watermark: Held
	// then includes what was journalled behind it.
	Head     uint64
	Accounts []Account
	// Held is, by account, what the writer still needs: open holds and the idle
	// lease that it keeps. Used after a loss, to assert it again.
	Held []int64
	TTL  time.Duration
	// Retire closes the accounts: the writer ends, everything not spent is back.
	// TTL is needed all the same: a writer that leaves may be the first to find a
	// loss, and the freeze that follows lasts a TTL.
	// No accounts mean all that the writer ever had in this root, also in
	// older epochs. What the ledger has not seen spent yet, because Head is above
	// its watermark, stays in suspense.
	Retire bool
	// Part is whether the writer has more accounts than it names. Its word counts for
	// none of them then when something was lost: it is asked for all by Frozen, maybe
	// until now only.
	Part bool
	// Leaves is whether the writer has nothing leased of the root after this, so that
	// nobody waits for it after a loss. It may come back at any time.
	Leaves bool
	// Lapsed is for who retires another writer that may live: nothing changes
	// before that one's TTL has passed.
	Lapsed bool
}

// RenewReply is the state of the root.
type RenewReply struct {
	// Frozen is whether the writer should name all its accounts and what it holds,
	// because the ledger has lost writes or may have; it grants nothing until Until.
	Frozen bool
	Until  time.Time
	// Recall asks for idle leases, because another writer was short.
	Recall bool
	// Open is whether a writer that retires has accounts all the same, because
	// records or the end of its TTL are awaited. Ask again.
	Open    bool
	Windows []WindowState
}

// ErrBadRequest is returned by a Leaser that refuses a request for its contents.
// Nothing was changed and a retry cannot help.
var ErrBadRequest = errors.New("the ledger refuses the request")

// Check fails with ErrBadRequest when the request's amounts or names cannot be.
func (r *GrantRequest) Check() error {
	for i := range r.Wants {
		w := &r.Wants[i]
		if w.Limit < 0 || w.Limit > record.MaxValue || w.Min < 0 || w.Min > w.Ask || w.Ask > record.MaxValue {
			return fmt.Errorf("%w: limit %d, at least %d, at most %d", ErrBadRequest, w.Limit, w.Min, w.Ask)
		}
	}
	if err := checkAccounts(len(r.Wants), func(i int) *Account { return &r.Wants[i].Account }); err != nil {
		return err
	}
	if len(r.Wants) == 0 || r.TTL < time.Millisecond {
		return fmt.Errorf("%w: %d wants for %s", ErrBadRequest, len(r.Wants), r.TTL)
	}
	return checkWriter(r.Writer, r.Root, r.Epoch, r.Watermark)
}

// Check fails with ErrBadRequest when the request's amounts or names cannot be.
func (r *RenewRequest) Check() error {
	if len(r.Held) != 0 && len(r.Held) != len(r.Accounts) {
		return fmt.Errorf("%w: %d amounts held of %d accounts", ErrBadRequest, len(r.Held), len(r.Accounts))
	}
	if err := checkAccounts(len(r.Accounts), func(i int) *Account { return &r.Accounts[i] }); err != nil {
		return err
	}
	for i, held := range r.Held {
		if held < 0 || held > record.MaxValue {
			return fmt.Errorf("%w: %d held of %+v", ErrBadRequest, held, r.Accounts[i])
		}
	}
	if r.TTL < time.Millisecond || r.Lapsed && !r.Retire {
		return fmt.Errorf("%w: for %s", ErrBadRequest, r.TTL)
	}
	return checkWriter(r.Writer, r.Root, r.Epoch, max(r.Watermark, r.Head))
}

func checkAccounts(n int, at func(i int) *Account) error {
	seen := make(map[record.Window]bool, n)
	for i := range n {
		a, w := at(i), at(i).Window.UTC()
		switch {
		case w.Unit > record.UnitConcurrent:
			return fmt.Errorf("%w: unit %d", ErrBadRequest, w.Unit)
		case seen[w]:
			return fmt.Errorf("%w: it names a window twice", ErrBadRequest)
		case a.Granted < 0 || a.Granted > record.MaxValue || a.Returned < 0 || a.Returned > a.Granted:
			return fmt.Errorf("%w: granted %d, returned %d", ErrBadRequest, a.Granted, a.Returned)
		}
		seen[w] = true
	}
	return nil
}

func checkWriter(writer, root string, epoch, seq uint64) error {
	if writer == "" || root == "" || epoch >= MaxSeq || seq >= MaxSeq {
		return fmt.Errorf("%w: writer %q, root %q, epoch %d, number %d", ErrBadRequest, writer, root, epoch, seq)
	}
	return nil
}

// WindowBook is all that a ledger has of one window, for reports and checks.
type WindowBook struct {
	record.Window
	WindowState
	Accounts []AccountBook // by writer
}

// AccountBook is what a ledger has of one writer's account of a window.
type AccountBook struct {
	Writer            string
	Epoch             uint64
	Granted, Returned int64
	// Remains is granted and neither returned nor spent. It is part of the
	// window's Held, or of its Suspense when Expired.
	Remains int64
	Expired bool
	// Left is what older epochs of the writer left unspent; part of Suspense.
	Left int64
}

// Predecessor is a writer of a journal whose process has ended, or was one of
// the directory that this one is a copy of, and that has not recorded that it
// gave back what it had leased.
type Predecessor struct {
	journal.Identity
	Heads map[string]uint64 // its last numbers in this journal, by root tenant
	// Here is whether it wrote in this very directory: this process holds the
	// lock, so it is dead. Otherwise it may still run in the directory's original.
	Here bool
}
