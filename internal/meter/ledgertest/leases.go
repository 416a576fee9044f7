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
)

// Leaser is what is tested of leases: the seam to the meter, and reading.
type Leaser interface {
	Ledger
	ledger.Leaser
	Windows(ctx context.Context, root string) ([]ledger.WindowBook, error)
}

// LeaseCase is one promise about leases.
type LeaseCase struct {
	Name  string
	check func(*writers) error
}

// Check gets a subject with an empty ledger.
func (c LeaseCase) Check(ctx context.Context, s LeaseSubject) error { return c.check(s.on(ctx, 0)) }

// LeaseCases are the promises of every ledger that need no fault.
var LeaseCases = []LeaseCase{
	{"grants up to the limit and no further", grantsToLimit},
	{"grants in all windows or in none", grantsAllOrNone},
	{"finds a grant whose reply was lost", findsLostGrant},
	{"takes returns once", takesReturnsOnce},
	{"takes a charge out of the account once", chargesOnce},
	{"posts what exceeds the account", postsOvershoot},
	{"moves an unknown cost to suspense and resolves it", resolvesUnknown},
	{"takes what a recovery writer charges out of its holder's account", chargesHolder},
	{"refuses a charge out of range whole", refusesHugeCharge},
	{"moves the leases of a silent writer to suspense", expires},
	{"gives an account back to a writer that returns", revives},
	{"frees the concurrency of a silent writer", freesConcurrency},
	{"takes a forgotten claim on concurrency for no loss", forgetsConcurrency},
	{"closes the accounts of a writer that ends", retires},
	{"keeps an account whose records have not come", retiresLate},
	{"retires a writer for another when its TTL has passed", retiresLapsed},
	{"refuses what cannot be", refusesBadRequests},
}

// SharedLeaseCases are the further promises of a ledger that several gateways use
// and that can lose writes.
var SharedLeaseCases = []LeaseCase{
	{"keeps what an older process left until its records come", keepsOlderEpochs},
	{"does not take an older process's returns for a newer one's", returnsOfOlder},
	{"fences an older process", fencesLeases},
	{"recalls idle leases once for a refusal", recalls},
	{"freezes on a grant that it has forgotten", freezesOnGrant},
	{"freezes on a watermark that it has forgotten", freezesOnWatermark},
	{"freezes once for a loss that a writer reports", freezesOnReport},
	{"thaws when all have asserted and caught up", thawsEarly},
	{"has a silent writer's concurrency again as it says", idleConcurrency},
	{"does not take asserted records out of the account again", takesNothingAgain},
}

// RunLeases runs cases as subtests. open returns a subject with an empty ledger.
func RunLeases(t *testing.T, cases []LeaseCase, open func(t *testing.T) LeaseSubject) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The TTLs of the cases: one that does not end in a case, and one that does.
const (
	long  = time.Hour
	short = time.Minute
)

// month and other are windows of now; slots is one of concurrency.
func month() record.Window { return monthOf("acme/support") }

func monthOf(tenant string) record.Window {
	start := base().Truncate(24*time.Hour).AddDate(0, 0, -3)
	return record.Window{Tenant: tenant, Unit: record.UnitUSD, Period: "month", Start: start, End: start.AddDate(0, 0, 30)}
}

func slots() record.Window { return record.Window{Tenant: "acme", Unit: record.UnitConcurrent} }

// writers call a ledger. The first error stays.
type writers struct {
	ctx context.Context
	Leaser
	LeaseSubject
	err error
}

// on returns writers behind one of the subject's gateways.
func (s LeaseSubject) on(ctx context.Context, gateway int) *writers {
	return &writers{ctx: ctx, Leaser: s.Gateways[gateway], LeaseSubject: s}
}

func (l *writers) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func want(w record.Window, granted, least, most int64) ledger.Want {
	return ledger.Want{Account: ledger.Account{Window: w, Granted: granted}, Limit: 100, Min: least, Ask: most}
}

func request(writer string, ttl time.Duration, wants ...ledger.Want) *ledger.GrantRequest {
	return &ledger.GrantRequest{Writer: writer, Epoch: 1, Root: "acme", Wants: wants, TTL: ttl}
}

// grant fails unless the reply has this state and these amounts.
func (l *writers) grant(r *ledger.GrantRequest, state ledger.GrantState, amounts ...int64) *ledger.GrantReply {
	reply, err := l.Grant(l.ctx, r)
	if err != nil {
		l.fail("grant to %s: %w", r.Writer, err)
		return &ledger.GrantReply{}
	}
	if reply.State != state {
		l.fail("grant to %s: state %d, want %d: %+v", r.Writer, reply.State, state, reply)
	}
	if diff := cmp.Diff(amounts, reply.Amounts); state == ledger.Granted && diff != "" {
		l.fail("grant to %s: (-want +got)\n%s", r.Writer, diff)
	}
	return reply
}

func renewal(writer string, ttl time.Duration, accounts ...ledger.Account) *ledger.RenewRequest {
	return &ledger.RenewRequest{Writer: writer, Epoch: 1, Root: "acme", Accounts: accounts, TTL: ttl}
}

func (l *writers) renew(r *ledger.RenewRequest) *ledger.RenewReply {
	reply, err := l.Renew(l.ctx, r)
	if err != nil {
		l.fail("renewal of %s: %w", r.Writer, err)
		return &ledger.RenewReply{}
	}
	return reply
}

// charge applies a posting that charges windows.
func (l *writers) charge(writer string, seq uint64, charges ...record.Charge) {
	l.chargeOf(writer, 1, seq, charges...)
}

func (l *writers) chargeOf(writer string, epoch, seq uint64, charges ...record.Charge) {
	b := one(seq, row("m"), record.Counters{Legs: 1})
	b.Writer, b.Epoch, b.Postings[0].Charges = writer, epoch, charges
	if got, err := l.Apply(l.ctx, b); err != nil || got.Watermark != seq {
		l.fail("charge %d of %s: watermark %d, %w", seq, writer, got.Watermark, err)
	}
}

func spent(w record.Window, amount int64) record.Charge {
	return record.Charge{Window: w, Amount: amount}
}

func unknown(w record.Window, amount int64) record.Charge {
	return record.Charge{Window: w, Amount: amount, Suspense: true}
}

// holds fails unless the window has these sums, and its accounts make them up.
func (l *writers) holds(w record.Window, posted, held, suspense int64) {
	books, err := l.Windows(l.ctx, "acme")
	if err != nil {
		l.fail("windows: %w", err)
		return
	}
	got := ledger.WindowState{}
	for i := range books {
		if err := Balanced(&books[i]); err != nil {
			l.fail("%w", err)
		}
		if books[i].Window == w.UTC() {
			got = books[i].WindowState
		}
	}
	if want := (ledger.WindowState{Posted: posted, Held: held, Suspense: suspense}); got != want {
		l.fail("the window has %+v, want %+v", got, want)
	}
}

// Balanced fails unless what the accounts of a window hold is what it says is
// held, and no more is expired than is in suspense.
func Balanced(b *ledger.WindowBook) error {
	var held, expired int64
	for _, a := range b.Accounts {
		if a.Remains < 0 || a.Left < 0 {
			return fmt.Errorf("window %+v: an account is below zero: %+v", b.Window, a)
		}
		if a.Expired {
			expired += a.Remains
		} else {
			held += a.Remains
		}
		expired += a.Left
	}
	if held != b.Held || (expired > b.Suspense && b.Unit != record.UnitConcurrent) {
		return fmt.Errorf(
			"window %+v: accounts hold %d and %d expired, the window says %+v",
			b.Window,
			held,
			expired,
			b.WindowState,
		)
	}
	return nil
}

func grantsToLimit(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 1, 60)), ledger.Granted, 60)
	l.holds(month(), 0, 60, 0)
	l.grant(request("w2", long, want(month(), 0, 10, 60)), ledger.Granted, 40)
	reply := l.grant(request("w1", long, want(month(), 60, 1, 60)), ledger.Refused)
	if got := (ledger.WindowState{Held: 100}); len(reply.Windows) != 1 || reply.Windows[0] != got {
		l.fail("the refusal says %+v", reply)
	}
	l.grant(request("w1", long, want(month(), 60, 0, 60)), ledger.Granted, 0)
	l.holds(month(), 0, 100, 0)
	return l.err
}

func grantsAllOrNone(l *writers) error {
	top, hour := monthOf("acme"), month()
	hour.Period, hour.End = "hour", time.Now().Add(time.Hour).Truncate(time.Hour)
	l.grant(
		request("w1", long, want(month(), 0, 5, 20), want(top, 0, 5, 90), want(slots(), 0, 1, 1)),
		ledger.Granted,
		20,
		90,
		1,
	)
	reply := l.grant(
		request("w2", long, want(month(), 0, 5, 20), want(top, 0, 11, 90), want(hour, 0, 200, 200)),
		ledger.Refused,
	)
	if reply.Refused != 1 {
		l.fail("refused by want %d, want 1", reply.Refused)
	}
	l.holds(month(), 0, 20, 0)
	l.holds(top, 0, 90, 0)
	l.holds(slots(), 0, 1, 0)
	l.holds(hour, 0, 0, 0)
	return l.err
}

func findsLostGrant(l *writers) error {
	ask := request("w1", long, want(month(), 0, 10, 30))
	l.grant(ask, ledger.Granted, 30)
	l.grant(ask, ledger.Granted, 30) // the reply to the first was lost
	l.holds(month(), 0, 30, 0)
	l.grant(request("w1", long, want(month(), 10, 5, 30)), ledger.Granted, 30)
	l.holds(month(), 0, 40, 0)
	l.grant(request("w2", long, want(month(), 0, 5, 60)), ledger.Granted, 60)
	l.grant(request("w1", long, want(month(), 20, 20, 50)), ledger.Granted, 20)
	l.grant(request("w1", long, want(month(), 20, 21, 50)), ledger.Refused)
	l.holds(month(), 0, 100, 0)
	return l.err
}

func takesReturnsOnce(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 80)), ledger.Granted, 80)
	back := renewal("w1", long, ledger.Account{Window: month(), Granted: 80, Returned: 50})
	l.renew(back)
	l.renew(back)
	l.holds(month(), 0, 30, 0)
	l.renew(renewal("w1", long, ledger.Account{Window: month(), Granted: 80, Returned: 20})) // comes late
	l.holds(month(), 0, 30, 0)
	more := want(month(), 80, 10, 10)
	more.Returned = 60
	l.grant(request("w1", long, more), ledger.Granted, 10)
	l.holds(month(), 0, 30, 0)
	return l.err
}

func chargesOnce(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	l.grant(request("w2", long, want(month(), 0, 10, 30)), ledger.Granted, 30)
	l.charge("w1", 1, spent(month(), 20))
	l.holds(month(), 20, 60, 0)
	l.charge("w1", 1, spent(month(), 20)) // again
	l.holds(month(), 20, 60, 0)
	l.charge("w1", 2, spent(month(), 30))
	l.holds(month(), 50, 30, 0)
	l.charge("w2", 1, spent(month(), 25))
	l.renew(renewal("w2", long, ledger.Account{Window: month(), Granted: 30, Returned: 5}))
	l.holds(month(), 75, 0, 0)
	l.grant(request("w3", long, want(month(), 0, 25, 50)), ledger.Granted, 25)
	return l.err
}

func postsOvershoot(l *writers) error {
	l.charge("w1", 1, spent(month(), 7)) // without any account
	l.holds(month(), 7, 0, 0)
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	l.grant(request("w2", long, want(month(), 0, 10, 40)), ledger.Granted, 40)
	l.charge("w1", 2, spent(month(), 60))
	l.holds(month(), 67, 40, 0)
	l.grant(request("w3", long, want(month(), 0, 0, 10)), ledger.Granted, 0)
	l.grant(request("w3", long, want(month(), 0, 1, 10)), ledger.Refused)
	return l.err
}

func resolvesUnknown(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	l.charge("w1", 1, unknown(month(), 30))
	l.holds(month(), 0, 20, 30)
	l.charge("w1", 2, unknown(month(), -30), spent(month(), 25)) // takes nothing of what is held
	l.holds(month(), 25, 20, 0)
	l.charge("w1", 3, spent(month(), -5))
	l.holds(month(), 20, 20, 0)
	return l.err
}

// chargesHolder charges what a dead writer held and nobody knows the cost of.
func chargesHolder(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	l.charge("w1", 1, spent(month(), 10))
	b := one(1, row("m"), record.Counters{Unknown: 1})
	b.Writer, b.Holder = "0state", "w1"
	b.Postings[0].Charges = []record.Charge{unknown(month(), 15)}
	for range 2 {
		if _, err := l.Apply(l.ctx, b); err != nil {
			l.fail("the recovery writer's batch: %w", err)
		}
		l.holds(month(), 10, 25, 15)
	}
	return l.err
}

func refusesHugeCharge(l *writers) error {
	const most = 8_000_000_000_000_000 // twice is too much
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	l.charge("w1", 1, spent(monthOf("acme"), most))
	for _, again := range []record.Charge{spent(monthOf("acme"), most), spent(month(), 1<<60)} {
		b := one(2, row("m"), record.Counters{Legs: 1})
		b.Postings[0].Charges = []record.Charge{spent(month(), 5), again}
		if _, err := l.Apply(l.ctx, b); !errors.Is(err, ledger.ErrBadBatch) {
			l.fail("a charge out of range: %w", err)
		}
		l.holds(month(), 0, 50, 0)
		l.holds(monthOf("acme"), most, 0, 0)
	}
	l.charge("w1", 2, spent(month(), 5), spent(monthOf("acme"), -most))
	l.holds(month(), 5, 45, 0)
	return errors.Join(l.err, hold(l.ctx, l, map[record.RowKey]record.Counters{row("m"): {Legs: 2}}))
}
