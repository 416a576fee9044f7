package bedrock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/outbound"
	"github.com/sluice-gateway/sluice/internal/role"
)

// vault is a provider that the test scripts. Its expiries are reported
// refreshWindow early, as the SDK's cache does.
type vault struct {
	calls   atomic.Int32
	fail    atomic.Bool
	block   chan struct{} // nil: answers at once
	expires func() time.Time
}

func (v *vault) Retrieve(ctx context.Context) (aws.Credentials, error) {
	n := v.calls.Add(1)
	if v.block != nil {
		select {
		case <-v.block:
		case <-ctx.Done():
			return aws.Credentials{}, ctx.Err()
		}
	}
	if v.fail.Load() {
		return aws.Credentials{}, errors.New("vault is shut")
	}
	return aws.Credentials{AccessKeyID: fmt.Sprintf("AKID%d", n), CanExpire: true,
		Expires: v.expires().Add(-refreshWindow)}, nil
}

// settle waits until no refresh runs.
func settle(s *source) {
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	if pending != nil {
		<-pending
	}
}

func TestCredentialsAreRenewedBehind(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(ahead.Load())) }
	v := &vault{expires: func() time.Time { return now().Add(time.Hour) }}
	b := newBackground(t.Context())
	defer b.close()
	s := &source{provider: v, now: now, background: b}
	f := func(name, want string) {
		t.Helper()
		c, err := s.Retrieve(t.Context())
		if err != nil || c.AccessKeyID != want {
			t.Errorf("%s: %q %v, want %q", name, c.AccessKeyID, err, want)
		}
	}
	f("first", "AKID1")
	ahead.Add(int64(54 * time.Minute))
	f("fresh", "AKID1")

	v.fail.Store(true)
	v.block = make(chan struct{})
	ahead.Add(int64(2 * time.Minute)) // 56 of 60 minutes
	f("due, while the provider hangs", "AKID1")
	close(v.block)
	settle(s)
	f("due, after the provider failed", "AKID1")
	calls := v.calls.Load()
	f("due, right after the provider failed", "AKID1")
	if v.calls.Load() != calls {
		t.Error("asked again at once after a failure")
	}

	v.fail.Store(false)
	ahead.Add(int64(2 * time.Second))
	f("due, provider works", "AKID1")
	settle(s)
	f("renewed", fmt.Sprintf("AKID%d", v.calls.Load()))
}

func TestExpiredCredentialsAreNotUsed(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(ahead.Load())) }
	v := &vault{expires: func() time.Time { return now().Add(time.Hour) }}
	b := newBackground(t.Context())
	defer b.close()
	s := &source{provider: v, now: now, background: b}
	if _, err := s.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.fail.Store(true)
	ahead.Add(int64(time.Hour))
	for range 3 { // the second and third are answered from memory
		if c, err := s.Retrieve(t.Context()); err == nil {
			t.Errorf("expired credentials %q were handed out", c.AccessKeyID)
		}
	}
	if n := v.calls.Load(); n != 2 {
		t.Errorf("%d calls of the provider, want 2", n)
	}
}

func TestWaitForCredentialsEndsWithTheRequest(t *testing.T) {
	v := &vault{block: make(chan struct{})}
	b := newBackground(t.Context())
	s := &source{provider: v, now: time.Now, background: b}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Retrieve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	b.close() // ends the refresh that hangs, and waits for it
	if _, err := s.Retrieve(t.Context()); err == nil {
		t.Error("credentials after Close")
	}
}

// isolate keeps the machine's own AWS configuration out of a test.
func isolate(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"AWS_SESSION_TOKEN": "", "AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_ENDPOINT_URL":            "", "AWS_ENDPOINT_URL_STS": "",
	} {
		t.Setenv(name, value)
	}
}

func TestDefaultChain(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
	t.Setenv("AWS_REGION", "ap-south-1")
	seen := make(chan received, 1)
	up := settings(capture(t, seen))
	up.Region = ""
	e := newEngine(t, up, func(o *Options) { o.Credentials = nil })
	if _, err := e.Attempt(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if auth := got.Header.Get("Authorization"); !strings.Contains(auth, "Credential=AKIDENV/") ||
		!strings.Contains(auth, "/ap-south-1/bedrock/") {
		t.Errorf("authorization %q", auth)
	}
	verify(t, got, "env-secret")
}

func TestNoCredentials(t *testing.T) {
	isolate(t)
	e := newEngine(t, settings("http://127.0.0.1:1"), func(o *Options) { o.Credentials = nil })
	_, err := e.Attempt(t.Context(), request())
	mustFail(t, "no credentials", err, engine.NoCredentials)
}

// securityTokenService answers AssumeRole with keys that name the role.
func securityTokenService(t *testing.T, asked chan<- url.Values) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		asked <- r.PostForm
		role := r.PostForm.Get("RoleArn")
		role = role[strings.LastIndexByte(role, '/')+1:]
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w,
			`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
				`<AccessKeyId>ASIA%s</AccessKeyId><SecretAccessKey>secret-%s</SecretAccessKey>`+
				`<SessionToken>token-%s</SessionToken>`+
				`<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			role, role, role, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s.URL
}

func TestRoles(t *testing.T) {
	isolate(t)
	asked := make(chan url.Values, 10)
	t.Setenv("AWS_ENDPOINT_URL_STS", securityTokenService(t, asked))
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
	seen := make(chan received, 1)
	up := settings(capture(t, seen))
	up.Role.ARN = "arn:aws:iam::123456789012:role/own"
	up.Role.Tags = role.EncodeTags(map[string]string{"app": "sluice"})
	e := newEngine(t, up, func(o *Options) { o.Credentials = nil })
	f := func(roleARN, want string) {
		t.Helper()
		req := request()
		req.Role.ARN = roleARN
		if _, err := e.Attempt(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		got := <-seen
		if auth := got.Header.Get("Authorization"); !strings.Contains(auth, "Credential=ASIA"+want+"/") {
			t.Errorf("authorization %q, want the role %s", auth, want)
		}
		if token := got.Header.Get("X-Amz-Security-Token"); token != "token-"+want {
			t.Errorf("session token %q", token)
		}
		verify(t, got, "secret-"+want)
	}
	for range 3 {
		f("", "own")
		f("arn:aws:iam::123456789012:role/tenant", "tenant")
	}
	close(asked)
	var roles []string
	for form := range asked {
		roles = append(roles, form.Get("RoleArn"))
		if form.Get("Tags.member.1.Key") != "app" || form.Get("Tags.member.1.Value") != "sluice" ||
			form.Get("RoleSessionName") != sessionName {
			t.Errorf("asked with %v", form)
		}
	}
	want := []string{"arn:aws:iam::123456789012:role/own", "arn:aws:iam::123456789012:role/tenant"}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Errorf("roles asked for: %s", diff)
	}
}

func TestRoleThatIsDenied(t *testing.T) {
	isolate(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorRespo`+
			`nse>`)
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
	e := newEngine(t, settings("http://127.0.0.1:1"), func(o *Options) { o.Credentials = nil })
	req := request()
	req.Role.ARN = "arn:aws:iam::123456789012:role/tenant"
	_, err := e.Attempt(t.Context(), req)
	mustFail(t, "denied", err, engine.NoCredentials)
}

func direct(t *testing.T) *chain {
	t.Helper()
	calls, err := outbound.New(outbound.Settings{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return &chain{calls: calls, log: slog.New(slog.DiscardHandler)}
}

func TestEndpointOfAWS(t *testing.T) {
	f := func(region, fips, dualStack, want string) {
		t.Helper()
		isolate(t)
		t.Setenv("AWS_USE_FIPS_ENDPOINT", fips)
		t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", dualStack)
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8080") // a caller's setting: may point at ourselves
		up := settings("")
		up.Region = region
		at, err := locate(t.Context(), up, direct(t), true)
		if err != nil {
			t.Errorf("%s: %v", region, err)
			return
		}
		if got := at.endpoint.String(); got != want || at.region != region {
			t.Errorf("%s fips=%s dual=%s: %s in %s, want %s", region, fips, dualStack, got, at.region, want)
		}
	}
	f("us-east-1", "", "", "https://bedrock-runtime.us-east-1.amazonaws.com")
	f("us-east-1", "true", "", "https://bedrock-runtime-fips.us-east-1.amazonaws.com")
	f("eu-west-1", "", "true", "https://bedrock-runtime.eu-west-1.api.aws")
	f("cn-north-1", "", "", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn")
	isolate(t)
	up := settings("")
	up.Region = ""
	if _, err := locate(t.Context(), up, direct(t), true); err == nil {
		t.Error("no region: no error")
	}
}
