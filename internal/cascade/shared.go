package cascade

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/share"
)

// maxCascades bounds the cascades that hints may make known, which are those of
// other gateways' configurations.
const maxCascades = 1000

// watchKept is how long the ledger keeps that a certificate was stepped back
// from: certificates are seldom older. Who stepped back tells it again at each
// start.
const watchKept = 90 * 24 * time.Hour

// guardKept is how long escalation rates are of use: twelve half-lives.
const guardKept = 12 * halfLife

// MarkSession notes that a session reached the escalation model, here and, with
// root's next batch, on the other gateways, where it wears off at the same time.
func (m *Memory) MarkSession(root, cascade string, s Mark) {
	if s.Session == (SessionKey{}) {
		return
	}
	m.Of(cascade).Sessions.Mark(s.Session, s.At)
	m.board.Put(root, share.Hint{
		Kind: share.Session, Key: joined(cascade, string(s.Session[:])),
		Value: millis(s.At), Until: s.At.Add(s.TTL),
	})
}

// Mark is a session that reached the escalation model.
type Mark struct {
	Session SessionKey
	At      time.Time
	TTL     time.Duration // after which it has worn off
}

// TellGuard tells other gateways what this one has counted for a cascade, and
// for a key of a tenant below root.
func (m *Memory) TellGuard(root, cascade, key string, now time.Time) {
	if m.board == nil {
		return
	}
	rates, minute, count := m.Of(cascade).Guard.own(key, now)
	m.board.Put(root, share.Hint{
		Kind: share.Guard, Key: joined(m.self, cascade),
		Value: millis(now) + float(rates.requests.sum) + float(rates.escalations.sum), Until: now.Add(guardKept),
	})
	if count > 0 {
		m.board.Put(root, share.Hint{
			Kind: share.Guard, Key: joined(m.self, cascade, key),
			Value: number(minute) + number(count), Until: time.Unix(60*(minute+1), 0),
		})
	}
}

// TellWatch tells other gateways how far the watch of a cascade has stepped back.
func (m *Memory) TellWatch(cascade string) {
	if m.board == nil {
		return
	}
	for _, s := range m.Of(cascade).Watch.Stepped() {
		m.board.Stand(share.Hint{
			Kind: share.Watch, Key: joined(cascade, s.Certificate), Value: number(int64(s.Steps)), Until: m.now().Add(watchKept),
		})
	}
}

// take merges a hint of another gateway. One that makes no sense is left out.
func (m *Memory) take(h share.Hint) {
	switch h.Kind {
	case share.Session:
		m.takeSession(h)
	case share.Guard:
		m.takeGuard(h)
	case share.Watch:
		m.takeWatch(h)
	}
}

func (m *Memory) takeSession(h share.Hint) {
	cascade, session, ok := strings.Cut(h.Key, "\x00")
	if s := m.told(cascade); ok && s != nil && len(session) == len(SessionKey{}) && len(h.Value) == 8 {
		at := parseMillis(h.Value)
		if now := m.now(); at.After(now) {
			at = now // its clock is ahead of ours
		}
		s.Sessions.Mark(SessionKey([]byte(session)), at)
	}
}

// takeWatch steps back as far as another gateway did: the lowest threshold wins.
func (m *Memory) takeWatch(h share.Hint) {
	cascade, certificate, ok := strings.Cut(h.Key, "\x00")
	if s := m.told(cascade); ok && s != nil && len(h.Value) == 8 {
		s.Watch.StepBack(Stepped{certificate, int(parseNumber(h.Value))})
	}
}

func (m *Memory) takeGuard(h share.Hint) {
	parts := strings.Split(h.Key, "\x00")
	if len(parts) < 2 || parts[0] == m.self {
		return
	}
	s := m.told(parts[1])
	switch {
	case s == nil:
	case len(parts) == 2 && len(h.Value) == 24:
		r := rates{told: parseMillis(h.Value)}
		at := r.told
		if now := m.now(); at.After(now) {
			at = now
		}
		r.requests = fading{parseFloat(h.Value[8:]), at}
		r.escalations = fading{parseFloat(h.Value[16:]), at}
		s.Guard.takeRates(parts[0], r)
	case len(parts) == 3 && len(h.Value) == 16:
		s.Guard.takeKey(parts[0], keyCount{key: parts[2], minute: parseNumber(h.Value), count: parseNumber(h.Value[8:])}, m.now())
	}
}

// told returns the state of a cascade that a hint names, nil when there are too
// many of them.
func (m *Memory) told(cascade string) *State {
	m.mu.Lock()
	_, known := m.states[cascade]
	full := len(m.states) >= maxCascades
	m.mu.Unlock()
	if !known && full {
		return nil
	}
	return m.Of(cascade)
}

// joined is the parts of a hint's key. Only the last may contain a zero byte.
func joined(parts ...string) string { return strings.Join(parts, "\x00") }

func number(n int64) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) } //nolint:gosec // back by parseNumber

func parseNumber(s string) int64 { return int64(binary.BigEndian.Uint64([]byte(s[:8]))) } //nolint:gosec // see number

func millis(t time.Time) string { return number(t.UnixMilli()) }

func parseMillis(s string) time.Time { return time.UnixMilli(parseNumber(s)) }

func float(x float64) string { return number(int64(math.Float64bits(x))) } //nolint:gosec // bits

func parseFloat(s string) float64 {
	x := math.Float64frombits(binary.BigEndian.Uint64([]byte(s[:8])))
	if x >= 0 && !math.IsInf(x, 1) {
		return x
	}
	return 0 // not a number, too
}
