package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestPointsPayForThemselves has a tenant whose prompts begin alike and have no cache points.
// Once the tenant has spent so much that a hundredth of it covers what points may cost in
// vain, one prompt writes what they have in common, and the following ones read it. A prompt
// with a point of its caller's, and another tenant's, are left alone.
func TestPointsPayForThemselves(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: []")
	cached, plain := harness.NewKey(t, "acme/cached"), harness.NewKey(t, "acme/plain")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants:
  - {id: acme/cached, keys: [%s], prompt_cache: {inject: auto}}
  - {id: acme/plain, keys: [%s]}
`, sandbox.URL(), cached.KeyID, plain.KeyID)})
	ask := func(key harness.Key, question, point string) (use string, read, wrote int) {
		t.Helper()
		got := gw.Post(t, key.BearerCredential, "/model/"+strings.ReplaceAll(escalation, ":", "%3A")+"/converse",
			`{"system":[{"text":"`+strings.Repeat("rule", 5000)+`"}`+point+`],"messages":[{"role":"user","content":[{"text":"`+
				question+`"}]}],"inferenceConfig":{"maxTokens":9}}`)
		var answer struct {
			Usage struct{ CacheReadInputTokens, CacheWriteInputTokens int }
		}
		if err := json.Unmarshal(got.Body, &answer); err != nil || got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		return got.Header.Get("x-sluice-cache"), answer.Usage.CacheReadInputTokens, answer.Usage.CacheWriteInputTokens
	}
	asked := 0
	for ; asked < 100; asked++ {
		use, read, wrote := ask(cached, fmt.Sprint("question ", asked), "")
		if use == "write 5m" && read == 0 && wrote == 5000 {
			break
		}
		if use != "" || read+wrote != 0 {
			t.Fatalf("prompt %d: %q, reads %d and writes %d", asked, use, read, wrote)
		}
	}
	if asked < 40 || asked == 100 {
		t.Errorf("written with prompt %d", asked)
	}
	for i := range 5 {
		if use, read, wrote := ask(cached, fmt.Sprint("and now ", i), ""); use != "read 5m" || read != 5000 || wrote != 0 {
			t.Errorf("after the write: %q, reads %d and writes %d", use, read, wrote)
		}
		if use, read, wrote := ask(plain, "and now?", ""); use != "" || read+wrote != 0 {
			t.Errorf("another tenant: %q, reads %d and writes %d", use, read, wrote)
		}
	}
	if use, read, _ := ask(cached, "mine", `,{"cachePoint":{"type":"default"}}`); use != "" || read != 5000 {
		t.Errorf("a caller's point: %q, reads %d", use, read)
	}
}
