package tenant

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

var (
	now  = time.Date(2026, 11, 23, 18, 0, 1, 0, time.UTC)
	body = []byte(`{"messages":[]}`)
)

// office is a directory with two tenants of one key each.
type office struct {
	dir           *Directory
	alice, bob    Credentials // alice of acme/support, bob of other
	revoked       Credentials // derives well, but is not configured
	secretsOfThem *Secrets
}

func newOffice(t testing.TB) office {
	t.Helper()
	s := mustLoad(t, "", environ(newRoot, ""))
	o := office{
		alice: mustCredentials(t, s, mustKeyID(t, s)), bob: mustCredentials(t, s, mustKeyID(t, s)),
		revoked: mustCredentials(t, s, mustKeyID(t, s)), secretsOfThem: s,
	}
	o.dir = mustBuild(t, s, config.Tenant{ID: "acme/support", Keys: []string{o.alice.KeyID}},
		config.Tenant{ID: "other", Keys: []string{o.bob.KeyID}})
	return o
}

func bearer(token string) *AuthRequest {
	return &AuthRequest{Method: "POST", Target: "/model/m/invoke", Authority: "gw:8080",
		Header: wire.Header{{Name: "Authorization", Value: "Bearer " + token}}}
}

// signed returns a request over body, signed with the pair.
func signed(keyID, secret string, fields ...wire.Field) *AuthRequest {
	r := &AuthRequest{Method: "POST", Target: "/model/arn%3Aaws%2Fx/converse?a=1", Authority: "gw:8080",
		Header: append(wire.Header{{Name: "Content-Length", Value: fmt.Sprint(len(body))}}, fields...)}
	req := &sigv4.Request{Method: r.Method, Path: "/model/arn%3Aaws%2Fx/converse", Query: "a=1", Authority: r.Authority,
		Header: r.Header, BodyHash: sha256.Sum256(body)}
	pair := sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	r.Header = append(r.Header, sigv4.New("us-east-1", "bedrock").Sign(nil, req, pair, now)...)
	return r
}

func (o office) identify(r *AuthRequest, at time.Time, body []byte) (*Identity, *wire.Error) {
	a, err := o.dir.Admit(r, at)
	if err != nil {
		return nil, err
	}
	return a.Confirm(body)
}

func TestAdmits(t *testing.T) {
	o := newOffice(t)
	f := func(r *AuthRequest, tenant, keyID string) {
		t.Helper()
		got, err := o.identify(r, now, body)
		if err != nil {
			t.Error(err)
			return
		}
		if got.Tenant.ID != tenant || got.KeyID != keyID || got.Tenant != o.dir.Lookup(tenant) {
			t.Errorf("is %+v", got)
		}
	}
	f(bearer(o.alice.Bearer), "acme/support", o.alice.KeyID)
	f(bearer(o.bob.Bearer), "other", o.bob.KeyID)
	f(signed(o.alice.AccessKeyID, o.alice.SecretAccessKey), "acme/support", o.alice.KeyID)
	f(signed(o.bob.AccessKeyID, o.bob.SecretAccessKey), "other", o.bob.KeyID)
	lower := bearer("")
	lower.Header[0] = wire.Field{Name: "authorization", Value: "bearer  " + o.bob.Bearer}
	f(lower, "other", o.bob.KeyID)
}

func TestRefuses(t *testing.T) {
	o := newOffice(t)
	f := func(name string, r *AuthRequest, at time.Time, body []byte, kind wire.Kind, message string) {
		t.Helper()
		id, err := o.identify(r, at, body)
		if id != nil || err == nil || err.Kind != kind || !strings.HasPrefix(err.Message, message) {
			t.Errorf("%s: %v %v", name, id, err)
		}
	}
	none := bearer("")
	none.Header = nil
	f("no credential", none, now, body, wire.KindMissingAuthentication, "Missing Authentication Token")
	two := bearer(o.alice.Bearer)
	two.Header = append(two.Header, two.Header[0])
	f("two credentials", two, now, body, wire.KindInvalidSignature, "")
	basic := bearer("")
	basic.Header[0].Value = "Basic " + o.alice.Bearer
	f("basic", basic, now, body, wire.KindInvalidSignature, "")

	wrong := o.alice.Bearer[:len(o.alice.Bearer)-1] + "!"
	for name, token := range map[string]string{
		"empty": "", "wrong": wrong, "revoked": o.revoked.Bearer, "of AWS": "bedrock-api-key-YmVk", "only the id": "slk_" +
			o.alice.KeyID,
		"the secret access key": o.alice.SecretAccessKey, "another key's secret": "slk_" + o.alice.KeyID + o.bob.Bearer[28:],
		"without prefix": o.alice.Bearer[4:], "longer": o.alice.Bearer + "a", "upper case": strings.ToUpper(o.alice.Bearer),
		"stranger": o.secretsOfThem.generations[0].credentials("stranger").Bearer,
	} {
		f("bearer "+name, bearer(token), now, body, wire.KindAccessDenied, badBearer)
	}

	good := signed(o.alice.AccessKeyID, o.alice.SecretAccessKey)
	f("another body", good, now, body[1:], wire.KindInvalidSignature, sigv4.Mismatch)
	f("late", good, now.Add(sigv4.Window+time.Second), body, wire.KindInvalidSignature, "Signature expired")
	f("early", good, now.Add(-sigv4.Window-time.Second), body, wire.KindInvalidSignature, "Signature not yet current")
	f("another secret", signed(o.alice.AccessKeyID, o.bob.SecretAccessKey), now, body, wire.KindInvalidSignature,
		sigv4.Mismatch)
	f("bearer as secret", signed(o.alice.AccessKeyID, o.alice.Bearer), now, body, wire.KindInvalidSignature,
		sigv4.Mismatch)
	f("revoked", signed(o.revoked.AccessKeyID, o.revoked.SecretAccessKey), now, body, wire.KindInvalidSignature,
		sigv4.Mismatch)
	stranger := o.secretsOfThem.generations[0].credentials("stranger")
	f("stranger", signed(stranger.AccessKeyID, stranger.SecretAccessKey), now, body, wire.KindInvalidSignature,
		sigv4.Mismatch)
	f("AWS key", signed("AKIAIOSFODNN7EXAMPLE", "x"), now, body, wire.KindInvalidSignature, sigv4.Mismatch)
}

// TestSkewIsToldBeforeTheKey: the time says nothing of whether a key exists.
func TestSkewIsToldBeforeTheKey(t *testing.T) {
	o := newOffice(t)
	late := now.Add(time.Hour)
	_, known := o.dir.Admit(signed(o.alice.AccessKeyID, "x"), late)
	_, unknown := o.dir.Admit(signed(o.revoked.AccessKeyID, "x"), late)
	if known == nil || unknown == nil || *known != *unknown {
		t.Errorf("%v, %v", known, unknown)
	}
}

// TestUnknownKeyIsLikeAKnownOne: whatever body is announced, an unknown id is refused
// where a wrong signature of a known one is, and in its words (E12).
func TestUnknownKeyIsLikeAKnownOne(t *testing.T) {
	o := newOffice(t)
	for _, length := range []string{"0", "65536", "65537", "26214400", "-1", "", "99999999999999999999", "chunked"} {
		for _, id := range []string{o.alice.AccessKeyID, o.revoked.AccessKeyID, "AKIAIOSFODNN7EXAMPLE"} {
			r := signed(id, "wrong")
			r.Header[0] = wire.Field{Name: "Content-Length", Value: length}
			if length == "chunked" {
				r.Header[0].Name = "Transfer-Encoding"
			}
			a, err := o.dir.Admit(r, now)
			if err != nil {
				t.Errorf("%q of %s is refused before its body: %v", length, id, err)
				continue
			}
			if _, err := a.Confirm(body); err == nil || err.Message != sigv4.Mismatch {
				t.Errorf("%q of %s: %v", length, id, err)
			}
		}
	}
}

// TestHeadersNameNoTenant: fields that look like an identity change nothing.
func TestHeadersNameNoTenant(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"x-tenant", "x-sluice-tenant", "x-sluice-key", "x-forwarded-for", "x-amzn-requestid",
		"x-api-key"} {
		r := signed(o.alice.AccessKeyID, o.alice.SecretAccessKey)
		r.Header = append(r.Header, wire.Field{Name: name, Value: o.bob.Bearer})
		id, err := o.identify(r, now, body)
		if err != nil || id.Tenant.ID != "acme/support" {
			t.Errorf("%s: %v %v", name, id, err)
		}
	}
}

// TestHTTP2 checks what is verified: whether :authority counts hangs on it.
func TestHTTP2(t *testing.T) {
	o := newOffice(t)
	r := signed(o.alice.AccessKeyID, o.alice.SecretAccessKey)
	r.HTTP2 = true
	a, err := o.dir.Admit(r, now)
	if err != nil {
		t.Fatal(err)
	}
	want := sigv4.Request{Method: "POST", Path: "/model/arn%3Aaws%2Fx/converse", Query: "a=1", Authority: "gw:8080",
		HTTP2: true, Header: r.Header}
	if diff := cmp.Diff(want, a.request); diff != "" {
		t.Error(diff)
	}
	if _, err := a.Confirm(body); err != nil {
		t.Errorf("host signed over HTTP/2: %v", err)
	}
}

// TestRotationAdmitsBoth: keys of both generations work until the old secret goes.
func TestRotationAdmitsBoth(t *testing.T) {
	before := mustLoad(t, "", environ(oldRoot, ""))
	during := mustLoad(t, "", environ(newRoot, oldRoot))
	c1, c2 := mustCredentials(t, before, mustKeyID(t, before)), mustCredentials(t, during, mustKeyID(t, during))
	tenants := []config.Tenant{{ID: "a", Keys: []string{c1.KeyID}}, {ID: "b", Keys: []string{c2.KeyID}}}
	o := office{dir: mustBuild(t, during, tenants...)}
	for want, c := range map[string]Credentials{"a": c1, "b": c2} {
		if id, err := o.identify(bearer(c.Bearer), now, nil); err != nil || id.Tenant.ID != want {
			t.Errorf("%s: %v %v", want, id, err)
		}
	}
	after, _ := Build(&config.Config{Tenants: tenants}, mustLoad(t, "", environ(newRoot, "")))
	if _, err := after.Admit(bearer(c1.Bearer), now); err == nil {
		t.Error("an old key works after the rotation")
	}
}

func TestWithoutSecretsNobodyIsAdmitted(t *testing.T) {
	o := newOffice(t)
	dir := mustBuild(t, nil, config.Tenant{ID: "acme/support", Keys: []string{o.alice.KeyID}})
	for _, r := range []*AuthRequest{bearer(o.alice.Bearer), bearer(""),
		signed(o.alice.AccessKeyID, o.alice.SecretAccessKey), signed("x", "")} {
		if id, err := (office{dir: dir}).identify(r, now, body); err == nil {
			t.Errorf("admitted %v", id)
		}
	}
}

// TestAnyFlippedBitInACredentialIsRefused covers the key id too.
func TestAnyFlippedBitInACredentialIsRefused(t *testing.T) {
	o := newOffice(t)
	rapid.Check(t, func(r *rapid.T) {
		req := signed(o.alice.AccessKeyID, o.alice.SecretAccessKey)
		skip := 0
		if rapid.Bool().Draw(r, "bearer") {
			req, skip = bearer(o.alice.Bearer), len("bearer ") // its case does not matter
		}
		value := &req.Header[len(req.Header)-1].Value
		b := []byte(*value)
		b[rapid.IntRange(skip, len(b)-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		*value = string(b)
		if id, err := o.identify(req, now, body); err == nil {
			r.Fatalf("admitted %v with %s", id, *value)
		}
	})
}

func FuzzAdmit(f *testing.F) {
	o := newOffice(f)
	f.Add("Bearer slk_", "20261123T180001Z", "/model/m/invoke?x", "host", []byte("{}"))
	f.Add("Bearer "+o.revoked.Bearer, "", "", "", []byte{})
	r := signed(o.revoked.AccessKeyID, o.revoked.SecretAccessKey)
	f.Add(r.Header.Get("authorization"), r.Header.Get("x-amz-date"), r.Target, r.Authority, body)
	f.Fuzz(func(t *testing.T, auth, date, target, host string, body []byte) {
		req := &AuthRequest{Method: "POST", Target: target, Authority: host, Header: wire.Header{
			{Name: "Content-Length", Value: fmt.Sprint(len(body))}, {Name: "x-amz-date", Value: date},
			{Name: "authorization", Value: auth}}}
		if id, err := o.identify(req, now, body); err == nil {
			t.Fatalf("admitted %v without a key", id)
		}
	})
}

// BenchmarkIdentify is Admit and Confirm with a small body. The three signed
// rows should agree: a caller must not tell them apart by the clock.
func BenchmarkIdentify(b *testing.B) {
	o := newOffice(b)
	for name, r := range map[string]*AuthRequest{
		"bearer":               bearer(o.alice.Bearer),
		"bearer/unknown":       bearer(o.revoked.Bearer),
		"signed":               signed(o.alice.AccessKeyID, o.alice.SecretAccessKey),
		"signed/wrong":         signed(o.alice.AccessKeyID, o.bob.SecretAccessKey),
		"signed/unknown":       signed(o.revoked.AccessKeyID, o.revoked.SecretAccessKey),
		"signed/unknown/large": withLength(signed(o.revoked.AccessKeyID, "x"), "999999"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.identify(r, now, body)
			}
		})
	}
}

func withLength(r *AuthRequest, length string) *AuthRequest {
	r.Header[0].Value = length
	return r
}

// TestPrefixTakenOff: a proxy in front has taken the base path off what was signed (U9).
func TestPrefixTakenOff(t *testing.T) {
	o := newOffice(t)
	f := func(what, signedTarget, target, base string, want bool) {
		t.Helper()
		path, query, _ := strings.Cut(signedTarget, "?")
		r := &AuthRequest{Method: "POST", Target: target, Authority: "gw:8080", BasePath: base,
			Header: wire.Header{{Name: "Content-Length", Value: fmt.Sprint(len(body))}}}
		req := &sigv4.Request{Method: r.Method, Path: path, Query: query, Authority: r.Authority, Header: r.Header,
			BodyHash: sha256.Sum256(body)}
		pair := sigv4.Credentials{AccessKeyID: o.alice.AccessKeyID, SecretAccessKey: o.alice.SecretAccessKey}
		r.Header = append(r.Header, sigv4.New("us-east-1", "bedrock").Sign(nil, req, pair, now)...)
		got, err := o.identify(r, now, body)
		if (err == nil) != want || err == nil && got.Tenant.ID != "acme/support" {
			t.Errorf("%s: %+v %v, want %v", what, got, err, want)
		}
		if _, err := o.identify(r, now, append([]byte("x"), body...)); err == nil {
			t.Errorf("%s: accepted with another body", what)
		}
	}
	const arn = "/model/arn%3Aaws%2Fx/converse"
	f("taken off", "/bedrock"+arn, arn, "/bedrock", true)
	f("taken off, with a query", "/bedrock"+arn+"?a=1", arn+"?a=1", "/bedrock", true)
	f("left on", "/bedrock"+arn, "/bedrock"+arn, "/bedrock", true)
	f("at the root", arn, arn, "/bedrock", true)
	f("deep", "/a/b"+arn, arn, "/a/b", true)
	f("not configured", "/bedrock"+arn, arn, "", false)
	f("another one", "/other"+arn, arn, "/bedrock", false)
	f("put on", arn, "/bedrock"+arn, "/bedrock", false)
	f("twice", "/bedrock/bedrock"+arn, "/bedrock"+arn, "/bedrock", false)
	f("part of a name", "/bedrockx"+arn, "x"+arn, "/bedrock", false)
}

// TestSignatureInTheQueryOfABearerCall has both kinds of credentials in one request. AWS refuses two at once; sent on,
// the query would make the gateway's own signature wrong, and the gateway would take its identity for refused.
func TestSignatureInTheQueryOfABearerCall(t *testing.T) {
	o := newOffice(t)
	for query, refused := range map[string]bool{
		"X-Amz-Signature=1":                     true,
		"x-amz-signature=1":                     true,
		"X%2DAmz%2dSignature=1":                 true,
		"%58-Amz-Credential=AKID":               true,
		"a=1&X-Amz-Security-Token=t":            true,
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&b":    true,
		"X-Amz-Date":                            true,
		"X-Amz-Expires=60&X-Amz-SignedHeaders=": true,
		"":                                      false,
		"maxResults=10":                         false,
		"of=X-Amz-Signature":                    false,
		"my-x-amz-signature=1":                  false,
	} {
		r := bearer(o.alice.Bearer)
		r.Target = "/inference-profiles?" + query
		_, err := o.identify(r, now, nil)
		if got := err != nil; got != refused {
			t.Errorf("?%s: %v, refused should be %v", query, err, refused)
		} else if refused && err.Kind != wire.KindInvalidSignature {
			t.Errorf("?%s: %v", query, err)
		}
	}
}
