package tenant

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	keyIDPrefix   = "SLK"
	bearerPrefix  = "slk_"
	versionLength = 5
	randomBytes   = 10 // 16 characters of base32
	keyIDLength   = len(keyIDPrefix) + versionLength + randomBytes*8/5
	secretBytes   = 32
)

// Why a key id has no credentials.
var (
	// ErrKeyID is an id that Sluice did not issue.
	ErrKeyID = errors.New("not a key id")
	// ErrGeneration is an id whose root secret is not loaded.
	ErrGeneration = errors.New("no root secret of the key's generation is loaded")
)

// Credentials are what the holder of one key needs, in both styles. They derive
// from the root secret, so the same id always has the same ones.
type Credentials struct {
	KeyID string
	// Bearer goes into "Authorization: Bearer", or AWS_BEARER_TOKEN_BEDROCK.
	Bearer string
	// AccessKeyID is KeyID; with SecretAccessKey it is an AWS key pair.
	AccessKeyID, SecretAccessKey string
}

// Secrets derives credentials from the root secret, and from the previous one
// during a rotation. Make it with LoadSecrets; it is immutable.
type Secrets struct {
	generations []generation // the current one first
}

// generation is one root secret.
type generation struct {
	root    []byte
	version string // as part of key ids
}

func newGeneration(root []byte) generation {
	g := generation{root: root}
	g.version = base32.StdEncoding.EncodeToString(g.derive("generation", ""))[:versionLength]
	return g
}

// derive returns 32 bytes by HKDF-SHA256 (RFC 5869), without a salt. The purpose
// separates the uses.
func (g *generation) derive(purpose, keyID string) []byte {
	out, err := hkdf.Key(sha256.New, g.root, nil, "sluice v1 "+purpose+" "+keyID, secretBytes)
	if err != nil {
		panic("BUG: HKDF refused a constant length: " + err.Error())
	}
	return out
}

func (g *generation) credentials(keyID string) Credentials {
	return Credentials{
		KeyID:           keyID,
		Bearer:          bearerPrefix + keyID + "_" + encodeSecret(g.derive("bearer", keyID)),
		AccessKeyID:     keyID,
		SecretAccessKey: encodeSecret(g.derive("secret access key", keyID)),
	}
}

// encodeSecret encodes a secret in characters that are safe in shells, URLs and
// headers.
func encodeSecret(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// Fingerprint identifies the current root secret and is safe to store: 32
// hexadecimal digits, which do not reveal the secret unless it can be guessed.
func (s *Secrets) Fingerprint() string { return s.generations[0].fingerprint() }

// PreviousFingerprint identifies the previous root secret during a rotation, ""
// outside of one.
func (s *Secrets) PreviousFingerprint() string {
	if len(s.generations) < 2 {
		return ""
	}
	return s.generations[1].fingerprint()
}

func (g generation) fingerprint() string { return hex.EncodeToString(g.derive("fingerprint", "")[:16]) }

// Seal implements keys.Sealer: the version of the current root secret's generation, a
// colon, and an HMAC-SHA256 by a key that derives from it.
func (s *Secrets) Seal(text []byte) string { return s.generations[0].seal(text) }

// Sealed implements keys.Sealer.
func (s *Secrets) Sealed(text []byte, seal string) (ok, loaded bool) {
	version, _, _ := strings.Cut(seal, ":")
	for i := range s.generations {
		if g := &s.generations[i]; g.version == version {
			return hmac.Equal([]byte(g.seal(text)), []byte(seal)), true
		}
	}
	return false, false
}

func (g *generation) seal(text []byte) string {
	m := hmac.New(sha256.New, g.derive("key acts", ""))
	m.Write(text)
	return g.version + ":" + hex.EncodeToString(m.Sum(nil))
}

// NewKeyID issues a key id under the current root secret: 24 characters A-Z and
// 2-7, of which the first eight name Sluice and the root secret's generation and
// 16 are random. It fails when random does.
func (s *Secrets) NewKeyID(random io.Reader) (string, error) {
	var b [randomBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("new key id: %w", err)
	}
	return keyIDPrefix + s.generations[0].version + base32.StdEncoding.EncodeToString(b[:]), nil
}

// Credentials derives the credentials of a key id. It fails with ErrKeyID or
// ErrGeneration.
func (s *Secrets) Credentials(keyID string) (Credentials, error) {
	if !IsKeyID(keyID) {
		return Credentials{}, ErrKeyID
	}
	g := s.generation(keyID)
	if g == nil {
		return Credentials{}, ErrGeneration
	}
	return g.credentials(keyID), nil
}

// generation is the one that a key id was issued under, nil when it is neither the
// current nor the previous one.
func (s *Secrets) generation(keyID string) *generation {
	version := keyID[len(keyIDPrefix):][:versionLength]
	i := slices.IndexFunc(s.generations, func(g generation) bool { return g.version == version })
	if i < 0 {
		return nil
	}
	return &s.generations[i]
}

// IsKeyID reports whether a text has the form of a key id that Sluice issues.
func IsKeyID(s string) bool {
	if len(s) != keyIDLength || !strings.HasPrefix(s, keyIDPrefix) {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
