package test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

// billing is an upstream whose model writes as much as the body that reaches it
// allows, that serves the tier that it is asked for, and whose guardrails tell their
// units now and then.
type billing struct {
	mu   sync.Mutex     // guards the following
	over []string       // bodies that ask for more than a thousand tokens
	seen map[string]int // requests by the last part of their path
}

// most is how many tokens a model writes for a body, which is said to be wrong when
// it bounds nothing.
func (b *billing) most(path string, text []byte) int64 {
	var body map[string]json.RawMessage // names in their exact case, as Bedrock reads them
	err := json.Unmarshal(text, &body)
	names := []string{"max_completion_tokens", "max_tokens"}
	if strings.Contains(path, "/converse") {
		var inner map[string]json.RawMessage
		json.Unmarshal(body["inferenceConfig"], &inner)
		body, names = inner, []string{"maxTokens"}
	}
	number := func(name string) (n int64) {
		json.Unmarshal(body[name], &n)
		return n
	}
	most := int64(0)
	for _, name := range names {
		most = max(most, number(name))
	}
	most *= max(1, number("n"))
	if err != nil || most == 0 || most > 1000 {
		b.mu.Lock()
		b.over = append(b.over, fmt.Sprintf("%s %s: %v", path, text, err))
		b.mu.Unlock()
	}
	return most
}

func (b *billing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet { // GetInferenceProfile: this one is nobody's
		http.NotFound(w, r)
		return
	}
	text, _ := io.ReadAll(r.Body)
	op := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	b.mu.Lock()
	b.seen[op]++
	units := ""
	if b.seen[op]%2 == 0 {
		units = `{"contentPolicyUnits":1,"topicPolicyUnits":2}`
	}
	b.mu.Unlock()
	if tier := r.Header.Get("X-Amzn-Bedrock-Service-Tier"); tier != "" {
		w.Header().Set("X-Amzn-Bedrock-Service-Tier", tier)
	}
	w.Header().Set("Content-Type", "application/json")
	trace := ""
	if units != "" {
		trace = `,"trace":{"guardrail":{"inputAssessment":{"g":{"invocationMetrics":{"usage":` + units + `}}}}}`
	}
	switch op {
	case "converse":
		fmt.Fprintf(w, `{"output":{},"usage":{"inputTokens":9,"outputTokens":%d}%s}`, b.most(r.URL.Path, text), trace)
	case "converse-stream":
		frame(w, "metadata", fmt.Sprintf(`{"usage":{"inputTokens":9,"outputTokens":%d}%s}`, b.most(r.URL.Path, text), trace))
	case "invoke-with-response-stream":
		chunk := fmt.Sprintf(`{"amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":%d}}`,
			b.most(r.URL.Path, text))
		frame(w, "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(chunk))+`"}`)
	case "apply":
		fmt.Fprintf(w, `{"usage":%s}`, cmp.Or(units, "{}"))
	case "count-tokens":
		fmt.Fprint(w, `{"inputTokens":9}`)
	case "async-invoke":
		fmt.Fprint(w, `{"invocationArn":"arn:aws:bedrock:us-east-1:1:async-invoke/abc"}`)
	default:
		w.Header().Set("X-Amzn-Bedrock-Input-Token-Count", "9")
		w.Header().Set("X-Amzn-Bedrock-Output-Token-Count", fmt.Sprint(b.most(r.URL.Path, text)))
		fmt.Fprint(w, `{}`)
	}
}

// frame answers with a stream of one event.
func frame(w http.ResponseWriter, event, payload string) {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	w.Write(wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: event},
		{Name: ":content-type", Value: "application/json"}, {Name: ":message-type", Value: "event"}}, []byte(payload)))
}

const profileARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"

// costly is a request for any operation, drawn at random. It returns the model too.
func costly(random *rand.Rand) (path, body, model string) {
	models := []string{"oss", profileARN + "oss", "openai.gpt-oss-120b-1:0", "us.openai.gpt-oss-120b-1:0",
		profileARN + "unmapped", "us.anthropic.claude-sonnet-4-6", "ANTHROPIC.claude-sonnet-4-6", "liquid.lfm2-8b",
		"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-6", "our-provisioned-throughput"}
	members := []string{`"max_tokens":%d`, `"max_completion_tokens":%d`, `"n":3`, `"query":"x","documents":[]`,
		`"input_type":"y"`, `"textGenerationConfig":{"maxTokenCount":%d}`, `"service_tier":"flex"`, `"maxTokens":%d`,
		`"inferenceConfig":{"maxTokens":%d}`, `"service_tier":"auto"`, `"inputText":"x","normalize":true`,
		`"guardrailConfig":{"guardrailIdentifier":"g","guardrailVersion":"1"}`, `"parameters":{"n":%d}`,
		`"additionalModelRequestFields":{"max_tokens":%d}`, `"max_t\u006fkens":%d`, `"MAX_TOKENS":%d`}
	var all []string
	for _, i := range random.Perm(len(members))[:1+random.IntN(4)] {
		all = append(all, strings.ReplaceAll(members[i], "%d", fmt.Sprint(1+random.IntN(60_000))))
	}
	model = models[random.IntN(len(models))]
	ops := []string{"invoke", "converse", "invoke-with-response-stream", "converse-stream", "count-tokens",
		"invoke-with-bidirectional-stream", "apply", "async-invoke"}
	op := ops[random.IntN(len(ops))]
	path = "/model/" + url.PathEscape(model) + "/" + op
	if random.IntN(4) == 0 { // every byte encoded
		path = "/model/" + fmt.Sprintf("%%%s", strings.ReplaceAll(fmt.Sprintf("% x", model), " ", "%")) + "/" + op
	}
	switch op {
	case "apply":
		return "/guardrail/g/version/1/apply", `{"source":"INPUT","content":[{"text":{"text":"hello"}}]}`, ""
	case "async-invoke":
		return "/async-invoke", `{"modelId":"` + model + `","modelInput":{}}`, model
	}
	return path, "{" + strings.Join(all, ",") + "}", model
}

// TestCostsOnTheBinary is a short part of the gateway's FuzzNothingIsFree and of its
// walks on the built program: the cap reaches the upstream, what is posted stays
// within the budget, nothing that was used is booked as free, and no spelling of a
// denied model is served.
func TestCostsOnTheBinary(t *testing.T) {
	upstream := &billing{seen: map[string]int{}}
	server := httptest.NewServer(upstream)
	defer server.Close()
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, bearer_token: x}
aliases: {oss: openai.gpt-oss-120b-1:0}
model_map: {%q: openai.gpt-oss-120b-1:0}
tenants:
  - id: acme
    keys: [%s]
    output_tokens: {max: 1000}
    deny_models: ["anthropic.*"]
    operations: [converse, converse-stream, invoke, invoke-with-response-stream, count-tokens, apply-guardrail,
      start-async-invoke]
    budgets: [{period: month, usd: 0.5, on_exceed: reject}]
`, server.URL, profileARN+"oss", key.KeyID)})
	random := rand.New(rand.NewPCG(10, 1))
	served := 0
	for range 400 {
		path, body, model := costly(random)
		tier := []string{"", "", "default", "PRIORITY", "flex", "anything"}[random.IntN(6)]
		guarded := random.IntN(4) == 0
		cred := func(r *http.Request, b []byte) error {
			if tier != "" {
				r.Header["x-amzn-BEDROCK-service-tier"] = []string{"default", tier}
			}
			if guarded {
				r.Header.Set("X-Amzn-Bedrock-GuardrailIdentifier", "g")
			}
			return key.BearerCredential(r, b)
		}
		a := g.Post(t, cred, path, body)
		if a.Status != http.StatusOK {
			continue
		}
		served++
		if strings.Contains(strings.ToLower(model), "anthropic") || strings.Contains(path, "bidirectional") {
			t.Errorf("M33: %s was served", path)
		}
	}
	for _, text := range upstream.over {
		t.Errorf("the cap did not reach the upstream: %s", text)
	}
	spent := new(big.Rat)
	for _, row := range g.Report("model") {
		cost, _ := new(big.Rat).SetString(row.Cost)
		if cost == nil {
			cost = new(big.Rat)
		}
		spent.Add(spent, cost)
		if row.Input+row.Output > 0 && cost.Sign() == 0 && row.Unpriced == 0 && row.Unknown == 0 {
			t.Errorf("free: %+v", row)
		}
	}
	t.Logf("%d of 400 served, by %v, %s dollars of 0.5", served, upstream.seen, spent.FloatString(6))
	if spent.Sign() == 0 || spent.Cmp(big.NewRat(5, 10)) > 0 || served == 0 || served == 400 {
		t.Errorf("%d served, %s dollars of 0.5", served, spent.FloatString(6))
	}
	for _, op := range []string{"invoke", "converse", "invoke-with-response-stream", "converse-stream", "apply",
		"count-tokens"} {
		if upstream.seen[op] == 0 {
			t.Errorf("%s is always refused", op)
		}
	}
}
