package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var errAway = errors.New("ledger is away")

// modelLeaser is the contract of a ledger in memory: per window what is posted
// and in suspense, per writer what remains of what it was granted.
type modelLeaser struct {
	mu       sync.Mutex
	windows  map[record.Window]*modelWindow
	recalled map[string]time.Time // by root
	frozen   time.Time
	calls    int
	delay    time.Duration
	now      func() time.Time
	// before and after a grant may return an error: it is then not done, or done
	// with the reply lost.
	before, after func() error
	limits        map[record.Window]int64 // the highest limit asked for, for the invariant
	broken        error                   // the first invariant that did not hold
}

type modelWindow struct {
	posted, suspense int64
	accounts         map[string]*modelAccount
}

type modelAccount struct{ granted, returned, remains int64 }

func newModelLeaser(now func() time.Time) *modelLeaser {
	return &modelLeaser{
		windows: map[record.Window]*modelWindow{}, recalled: map[string]time.Time{}, now: now,
		limits: map[record.Window]int64{},
	}
}

func (m *modelLeaser) window(w record.Window) *modelWindow {
	if m.windows[w] == nil {
		m.windows[w] = &modelWindow{accounts: map[string]*modelAccount{}}
	}
	return m.windows[w]
}

func (w *modelWindow) account(writer string) *modelAccount {
	if w.accounts[writer] == nil {
		w.accounts[writer] = &modelAccount{}
	}
	return w.accounts[writer]
}

func (w *modelWindow) held() (sum int64) {
	for _, a := range w.accounts {
		sum += a.remains
	}
	return sum
}

func (w *modelWindow) state() ledger.WindowState {
	return ledger.WindowState{Posted: w.posted, Held: w.held(), Suspense: w.suspense}
}

func (m *modelLeaser) Grant(_ context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.before != nil {
		if err := m.before(); err != nil {
			return nil, err
		}
	}
	reply := m.grant(r)
	if m.after != nil {
		if err := m.after(); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

func (m *modelLeaser) grant(r *ledger.GrantRequest) *ledger.GrantReply {
	reply := &ledger.GrantReply{State: ledger.Granted, Amounts: make([]int64, len(r.Wants))}
	if m.now().Before(m.frozen) {
		return &ledger.GrantReply{State: ledger.Frozen, Until: m.frozen}
	}
	seen := map[record.Window]bool{}
	for i := range r.Wants {
		want := &r.Wants[i]
		if seen[want.Window] {
			m.fail("window %v twice in one grant", want.Window)
		}
		seen[want.Window] = true
		w := m.window(want.Window)
		a := w.account(r.Writer)
		m.limits[want.Window] = max(m.limits[want.Window], want.Limit)
		m.take(a, want.Returned)
		reply.Amounts[i] = a.granted - want.Granted // of a lost reply
		if reply.Amounts[i] < 0 {
			m.fail("writer %s knows of %d, the ledger of %d", r.Writer, want.Granted, a.granted)
		}
		left := want.Limit - w.posted - w.held() - w.suspense
		if left < want.Min-reply.Amounts[i] && reply.State == ledger.Granted {
			reply.State, reply.Refused = ledger.Refused, i
		}
	}
	if reply.State == ledger.Refused {
		m.recalled[r.Root] = m.now()
	}
	for i := range r.Wants {
		want := &r.Wants[i]
		w := m.window(want.Window)
		a := w.account(r.Writer)
		if reply.State == ledger.Granted {
			left := want.Limit - w.posted - w.held() - w.suspense
			n := max(0, min(want.Ask-reply.Amounts[i], left))
			a.granted += n
			a.remains += n
			reply.Amounts[i] += n
		}
		reply.Windows = append(reply.Windows, w.state())
		m.check(want.Window)
	}
	return reply
}

// take hands in a total of returns.
func (m *modelLeaser) take(a *modelAccount, returned int64) {
	n := returned - a.returned
	if n < 0 {
		return // an older word
	}
	if n > a.remains {
		m.fail("%d returned of %d that remain", n, a.remains)
		n = a.remains
	}
	a.returned, a.remains = returned, a.remains-n
}

func (m *modelLeaser) Renew(_ context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.before != nil {
		if err := m.before(); err != nil {
			return nil, err
		}
	}
	reply := &ledger.RenewReply{Frozen: m.now().Before(m.frozen), Until: m.frozen}
	for _, told := range r.Accounts {
		w := m.window(told.Window)
		a := w.account(r.Writer)
		m.take(a, told.Returned)
		if r.Retire {
			a.remains = 0
		}
		reply.Windows = append(reply.Windows, w.state())
	}
	if at, called := m.recalled[r.Root]; called && m.now().Sub(at) < time.Second {
		reply.Recall = true
	}
	return reply, nil
}

// post applies what an attempt charges, as a ledger does.
func (m *modelLeaser) post(writer string, charges []record.Charge) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range charges {
		w := m.window(c.Window)
		a := w.account(writer)
		a.remains -= min(c.Amount, a.remains)
		if c.Suspense {
			w.suspense += c.Amount
		} else {
			w.posted += c.Amount
		}
		m.check(c.Window)
	}
}

func (m *modelLeaser) check(w record.Window) {
	s := m.window(w).state()
	if limit, known := m.limits[w]; known && limit != unlimited && s.Posted+s.Held+s.Suspense > limit {
		m.fail("%v: %+v is above %d", w, s, limit)
	}
}

func (m *modelLeaser) fail(format string, args ...any) {
	if m.broken == nil {
		m.broken = fmt.Errorf(format, args...)
	}
}

func (m *modelLeaser) state(w record.Window) ledger.WindowState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.window(w).state()
}

func (m *modelLeaser) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}
