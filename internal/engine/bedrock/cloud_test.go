package bedrock

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cloud is an AWS of a few services on one machine: Bedrock, STS, the portal of SSO,
// and the places where containers and instances find their credentials. It knows
// which keys it has given out, until when they are valid, and which it has revoked.
type cloud struct {
	clock *offset

	mu     sync.Mutex
	keys   map[string]*issued // guarded by mu, by access key id
	tokens map[string]bool    // guarded by mu, of web identity and SSO, valid or not
	serial int                // guarded by mu
	refuse string             // guarded by mu, how STS and the portal refuse everybody, "" does not
	forms  []url.Values       // guarded by mu, what STS was asked
}

type issued struct {
	id, secret, session string
	until               time.Time // zero for ever
	revoked             bool
}

// offset is the real clock plus what a test adds.
type offset struct{ ahead atomic.Int64 }

func (o *offset) now() time.Time          { return time.Now().Add(time.Duration(o.ahead.Load())) }
func (o *offset) advance(d time.Duration) { o.ahead.Add(int64(d)) }

func newCloud() *cloud {
	return &cloud{clock: &offset{}, keys: map[string]*issued{}, tokens: map[string]bool{}}
}

// issue gives out keys that are valid for a while, 0 for ever.
func (c *cloud) issue(lasts time.Duration) *issued {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	k := &issued{id: fmt.Sprintf("AKID%d", c.serial), secret: fmt.Sprintf("secret%d", c.serial)}
	if lasts > 0 {
		k.session, k.until = fmt.Sprintf("session%d", c.serial), c.clock.now().Add(lasts)
	}
	c.keys[k.id] = k
	return k
}

// token gives out a token of web identity or SSO.
func (c *cloud) token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	token := fmt.Sprintf("token%d", c.serial)
	c.tokens[token] = true
	return token
}

// revoke makes all that was given out so far void.
func (c *cloud) revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.keys {
		k.revoked = true
	}
	clear(c.tokens)
}

// revokeSessions makes void what was given out and expires.
func (c *cloud) revokeSessions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.keys {
		k.revoked = k.revoked || k.session != ""
	}
}

func (c *cloud) refuseBy(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = kind
}

// judge is how AWS refuses a signed request, "" when it does not.
func (c *cloud) judge(r *http.Request) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	k := c.keys[id]
	switch {
	case k == nil || k.revoked:
		return "UnrecognizedClientException"
	case r.Header.Get("X-Amz-Security-Token") != k.session:
		return "InvalidSignatureException"
	case !k.until.IsZero() && !c.clock.now().Before(k.until):
		return "ExpiredTokenException"
	}
	return ""
}

func (c *cloud) refused() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refuse
}

func (c *cloud) knows(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[token]
}

// serve starts the cloud on an address of its own, in cleartext without secure.
func (c *cloud) serve(t *testing.T, secure *tls.Config) (hostport string) {
	t.Helper()
	s := httptest.NewUnstartedServer(c)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.TLS = secure; secure != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ServeHTTP is all services; the path says which.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/model/"):
		c.bedrock(w, r)
	case r.URL.Path == "/federation/credentials":
		c.portal(w, r)
	case r.URL.Path == "/container":
		c.container(w, r)
	case strings.HasPrefix(r.URL.Path, "/latest/"):
		c.instance(w, r)
	default:
		c.sts(w, r)
	}
}

func (c *cloud) bedrock(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	if kind := c.judge(r); kind != "" {
		w.Header().Set("x-amzn-ErrorType", kind+":http://internal.amazon.com/coral/com.amazon.coral.service/")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"message":"The security token included in the request is invalid."}`)
		return
	}
	io.WriteString(w, `{"ok":true}`)
}

// lasting is how long the keys last that services give out.
const lasting = 10 * time.Minute // an SDK takes no expiry from an instance that is an hour ahead of the real clock

func (c *cloud) sts(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	c.mu.Lock()
	if scope := strings.Split(r.Header.Get("Authorization"), "/"); len(scope) > 2 {
		r.PostForm.Set("Region", scope[2])
	}
	c.forms = append(c.forms, r.PostForm)
	c.mu.Unlock()
	action, kind := r.PostForm.Get("Action"), c.refused()
	switch {
	case kind != "":
	case action == "AssumeRoleWithWebIdentity" && !c.knows(r.PostForm.Get("WebIdentityToken")):
		kind = "InvalidIdentityToken"
	case action == "AssumeRole":
		if kind = c.judge(r); kind == "UnrecognizedClientException" {
			kind = "InvalidClientTokenId" // STS is a service of the query protocol
		}
		if kind == "" && r.PostForm.Get("ExternalId") != "ext-1187" {
			kind = "AccessDenied"
		}
	}
	w.Header().Set("Content-Type", "text/xml")
	if kind != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>refused</Message></Error></ErrorResponse>`, kind)
		return
	}
	k := c.issue(lasting)
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials>`+
		`<AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken>`+
		`<Expiration>%[5]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
		action, k.id, k.secret, k.session, k.until.UTC().Format(time.RFC3339))
}

func (c *cloud) portal(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if c.refused() != "" || !c.knows(r.Header.Get("x-amz-sso_bearer_token")) {
		w.Header().Set("x-amzn-ErrorType", "UnauthorizedException")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"message":"Session token not found or invalid"}`)
		return
	}
	k := c.issue(lasting)
	json.NewEncoder(w).Encode(map[string]any{"roleCredentials": map[string]any{
		"accessKeyId": k.id, "secretAccessKey": k.secret, "sessionToken": k.session, "expiration": k.until.UnixMilli(),
	}})
}

func (c *cloud) container(w http.ResponseWriter, r *http.Request) {
	if c.refused() != "" || !c.knows(r.Header.Get("Authorization")) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"code":"AccessDenied","message":"who are you"}`)
		return
	}
	k := c.issue(lasting)
	json.NewEncoder(w).Encode(map[string]any{
		"AccessKeyId": k.id, "SecretAccessKey": k.secret, "Token": k.session,
		"Expiration": k.until.UTC().Format(time.RFC3339),
	})
}

func (c *cloud) instance(w http.ResponseWriter, r *http.Request) {
	switch {
	case c.refused() != "":
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPut:
		w.Header().Set("x-aws-ec2-metadata-token-ttl-seconds", "21600")
		io.WriteString(w, "imds-token")
	case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
		io.WriteString(w, "instance-role")
	default:
		k := c.issue(lasting)
		json.NewEncoder(w).Encode(map[string]any{
			"Code": "Success", "AccessKeyId": k.id, "SecretAccessKey": k.secret, "Token": k.session,
			"Expiration": k.until.UTC().Format(time.RFC3339), "LastUpdated": time.Now().UTC().Format(time.RFC3339),
		})
	}
}
