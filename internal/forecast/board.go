package forecast

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

const (
	// Every is how often a board should be refreshed where it is Due.
	Every = 5 * time.Second
	// Fresh is for how long what a board has read is shown: an old state is not a state.
	Fresh = time.Minute
	// rowsEvery is how often the newest rows are read, and wholeEvery how often all are.
	rowsEvery, wholeEvery = time.Minute, 6 * time.Hour
	// perBudget is how much longer a board rests for each budget that it has, fifty times
	// what reading one takes of a processor, and longestRest how long at most.
	perBudget, longestRest = 150 * time.Microsecond, Fresh / 3
)

// Board has the states of all budgets as they were read last, for those who look often:
// metrics and pages. It is safe for concurrent use.
type Board struct {
	turn sync.Mutex // held by Refresh; guards the following
	// history is of these budgets. It was read in part and in whole at these times.
	history     *History
	of          []string
	read, whole time.Time

	mu     sync.Mutex // guards the following
	states []State    // as they are shown to who sees all; there may be very many
	ahead  Ahead
	at     time.Time
	failed error
}

// Ahead is what all tenants together will spend until the end of a month, in UTC. The zero value
// is not known.
type Ahead struct {
	Until time.Time
	Range
}

// Ahead returns what all tenants together will spend in the rest of the month, as it was worked out
// last: not known without budgets, or when that was too long ago.
func (b *Board) Ahead(now time.Time) Ahead {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.at) > Fresh {
		return Ahead{}
	}
	return b.ahead
}

// lookAhead works that out of a history.
func lookAhead(h *History, now time.Time) Ahead {
	now = now.UTC()
	end := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	low, mid, high, known, bounded := h.Until(everybody, now, end)
	return Ahead{end, Range{
		Low: estimate(low), Mid: estimate(mid), High: estimate(high), Known: known, Bounded: bounded,
	}}
}

// States returns the states of all budgets below a tenant, "" for all, as they were read last:
// those first that run out first. Their notes name no budget above the tenant. They are none,
// with the reason, when that was too long ago. Nobody may change them.
func (b *Board) States(below string, now time.Time) ([]State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() && b.failed == nil {
		return nil, errUnread
	}
	if now.Sub(b.at) > Fresh {
		return nil, fmt.Errorf("budgets were read last at %s: %w", stamp(b.at), b.failed)
	}
	if below == "" {
		return b.states, nil
	}
	var within []State
	for i := range b.states {
		if s := b.states[i]; record.Within(s.Tenant, below) {
			s.forget()
			within = append(within, s)
		}
	}
	return ranked(within), nil
}

var errUnread = fmt.Errorf("budgets have not been read yet")

// Due reports whether a board should be refreshed: where budgets are very many, that is not
// every time.
func (b *Board) Due(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := min(time.Duration(len(b.states))*perBudget, longestRest)
	return b.failed != nil || now.Sub(b.at).Abs() >= rest
}

// Refresh reads how the budgets of a source stand. On an error the states stay.
func (b *Board) Refresh(ctx context.Context, s *Source, now time.Time) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	states, err := b.readStates(ctx, s, now)
	var ahead Ahead
	if err == nil && len(states) > 0 {
		ahead = lookAhead(b.history, now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed = err; err == nil {
		b.states, b.ahead, b.at = states, ahead, now
	}
	return err
}

func (b *Board) readStates(ctx context.Context, s *Source, now time.Time) ([]State, error) {
	book := &Book{HeldKnown: s.HeldKnown, Standings: s.Policies.Standings(s.Keys, now)}
	if len(book.Standings) == 0 {
		return nil, nil
	}
	if err := b.readHistory(ctx, s, book.Standings, now); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	book.History = b.history
	var err error
	if book.Windows, err = s.Ledger.Counts(ctx, windows(book.Standings)); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return book.States(now), nil
}

// readHistory reads the rows that are new, or all when there are other budgets or it is time.
func (b *Board) readHistory(ctx context.Context, s *Source, standings []budget.Standing, now time.Time) error {
	of := make([]string, len(standings))
	for i := range standings {
		of[i] = standings[i].Window.Tenant
	}
	same := b.history != nil && slices.Equal(of, b.of) && now.Sub(b.whole).Abs() < wholeEvery
	if same {
		// Keys may have been rotated since, and the budgets be of another file. What was
		// before it would stay in memory.
		b.history.bearers, b.history.family = s.Policies.Bearers, s.family(standings)
	}
	if same && now.Sub(b.read).Abs() < rowsEvery && now.Truncate(time.Hour).Equal(b.read.Truncate(time.Hour)) {
		b.history.now = now.UTC()
		return nil
	}
	var from time.Time
	if same {
		from, same = b.history.advance(now)
	}
	fresh := b.history
	if !same {
		fresh = s.NewHistory(standings, now)
		from, _ = fresh.Range()
	}
	_, to := fresh.Range()
	b.history = nil // until all rows are read
	if err := s.Ledger.Rows(ctx, from, to, fresh.Add); err != nil {
		return err
	}
	if b.history, b.of, b.read = fresh, of, now; !same {
		b.whole = now
	}
	return nil
}
