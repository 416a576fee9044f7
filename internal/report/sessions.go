package report

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// SessionColumn groups by sessions, which no counter of a ledger knows.
const SessionColumn = "session"

// Unattributed is the session of what nobody can say a session of: the call named none, or what gateways keep of it is
// gone.
const Unattributed = "(unattributed)"

// mostSessions bounds the rows that sessions can make.
const mostSessions = 20_000

// besideSessions are the columns that sessions can be parted by further: those that the calls of a session know as the
// ledger does.
func besideSessions() []string {
	return []string{
		SessionColumn, "tenant", "root", "team", "project", "key", "cost_center", "user", "model", "base_model",
		cascadeColumn, "day", "month",
	}
}

// Sessions yield decisions of the period, in any order. They fail with what reading them fails with.
type Sessions func(ctx context.Context, yield func(*decision.Decision)) error

// bySession checks that what is asked for can be parted by sessions.
func (s *sums) bySession() error {
	if s.at(SessionColumn) < 0 || s.query.Sessions == nil {
		return nil
	}
	for _, c := range s.by {
		if !slices.Contains(besideSessions(), c.name) && !strings.HasPrefix(c.name, tagPrefix) {
			return fmt.Errorf("%w: sessions go with %s, not with %s", ErrQuery, strings.Join(besideSessions()[1:], ", "), c.name)
		}
	}
	return nil
}

// attribute moves what calls of sessions used from Unattributed to them, so that the total stays that of the ledger.
func (s *sums) attribute(ctx context.Context) error {
	if s.at(SessionColumn) < 0 || s.query.Sessions == nil {
		return nil
	}
	var failed error
	err := s.query.Sessions(ctx, func(d *decision.Decision) {
		if d.Session == "" {
			return
		}
		for i := range d.Legs {
			if err := s.call(d, &d.Legs[i]); err != nil && failed == nil {
				failed = err
			}
		}
	})
	if err == nil {
		err = failed
	}
	s.session = ""
	return err
}

// call attributes one call of a model. What other tenants pay is no cost of the session.
func (s *sums) call(d *decision.Decision, l *decision.Leg) error {
	if l.Record == "" || l.Payer != "" {
		return nil
	}
	k := record.RowKey{
		Hour: l.Began.Add(l.Took.Duration()).UTC(), Tenant: d.Tenant, Key: d.Key, User: d.User, Model: l.Model,
		Cascade: d.Cascade, Path: l.Path,
	}
	if k.Hour.Before(s.query.From) || !k.Hour.Before(s.query.To) || !s.counts(&k) {
		return nil
	}
	c := counted(l)
	if s.session = d.Session; !s.known(&k) && len(s.rows) >= mostSessions {
		s.left++
		return nil
	}
	back := c.Negative()
	for _, part := range []struct {
		session string
		c       *record.Counters
		usd     money.Pico
	}{{d.Session, &c, money.Pico(l.Cost)}, {"", &back, -money.Pico(l.Cost)}} {
		s.session = part.session
		r := s.row("", s.cellsOf(&k))
		r.Calls.Add(part.usd)
		if !r.Usage.add(part.c) {
			return outOfRange(&k)
		}
	}
	return nil
}

// cellsOf fills the cells for a row of the source, and returns the row.
func (s *sums) cellsOf(k *record.RowKey) *record.RowKey {
	for i := range s.by {
		s.cells[i] = s.by[i].value(s, k)
	}
	return k
}

// known reports whether the report has the row already.
func (s *sums) known(k *record.RowKey) bool {
	s.cellsOf(k)
	s.name("")
	return s.rows[string(s.id)] != nil
}

// counted is what a call used, as the ledger counts it.
func counted(l *decision.Leg) record.Counters {
	flag := func(is bool) int64 {
		if is {
			return 1
		}
		return 0
	}
	return record.Counters{
		Requests: flag(l.Is&decision.FateServed != 0), Legs: 1, Escalated: flag(l.Is&decision.FateEscalated != 0),
		Drained: flag(l.Is&decision.FateDrained != 0), Unpriced: flag(l.CostState == "unpriced"),
		Unknown: flag(l.Outcome == "unknown"), Input: l.Tokens.Input.N, Output: l.Tokens.Output.N,
		CacheRead: l.Tokens.CacheRead.N, CacheWrite5m: l.Tokens.CacheWrite5m.N, CacheWrite1h: l.Tokens.CacheWrite1h.N,
	}
}
