package test

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// allOfConverse is a stream with all that Converse can say to a caller of another dialect: signed and redacted
// thoughts, words, calls with and without input, caches of both lifetimes and a tier.
var allOfConverse = [][2]string{
	{"messageStart", `{"role":"assistant"}`},
	{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"it thinks"}}}`},
	{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}`},
	{"contentBlockStop", `{"contentBlockIndex":0}`},
	{"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"cg=="}}}`},
	{"contentBlockStop", `{"contentBlockIndex":1}`},
	{"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"text":"it says"}}`},
	{"contentBlockStop", `{"contentBlockIndex":2}`},
	{"contentBlockStart", `{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t1","name":"call_me"}}}`},
	{"contentBlockDelta", `{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"x\":1}"}}}`},
	{"contentBlockStop", `{"contentBlockIndex":3}`},
	{"contentBlockStart", `{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"t2","name":"call_me"}}}`},
	{"contentBlockStop", `{"contentBlockIndex":4}`},
	{"messageStop", `{"stopReason":"tool_use"}`},
	{"metadata", `{"usage":{"inputTokens":1,"outputTokens":7,"totalTokens":18,"cacheReadInputTokens":2,` +
		`"cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"1h","inputTokens":3},{"ttl":"5m","inputTokens":5}]},` +
		`"metrics":{"latencyMs":9},"serviceTier":{"type":"default"}}`},
}

// TestEventShapes: every event of a translated stream has the official clients' own type, whatever Converse says.
func TestEventShapes(t *testing.T) {
	const model = "amazon.nova-2-lite-v1:0"
	l := theLane(t)
	var frames string
	for _, f := range allOfConverse {
		frames += string(harness.EncodeFrame(t, "event", f[0], f[1]))
	}
	upstream := harness.StartScripted(t, map[string]harness.Play{model: func(conn *net.TCPConn, _ int) bool {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"+
			"Content-Length: %d\r\n\r\n%s", len(frames), frames)
		return true
	}})
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	command := []string{l.python("openai"), filepath.Join(l.root, "test/clients/python/events.py")}
	env := clients.Env(g.URL(), "BASE="+g.URL(), "KEY="+key.Bearer, "MODEL="+model)
	for path, wrong := range outcomes(t, command, env) {
		t.Errorf("%s: %s", path, wrong.Error)
	}
	if n := upstream.Calls(model); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}
