package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
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

	mu   sync.Mutex
	keys map[keyOf][sha256.Size]byte // at most maxKeys
}

// keyOf is what a signing key depends on beside region and service.
type keyOf struct{ secret, day string }

// maxKeys bounds the derived keys that a signer keeps. One per role in use is
// needed; temporary credentials and the change of day leave old ones behind.
const maxKeys = 64

// New returns a signer for the region and service.
func New(region, service string) *Signer {
	return &Signer{region: region, service: service, keys: make(map[keyOf][sha256.Size]byte)}
}

// Sign returns the fields to add to the request: x-amz-date, authorization,
// x-amz-security-token when the credentials have one, and x-amz-content-sha256
// when asked for. It signs every field of the request's header but those that
// something on the way may change.
func (s *Signer) Sign(req *Request, creds Credentials, now time.Time) wire.Header {
	stamp := now.UTC().Format(stampLayout)
	fields := make(wire.Header, 0, len(req.Header)+4)
	fields = append(fields, wire.Field{Name: fieldDate, Value: stamp})
	if creds.SessionToken != "" {
		fields = append(fields, wire.Field{Name: fieldToken, Value: creds.SessionToken})
	}
	if req.SendBodyHash {
		fields = append(fields, wire.Field{Name: fieldBodyHash, Value: hex.EncodeToString(req.BodyHash[:])})
	}
	added := len(fields)
	fields = append(fields, req.Header...)
	d := draft{
		req:    req,
		fields: fields,
		names:  namesToSign(fields),
		stamp:  stamp,
		scope:  scope{stamp[:dayLength], s.region, s.service},
	}
	signature := d.sign(s.key(creds.SecretAccessKey, d.scope))
	value := d.authorization(creds.AccessKeyID, signature)
	return append(fields[:added], wire.Field{Name: fieldAuthorization, Value: value})
}

func (d *draft) authorization(keyID string, signature [sha256.Size]byte) string {
	var room [512]byte
	b := append(append(room[:0], algorithm...), " Credential="...)
	b = append(append(b, keyID...), '/')
	b = append(d.scope.appendTo(b), ", SignedHeaders="...)
	b = append(appendJoined(b, d.names), ", Signature="...)
	return string(hex.AppendEncode(b, signature[:]))
}

func (s *Signer) key(secret string, sc scope) [sha256.Size]byte {
	of := keyOf{secret, sc.day}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[of]; ok {
		return key
	}
	if len(s.keys) >= maxKeys {
		clear(s.keys)
	}
	key := sc.key(secret)
	s.keys[of] = key
	return key
}

func namesToSign(fields wire.Header) []string {
	names := make([]string, 1, len(fields)+1)
	names[0] = nameHost
	for _, f := range fields {
		if name := strings.ToLower(f.Name); !changesOnTheWay(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
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
