// Package signin finds out who asks the admin port: by the admin token, by a tenant's own
// key, or by an identity provider. It says which tenants and which acts that person has a
// right to. A link has none: every request brings a credential or the cookie of a session.
package signin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Role is what somebody may do.
type Role string

// The roles, each with the rights of those before it.
const (
	Viewer   Role = config.RoleViewer   // sees figures
	KeyAdmin Role = config.RoleKeyAdmin // acts on keys
	Admin    Role = config.RoleAdmin    // everything
)

// Who is somebody who has signed in. The zero value may see nothing.
type Who struct {
	Name string // as the audit log has it
	// Tenant is the tenant whose subtree may be seen, "" for all if All is set.
	Tenant string
	All    bool
	Role   Role
	// Session is the sealed cookie, "" for a request that brought its credential itself.
	Session string
}

// Sees reports whether figures of a tenant may be seen; "" is all tenants together.
func (w *Who) Sees(of string) bool {
	if w.Role != Viewer && w.Role != KeyAdmin && w.Role != Admin {
		return false
	}
	return w.All || w.Tenant != "" && of != "" && record.Within(of, w.Tenant)
}

// Home is the tenant whose figures are shown first, "" for all.
func (w *Who) Home() string { return w.Tenant }

// ActsOnKeys reports whether keys of the tenants that may be seen may be acted on.
func (w *Who) ActsOnKeys() bool { return w.Role == KeyAdmin || w.Role == Admin }

// Sealer proves later that a text is our own.
type Sealer interface {
	Seal(text []byte) string
	Sealed(text []byte, seal string) (ok, loaded bool)
	Credentials(keyID string) (tenant.Credentials, error)
}

// Desk lets people in. All fields but Calls must be set. It is safe for concurrent use.
type Desk struct {
	Sealer  Sealer
	Config  func() *config.Admin // in use now
	Tenants func() *tenant.Directory
	Now     func() time.Time
	// Calls are how the identity provider is reached; nil is http.DefaultTransport.
	Calls http.RoundTripper

	provider provider
}

// Why somebody is not let in.
var (
	// ErrNobody is a request without a credential.
	ErrNobody = errors.New("sign in first")
	// ErrRefused is a credential that is not, or no longer, one.
	ErrRefused = errors.New("this is neither the admin token nor a key that may be used now")
	// ErrHost is a request to a port without a token under a name that is not this machine's,
	// or of a caller who is not on it.
	ErrHost = errors.New("without admin.token this port answers only callers on its machine, under the name localhost")
)

// Identify returns who asks. It fails with ErrNobody, ErrRefused or ErrHost.
func (d *Desk) Identify(r *http.Request) (*Who, error) {
	if given := r.Header.Get("Authorization"); given != "" {
		scheme, credential, _ := strings.Cut(given, " ")
		if scheme == gatewayScheme {
			return d.byGateway(credential, r)
		}
		if !strings.EqualFold(scheme, "bearer") {
			return nil, ErrRefused
		}
		who, _, err := d.byCredential(strings.TrimSpace(credential), r)
		return who, err
	}
	if c, err := r.Cookie(cookieName); err == nil && c.Value != "" {
		if who, err := d.bySession(c.Value, r); err == nil || !d.open() {
			return who, err
		}
	}
	if !d.open() {
		return nil, ErrNobody
	}
	if !isLocal(r.Host) || !remote(r).IsLoopback() {
		return nil, ErrHost
	}
	return &Who{Name: "anybody on this machine", All: true, Role: Viewer}, nil
}

// open reports whether everybody who reaches the port may look: it is on a loopback address
// then.
func (d *Desk) open() bool { c := d.Config(); return c.Token == "" && c.OIDC == nil }

// isLocal keeps pages of other sites out, whose names may resolve to a loopback address.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// byCredential knows the admin token, whose keyID is "", and the keys of tenants.
func (d *Desk) byCredential(credential string, r *http.Request) (who *Who, keyID string, err error) {
	if token := d.Config().Token; token != "" {
		want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(credential))
		if subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
			return &Who{Name: "admin token", All: true, Role: Admin}, "", nil
		}
	}
	return d.byKey(credential, r)
}

// remote is the address of who asks.
func remote(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap()
}

// byKey lets the holder of a key look at the key's tenant and those below it.
func (d *Desk) byKey(bearer string, r *http.Request) (who *Who, keyID string, err error) {
	a, refused := d.Tenants().Admit(&tenant.AuthRequest{
		Header: wire.Header{{Name: "authorization", Value: "Bearer " + bearer}},
		Remote: remote(r),
	}, d.Now())
	if refused != nil {
		return nil, "", ErrRefused
	}
	identity, refused := a.Confirm(nil)
	if refused != nil {
		return nil, "", ErrRefused
	}
	return &Who{Name: "key " + identity.KeyID, Tenant: identity.Tenant.ID, Role: Viewer}, identity.KeyID, nil
}
