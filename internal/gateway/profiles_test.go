package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// profilesText has a tenant, those above it and a stranger with profiles of their own.
const profilesText = `
upstream: {endpoint: "http://127.0.0.1:1", region: us-east-1, bearer_token: x}
prices: [books.yaml]
aliases: {nova: us.amazon.nova-pro-v1:0}
cascades:
  - {name: c, match: 'request.model == "auto"', mode: rules, light: us.amazon.nova-lite-v1:0,
     escalation: us.amazon.nova-pro-v1:0, escalate_if: [{id: long, if: request.input_tokens > 100}]}
tenants:
  - id: acme
    model_map: {'us.amazon.nova-pro-v1:0': "ARNabove", 'us.amazon.nova-lite-v1:0': "ARNlite"}
  - {id: other, model_map: {'us.amazon.nova-pro-v1:0': "ARNother"}}
  - id: acme/app
    keys: [KEY]
    operations: [converse, converse-stream, invoke, invoke-with-response-stream, count-tokens]
    budgets: [{period: month, usd: 5, on_exceed: reject}]
    deny_models: ["*micro*"]
    model_map: {'us.amazon.nova-pro-v1:0': "ARNpro"}
`

// TestProfilesOfATenant (issue 11): what a tenant asks a model for goes to its own application inference profile,
// in whatever spelling and by whatever operation that AWS takes profiles for. It is in the records by that name, and
// priced, capped and allowed as the model. Others may not name it.
func TestProfilesOfATenant(t *testing.T) {
	f := newFixtureFrom(t, strings.ReplaceAll(profilesText, "ARN", profiles))
	var sent []string
	f.reply = func(r *engine.Request) (*engine.Response, error) {
		sent = append(sent, r.Model, r.Target)
		if r.Op.Streams() {
			return streamed(nil, `{"amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":1}}`), nil
		}
		return invoked(1, 1), nil
	}
	const pro, lite, long = profiles + "pro", profiles + "lite", `{"messages":[{"role":"user","content":[{"text":"%0800d"}]}]}`
	for _, row := range []struct {
		op          wire.Operation
		model, body string
		want        string // the model that is sent
		said        string // x-sluice-model
	}{
		{wire.OpConverse, "us.amazon.nova-pro-v1:0", `{}`, pro, "us.amazon.nova-pro-v1:0"},
		{wire.OpConverseStream, "us.amazon.nova-pro-v1:0", `{}`, pro, "us.amazon.nova-pro-v1:0"},
		{wire.OpInvoke, "us.amazon.nova-pro-v1:0", `{}`, pro, "us.amazon.nova-pro-v1:0"},
		{wire.OpInvokeStream, "us.amazon.nova-pro-v1:0", `{}`, pro, "us.amazon.nova-pro-v1:0"},
		{wire.OpConverse, "nova", `{}`, pro, "us.amazon.nova-pro-v1:0"},
		{wire.OpConverse, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0", `{}`, pro,
			"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"},
		{wire.OpConverse, "arn:aws:bedrock:us-east-1::inference-profile/us.amazon.nova-pro-v1:0", `{}`, pro,
			"us.amazon.nova-pro-v1:0"},
		{wire.OpConverse, "us.amazon.nova-lite-v1:0", `{}`, lite, "us.amazon.nova-lite-v1:0"}, // of the tenant above
		{wire.OpConverse, pro, `{}`, pro, pro},                                                // named by the caller
		{wire.OpConverse, "auto", `{}`, lite, "us.amazon.nova-lite-v1:0"},
		{wire.OpConverse, "auto", fmt.Sprintf(long, 1), pro, "us.amazon.nova-pro-v1:0"},
		// Another profile of AWS, and what AWS takes no profile for.
		{wire.OpConverse, "amazon.nova-pro-v1:0", `{}`, "amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"},
		{wire.OpCountTokens, "us.amazon.nova-pro-v1:0", `{"input":{"converse":{}}}`, "us.amazon.nova-pro-v1:0",
			"us.amazon.nova-pro-v1:0"},
	} {
		sent = nil
		res := f.post(t, row.op, row.model, row.body)
		readAll(res)
		target := (&wire.Target{Op: row.op, Model: row.want}).String()
		if res.Status != 200 || !slices.Equal(sent, []string{row.want, target}) ||
			res.Header.Get("x-sluice-model") != row.said {
			t.Errorf("%s %s: %d %s, sent %q as %q", row.op, row.model, res.Status, res.Body, sent,
				res.Header.Get("x-sluice-model"))
		}
	}
	for _, stranger := range []string{profiles + "other", "amazon.nova-micro-v1:0"} {
		if res := f.post(t, wire.OpConverse, stranger, `{}`); res.Status != 403 {
			t.Errorf("%s: %d %s", stranger, res.Status, res.Body)
		}
	}
	f.end(t)
	var unpriced, legs int64
	models := map[string]bool{}
	now := time.Now()
	err := f.ledger.Rows(context.Background(), now.Add(-2*time.Hour), now.Add(2*time.Hour),
		func(k record.RowKey, c record.Counters) error {
			if c.Legs > 0 {
				models[k.Model] = true
				unpriced, legs = unpriced+c.Unpriced, legs+c.Legs
			}
			return nil
		})
	if err != nil || unpriced > 0 || legs != 12 || !models[pro] || !models[lite] || models["us.amazon.nova-pro-v1:0"] {
		t.Errorf("the ledger has %d unpriced of %d legs, and models %v: %v", unpriced, legs, models, err)
	}
}

// TestProfilesOfShadows (issue 11): what another tenant pays for goes to the profiles of that tenant.
func TestProfilesOfShadows(t *testing.T) {
	own := "    model_map: {'dear.light-v1:0': 'LIGHT', 'dear.second-v1:0': 'SECOND'}\n"
	settings := strings.Replace(fmt.Sprintf(shadowSettings, "1000"), "    limits:", own+"    limits:", 1)
	settings = strings.NewReplacer("LIGHT", profiles+"light", "SECOND", profiles+"second").Replace(settings)
	f := newFixtureOf(t, "1000", "", settings)
	var mu sync.Mutex
	var sent []string
	f.reply = func(r *engine.Request) (*engine.Response, error) {
		mu.Lock()
		sent = append(sent, r.Model)
		mu.Unlock()
		return f.answer(r.Model, 1)
	}
	if status, text, _ := f.ask(t, "auto"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	f.end(t, "lab")
	slices.Sort(sent)
	if want := []string{profiles + "light", profiles + "second", "dear.heavy-v1:0"}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}
