package ledgertest

import (
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// expires grants again only what a silent writer did not hold.
func expires(l *writers) error {
	l.grant(request("w1", short, want(month(), 0, 10, 70)), ledger.Granted, 70)
	l.Wait(2 * short)
	l.grant(request("w2", long, want(month(), 0, 1, 50)), ledger.Granted, 30)
	l.holds(month(), 0, 30, 70)
	l.charge("w1", 1, spent(month(), 40)) // what it spent takes its lease along
	l.holds(month(), 40, 30, 30)
	l.charge("w1", 2, unknown(month(), 10))
	l.holds(month(), 40, 30, 30)
	l.grant(request("w2", long, want(month(), 30, 1, 50)), ledger.Refused)
	return l.err
}

func revives(l *writers) error {
	l.grant(request("w1", short, want(month(), 0, 10, 70)), ledger.Granted, 70)
	l.Wait(2 * short)
	l.grant(request("w2", long, want(month(), 0, 1, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 10, 70)
	if l.renew(renewal("w1", long, ledger.Account{Window: month(), Granted: 70, Returned: 30})).Frozen {
		l.fail("a writer that was silent for a while freezes the root")
	}
	l.holds(month(), 0, 50, 0)
	l.Wait(2 * short)
	l.grant(request("w2", long, want(month(), 10, 1, 10)), ledger.Granted, 10)
	l.holds(month(), 0, 60, 0)
	return l.err
}

func freesConcurrency(l *writers) error {
	l.grant(request("w1", short, want(slots(), 0, 90, 90)), ledger.Granted, 90)
	l.grant(request("w2", long, want(slots(), 0, 90, 90)), ledger.Refused)
	l.Wait(2 * short)
	l.grant(request("w2", long, want(slots(), 0, 20, 20)), ledger.Granted, 20)
	l.holds(slots(), 0, 20, 0)
	if l.renew(renewal("w1", long, ledger.Account{Window: slots(), Granted: 90, Returned: 60})).Frozen {
		l.fail("a writer that was silent for a while freezes the root")
	}
	l.holds(slots(), 0, 50, 0)
	return l.err
}

// forgetsConcurrency takes a claim on a limit of open calls in which nobody has
// anything any more for one of a writer that was silent, not for a loss.
func forgetsConcurrency(l *writers) error {
	l.grant(request("w1", long, want(slots(), 0, 1, 5)), ledger.Granted, 5)
	end := renewal("w1", long, ledger.Account{Window: slots(), Granted: 5})
	end.Retire = true
	l.renew(end)
	if l.renew(renewal("w2", long, ledger.Account{Window: slots(), Granted: 7})).Frozen {
		l.fail("a writer that was silent for long freezes the root")
	}
	l.grant(request("w3", long, want(month(), 0, 1, 5)), ledger.Granted, 5)
	return l.err
}

// idleConcurrency lets a writer be idle for so long that the ledger forgets it, while
// another one uses the same limit.
func idleConcurrency(l *writers) error {
	l.grant(request("w1", short, want(slots(), 0, 1, 5)), ledger.Granted, 5)
	l.renew(renewal("w1", short, ledger.Account{Window: slots(), Granted: 5, Returned: 5}))
	l.Wait(2 * time.Hour)
	for n := range int64(3) {
		l.grant(request("w2", short, want(slots(), n, 1, 1)), ledger.Granted, 1)
	}
	for n := range int64(3) {
		ask := want(slots(), 5+n, 1, 1)
		ask.Returned = 5
		l.grant(request("w1", short, ask), ledger.Granted, 1)
	}
	return l.err
}

func keepsOlderEpochs(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	next := request("w1", long, want(month(), 0, 10, 30))
	next.Epoch = 2
	l.grant(next, ledger.Granted, 30)
	l.holds(month(), 0, 30, 50)
	l.chargeOf("w1", 2, 1, spent(month(), 20)) // of the older process
	l.holds(month(), 20, 30, 30)
	l.chargeOf("w1", 2, 2, unknown(month(), 25))
	l.holds(month(), 20, 30, 30)
	end := renewal("w1", long)
	end.Epoch, end.Retire, end.Watermark = 2, true, 2
	l.renew(end)
	l.holds(month(), 20, 0, 25) // what nobody knows stays
	return l.err
}

// returnsOfOlder has a newer process send the totals of an older one, of a window
// that is over: its own begin at zero all the same.
func returnsOfOlder(l *writers) error {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	over := record.Window{
		Tenant: "acme",
		Unit:   record.UnitUSD,
		Period: "day",
		Start:  today.AddDate(0, 0, -2),
		End:    today.AddDate(0, 0, -1),
	}
	l.grant(request("w1", long, want(over, 0, 10, 50)), ledger.Granted, 50)
	assertion := renewal("w1", long, ledger.Account{Window: over, Granted: 50, Returned: 8})
	assertion.Epoch = 2
	l.renew(assertion)
	next := request("w1", long, want(over, 0, 10, 40))
	next.Epoch = 2
	l.grant(next, ledger.Granted, 40)
	assertion.Accounts[0].Granted, assertion.Accounts[0].Returned = 40, 5
	l.renew(assertion)
	l.holds(over, 0, 35, 50)
	return l.err
}

func fencesLeases(l *writers) error {
	newer := request("w1", long, want(month(), 0, 10, 20))
	newer.Epoch = 2
	l.grant(newer, ledger.Granted, 20)
	if _, err := l.Grant(l.ctx, request("w1", long, want(month(), 0, 10, 20))); !errors.Is(err, ledger.ErrFenced) {
		l.fail("a grant to an older process: %w", err)
	}
	if _, err := l.Renew(l.ctx, renewal("w1", long)); !errors.Is(err, ledger.ErrFenced) {
		l.fail("a renewal of an older process: %w", err)
	}
	b := one(1, row("m"), record.Counters{Legs: 1})
	if _, err := l.Apply(l.ctx, b); !errors.Is(err, ledger.ErrFenced) {
		l.fail("a batch of an older process: %w", err)
	}
	l.holds(month(), 0, 20, 0)
	return l.err
}

func recalls(l *writers) error {
	idle := ledger.Account{Window: month(), Granted: 90}
	l.grant(request("w1", long, want(month(), 0, 10, 90)), ledger.Granted, 90)
	l.grant(request("w3", long, want(month(), 0, 10, 10)), ledger.Granted, 10)
	recalled := func(writer string, a ledger.Account, want bool) {
		if got := l.renew(renewal(writer, long, a)).Recall; got != want {
			l.fail("recall of %s is %t, want %t", writer, got, want)
		}
	}
	recalled("w1", idle, false)
	l.grant(request("w2", long, want(month(), 0, 10, 20)), ledger.Refused)
	recalled("w1", idle, true)
	recalled("w1", idle, false)
	recalled("w2", ledger.Account{Window: month()}, false)
	recalled("w3", ledger.Account{Window: month(), Granted: 10}, true)
	idle.Returned = 40
	recalled("w1", idle, false)
	l.grant(request("w2", long, want(month(), 0, 10, 20)), ledger.Granted, 20)
	return l.err
}

func retires(l *writers) error {
	l.grant(
		request("w1", long, want(month(), 0, 10, 50), want(monthOf("acme"), 0, 10, 50), want(slots(), 0, 3, 3)),
		ledger.Granted,
		50,
		50,
		3,
	)
	l.grant(request("w2", long, want(month(), 0, 10, 20)), ledger.Granted, 20)
	l.charge("w1", 1, spent(month(), 20), spent(monthOf("acme"), 20))
	end := renewal("w1", long, ledger.Account{Window: month(), Granted: 50})
	end.Retire, end.Watermark, end.Head = true, 1, 1
	l.renew(end)
	l.renew(end)
	l.holds(month(), 20, 20, 0)
	l.holds(monthOf("acme"), 20, 0, 0)
	l.holds(slots(), 0, 0, 0)
	l.charge("w1", 1, spent(month(), 20)) // comes late
	l.holds(month(), 20, 20, 0)
	return l.err
}

func retiresLate(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 50)), ledger.Granted, 50)
	end := renewal("w1", long, ledger.Account{Window: month(), Granted: 50})
	end.Retire, end.Head = true, 1
	l.renew(end)
	l.holds(month(), 0, 0, 50)
	l.charge("w1", 1, spent(month(), 20))
	l.holds(month(), 20, 0, 30)
	end.Watermark = 1
	l.renew(end)
	l.holds(month(), 20, 0, 0)
	return l.err
}

// freezesOnReport grants nothing to a writer that it does not know and that knows
// of a loss, until a TTL has passed.
func freezesOnReport(l *writers) error {
	first := request("w1", 2*short, want(month(), 0, 10, 20))
	first.Lost = true
	until := l.grant(first, ledger.Frozen).Until
	if again := l.grant(first, ledger.Frozen).Until; !again.Equal(until) {
		l.fail("reported again, it freezes until %s and not until %s", again, until)
	}
	l.grant(request("w2", 2*short, want(month(), 0, 10, 20)), ledger.Frozen)
	l.Wait(3 * short)
	l.grant(request("w1", long, want(month(), 0, 10, 20)), ledger.Granted, 20)
	return l.err
}

// retiresLapsed lets somebody else end a writer that may live: not before its TTL
// has passed, and not before its records are in.
func retiresLapsed(l *writers) error {
	l.grant(request("w1", short, want(month(), 0, 10, 50), want(slots(), 0, 3, 3)), ledger.Granted, 50, 3)
	heir := renewal("w1", long)
	heir.Retire, heir.Lapsed, heir.Head = true, true, 1
	if !l.renew(heir).Open {
		l.fail("it ended a writer that may live")
	}
	l.holds(month(), 0, 50, 0)
	l.Wait(2 * short)
	if !l.renew(heir).Open {
		l.fail("it ended a writer whose records are awaited")
	}
	l.holds(month(), 0, 0, 50)
	l.charge("w1", 1, spent(month(), 20))
	l.holds(month(), 20, 0, 30)
	for range 2 {
		if l.renew(heir).Open {
			l.fail("a writer whose records are in has accounts")
		}
		l.holds(month(), 20, 0, 0)
		l.holds(slots(), 0, 0, 0)
	}
	return l.err
}

// freezesOnGrant asks a ledger that does not know what the writer has.
func freezesOnGrant(l *writers) error {
	l.grant(request("w2", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	reply := l.grant(request("w1", 12*short, want(month(), 40, 10, 10)), ledger.Frozen)
	if !reply.Until.After(l.Now()) {
		l.fail("frozen until %s", reply.Until)
	}
	l.grant(request("w2", short, want(month(), 10, 10, 10)), ledger.Frozen)
	l.Wait(13 * short) // w1 does not assert
	l.grant(request("w2", short, want(month(), 10, 10, 10)), ledger.Granted, 10)
	return l.err
}

func freezesOnWatermark(l *writers) error {
	l.charge("w1", 1, spent(month(), 5))
	ask := request("w1", 12*short, want(month(), 0, 10, 10))
	ask.Watermark = 2
	l.grant(ask, ledger.Frozen)
	l.grant(request("w2", short, want(month(), 0, 10, 10)), ledger.Frozen)
	l.Wait(13 * short)
	l.grant(ask, ledger.Frozen) // it is still behind, so the sums are too low
	l.charge("w1", 2, spent(month(), 5))
	l.Wait(13 * short)
	l.grant(ask, ledger.Granted, 10)
	l.holds(month(), 10, 10, 0)
	return l.err
}

// thawsEarly forgets grants of two writers and a batch of one.
func thawsEarly(l *writers) error {
	const ttl, freezing = 100 * short, 30 * short
	l.grant(request("w1", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	l.grant(request("w2", short, want(month(), 0, 10, 10)), ledger.Granted, 10)
	first := renewal("w1", freezing, ledger.Account{Window: month(), Granted: 40, Returned: 5})
	first.Watermark, first.Head, first.Held = 1, 1, []int64{30}
	if !l.renew(first).Frozen {
		l.fail("grants and a batch are forgotten and nothing is frozen")
	}
	l.Wait(freezing * 6 / 10)
	ask := request("w3", freezing, want(month(), 0, 10, 90))
	l.renew(first)
	l.grant(ask, ledger.Frozen) // w1 has not posted again
	l.charge("w1", 1, spent(month(), 5))
	second := renewal("w2", ttl, ledger.Account{Window: month(), Granted: 25})
	second.Held = []int64{25}
	l.renew(second)
	third := renewal("w3", ttl)
	l.renew(third)
	l.grant(ask, ledger.Granted, 40)
	l.holds(month(), 5, 95, 0)
	return l.err
}

func takesNothingAgain(l *writers) error {
	l.grant(request("w1", long, want(month(), 0, 10, 10)), ledger.Granted, 10)
	assertion := renewal("w1", long, ledger.Account{Window: month(), Granted: 60})
	assertion.Watermark, assertion.Head, assertion.Held = 2, 3, []int64{25} // 1 to 3 cost 35
	if !l.renew(assertion).Frozen {
		l.fail("a batch is forgotten and nothing is frozen")
	}
	l.holds(month(), 0, 25, 0)
	l.charge("w1", 1, spent(month(), 20))
	l.holds(month(), 20, 25, 0)
	b := run("w1", 1, 2, 3)
	for i := range b.Postings {
		b.Postings[i].Charges = []record.Charge{spent(month(), 5)}
	}
	if got, err := l.Apply(l.ctx, b); err != nil || got.Watermark != 4 {
		l.fail("watermark %d, %w", got.Watermark, err)
	}
	l.holds(month(), 35, 20, 0) // only number 4 takes
	return l.err
}

func refusesBadRequests(l *writers) error {
	bad := func(change func(r *ledger.GrantRequest)) {
		r := request("w1", long, want(month(), 0, 5, 10))
		change(r)
		if _, err := l.Grant(l.ctx, r); !errors.Is(err, ledger.ErrBadRequest) {
			l.fail("%+v: %w", r, err)
		}
	}
	bad(func(r *ledger.GrantRequest) { r.Wants = nil })
	bad(func(r *ledger.GrantRequest) { r.Writer = "" })
	bad(func(r *ledger.GrantRequest) { r.TTL = 0 })
	bad(func(r *ledger.GrantRequest) { r.Wants[0].Min = 11 })
	bad(func(r *ledger.GrantRequest) { r.Wants[0].Limit = -1 })
	bad(func(r *ledger.GrantRequest) { r.Wants[0].Ask = 1 << 60 })
	bad(func(r *ledger.GrantRequest) { r.Wants[0].Returned = 1 })
	bad(func(r *ledger.GrantRequest) { r.Wants[0].Window.Unit = 9 })
	bad(func(r *ledger.GrantRequest) { r.Wants = append(r.Wants, r.Wants[0]) })
	assertion := renewal("w1", long, ledger.Account{Window: month()})
	assertion.Held = []int64{1, 2}
	if _, err := l.Renew(l.ctx, assertion); !errors.Is(err, ledger.ErrBadRequest) {
		l.fail("amounts of other accounts: %w", err)
	}
	l.holds(month(), 0, 0, 0)
	return l.err
}
