package ledgertest

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// LeaseLoss is one promise about leases after a loss. Check gets an empty ledger
// with at least two gateways, Save, Restore and Wipe.
type LeaseLoss struct {
	Name  string
	Check func(ctx context.Context, s LeaseSubject) error
}

// LeaseLosses are losses that the caller's own totals do not show.
var LeaseLosses = []LeaseLoss{
	{"freezes on another server", freezesOnServer},
	{"freezes on another generation", freezesOnGeneration},
	{"freezes the whole TTL when the writers are forgotten", freezesWholeTerm},
	{"freezes though a batch came first", freezesBehindBatch},
	{"freezes for a gateway that asks first and never asked before", freezesUnheard},
	{"M18: goes on after a restart as soon as all have confirmed", resumesAfterRestart},
	{"M18: counts who is silent after a restart as lost until its lease ends", waitsForSilent},
	{"M18: waits for nobody who has left", waitsForNobody},
	{"M18: freezes when one shows after a restart that writes were lost", freezesOnProof},
	{"M18: takes part of the accounts for no confirmation", confirmsWhole},
	{"M17: takes one who was silent in a freeze back without another", takesLate},
}

// freezesOnServer forgets what another writer was granted.
func freezesOnServer(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", long, want(month(), 0, 10, 10)), ledger.Granted, 10)
	err := s.Save()
	l.grant(request("w2", long, want(month(), 0, 90, 90)), ledger.Granted, 90)
	err = errors.Join(err, s.Restore())
	l.grant(request("w1", long, want(month(), 10, 10, 10)), ledger.Frozen)
	return errors.Join(l.err, err)
}

func freezesOnGeneration(ctx context.Context, s LeaseSubject) error {
	l, other := s.on(ctx, 0), s.on(ctx, 1)
	l.renew(renewal("w1", long))
	other.grant(request("w2", long, want(month(), 0, 90, 90)), ledger.Granted, 90)
	err := s.Wipe()
	l.grant(request("w1", long, want(month(), 0, 50, 50)), ledger.Frozen)
	other.grant(request("w2", long, want(month(), 90, 10, 10)), ledger.Frozen)
	return errors.Join(l.err, other.err, err)
}

// freezesWholeTerm does not trust a list of writers that was begun anew.
func freezesWholeTerm(ctx context.Context, s LeaseSubject) error {
	const ttl = 2 * time.Second
	l := s.on(ctx, 0)
	l.grant(request("w1", ttl, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", ttl, want(month(), 0, 90, 90)), ledger.Granted, 90)
	err := s.Wipe()
	assertion := renewal("w1", ttl, ledger.Account{Window: month(), Granted: 10})
	assertion.Held = []int64{10}
	l.renew(assertion)
	s.Wait(ttl * 6 / 10)
	if reply := l.renew(assertion); !reply.Frozen {
		l.fail("thawed before a writer that nobody remembers could speak")
	}
	return errors.Join(l.err, err)
}

func freezesBehindBatch(ctx context.Context, s LeaseSubject) error {
	l, other := s.on(ctx, 0), s.on(ctx, 1)
	l.renew(renewal("w1", long))
	l.charge("w1", 1, spent(month(), 5))
	other.grant(request("w2", long, want(month(), 0, 90, 90)), ledger.Granted, 90)
	err := s.Wipe()
	l.charge("w1", 1, spent(month(), 5))
	ask := request("w1", long, want(month(), 0, 50, 50))
	ask.Watermark = 1
	l.grant(ask, ledger.Frozen)
	return errors.Join(l.err, other.err, err)
}

// freezesUnheard grants nothing to a gateway that knows the ledger and not the
// root, when it comes before those that have something of it.
func freezesUnheard(ctx context.Context, s LeaseSubject) error {
	l, other := s.on(ctx, 0), s.on(ctx, 1)
	err := errors.Join(l.Fingerprint(ctx, "f"), other.Fingerprint(ctx, "f"))
	other.grant(request("w2", long, want(month(), 0, 90, 90)), ledger.Granted, 90)
	err = errors.Join(err, s.Wipe())
	l.grant(request("w1", long, want(month(), 0, 50, 50)), ledger.Frozen)
	return errors.Join(l.err, other.err, err)
}

// restart makes the ledger look like one that another server has, with nothing lost.
func (l *writers) restart() {
	if err := errors.Join(l.Save(), l.Restore()); err != nil {
		l.fail("%w", err)
	}
}

// speak is how soon after a restart every writer that lives has spoken.
const speak = short / 50

func held(writer string, ttl time.Duration, granted, held int64) *ledger.RenewRequest {
	r := renewal(writer, ttl, ledger.Account{Window: month(), Granted: granted})
	r.Held = []int64{held}
	return r
}

func resumesAfterRestart(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 20, 20)), ledger.Granted, 20)
	l.restart()
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Frozen)
	l.renew(held("w1", short, 10, 10))
	if !l.renew(held("w2", short, 20, 20)).Frozen {
		l.fail("goes on before a writer that was lost whole could speak")
	}
	l.Wait(speak)
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 40, 0)
	return l.err
}

func waitsForSilent(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w0", long, want(month(), 0, 1, 1)), ledger.Granted, 1) // makes freezes long
	end := renewal("w0", long, ledger.Account{Window: month(), Granted: 1})
	end.Retire = true
	l.renew(end)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 20, 20)), ledger.Granted, 20)
	l.restart()
	for range 3 {
		l.renew(held("w1", short, 10, 10))
		l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Frozen)
		l.Wait(short / 4)
	}
	l.Wait(long / 50)
	l.renew(held("w1", short, 10, 10))
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 20, 20)
	return l.err
}

func waitsForNobody(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 20, 20)), ledger.Granted, 20)
	left := renewal("w2", short, ledger.Account{Window: month(), Granted: 20, Returned: 20})
	left.Leaves = true
	l.renew(left)
	l.restart()
	l.renew(held("w1", short, 10, 10))
	l.Wait(speak)
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	back := want(month(), 20, 10, 10)
	back.Returned = 20
	l.grant(request("w2", short, back), ledger.Granted, 10)
	return l.err
}

func freezesOnProof(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 20, 20)), ledger.Granted, 20)
	err := s.Save()
	l.grant(request("w2", short, want(month(), 20, 50, 50)), ledger.Granted, 50)
	err = errors.Join(err, s.Restore())
	all := func() {
		l.renew(held("w1", short, 10, 10))
		l.renew(held("w2", short, 70, 70))
	}
	all()
	l.Wait(speak)
	l.renew(held("w1", short, 10, 10))
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Frozen)
	l.Wait(short / 2)
	all()
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 90, 0)
	return errors.Join(l.err, err)
}

func confirmsWhole(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.restart()
	part := renewal("w1", short)
	part.Part = true
	l.renew(part)
	l.Wait(speak)
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Frozen)
	l.renew(held("w1", short, 10, 10))
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	return l.err
}

// takesLate loses the leases of two writers, of which one is idle. It comes when all
// is over.
func takesLate(ctx context.Context, s LeaseSubject) error {
	l := s.on(ctx, 0)
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	err := s.Save()
	l.grant(request("w1", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	err = errors.Join(err, s.Restore())
	l.renew(held("w1", short, 20, 20))
	l.Wait(short + time.Second)
	l.renew(held("w1", short, 20, 20))
	late := want(month(), 20, 10, 10)
	late.Returned = 20
	if reply := l.grant(request("w2", short, late), ledger.Frozen); reply.Until.After(l.Now()) {
		l.fail("frozen again until %s", reply.Until)
	}
	l.renew(renewal("w2", short, ledger.Account{Window: month(), Granted: 20, Returned: 20}))
	back := renewal("w2", short, late.Account)
	back.Held = []int64{0}
	l.renew(back)
	l.grant(request("w2", short, late), ledger.Granted, 10)
	l.grant(request("w1", short, want(month(), 20, 10, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 40, 0)
	return errors.Join(l.err, err)
}
