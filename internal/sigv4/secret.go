package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Secret is a secret access key together with the signing key that its holder used
// last: deriving one costs four HMACs, and a caller signs for one region all day.
// It is safe for concurrent use and must not be copied.
type Secret struct {
	value string
	last  atomic.Pointer[derived]
}

// derived is the signing key of a scope.
type derived struct {
	scope scope
	key   [sha256.Size]byte
}

// NewSecret returns the secret access key with this value.
func NewSecret(value string) *Secret { return &Secret{value: value} }

// Verify checks a claim against the request that carried it. It fails with
// KindInvalidSignature and one message, whatever did not match. CheckTime is the
// caller's.
//
// How long a refusal takes depends neither on how much of the signature is right
// nor on whether the key is known or in use: every refusal has tried a kept key,
// or none in its place, and then derived the key anew. Only who knows the secret
// is spared that.
func (s *Secret) Verify(c *Claim, req *Request) *wire.Error {
	d := draft{
		req:    req,
		fields: req.Header,
		names:  c.SignedHeaders,
		stamp:  c.Stamp,
		scope:  scope{c.Date, c.Region, c.Service},
	}
	text, _ := texts.Get().(*signedText)
	defer texts.Put(text)
	text.set(&d)
	fits := c.fits(req)
	if s.kept(c, d.scope, text) && fits {
		return nil
	}
	key := d.scope.key(s.value)
	want := text.mac(&key)
	if !hmac.Equal(want[:], c.Signature[:]) || !fits {
		return &wire.Error{Kind: wire.KindInvalidSignature, Message: Mismatch}
	}
	s.last.Store(&derived{d.scope.clone(), key}) // the claim's strings are parts of the request
	return nil
}

// kept reports whether the claim is signed with the kept key.
func (s *Secret) kept(c *Claim, of scope, text *signedText) bool {
	var none derived
	last := s.last.Load()
	known := last != nil && last.scope == of
	if !known {
		last = &none
	}
	want := text.mac(&last.key)
	return hmac.Equal(want[:], c.Signature[:]) && known
}

// Verify is Secret.Verify for a secret that is used once.
func (c *Claim) Verify(req *Request, secret string) *wire.Error {
	return NewSecret(secret).Verify(c, req)
}

// signedText is the text that is signed, behind room for one block of SHA-256.
type signedText struct{ bytes []byte }

var texts = sync.Pool{New: func() any { return &signedText{make([]byte, sha256.BlockSize, 1<<10)} }}

func (t *signedText) set(d *draft) { t.bytes = d.appendToSign(t.bytes[:sha256.BlockSize]) }

// mac is the HMAC-SHA256 of the text (RFC 2104), without the seven allocations of
// crypto/hmac. The key is shorter than a block.
func (t *signedText) mac(key *[sha256.Size]byte) [sha256.Size]byte {
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		t.bytes[i], outer[i] = 0x36, 0x5c
	}
	for i, k := range key {
		t.bytes[i] ^= k
		outer[i] ^= k
	}
	inner := sha256.Sum256(t.bytes)
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}
