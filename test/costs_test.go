package test

import (
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

	"github.com/sluice-gateway/sluice/test/harness"
)

// billing is an upstream whose model writes as much as the body that reaches it
// allows, and that serves the tier that it is asked for.
type billing struct {
	mu   sync.Mutex // guards over
	over []string   // bodies that ask for more than a thousand tokens
}

func (b *billing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet { // GetInferenceProfile: this one is nobody's
		http.NotFound(w, r)
		return
	}
	text, _ := io.ReadAll(r.Body)
	var body struct {
		MaxCompletionTokens *int64 `json:"max_completion_tokens"`
		MaxTokens           *int64 `json:"max_tokens"`
		N                   *int64
		InferenceConfig     struct{ MaxTokens *int64 }
	}
	err := json.Unmarshal(text, &body)
	most := int64(0)
	names := []*int64{body.MaxCompletionTokens, body.MaxTokens}
	converse := strings.HasSuffix(r.URL.Path, "/converse")
	if converse {
		names = []*int64{body.InferenceConfig.MaxTokens}
	}
	for _, n := range names {
		if n != nil {
			most = max(most, *n)
		}
	}
	if body.N != nil && !converse {
		most *= *body.N
	}
	if err != nil || most == 0 || most > 1000 {
		b.mu.Lock()
		b.over = append(b.over, fmt.Sprintf("%s %s: %v", r.URL.Path, text, err))
		b.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	if tier := r.Header.Get("X-Amzn-Bedrock-Service-Tier"); tier != "" {
		w.Header().Set("X-Amzn-Bedrock-Service-Tier", tier)
	}
	if converse {
		fmt.Fprintf(w, `{"output":{},"usage":{"inputTokens":9,"outputTokens":%d}}`, most)
		return
	}
	w.Header().Set("X-Amzn-Bedrock-Input-Token-Count", "9")
	w.Header().Set("X-Amzn-Bedrock-Output-Token-Count", fmt.Sprint(most))
	fmt.Fprint(w, `{}`)
}

// TestCostsOnTheBinary is a short part of the gateway's FuzzNothingIsFree on the
// built program: the cap reaches the upstream, what is posted stays within the
// budget, and nothing that was used is booked as free.
func TestCostsOnTheBinary(t *testing.T) {
	upstream := &billing{}
	server := httptest.NewServer(upstream)
	defer server.Close()
	key := harness.NewKey(t, "acme")
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, bearer_token: x}
aliases: {oss: openai.gpt-oss-120b-1:0}
model_map: {%q: openai.gpt-oss-120b-1:0}
tenants:
  - id: acme
    keys: [%s]
    output_tokens: {max: 1000}
    deny_models: ["anthropic.*"]
    budgets: [{period: month, usd: 0.01, on_exceed: reject}]
`, server.URL, arn+"oss", key.KeyID)})
	random := rand.New(rand.NewPCG(10, 1))
	models := []string{"oss", arn + "oss", "openai.gpt-oss-120b-1:0", "us.openai.gpt-oss-120b-1:0", arn + "unmapped",
		"us.anthropic.claude-sonnet-4-6", "liquid.lfm2-8b"}
	members := []string{`"max_tokens":%d`, `"max_completion_tokens":%d`, `"n":3`, `"query":"x","documents":[]`,
		`"input_type":"y"`, `"textGenerationConfig":{"maxTokenCount":%d}`, `"service_tier":"flex"`, `"maxTokens":%d`,
		`"inferenceConfig":{"maxTokens":%d}`, `"service_tier":"auto"`, `"inputText":"x","normalize":true`}
	served := 0
	for range 150 {
		var body []string
		for _, i := range random.Perm(len(members))[:1+random.IntN(4)] {
			body = append(body, strings.ReplaceAll(members[i], "%d", fmt.Sprint(1+random.IntN(60_000))))
		}
		op := []string{"invoke", "converse"}[random.IntN(2)]
		tier := []string{"", "", "default", "PRIORITY", "flex", "anything"}[random.IntN(6)]
		cred := func(r *http.Request, b []byte) error {
			if tier != "" {
				r.Header.Set("X-Amzn-Bedrock-Service-Tier", tier)
			}
			return key.BearerCredential(r, b)
		}
		model := models[random.IntN(len(models))]
		a := g.Post(t, cred, "/model/"+url.PathEscape(model)+"/"+op, "{"+strings.Join(body, ",")+"}")
		if a.Status == http.StatusOK {
			served++
			if strings.Contains(model, "anthropic") {
				t.Errorf("M33: %s was served", model)
			}
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
	if spent.Sign() == 0 || spent.Cmp(big.NewRat(1, 100)) > 0 || served == 0 || served == 150 {
		t.Errorf("%d served, %s dollars of 0.01", served, spent.FloatString(6))
	}
}
