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
