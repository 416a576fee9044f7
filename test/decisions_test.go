package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/test/harness"
)

// explained is what gateway explain says of a request.
func explained(t *testing.T, id string, flags ...string) *decision.Decision {
	t.Helper()
	out := harness.Run(t, 0, nil, append([]string{"explain", id, "--format", "json"}, flags...)...)
	var d decision.Decision
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &d
}

// TestU11Explain: a request is found by the id that its caller has, whichever of two gateways
// had it, however it ended: with who, what, which rule, each leg, what budgets counted, and
// where it was refused.
func TestU11Explain(t *testing.T) {
	t.Parallel()
	p := startTwins(t, map[string]string{
		"acme/app": "budgets: [{period: month, usd: 3}]", "other": "models: [\"dear.light*\"]",
	})
	for _, g := range p.gateways { // the ledger knows both
		harness.Eventually(t, time.Minute, func() (bool, string) {
			out := harness.Run(t, 0, nil, "requests", "--config", g.ConfigFile(), "--format", "json")
			return strings.TrimSpace(out) == "[]", out
		})
	}
	id := func(a harness.Answer) string { return a.Header.Get("x-sluice-request-id") }
	served := id(p.ask(t, 0, "acme/app", autoCall))
	denied := id(p.ask(t, 1, "other", heavyCall))
	stranger := id(p.gateways[1].Post(t, harness.NewKey(t, "nobody").BearerCredential, lightCall, ask))
	noModel := id(p.gateways[0].Post(t, p.keys["other"].BearerCredential, "/model/x/nonsense", ask))
	malformed := id(p.gateways[0].Post(t, p.keys["acme/app"].BearerCredential, lightCall, `{"messages":`))
	refused := ""
	for range 40 {
		if a := p.ask(t, 1, "acme/app", lightCall); a.Status == 400 {
			refused = id(a)
			break
		}
	}

	f := func(id, step, errorType string, status int) *decision.Decision {
		t.Helper()
		var found *decision.Decision
		for _, g := range p.gateways { // whichever is asked
			found = explained(t, id, "--config", g.ConfigFile())
			if found.ID != id || found.Step != step || found.Error != errorType || found.Status != status {
				t.Errorf("%+v, want %s %s %d", found, step, errorType, status)
			}
		}
		return found
	}
	p.servedDecision(t, f(served, "", "", 200))
	f(denied, "plan", "AccessDeniedException", 403)
	if d := f(stranger, "authenticate", "AccessDeniedException", 403); d.Tenant != "" || d.Claimed == "" {
		t.Errorf("%+v", d)
	}
	f(noModel, "read", "UnknownOperationException", 404)
	f(malformed, "read", "ValidationException", 400)
	if d := f(refused, "reserve", "ServiceQuotaExceededException", 400); !strings.Contains(d.Message, "is used up") {
		t.Errorf("%+v", d)
	}
	text := harness.Run(t, 0, nil, "explain", served, "--admin", p.gateways[1].Admin, "--admin", p.gateways[0].Admin)
	for _, want := range []string{served, "acme/app", "95 input, 5 output", "$0.1", "acme/app month usd: $0.1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	p.list(t, served, refused)
	p.onPage(t, served, refused, stranger)
	p.badQuestions(t, served)
}

// servedDecision is that of a request which the light model served.
func (p *twins) servedDecision(t *testing.T, d *decision.Decision) {
	t.Helper()
	if d.Tenant != "acme/app" || d.Key != p.keys["acme/app"].KeyID || d.Asked != "auto" ||
		d.Served != "dear.light-v1:0" || d.Cascade != "c" || d.Path != "light" || d.CostState != "known" ||
		d.Cost.String() != "0.10" || d.Duration <= 0 {
		t.Errorf("%+v", d)
	}
	leg := decision.Leg{}
	if len(d.Legs) == 1 {
		leg = d.Legs[0]
	}
	if leg.Tokens.Input.N != 95 || leg.Tokens.Output.N != 5 || leg.Cost != d.Cost || leg.UpstreamID == "" ||
		leg.Record == "" || leg.Is != decision.FateServed || leg.Took <= 0 || leg.PriceVersion == "" ||
		leg.Outcome != "completed" || len(leg.Effects) != 1 || leg.Effects[0].Tenant != "acme/app" ||
		leg.Effects[0].Posted != 100_000_000 {
		t.Errorf("%+v", d.Legs)
	}
}

// list asks for the decisions of a kind, of both gateways.
func (p *twins) list(t *testing.T, served, refused string) {
	t.Helper()
	f := func(want string, flags ...string) {
		t.Helper()
		out := harness.Run(t, 0, nil, append([]string{
			"requests", "--config", p.gateways[0].ConfigFile(), "--format", "json"}, flags...)...)
		var all []decision.Decision
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for i := range all {
			ids = append(ids, all[i].ID)
		}
		if got := fmt.Sprint(ids); got != want {
			t.Errorf("%v: %s, want %s", flags, got, want)
		}
	}
	f("["+served+"]", "--cascade", "c")
	f("["+refused+"]", "--tenant", "acme", "--reason", "ServiceQuotaExceededException", "--since", "1h")
	f("["+served+"]", "--tenant", "acme", "--path", "light", "--status", "2")
	f("[]", "--tenant", "acm")
	f("[]", "--until", "2026-01-01T00:00:00Z", "--since", "2025-01-01T00:00:00Z")
}

// onPage: the page of each gateway shows the requests of all, those of nobody too to who sees all.
func (p *twins) onPage(t *testing.T, served, refused, stranger string) {
	t.Helper()
	for path, want := range map[string]string{
		"request?id=" + served: `"input_tokens":95`, "requests": stranger,
		"request?id=" + refused:        "reserve (budgets and limits)",
		"requests?reason=authenticate": "No request of this kind", "requests?tenant=acme&status=4": refused,
	} {
		for _, g := range p.gateways {
			status, body := g.Page("/api/v1/views/" + path)
			if status != 200 || !strings.Contains(body, want) || strings.Contains(body, "not heard") {
				t.Errorf("no %q in %s: %d\n%s", want, path, status, body)
			}
		}
	}
}

// badQuestions: what cannot be answered says so.
func (p *twins) badQuestions(t *testing.T, served string) {
	t.Helper()
	admin := []string{"--admin", p.gateways[0].Admin, "--admin", p.gateways[1].Admin}
	f := func(code int, want string, args ...string) {
		t.Helper()
		if _, stderr := harness.RunBoth(t, code, nil, append(args, admin...)...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %s, want %s", args, stderr, want)
		}
	}
	f(2, "no request id", "explain", "nonsense")
	f(1, "no gateway that answers has a decision", "explain", "01M8JJHRB1FE77ND3FNE5YJWNK")
	f(2, "--since is how long ago", "requests", "--since", "yesterday")
	f(2, "there is no format", "requests", "--format", "xml")
	admin = []string{"--admin", harness.FreeAddr(t)}
	f(1, "no gateway answers", "explain", served)
	f(1, "no gateway answers", "requests")
	admin = nil
	f(2, "--config FILE or --admin ADDR is needed", "explain", served)
}
