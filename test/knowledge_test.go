package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	rerankARN = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"
	novaARN   = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
)

// startKnowledge starts a gateway whose tenant acme may ask its own knowledge base and its own agent, but plain not.
func startKnowledge(t *testing.T) (g *harness.Gateway, upstream *harness.Sandbox, acme, plain harness.Key) {
	t.Helper()
	upstream, acme, plain = harness.StartSandbox(t, counts11), harness.NewKey(t, "acme"), harness.NewKey(t, "plain")
	g = harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
allowed_accounts: ["111122223333"]
tenants:
  - id: acme
    keys: [%s]
    operations: [retrieve, retrieve-and-generate, rerank, invoke-agent]
    allowed_knowledge: [KBACME*, AGACME*/*]
    deny_models: ["*nova-pro*"]
  - {id: plain, keys: [%s]}
`, upstream.URL(), acme.KeyID, plain.KeyID)})
	return g, upstream, acme, plain
}

// TestKnowledgeBases: unmodified boto3 asks knowledge bases and agents through the gateway. What reports its tokens or
// is billed by the query is in the books, what does not is there as unknown; resources of others are refused.
func TestKnowledgeBases(t *testing.T) {
	l := theLane(t)
	g, upstream, key, _ := startKnowledge(t)
	cmd := exec.Command(l.python("boto3"), filepath.Join(l.root, "test/clients/python/agents.py"))
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "URL="+g.URL(), "RERANK="+rerankARN,
		"NOVA="+novaARN)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderrOf(err))
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"first": 100.0, "retrieved": "hi", "generated": "hi", "streamed": "hi",
		"agent":    map[string]any{"session": "agent-session-1", "text": "hi", "traces": 2.0},
		"quiet":    map[string]any{"session": "agent-session-1", "text": "hi", "traces": 0.0},
		"other_kb": "403 AccessDeniedException", "other_agent": "403 AccessDeniedException",
		"foreign": "403 AccessDeniedException", "denied": "403 AccessDeniedException", "no_path": "403 AccessDeniedException",
	}
	for name, is := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(is) {
			t.Errorf("%s: %v, want %v", name, got[name], is)
		}
	}
	wantKnowledge(t, g, upstream)
}

// wantKnowledge compares the books with what the stand-in was asked: two queries of a hundred documents each, one
// answer of an agent whose trace says its tokens, and one that says nothing.
func wantKnowledge(t *testing.T, g *harness.Gateway, upstream *harness.Sandbox) {
	t.Helper()
	if n := len(upstream.Log()); n != 6 {
		t.Errorf("the upstream was asked %d times", n)
	}
	rows := map[string]harness.Row{}
	for _, r := range g.Report("model") {
		rows[r.Model] = r
	}
	for model, want := range map[string]string{
		rerankARN: "1 0 0 0 0.004", "knowledge-base/KBACME0001": "1 0 0 0 0.00", novaARN: "2 0 0 2 ",
	} {
		r := rows[model]
		got := fmt.Sprint(r.Requests, " ", r.Input, " ", r.Output, " ", r.Unknown, " ", r.Cost)
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s; all: %v", model, got, want, rows)
		}
	}
	agent := harness.Row{}
	for name, r := range rows {
		if strings.Contains(name, "AGACME0001") || name == "amazon.nova-lite-v1:0" {
			agent.Requests, agent.Input, agent.Unknown = agent.Requests+r.Requests, agent.Input+r.Input, agent.Unknown+r.Unknown
		}
	}
	if agent.Requests != 2 || agent.Input != 11 || agent.Unknown != 1 {
		t.Errorf("the agent: %+v; all: %v", agent, rows)
	}
}

// TestKnowledgeMistakes: what cannot be, and what nobody allows, is said clearly, and the upstream is not asked.
func TestKnowledgeMistakes(t *testing.T) {
	g, upstream, acme, plain := startKnowledge(t)
	const kb = "/knowledgebases/KBACME0001/retrieve"
	query := `{"retrievalQuery":{"text":"x"}}`
	ranked := func(arn string) string {
		return `{"queries":[],"sources":[{}],"rerankingConfiguration":{"bedrockRerankingConfiguration":` +
			`{"modelConfiguration":{"modelArn":"` + arn + `"}}}}`
	}
	for _, c := range []struct {
		key        harness.Key
		path, body string
		status     int
		says       string
	}{
		{plain, kb, query, 403, "operation retrieve is not allowed to this key"},
		{plain, "/rerank", ranked(rerankARN), 403, "operation rerank is not allowed"},
		{acme, "/knowledgebases//retrieve", query, 400, "empty or dotted segment"},
		{acme, "/knowledgebases/arn:aws:bedrock:us-east-1:111122223333:knowledge-base%2FX/retrieve", query, 400, "not ARNs"},
		{acme, "/knowledgebases/KBACME0001234/retrieve", query, 400, "at most 10 letters and digits"},
		{acme, "/agents/AGACME0001/agentAliases/A/sessions/" + strings.Repeat("s", 101) + "/text", `{}`, 400,
			"at most 100 bytes"},
		{acme, "/agents/AGACME0001/agentAliases/A/text", `{}`, 404, "not recognized"},
		{acme, "/rerank", `{"queries":[],"sources":[]}`, 400, "names no model"},
		{acme, "/rerank", ranked("arn:aws:bedrock:us-east-1:x:y"), 403, "not a well-formed ARN"},
		{acme, "/retrieveAndGenerate", `{"input":`, 400, ""},
		{acme, "/retrieveAndGenerate", `{"input":{"text":"x"}}`, 400, "RetrieveAndGenerate needs a modelArn"},
	} {
		a := g.Post(t, c.key.BearerCredential, c.path, c.body)
		if a.Status != c.status || !strings.Contains(string(a.Body), c.says) {
			t.Errorf("%s: %d %s, want %d %q", c.path, a.Status, a.Body, c.status, c.says)
		}
	}
	if a := g.Get(t, acme.BearerCredential, kb); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", a.Status, a.Body)
	}
	if n := len(upstream.Log()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestEmbeddedAgain: a text that is embedded twice is counted with what it cost again; another one is not, and both
// calls are made.
func TestEmbeddedAgain(t *testing.T) {
	g, upstream, key := dialects(t, counts11, "", "")
	for _, text := range []string{"a", "b", "a"} {
		a := g.Post(t, key.BearerCredential, "/model/amazon.titan-embed-text-v2:0/invoke", `{"inputText":"`+text+`"}`)
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	again := g.Metric(`sluice_embedded_again_total{tenant="acme"}`)
	usd := g.Metric(`sluice_embedded_again_usd_total{tenant="acme"}`)
	if again != 1 || usd <= 0 || usd > 1e-5 || len(upstream.Log()) != 3 {
		t.Errorf("%g again for $%g, %d calls", again, usd, len(upstream.Log()))
	}
}
