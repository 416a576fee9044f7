package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Credentials are what Sign signs with. SessionToken is empty for a long-term
// key pair.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Signer signs requests for one service in one region. It is safe for
// concurrent use and must not be copied.
type Signer struct {
	region, service string

	mu     sync.Mutex            // guards the following
	keys   map[keyOf]*signingKey // at most maxKeys
	second int64                 // of stamp
	stamp  string
}

// signingKey is a derived key. Its HMACs are kept, because making one costs more
// than the signature.
type signingKey struct{ macs sync.Pool }

func newSigningKey(key [sha256.Size]byte) *signingKey {
	return &signingKey{sync.Pool{New: func() any { return &keyedMAC{Hash: hmac.New(sha256.New, key[:])} }}}
}

// keyedMAC is an HMAC of one key with the memory that a signature takes. On the stack it would have the goroutine of
// each caller grow to twice its size.
type keyedMAC struct {
	hash.Hash
	sum    [sha256.Size]byte
	text   []byte
	fields wire.Header
	names  []string
}

// forget leaves the memory and nothing of the request in it.
func (m *keyedMAC) forget() {
	clear(m.fields)
	clear(m.names)
}

// keyOf is what a signing key depends on beside region and service.
type keyOf struct{ secret, day string }

// maxKeys bounds the derived keys that a signer keeps. One per role in use is
// needed; temporary credentials and the change of day leave old ones behind.
const maxKeys = 64

// New returns a signer for the region and service.
func New(region, service string) *Signer {
	return &Signer{region: region, service: service, keys: make(map[keyOf]*signingKey)}
}

// Sign appends to added, which may be nil, the fields to add to the request:
// x-amz-date, authorization, x-amz-security-token when the credentials have one,
// and x-amz-content-sha256 when asked for. It signs every field of the request's header but those that
// something on the way may change.
func (s *Signer) Sign(added wire.Header, req *Request, creds Credentials, now time.Time) wire.Header {
	stamp, key := s.prepared(creds.SecretAccessKey, now.UTC())
	before := len(added)
	added = append(added, wire.Field{Name: fieldDate, Value: stamp})
	if creds.SessionToken != "" {
		added = append(added, wire.Field{Name: fieldToken, Value: creds.SessionToken})
	}
	if req.SendBodyHash {
		added = append(added, wire.Field{Name: fieldBodyHash, Value: hex.EncodeToString(req.BodyHash[:])})
	}
	m, _ := key.macs.Get().(*keyedMAC)
	defer key.macs.Put(m)
	defer m.forget()
	m.fields = append(append(m.fields[:0], added[before:]...), req.Header...)
	m.names = appendNamesToSign(m.names[:0], m.fields)
	d := draft{req, m.fields, m.names, stamp, scope{stamp[:dayLength], s.region, s.service}}
	m.Reset()
	m.text = d.appendToSign(m.text[:0])
	m.Write(m.text)
	value := d.authorization(creds.AccessKeyID, m.Sum(m.sum[:0]))
	return append(added, wire.Field{Name: fieldAuthorization, Value: value})
}

func (d *draft) authorization(keyID string, signature []byte) string {
	var room [512]byte
	b := append(append(room[:0], algorithm...), " Credential="...)
	b = append(append(b, keyID...), '/')
	b = append(d.scope.appendTo(b), ", SignedHeaders="...)
	b = append(appendJoined(b, d.names), ", Signature="...)
	return string(hex.AppendEncode(b, signature))
}

// prepared returns the time as requests have it and the key of its day.
func (s *Signer) prepared(secret string, now time.Time) (string, *signingKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); s.stamp == "" || second != s.second {
		s.second, s.stamp = second, now.Format(stampLayout)
	}
	of := keyOf{secret, s.stamp[:dayLength]}
	if key, ok := s.keys[of]; ok {
		return s.stamp, key
	}
	if len(s.keys) >= maxKeys {
		clear(s.keys)
	}
	key := newSigningKey(scope{of.day, s.region, s.service}.key(secret))
	s.keys[of] = key
	return s.stamp, key
}

// appendNamesToSign appends the names of the fields to sign, and host's, as they
// are signed: in lower case, sorted, each once.
func appendNamesToSign(names []string, fields wire.Header) []string {
	names = append(names, nameHost)
	for _, f := range fields {
		if name := lowerName(f.Name); !changesOnTheWay(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// usual are the names that need no copy in lower case.
var usual = []string{"content-type", "accept", fieldDate, fieldToken, fieldBodyHash, "traceparent", "x-amzn-trace-id",
	"tracestate", "x-amzn-bedrock-request-metadata", "x-amzn-bedrock-service-tier"}

func lowerName(name string) string {
	for _, lower := range usual {
		if len(lower) == len(name) && strings.EqualFold(lower, name) {
			return lower
		}
	}
	return strings.ToLower(name)
}

// changesOnTheWay reports whether a proxy or the connection itself may set the
// field anew. The list is the Go SDK's and connection.
func changesOnTheWay(name string) bool {
	switch name {
	case fieldAuthorization, "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id":
		return true
	}
	return false
}
