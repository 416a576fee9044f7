package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// readmeGlobs are those of the README, which must be safe by themselves.
const readmeGlobs = `models: ["*nova*", "*claude*"]`

// strangers are ARNs of another account that the README's globs match, and spellings of
// them.
func strangers() (all []string) {
	for _, kind := range []string{
		"inference-profile/us.amazon.nova-pro-v1:0", "application-inference-profile/nova", "provisioned-model/nova",
		"custom-model/amazon.nova-lite-v1:0:300k/abc", "custom-model-deployment/nova", "imported-model/nova",
		"prompt/NOVAnova:1", "prompt-router/nova", "default-prompt-router/amazon.nova:1", "marketplace/model-endpoint/nova",
		"guardrail/nova", "async-invoke/nova", "agent/nova",
	} {
		all = append(all, "arn:aws:bedrock:us-east-1:999999999999:"+kind)
	}
	return append(all, "arn:aws:sagemaker:us-east-1:999999999999:endpoint/nova",
		"arn:aws:sagemaker:us-east-1:123456789012:endpoint/nova",
		"ARN:AWS:BEDROCK:us-east-1:999999999999:imported-model/nova",
		"arn:aws-cn:bedrock:us-east-1:123456789012:imported-model/nova", "arn:aws:bedrock:us-east-1::imported-model/nova",
		"arn:aws:bedrock:us-east-1:123456789012 :imported-model/nova", "arn:aws:bedrock:us-east-1:*:imported-model/nova",
		"arn:aws:s3:us-east-1:123456789012:bucket/nova",
		"arn:aws:sagemaker:eu-west-1::inference-profile/us.amazon.nova-pro-v1:0")
}

// TestStrangersAreRefused (E7): no ARN of another account leaves, by whatever operation,
// in whatever place; the refusal names the setting. Nothing is asked of the upstream for
// it either.
func TestStrangersAreRefused(t *testing.T) {
	f := newFixtureFrom(t, capsText+"    "+readmeGlobs+"\n")
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	ops := []wire.Operation{wire.OpInvoke, wire.OpInvokeStream, wire.OpConverse, wire.OpConverseStream, wire.OpCountTokens}
	for _, id := range strangers() {
		for _, op := range ops {
			if res := f.post(t, op, id, `{}`); res.Status != 403 && res.Status != 400 {
				t.Errorf("E7: %s %s: %d %s", op, id, res.Status, res.Body)
			}
		}
	}
	const foreign = "arn:aws:bedrock:us-east-1:999999999999:guardrail/abc"
	nova := "us.amazon.nova-lite-v1:0"
	for _, body := range []string{
		`{"guardrailConfig":{"guardrailIdentifier":"` + foreign + `","guardrailVersion":"1"}}`,
		`{"messages":[{"role":"user","content":[{"image":{"source":{"s3Location":{"uri":"s3://b/k",` +
			`"bucketOwner":"999999999999"}}}}]}]}`,
	} {
		if res := f.post(t, wire.OpConverse, nova, body); res.Status != 403 ||
			!strings.Contains(string(res.Body), "allowed_accounts") {
			t.Errorf("E7: %s: %d %s", body, res.Status, res.Body)
		}
	}
	header := wire.Field{Name: "X-Amzn-Bedrock-GuardrailIdentifier", Value: foreign}
	if res := f.post(t, wire.OpInvoke, nova, `{}`, header); res.Status != 403 {
		t.Errorf("E7: the header: %d %s", res.Status, res.Body)
	}
	res := f.sendRaw(t, "POST", (&wire.Target{Op: wire.OpApplyGuardrail, Resource: foreign, Version: "1"}).String(), `{}`)
	if res.Status != 403 {
		t.Errorf("E7: the path: %d %s", res.Status, res.Body)
	}
	encoded := "/model/arn%3Aaws%3abedrock%3Aus-east-1%3A999999999999%3Aimported-model%2Fn%6Fva/converse"
	for _, target := range []string{encoded, strings.Replace(encoded, "%3A", "%253A", 1), "/inference-profiles/" +
		"arn:aws:bedrock:us-east-1:999999999999:application-inference-profile/nova"} {
		method := http.MethodPost
		if strings.HasPrefix(target, "/inf") {
			method = http.MethodGet
		}
		if res := f.sendRaw(t, method, target, `{}`); res.Status != 403 && res.Status != 400 {
			t.Errorf("E7: %s: %d %s", target, res.Status, res.Body)
		}
	}
	if f.calls.Load() > 0 {
		t.Errorf("E7: %d calls left", f.calls.Load())
	}
	for _, id := range []string{nova, "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"} {
		if res := f.post(t, wire.OpConverse, id, `{}`); res.Status != 200 {
			t.Errorf("E7: %s: %d %s", id, res.Status, res.Body)
		}
	}
	f.end(t)
}

// TestListsOfATenant (E7): what its tenant does not list is refused, beside what the gateway lists.
func TestListsOfATenant(t *testing.T) {
	f := newFixtureFrom(t, capsText+"    allowed_guardrails: [mine]\n    allowed_s3: ['s3://mine/*']\n")
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	for name, want := range map[string]int{"mine": 200, "other": 403} {
		for _, body := range []string{
			`{"guardrailConfig":{"guardrailIdentifier":"` + name + `","guardrailVersion":"1"}}`,
			`{"messages":[{"role":"user","content":[{"image":{"source":{"s3Location":{"uri":"s3://` + name + `/k"}}}}]}]}`,
		} {
			if res := f.post(t, wire.OpConverse, "amazon.nova-lite-v1:0", body); res.Status != want {
				t.Errorf("%s: %d %s", body, res.Status, res.Body)
			}
		}
	}
	f.end(t)
}

// TestStrangersBehindAliases (E7): what the configuration leads to is looked at too.
func TestStrangersBehindAliases(t *testing.T) {
	f := newFixtureFrom(t, `
upstream: {endpoint: "http://127.0.0.1:1", region: us-east-1, bearer_token: x}
aliases: {auto: "arn:aws:bedrock:us-east-1:999999999999:imported-model/nova"}
cascades:
  - {name: c, match: 'request.model == "both"', mode: rules, light: amazon.nova-lite-v1:0,
     escalation: "arn:aws:bedrock:us-east-1:999999999999:imported-model/nova"}
tenants: [{id: acme, keys: [KEY]}]
`)
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	for _, id := range []string{"auto", "both"} {
		if res := f.post(t, wire.OpConverse, id, `{}`); res.Status != 403 || f.calls.Load() > 0 ||
			!strings.Contains(string(res.Body), "allowed_accounts") {
			t.Errorf("E7: %s: %d %s", id, res.Status, res.Body)
		}
	}
	f.end(t)
}

// sendRaw sends a raw target.
func (f *fixture) sendRaw(t testing.TB, method, target, text string) *Response {
	t.Helper()
	return f.line.Serve(&Request{
		ID: "01REQUEST", Method: method, Target: target, Authority: "gateway",
		Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}},
		Body:   body{text}, Caller: context.Background(), Received: time.Now(),
	})
}
