package tenant

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const badBearer = "Authentication failed: Please make sure your API Key is valid."

// AuthRequest is the head of a request, as on the wire.
type AuthRequest struct {
	Method string
	Target string // raw, with the query
	// BasePath is what a proxy in front may have taken off the target that was
	// signed; "" for nothing.
	BasePath string
	// Authority is the raw Host field, or :authority.
	Authority string
	HTTP2     bool
	// Header holds every field that arrived, content-length too: any may be
	// signed. It must stay valid until Confirm.
	Header wire.Header
	// Remote is the address of the connection, without zone and as IPv4 where it is.
	Remote netip.Addr
	// Account is what the request holds in memory; nil counts nothing. It counts against
	// the key id that is claimed, and once that is proven against its tenant.
	Account *pool.Account
}

// Admission is a caller who may send a body. Only Confirm returns who it is.
type Admission struct {
	dir     *Directory
	key     *key
	at      time.Time
	from    netip.Addr
	account *pool.Account
	claim   *sigv4.Claim // nil: a bearer key, proven already
	request sigv4.Request
	prefix  string // that the signed path may have had; "" for none
}

// Admit checks what the head of a request can prove: a bearer key as a whole,
// and of Signature V4 the form, the time and the key id. It fails with
// KindMissingAuthentication without any credential, KindAccessDenied for a
// bearer key and KindInvalidSignature for a signature, also for one in the query of
// a bearer call. An unknown key id
// is refused by Confirm, with the message and in the time of a wrong signature, however
// large the body is: nobody learns which ids there are (E12).
func (d *Directory) Admit(r *AuthRequest, now time.Time) (*Admission, *wire.Error) {
	path, query, _ := strings.Cut(r.Target, "?")
	if r.Header.Count("authorization") == 1 {
		if token, ok := bearerToken(r.Header.Get("authorization")); ok {
			if err := sigv4.CheckQuery(query); err != nil {
				return nil, err
			}
			return d.admitBearer(token, r, now)
		}
	}
	claim, err := sigv4.Parse(r.Header, query)
	if err != nil {
		return nil, err
	}
	if err := claim.CheckTime(now); err != nil {
		return nil, err
	}
	a := &Admission{
		dir: d, key: d.find(claim.AccessKeyID), at: now, from: r.Remote, account: r.Account, claim: claim,
		request: sigv4.Request{
			Method: r.Method, Path: path, Query: query, Authority: r.Authority, HTTP2: r.HTTP2, Header: r.Header,
		},
	}
	r.Account.Claim(claim.AccessKeyID)
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, r.BasePath+"/") {
		a.prefix = r.BasePath
	}
	return a, nil
}

func (d *Directory) admitBearer(token string, r *AuthRequest, now time.Time) (*Admission, *wire.Error) {
	rest, _ := strings.CutPrefix(token, bearerPrefix)
	keyID, _, _ := strings.Cut(rest, "_")
	k := d.find(keyID)
	var room [128]byte
	sum := sha256.Sum256(append(room[:0], token...))
	if subtle.ConstantTimeCompare(sum[:], k.bearer[:]) != 1 || k.identity == nil {
		return nil, &wire.Error{Kind: wire.KindAccessDenied, Message: badBearer}
	}
	if err := d.pass(k, now, r.Remote); err != nil {
		return nil, err
	}
	r.Account.Prove(k.identity.Tenant.ID)
	return &Admission{dir: d, key: k, at: now, from: r.Remote}, nil
}

// Confirm verifies the caller with the whole body, or nil for none, and returns
// who it is. It fails with KindInvalidSignature; with KindServiceUnavailable when the
// tenant already holds its share of the memory; and with KindAccessDenied for a key
// that may not be used, now or from where it is. What was done to the key since the
// head was read, while its body came, counts.
func (a *Admission) Confirm(body []byte) (*Identity, *wire.Error) {
	if a.claim != nil {
		if err := a.verify(body); err != nil {
			return nil, err
		}
	}
	if a.key.identity == nil {
		return nil, a.unknown()
	}
	if a.key.under != a.dir.overlay() {
		if a.key = a.dir.find(a.key.identity.KeyID); a.key.identity == nil {
			return nil, a.unknown()
		}
	}
	if err := a.dir.pass(a.key, a.at, a.from); err != nil {
		return nil, err
	}
	a.dir.touch(a.key, a.at)
	if a.claim != nil && !a.account.Prove(a.key.identity.Tenant.ID) {
		return nil, &wire.Error{
			Kind:             wire.KindServiceUnavailable,
			Message:          "The tenant's requests are holding as many bytes as they may. Try again.",
			RetryAfterMillis: pool.Patience.Milliseconds(),
		}
	}
	return a.key.identity, nil
}

// verify checks the signature over the body.
func (a *Admission) verify(body []byte) *wire.Error {
	a.request.BodyHash = sha256.Sum256(body)
	err := a.key.secret.Verify(a.claim, &a.request)
	if err != nil && a.prefix != "" { // the same operation with the prefix, and so no way around anything
		a.request.Path = a.prefix + a.request.Path
		err = a.key.secret.Verify(a.claim, &a.request)
	}
	return err
}

// unknown is the refusal of a key that does not exist, or no more.
func (a *Admission) unknown() *wire.Error {
	if a.claim == nil {
		return &wire.Error{Kind: wire.KindAccessDenied, Message: badBearer}
	}
	return &wire.Error{Kind: wire.KindInvalidSignature, Message: sigv4.Mismatch}
}

// BodyHash is the SHA-256 of the body that Confirm got, nil when the credential is
// not about the body.
func (a *Admission) BodyHash() *[sha256.Size]byte {
	if a.claim == nil {
		return nil
	}
	return &a.request.BodyHash
}

// bearerToken reads "Bearer TOKEN"; the scheme's case does not matter (RFC 9110).
func bearerToken(value string) (string, bool) {
	scheme, token, ok := strings.Cut(value, " ")
	return strings.Trim(token, " "), ok && strings.EqualFold(scheme, "bearer")
}
