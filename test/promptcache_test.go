package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// prompting is a form in which a prompt can be asked, without a point of its caller's or with one.
type prompting struct {
	path       string
	plain, own func(rules, question string) string
}

// promptings are those that have a place for points.
func promptings() map[string]prompting {
	claude := func(head, system string) func(rules, question string) string {
		return func(rules, question string) string {
			return `{` + head + `,"max_tokens":9,"system":` + fmt.Sprintf(system, rules) +
				`,"messages":[{"role":"user","content":"` + question + `"}]}`
		}
	}
	converse := func(point string) func(rules, question string) string {
		return func(rules, question string) string {
			return `{"system":[{"text":"` + rules + `"}` + point + `],"messages":[{"role":"user","content":[{"text":"` +
				question + `"}]}],"inferenceConfig":{"maxTokens":9}}`
		}
	}
	const plain, own = `"%s"`, `[{"type":"text","text":"%s","cache_control":{"type":"ephemeral"}}]`
	version, model := `"anthropic_version":"bedrock-2023-05-31"`, `"model":"`+escalation+`"`
	path := "/model/" + strings.ReplaceAll(escalation, ":", "%3A")
	return map[string]prompting{
		"converse": {path + "/converse", converse(""), converse(`,{"cachePoint":{"type":"default"}}`)},
		"invoke":   {path + "/invoke", claude(version, plain), claude(version, own)},
		"messages": {"/v1/messages", claude(model, plain), claude(model, own)},
	}
}

// cacheUsage is what an answer in any of the forms says that was read and written.
func cacheUsage(t *testing.T, body []byte) (read, wrote int) {
	t.Helper()
	var answer struct {
		Usage struct {
			CacheReadInputTokens, CacheWriteInputTokens int
			Read                                        int `json:"cache_read_input_tokens"`
			Wrote                                       int `json:"cache_creation_input_tokens"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	u := &answer.Usage
	return u.CacheReadInputTokens + u.Read, u.CacheWriteInputTokens + u.Wrote
}

// TestPointsPayForThemselves has a tenant whose prompts begin alike and have no cache points, in each form that has a
// place for them. Once the tenant has spent so much that a hundredth of it covers what points may cost in vain, one
// prompt writes what they have in common, and the following ones read it. A prompt with a point of its caller's, and
// another tenant's, are left alone. Decisions say why.
func TestPointsPayForThemselves(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: []")
	for name, form := range promptings() {
		t.Run(name, func(t *testing.T) {
			cached, plain := harness.NewKey(t, "acme/cached"), harness.NewKey(t, "acme/plain")
			gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants:
  - {id: acme/cached, keys: [%s], prompt_cache: {inject: auto}}
  - {id: acme/plain, keys: [%s]}
`, sandbox.URL(), cached.KeyID, plain.KeyID)})
			p := payer{t, gw, form.path}
			rules := name + " " + strings.Repeat("rule", 5000)[:20_000-len(name)-1]
			p.untilWritten(cached, func(n int) string { return form.plain(rules, fmt.Sprint("question ", n)) })
			for i := range 5 {
				body := form.plain(rules, fmt.Sprint("and now ", i))
				if got := p.ask(cached, body); got.use != "read 5m" || got.read != 5000 || got.wrote != 0 {
					t.Errorf("after the write: %+v", got)
				}
				if got := p.ask(plain, body); got.use != "" || got.read+got.wrote != 0 {
					t.Errorf("another tenant: %+v", got)
				}
			}
			got := p.ask(cached, form.own(rules, "mine"))
			if got.use != "" || got.read != 5000 {
				t.Errorf("a caller's point: %+v", got)
			}
			p.decided(got.id, "none: own")
		})
	}
}

// payer asks a gateway.
type payer struct {
	t    *testing.T
	gw   *harness.Gateway
	path string
}

// paid is what became of a prompt's cache.
type paid struct {
	id, use     string
	read, wrote int
}

func (p *payer) ask(key harness.Key, body string) paid {
	p.t.Helper()
	got := p.gw.Post(p.t, key.BearerCredential, p.path, body)
	if got.Status != 200 {
		p.t.Fatalf("%d %s", got.Status, got.Body)
	}
	of := paid{id: got.Header.Get("x-sluice-request-id"), use: got.Header.Get("x-sluice-cache")}
	of.read, of.wrote = cacheUsage(p.t, got.Body)
	return of
}

// decided waits until the decision about a request has what points were for, or why there are none.
func (p *payer) decided(id, want string) {
	p.t.Helper()
	harness.Eventually(p.t, time.Minute, func() (bool, string) {
		out := harness.Run(p.t, 0, nil, "explain", "--config", p.gw.ConfigFile(), id)
		return strings.Contains(out, "prompt cache: "+want), out
	})
}

// untilWritten asks until a prompt writes what all have in common.
func (p *payer) untilWritten(key harness.Key, body func(n int) string) {
	p.t.Helper()
	last := ""
	for n := range 100 {
		got := p.ask(key, body(n))
		if got.use == "write 5m" && got.read == 0 && got.wrote == 5000 {
			if n < 40 {
				p.t.Errorf("written with prompt %d", n)
			}
			p.decided(last, "none: week")
			p.decided(got.id, "write 5m")
			return
		}
		if got.use != "" || got.read+got.wrote != 0 {
			p.t.Fatalf("prompt %d: %+v", n, got)
		}
		last = got.id
	}
	p.t.Fatal("nothing was written")
}
