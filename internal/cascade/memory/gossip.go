package memory

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
)

// maxCascades bounds the cascades that facts of other gateways may add, which
// need not be in the configuration here.
const maxCascades = 1000

// watchKept is how long the ledger keeps that a certificate was stepped back
// from: certificates are seldom older. The gateway that stepped back shares it
// again at each start.
const watchKept = 90 * 24 * time.Hour

// guardKept is how long escalation rates are useful: twelve half-lives.
const guardKept = 12 * halfLife

// MarkSession notes that a session reached the escalation model, here and, with
// root's next batch, on the other gateways, where it expires at the same time.
func (m *Store) MarkSession(root, cascade string, s Mark) {
	if s.Session == (SessionKey{}) {
		return
	}
	m.Of(cascade).Sessions.Mark(s.Session, s.At)
	m.board.Put(root, gossip.Fact{
		Kind: gossip.Session, Key: joined(cascade, string(s.Session[:])),
		Value: millis(s.At), Until: s.At.Add(s.TTL),
	})
}

// Mark is a session that reached the escalation model.
type Mark struct {
	Session SessionKey
	At      time.Time
	TTL     time.Duration // after which it expires
}

// ShareGuard sends other gateways what this one has counted for a cascade, and
// for a key of a tenant below root.
func (m *Store) ShareGuard(root, cascade, key string, now time.Time) {
	if m.board == nil {
		return
	}
	rates, minute, count := m.Of(cascade).Guard.own(key, now)
	m.board.Put(root, gossip.Fact{
		Kind: gossip.Guard, Key: joined(m.self, cascade),
		Value: millis(now) + float(rates.requests.sum) + float(rates.escalations.sum), Until: now.Add(guardKept),
	})
	if count > 0 {
		m.board.Put(root, gossip.Fact{
			Kind: gossip.Guard, Key: joined(m.self, cascade, key),
			Value: number(minute) + number(count), Until: time.Unix(60*(minute+1), 0),
		})
	}
}

// ShareWatch sends other gateways how far the watch of a cascade has stepped back.
func (m *Store) ShareWatch(cascade string) {
	if m.board == nil {
		return
	}
	for _, s := range m.Of(cascade).Watch.Stepped() {
		m.board.Stand(gossip.Fact{
			Kind: gossip.Watch, Key: joined(cascade, s.Certificate), Value: number(int64(s.Steps)), Until: m.now().Add(watchKept),
		})
	}
}

// receive merges a fact of another gateway. One that makes no sense is ignored.
func (m *Store) receive(h gossip.Fact) {
	switch h.Kind {
	case gossip.Session:
		m.receiveSession(h)
	case gossip.Guard:
		m.receiveGuard(h)
	case gossip.Watch:
		m.receiveWatch(h)
	}
}

func (m *Store) receiveSession(h gossip.Fact) {
	cascade, session, ok := strings.Cut(h.Key, "\x00")
	if s := m.named(cascade); ok && s != nil && len(session) == len(SessionKey{}) && len(h.Value) == 8 {
		at := parseMillis(h.Value)
		if now := m.now(); at.After(now) {
			at = now // its clock is ahead of ours
		}
		s.Sessions.Mark(SessionKey([]byte(session)), at)
	}
}

// receiveWatch steps back as far as another gateway did: the lowest threshold wins.
func (m *Store) receiveWatch(h gossip.Fact) {
	cascade, certificate, ok := strings.Cut(h.Key, "\x00")
	if s := m.named(cascade); ok && s != nil && len(h.Value) == 8 {
		s.Watch.StepBack(Stepped{certificate, int(parseNumber(h.Value))})
	}
}

func (m *Store) receiveGuard(h gossip.Fact) {
	parts := strings.Split(h.Key, "\x00")
	if len(parts) < 2 || parts[0] == m.self {
		return
	}
	s := m.named(parts[1])
	switch {
	case s == nil:
	case len(parts) == 2 && len(h.Value) == 24:
		r := rates{sent: parseMillis(h.Value)}
		at := r.sent
		if now := m.now(); at.After(now) {
			at = now
		}
		r.requests = fading{parseFloat(h.Value[8:]), at}
		r.escalations = fading{parseFloat(h.Value[16:]), at}
		s.Guard.receiveRates(parts[0], r)
	case len(parts) == 3 && len(h.Value) == 16:
		c := keyCount{key: parts[2], minute: parseNumber(h.Value), count: parseNumber(h.Value[8:])}
		s.Guard.receiveKey(parts[0], c, m.now())
	}
}

// named returns the state of a cascade that a fact names, nil when there are too
// many of them.
func (m *Store) named(cascade string) *State {
	m.mu.Lock()
	_, known := m.states[cascade]
	full := len(m.states) >= maxCascades
	m.mu.Unlock()
	if !known && full {
		return nil
	}
	return m.Of(cascade)
}

// joined is the key of a fact. Only the last part may contain a zero byte.
func joined(parts ...string) string { return strings.Join(parts, "\x00") }

// number is n in 8 bytes, the most significant first.
func number(n int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // parseNumber turns it back
}

func parseNumber(s string) int64 {
	return int64(binary.BigEndian.Uint64([]byte(s[:8]))) //nolint:gosec // see number
}

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
