package meter

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var errAway = errors.New("ledger is away")

// modelLedger is the ledger's contract in a few lines, with faults.
type modelLedger struct {
	mu    sync.Mutex
	state modelState
	calls int
	// before and after a call may return an error: the call is then not done, or
	// done with the reply lost.
	before, after func(call int) error
}

type modelState struct {
	marks map[record.Partition]uint64
	epoch map[string]uint64
	rows  map[record.Partition]map[record.RowKey]record.Counters
	// windows are what was posted to budgets.
	windows map[record.Partition]map[chargeKey]int64
}

func newModelLedger() *modelLedger {
	return &modelLedger{state: modelState{
		map[record.Partition]uint64{}, map[string]uint64{}, map[record.Partition]map[record.RowKey]record.Counters{},
		map[record.Partition]map[chargeKey]int64{},
	}}
}

func (s modelState) clone() modelState {
	rows := map[record.Partition]map[record.RowKey]record.Counters{}
	for l, r := range s.rows {
		rows[l] = maps.Clone(r)
	}
	windows := map[record.Partition]map[chargeKey]int64{}
	for l, w := range s.windows {
		windows[l] = maps.Clone(w)
	}
	return modelState{maps.Clone(s.marks), maps.Clone(s.epoch), rows, windows}
}

func (m *modelLedger) Apply(_ context.Context, b *ledger.Batch) (ledger.Reply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.before != nil {
		if err := m.before(m.calls); err != nil {
			return ledger.Reply{}, err
		}
	}
	wm, err := m.apply(b)
	if m.after != nil && err == nil {
		if err := m.after(m.calls); err != nil {
			return ledger.Reply{}, err
		}
	}
	return ledger.Reply{Watermark: wm}, err
}

func (m *modelLedger) apply(b *ledger.Batch) (uint64, error) {
	if b.Empty() {
		return m.state.marks[record.Partition{Writer: b.Writer, Root: b.Root}], nil
	}
	sums, err := b.Sums(nil)
	if err != nil {
		return 0, err
	}
	if b.Epoch < m.state.epoch[b.Writer] {
		return 0, ledger.ErrFenced
	}
	m.state.epoch[b.Writer] = b.Epoch
	l := record.Partition{Writer: b.Writer, Root: b.Root}
	if b.From != m.state.marks[l]+1 {
		return m.state.marks[l], nil
	}
	if m.state.rows[l] == nil {
		m.state.rows[l] = map[record.RowKey]record.Counters{}
	}
	for key, add := range sums {
		sum, _ := m.state.rows[l][key].Plus(add)
		m.state.rows[l][key] = sum
	}
	if m.state.windows[l] == nil {
		m.state.windows[l] = map[chargeKey]int64{}
	}
	for _, p := range b.Postings {
		addCharges(m.state.windows[l], p.Charges)
	}
	m.state.marks[l] = b.To
	return b.To, nil
}

func (m *modelLedger) Watermark(_ context.Context, writer, root string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.before != nil {
		if err := m.before(m.calls); err != nil {
			return 0, err
		}
	}
	return m.state.marks[record.Partition{Writer: writer, Root: root}], nil
}

func (m *modelLedger) Fingerprint(context.Context, string) error { return nil }

func (m *modelLedger) set(change func(*modelLedger)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// total is the sum over all partitions and rows.
func (m *modelLedger) rows() map[record.RowKey]record.Counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[record.RowKey]record.Counters{}
	for _, rows := range m.state.rows {
		for key, c := range rows {
			all[key], _ = all[key].Plus(c)
		}
	}
	return all
}

// chargeKey is one of the two sums of a window.
type chargeKey struct {
	record.Window
	suspense bool
}

func addCharges(to map[chargeKey]int64, charges []record.Charge) {
	for _, c := range charges {
		to[chargeKey{c.Window, c.Suspense}] += c.Amount
	}
}

// budgets are the sums of windows over all partitions, without zeros.
func (m *modelLedger) budgets() map[chargeKey]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[chargeKey]int64{}
	for _, windows := range m.state.windows {
		for key, n := range windows {
			all[key] += n
		}
	}
	return withoutZeros(all)
}

func withoutZeros(sums map[chargeKey]int64) map[chargeKey]int64 {
	maps.DeleteFunc(sums, func(_ chargeKey, n int64) bool { return n == 0 })
	return sums
}
