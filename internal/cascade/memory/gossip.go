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

// The values of facts, as pack writes them. A session's is the time of its mark in
// Unix milliseconds, a watch's is the number of its steps back; both are an int64.
type (
	ratesValue struct {
		At                    int64 // Unix milliseconds
		Requests, Escalations float64
	}
	countValue struct{ Minute, Count int64 }
)

// MarkSession notes that a session reached the escalation model, here and, with
// root's next batch, on the other gateways, where it expires at the same time.
func (m *Store) MarkSession(root, cascade string, s Mark) {
	if s.Session == (SessionKey{}) {
		return
	}
	m.Of(cascade).Sessions.Mark(s.Session, s.At)
	m.board.Put(root, gossip.Fact{
		Kind: gossip.Session, Key: joined(cascade, string(s.Session[:])),
		Value: pack(s.At.UnixMilli()), Until: s.At.Add(s.TTL),
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
		Value: pack(ratesValue{now.UnixMilli(), rates.requests.sum, rates.escalations.sum}), Until: now.Add(guardKept),
	})
	if count > 0 {
		m.board.Put(root, gossip.Fact{
			Kind: gossip.Guard, Key: joined(m.self, cascade, key),
			Value: pack(countValue{minute, count}), Until: time.Unix(60*(minute+1), 0),
		})
	}
}

// ShareWatch sends other gateways how far the watch of a cascade has stepped back.
func (m *Store) ShareWatch(cascade string) {
	if m.board == nil {
		return
	}
	for _, s := range m.Of(cascade).Watch.Stepped() {
		m.board.Repeat(gossip.Fact{
			Kind: gossip.Watch, Key: joined(cascade, s.Certificate),
			Value: pack(int64(s.Steps)), Until: m.now().Add(watchKept),
		})
	}
}

// receive merges a fact of another gateway. One that makes no sense is ignored.
func (m *Store) receive(f gossip.Fact) {
	parts := strings.SplitN(f.Key, "\x00", 2)
	if len(parts) < 2 {
		return
	}
	switch f.Kind {
	case gossip.Session:
		m.receiveSession(parts[0], parts[1], f.Value)
	case gossip.Guard:
		if parts[0] != m.self {
			m.receiveGuard(parts[0], parts[1], f.Value)
		}
	case gossip.Watch:
		m.receiveWatch(parts[0], parts[1], f.Value)
	}
}

func (m *Store) receiveSession(cascade, session, value string) {
	var at int64
	if s := m.named(cascade); s != nil && len(session) == len(SessionKey{}) && unpack(value, &at) {
		s.Sessions.Mark(SessionKey([]byte(session)), m.past(time.UnixMilli(at)))
	}
}

// receiveWatch steps back as far as another gateway did: the lowest threshold wins.
func (m *Store) receiveWatch(cascade, certificate, value string) {
	var steps int64
	if s := m.named(cascade); s != nil && unpack(value, &steps) {
		s.Watch.StepBack(Stepped{certificate, int(steps)})
	}
}

// receiveGuard takes what another gateway has counted for a cascade, or for a key
// of it.
func (m *Store) receiveGuard(gateway, rest, value string) {
	cascade, key, ofKey := strings.Cut(rest, "\x00")
	s := m.named(cascade)
	if s == nil {
		return
	}
	var r ratesValue
	var c countValue
	switch {
	case ofKey && unpack(value, &c):
		s.Guard.receiveKey(gateway, keyCount{key, c.Minute, c.Count}, m.now())
	case !ofKey && unpack(value, &r):
		sent := time.UnixMilli(r.At)
		at := m.past(sent)
		s.Guard.receiveRates(gateway, rates{fading{sane(r.Requests), at}, fading{sane(r.Escalations), at}, sent})
	}
}

// past is a time by another gateway's clock, which may be ahead of ours.
func (m *Store) past(at time.Time) time.Time {
	if now := m.now(); at.After(now) {
		return now
	}
	return at
}

// sane is a count that another gateway sent, 0 when it can be none.
func sane(x float64) float64 {
	if x >= 0 && !math.IsInf(x, 1) {
		return x
	}
	return 0 // also for NaN
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

// pack writes the value of a fact: numbers of fixed size, big-endian.
func pack(v any) string {
	data, err := binary.Append(nil, binary.BigEndian, v)
	if err != nil {
		panic("BUG: a fact does not encode: " + err.Error())
	}
	return string(data)
}

// unpack reads what pack wrote. It reports false when the size is wrong.
func unpack(value string, v any) bool {
	n, err := binary.Decode([]byte(value), binary.BigEndian, v)
	return err == nil && n == len(value)
}
