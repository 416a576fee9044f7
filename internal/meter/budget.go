package meter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Unit is what a budget or limit counts.
type Unit uint8

// The units. Money is counted in nano-dollars, rounded up; one open call is one
// Concurrent.
const (
	UnitUSD Unit = iota
	UnitTokens
	UnitRequests
	UnitConcurrent
)

// Window is one budget or limit of one tenant in one stretch of time. Budgets
// charge the window in which a hold was taken, so a record names its windows.
type Window struct {
	Tenant string // whose budget it is: the caller's or one above it
	Unit   Unit
	Period string // minute, hour, day, month; "" for Concurrent
	// Start and End bound the window, End is exclusive. Both are zero for
	// Concurrent. They are instants; the budget's time zone decided on them.
	Start, End time.Time
}

// Account is what one writer holds of one window: what the ledger lent to it
// and has not got back or seen spent. The ledger keeps it beside the window's
// sums, so that Σ posted + Σ held + Σ suspense ≤ limit holds for any number of
// writers.
type Account struct {
	Window Window
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

// GrantRequest asks for slices of windows of one root, all or nothing.
type GrantRequest struct {
	Writer string
	Epoch  uint64
	Root   string
	// Watermark is the last sequence number that the ledger has confirmed to this
	// writer. A ledger that has less has lost writes.
	Watermark uint64
	// Lost is whether the borrower knows otherwise that the ledger has lost writes
	// of the root: from its journal, for one that asks for the first time.
	Lost  bool
	Wants []Want
	Term  time.Duration // after it without a renewal, what is left goes into suspense
}

// GrantState is how a grant ended.
type GrantState uint8

// The states. The zero value is not used.
const (
	_       GrantState = iota
	Granted            // every want got at least its Min
	Refused            // the window Reply.Refused has too little left
	Frozen             // the ledger has lost writes; nothing is granted until Reply.Until
	Fenced             // a newer epoch of this writer posts
)

// WindowState is what the ledger has of one window.
type WindowState struct{ Posted, Held, Suspense int64 }

// GrantReply answers a GrantRequest, its slices in the order of the wants.
type GrantReply struct {
	State   GrantState
	Amounts []int64 // granted now, by this call
	Windows []WindowState
	Refused int       // index of the want, when Refused
	Until   time.Time // when Frozen
	Recall  bool      // as in SettleReply
}

// Lender lends slices of budgets. Both ledgers do.
type Lender interface {
	// Grant lends. Its outcome after an error is unknown; asking again with the
	// same totals finds out, because Granted in each want says what the writer
	// knows to have.
	Grant(ctx context.Context, r *GrantRequest) (*GrantReply, error)
	// Settle renews the writer's accounts of a root, takes returns and, after a
	// loss, lets the writer assert what it holds. Totals never go back.
	Settle(ctx context.Context, r *SettleRequest) (*SettleReply, error)
}

// SettleRequest is a writer's periodic word about its accounts of one root.
type SettleRequest struct {
	Writer string
	Epoch  uint64
	Root   string
	// Watermark is the last sequence number that the ledger has confirmed to this
	// writer, as in GrantRequest.
	Watermark uint64
	// Head is the last sequence number that the writer had journalled for the
	// root when it took Held. Postings up to it are not in Held, so after a loss
	// they take nothing out of the account again. 0 stands for Watermark: Held
	// then includes what was journalled behind it.
	Head     uint64
	Accounts []Account
	// Held is, by account, what the writer still needs: open holds and the idle
	// slice that it keeps. Used after a loss, to assert it again.
	Held []int64
	Term time.Duration
	// Retire closes the accounts: the writer ends, everything not spent is back.
	// Term is needed all the same: a writer that leaves may be the first to find a
	// loss, and the freeze that follows lasts a term.
	// No accounts stand for all that the writer ever had in this root, also in
	// older epochs. What the ledger has not seen spent yet, because Head is above
	// its watermark, stays in suspense.
	Retire bool
	// Lapsed is for who retires another writer that may live: nothing changes
	// before that one's term has passed.
	Lapsed bool
}

// SettleReply tells the writer about the root.
type SettleReply struct {
	Frozen bool
	Until  time.Time
	// Recall asks for idle slices, because another writer was short.
	Recall bool
	// Open is whether a writer that retires has accounts all the same, because
	// records or the end of its term are awaited. Ask again.
	Open    bool
	Windows []WindowState
}

// ErrBadRequest is returned by a lender that refuses a request for its contents.
// Nothing was changed and a retry cannot help.
var ErrBadRequest = errors.New("the ledger refuses the request")

// UTC returns the window with its bounds in UTC and whole seconds, so that equal
// windows are equal values.
func (w Window) UTC() Window {
	if w.Unit == UnitConcurrent || w.Start.IsZero() {
		w.Start, w.End = time.Time{}, time.Time{}
		return w
	}
	w.Start, w.End = time.Unix(w.Start.Unix(), 0).UTC(), time.Unix(w.End.Unix(), 0).UTC()
	return w
}

// Expiry is when a ledger may forget the window: long after no record can charge
// it any more. It is the zero time for Concurrent, which no record charges.
func (w Window) Expiry() time.Time {
	switch w.Period {
	case "minute":
		return w.End.Add(2 * time.Hour)
	case "hour":
		return w.End.Add(KeepHours)
	case "":
		return time.Time{}
	}
	return w.End.AddDate(0, 13, 0)
}

// Check fails with ErrBadRequest when the request's amounts or names cannot be.
func (r *GrantRequest) Check() error {
	seen := make(map[Window]bool, len(r.Wants))
	for i := range r.Wants {
		w := &r.Wants[i]
		if seen[w.Window.UTC()] {
			return fmt.Errorf("%w: it names a window twice", ErrBadRequest)
		}
		seen[w.Window.UTC()] = true
		if w.Limit < 0 || w.Limit > MaxValue || w.Min < 0 || w.Min > w.Ask || w.Ask > MaxValue {
			return fmt.Errorf("%w: limit %d, at least %d, at most %d", ErrBadRequest, w.Limit, w.Min, w.Ask)
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	if len(r.Wants) == 0 || r.Term < time.Millisecond {
		return fmt.Errorf("%w: %d wants for %s", ErrBadRequest, len(r.Wants), r.Term)
	}
	return checkWriter(r.Writer, r.Root, r.Epoch, r.Watermark)
}

// Check fails with ErrBadRequest when the request's amounts or names cannot be.
func (r *SettleRequest) Check() error {
	if len(r.Held) != 0 && len(r.Held) != len(r.Accounts) {
		return fmt.Errorf("%w: %d amounts held of %d accounts", ErrBadRequest, len(r.Held), len(r.Accounts))
	}
	seen := make(map[Window]bool, len(r.Accounts))
	for i := range r.Accounts {
		if err := r.Accounts[i].check(); err != nil {
			return err
		}
		if seen[r.Accounts[i].Window.UTC()] {
			return fmt.Errorf("%w: it names a window twice", ErrBadRequest)
		}
		seen[r.Accounts[i].Window.UTC()] = true
	}
	for i, held := range r.Held {
		if held < 0 || held > MaxValue {
			return fmt.Errorf("%w: %d held of %+v", ErrBadRequest, held, r.Accounts[i])
		}
	}
	if r.Term < time.Millisecond || r.Lapsed && !r.Retire {
		return fmt.Errorf("%w: for %s", ErrBadRequest, r.Term)
	}
	return checkWriter(r.Writer, r.Root, r.Epoch, max(r.Watermark, r.Head))
}

func (a *Account) check() error {
	if a.Window.Unit > UnitConcurrent {
		return fmt.Errorf("%w: unit %d", ErrBadRequest, a.Window.Unit)
	}
	if a.Granted < 0 || a.Granted > MaxValue || a.Returned < 0 || a.Returned > a.Granted {
		return fmt.Errorf("%w: granted %d, returned %d", ErrBadRequest, a.Granted, a.Returned)
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
	Window
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
