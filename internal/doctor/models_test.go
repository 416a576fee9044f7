package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
	nova   = "amazon.nova-lite-v1:0"
	titan  = "amazon.titan-embed-text-v2:0"
	made   = "made.up-v1:0"
)

func load(t *testing.T, settings string) *snapshot.Snapshot {
	t.Helper()
	cfg, err := config.Load(harness.File(t, "sluice.yaml", settings), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, problems := snapshot.Compile(cfg, nil, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return s
}

const named = `
upstream: {region: us-east-1, endpoint: sandbox}
upstreams: {eu: {region: eu-west-1, endpoint: sandbox}}
aliases: {auto: ` + sonnet + `, own: ` + made + `}
tenants:
  - {id: a, models: [auto, "*nova*", ` + titan + `]}
  - {id: b, upstream: eu, models: [` + nova + `]}
  - {id: c, role_arn: "arn:aws:iam::123456789012:role/c", models: [` + nova + `]}
  - {id: d, role_arn: "arn:aws:iam::123456789012:role/c", models: [` + nova + `]}
`

func TestModels(t *testing.T) {
	s := load(t, named)
	models := Named(s)
	if want := []string{nova, titan, made, sonnet}; !slices.Equal(models, want) {
		t.Errorf("%q", models)
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	found := Prices(s, models, now)
	has(t, found, OK, "3 of 4 models")
	has(t, found, Warn, "price "+made)
	tight := load(t, strings.Replace(named, "id: a,", "id: a, budgets: [{period: day, usd: 1}],", 1))
	has(t, Prices(tight, models, now), Fail, "tenants with a budget get 403")
	ends := s.Lifecycle("anthropic.claude-sonnet-4-5-20250929-v1:0").Ends
	has(t, Lifecycles(s, models, ends.AddDate(0, -1, 0)), Warn, "AWS ends it on")
	has(t, Lifecycles(s, models, ends), Fail, "AWS ended it on")
	has(t, Lifecycles(s, models, ends.AddDate(-1, 0, 0)), OK, "no model that is named ends")
	var ways []string
	for _, c := range Calls(s, []string{nova}) {
		ways = append(ways, c.subject())
	}
	if want := []string{
		"at upstream default", "at upstream eu", "at upstream default as c", nova, nova + " at upstream eu", nova + " as c",
	}; !slices.Equal(ways, want) {
		t.Errorf("%q", ways)
	}
}

// TestPermissions asks a stand-in for AWS, with a clock of its own, for what each answer
// means. What is asked is refused by every real model.
func TestPermissions(t *testing.T) {
	s := load(t, named)
	var status int
	var kind, text, asked string
	ahead := time.Duration(0)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("x-amzn-ErrorType", kind)
		w.WriteHeader(status)
		w.Write([]byte(`{"message":"` + text + `"}`))
	}))
	defer upstream.Close()
	ask := func(url string) Ask {
		e, err := bedrock.New(t.Context(), bedrock.Options{
			Upstreams: map[string]config.Upstream{"": {Region: "us-east-1", Endpoint: url, BearerToken: "key"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		return func(ctx context.Context, _ *tenant.Tenant, r *engine.Request) (*engine.Response, error) {
			return e.Attempt(ctx, r)
		}
	}
	f := func(model string, answer int, errorType, message string, want State, finding string) {
		t.Helper()
		status, kind, text = answer, errorType, message
		found := Permissions(t.Context(), s, []Call{{Model: model}}, ask(upstream.URL), time.Now)
		has(t, found, want, finding)
	}
	f(sonnet, 400, "ValidationException", "A conversation must start with a user message.", OK, "may be called")
	if !strings.HasSuffix(asked, "/converse") {
		t.Error(asked)
	}
	identity := func(answer int, errorType string, want State, finding string) {
		t.Helper()
		status, kind, text = answer, errorType, "no"
		calls := []Call{{Model: nova, Identity: true}}
		has(t, Permissions(t.Context(), s, calls, ask(upstream.URL), time.Now), want, finding)
	}
	identity(400, "ValidationException", OK, "identity at upstream default: AWS accepts")
	identity(403, "AccessDeniedException", OK, "AWS accepts")
	identity(403, "UnrecognizedClientException", Fail, "identity at upstream default: Unrec")
	identity(403, "InvalidSignatureException", Fail, "identity")
	identity(503, "ServiceUnavailableException", Warn, "status 503")
	identity(404, "ResourceNotFoundException", OK, "AWS accepts") // the model is not offered there, and nobody named it
	identity(403, "", Fail, "identity")
	f(titan, 400, "ValidationException", "Malformed input request", OK, "permission "+titan)
	if !strings.HasSuffix(asked, "/invoke") {
		t.Error(asked)
	}
	f(nova, 200, "", "", OK, "may be called")
	f(sonnet, 403, "AccessDeniedException", "User: arn is not authorized", Fail, "permission "+sonnet+": AccessDenied")
	f(sonnet, 403, "UnrecognizedClientException", "The security token is invalid.", Fail, "identity")
	f(sonnet, 403, "ExpiredTokenException", "The security token has expired", Fail, "identity")
	f(made, 400, "ValidationException", "The provided model identifier is invalid.", Fail, "identifier is invalid")
	f(made, 404, "ResourceNotFoundException", "The model has reached the end of its life.", Fail, "end of its life")
	f(nova, 400, "ValidationException", "Invocation with on-demand throughput isn't supported.", Fail, "on-demand")
	f(sonnet, 403, "AccessDeniedException", "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: "+
		"bedrock:InvokeModel on resource: y", Fail, "permission "+sonnet+": AccessDenied")
	f(sonnet, 404, "ResourceNotFoundException", "Model use case details have not been submitted", Fail, "use case")
	f(nova, 302, "", "", Fail, "what answers is not Bedrock: status 302")
	f(nova, 407, "", "", Fail, "what answers is not Bedrock: status 407")
	f(nova, 429, "ThrottlingException", "Too many requests", Warn, "Too many")
	f(nova, 502, "", "", Warn, "status 502")
	f(nova, 400, "ValidationException", "", OK, "clock AWS")
	ahead = time.Minute
	f(nova, 400, "ValidationException", "", Warn, "differs by 1m0s")
	ahead = -10 * time.Minute
	f(nova, 400, "ValidationException", "", Fail, "AWS refuses signatures")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("<html>sign in to the network</html>"))
	}))
	defer page.Close()
	signIn := Permissions(t.Context(), s, []Call{{Model: nova}}, ask(page.URL), time.Now)
	has(t, signIn, Fail, "what answers is not Bedrock: status 200 text/html")
	nobody := Permissions(t.Context(), s, []Call{{Model: nova}}, ask("http://127.0.0.1:1"), time.Now)
	has(t, nobody, Fail, "connection refused")
	late := func(context.Context, *tenant.Tenant, *engine.Request) (*engine.Response, error) {
		return nil, &engine.Error{Failure: engine.TimedOut, Err: errors.New("no first byte")}
	}
	has(t, Permissions(t.Context(), s, []Call{{Model: nova}}, late, time.Now), Fail, "no answer")
}

// TestWaysOut: each kind of failure has a way out of its own, and one that concerns every model is told once.
func TestWaysOut(t *testing.T) {
	s := load(t, named)
	f := func(err error, kind, text, want string) {
		t.Helper()
		ask := func(context.Context, *tenant.Tenant, *engine.Request) (*engine.Response, error) {
			res := &engine.Response{
				Status: http.StatusForbidden, Refusal: &engine.Refusal{Kind: kind}, Body: []byte(`{"message": "` + text + `"}`),
				Header: wire.Header{{Name: "x-amzn-errortype", Value: kind}},
			}
			return res, err
		}
		found := Permissions(t.Context(), s, Calls(s, []string{nova, sonnet}), ask, time.Now)
		told := 0
		for _, finding := range found {
			if finding.State == Fail && finding.Subject == "at upstream default" {
				told++
				if !strings.Contains(finding.WayOut, want) || !strings.Contains(finding.Message, text) {
					t.Errorf("%+v, want %q", finding, want)
				}
			}
		}
		if told != 1 || len(found) > 6 {
			t.Errorf("%q: told %d times: %+v", want, told, found)
		}
		has(t, found, Warn, "permission at upstream default: 2 of the models that are named were not asked")
	}
	f(nil, "ExpiredTokenException", "The security token included in the request is expired", "aws sso login")
	f(nil, "InvalidSignatureException", "Signature expired", "clock is right")
	f(nil, "RequestTimeTooSkewed", "", "NTP")
	f(nil, "UnrecognizedClientException", "The security token is invalid", "valid credentials")
	f(nil, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", "valid credentials")
	of := func(failure engine.Failure, err error) error { return &engine.Error{Failure: failure, Err: err} }
	f(of(engine.NoCredentials, errors.New("none")), "", "none", "docs/aws.md")
	f(of(engine.NotSent, &net.DNSError{Name: "h", Err: "no such host"}), "", "no such host", "sts_region")
	f(of(engine.NoCredentials, &net.DNSError{Name: "sts", Err: "no such host"}), "", "no such host", "look the host up")
	f(of(engine.NotSent, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}), "",
		"unknown authority", "upstream.ca_file")
	f(of(engine.NotSent, errors.New("connection refused")), "", "connection refused", "upstream.proxy")
	f(of(engine.TimedOut, errors.New("no first byte")), "", "no answer: no first byte", "upstream.proxy")
}

func TestConfiguration(t *testing.T) {
	at := config.Position{File: "f.yaml", Line: 3, Column: 7}
	found := Configuration("f.yaml", []config.Fault{{Position: at, Message: "unknown key"}})
	has(t, found, Fail, "f.yaml:3:7: unknown key")
	if len(found) != 1 {
		t.Errorf("%+v", found)
	}
	found = Configuration("f.yaml", []config.Fault{{Position: at, Message: "old", Warning: true}})
	has(t, found, Warn, "f.yaml:3:7: old")
	has(t, found, OK, "it is valid")
}
