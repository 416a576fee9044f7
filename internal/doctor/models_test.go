package doctor

import (
	"context"
	"errors"
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
	f(nova, 429, "ThrottlingException", "Too many requests", Warn, "Too many")
	f(nova, 502, "", "", Warn, "status 502")
	f(nova, 400, "ValidationException", "", OK, "clock AWS")
	ahead = time.Minute
	f(nova, 400, "ValidationException", "", Warn, "differs by 1m0s")
	ahead = -10 * time.Minute
	f(nova, 400, "ValidationException", "", Fail, "AWS refuses signatures")
	nobody := Permissions(t.Context(), s, []Call{{Model: nova}}, ask("http://127.0.0.1:1"), time.Now)
	has(t, nobody, Fail, "connection refused")
	late := func(context.Context, *tenant.Tenant, *engine.Request) (*engine.Response, error) {
		return nil, &engine.Error{Failure: engine.TimedOut, Err: errors.New("no first byte")}
	}
	has(t, Permissions(t.Context(), s, []Call{{Model: nova}}, late, time.Now), Fail, "no answer")
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
