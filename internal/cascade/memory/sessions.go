package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxSessions bounds the conversations that are remembered of one cascade; the
// one with the oldest mark is forgotten first.
const maxSessions = 100_000

// SessionHeader is the header in which a caller may name the session.
const SessionHeader = "x-sluice-session"

// SessionKey identifies a conversation of a cascade. The zero value is none.
type SessionKey [16]byte

// SessionOf returns the key of a request's session: the caller's own name for it,
// otherwise a hash of system prompt and first user message, always within one
// credential. A first message alone is no session yet: many callers send the same
// one.
func SessionOf(credential, named string, f *wire.Facts) SessionKey {
	if named == "" && (f.Turns < 2 || f.FirstUserHash == 0) {
		return SessionKey{}
	}
	return sessionKey(credential, named, f)
}

// BegunBy returns the key that the next request of this session will have, also
// when this request is its first.
func BegunBy(credential, named string, f *wire.Facts) SessionKey {
	if named == "" && f.FirstUserHash == 0 {
		return SessionKey{}
	}
	return sessionKey(credential, named, f)
}

func sessionKey(credential, named string, f *wire.Facts) SessionKey {
	var room [256]byte // on the stack, enough for most
	text := append(append(room[:0], credential...), 0)
	if named != "" {
		text = append(text, named...)
	} else {
		text = binary.BigEndian.AppendUint64(append(text, 0), f.SystemHash)
		text = binary.BigEndian.AppendUint64(text, f.FirstUserHash)
	}
	hash := sha256.Sum256(text)
	return SessionKey(hash[:len(SessionKey{})])
}

// Sessions remembers which conversations reached the escalation model, so that
// they stay there: a change of model in the middle changes the tone and loses
// the prompt cache. A mark expires, counted from the last time that something
// other than the session decided. The zero value is ready; it is safe for
// concurrent use.
type Sessions struct {
	mu    sync.Mutex                            // guards the following
	marks *simplelru.LRU[SessionKey, time.Time] // nil without any
}

// Reached reports whether the session reached the escalation model less than
// ttl ago.
func (s *Sessions) Reached(k SessionKey, ttl time.Duration, now time.Time) bool {
	if k == (SessionKey{}) || ttl <= 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		return false
	}
	at, ok := s.marks.Peek(k)
	return ok && now.Sub(at) < ttl
}

// Mark notes when the session reached the escalation model. The latest time
// counts: marks of other gateways come late, and more than once.
func (s *Sessions) Mark(k SessionKey, at time.Time) {
	if k == (SessionKey{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		s.marks, _ = simplelru.NewLRU[SessionKey, time.Time](maxSessions, nil) // it fails on sizes below 1 only
	}
	if before, ok := s.marks.Peek(k); !ok || at.After(before) {
		s.marks.Add(k, at)
	}
}
