package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// breaks are the ways in which an upstream's stream breaks after it has begun, by what the caller says.
var breaks = map[string]string{
	"exception": "exception_after_frames: 6",
	"throttled": "exception_after_frames: 6, exception: throttlingException",
	"model":     "exception_after_frames: 6, exception: modelStreamErrorException",
	"invalid":   "exception_after_frames: 6, exception: validationException",
	"unknown":   "exception_after_frames: 6, exception: somethingNewException",
	"cut":       "cut_after_frames: 6",
	"half":      "cut_in_frame: 7",
	"malformed": "corrupt_crc: 7",
}

// streamed are models that the gateway reaches in different ways, by API: by Converse, as they are at the runtime host,
// and at the host bedrock-mantle.
var streamed = map[string][]string{
	"chat":      {"amazon.nova-lite-v1:0", ossID, "newest"},
	"responses": {"amazon.nova-lite-v1:0", gptID, "newest"},
	"messages":  {"amazon.nova-lite-v1:0", sonnetName, "opus"},
}

// brokenCalls are all APIs, models and breaks, and a call that goes well for each model.
func brokenCalls() (calls [][3]string, script string) {
	script = "rules:\n"
	for _, text := range slices.Sorted(maps.Keys(breaks)) {
		said := strings.Repeat(hello, 9)
		script += fmt.Sprintf("  - {match: {text: %s}, answer: {text: %q}, fault: {%s}}\n", text, said, breaks[text])
		for api, models := range streamed {
			for _, model := range models {
				if text == "malformed" && (model == ossID || model == gptID || model == "newest" || model == "opus") {
					continue // events have no checksum
				}
				calls = append(calls, [3]string{api, model, text})
			}
		}
	}
	for api, models := range streamed {
		for _, model := range models {
			calls = append(calls, [3]string{api, model, "well"})
		}
	}
	return calls, script + "  - {answer: {text: some words, input_tokens: 11, output_tokens: 7}}\n"
}

// TestBrokenStreams: a stream that breaks in its middle is an error for OpenAI's and Anthropic's SDKs, whatever broke
// it and however the gateway reaches the model. What had come before reaches them, and each call is in the books.
func TestBrokenStreams(t *testing.T) {
	l := theLane(t)
	calls, script := brokenCalls()
	list, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	g, _, key := onMantle(t, script, "")
	env := clients.Env(g.URL(), "BASE="+g.URL(), "KEY="+key.Bearer, "CALLS="+string(list))
	var broken, well int64
	for name, command := range map[string][]string{
		"python": {l.python("openai"), filepath.Join(l.root, "test/clients/python/broken_streams.py")},
		"js":     {l.node(), filepath.Join(l.js(), "broken_streams.mjs")},
	} {
		got := outcomes(t, command, env)
		if len(got) != len(calls) {
			t.Errorf("%s: %d calls, want %d", name, len(got), len(calls))
		}
		for asked, got := range got {
			if strings.HasSuffix(asked, " well") {
				well++
				if got.Error != "" || got.Text != "some words" {
					t.Errorf("%s, %s: %+v", name, asked, got)
				}
				continue
			}
			if broken++; got.Error == "" || got.Message == "" || got.Text == "" {
				t.Errorf("%s, %s: %+v", name, asked, got)
			}
		}
	}
	harness.Eventually(t, 10*time.Second, func() (bool, string) {
		var booked, unknown, out, suspense int64
		for _, c := range journalled(t, g) {
			booked, out = booked+c.Requests, out+c.Output
			unknown, suspense = unknown+c.Unknown, suspense+c.SuspenseTokens
		}
		return booked == broken+well && unknown == broken && out == 7*well && suspense > broken,
			fmt.Sprintf("%d calls, %d unknown, %d output, %d tokens in suspense", booked, unknown, out, suspense)
	})
}

// TestSilentStreams: a stream that falls silent after it has begun ends in an error of its dialect.
func TestSilentStreams(t *testing.T) {
	const model = "amazon.nova-lite-v1:0"
	upstream := harness.StartScripted(t, map[string]harness.Play{model: func(conn *net.TCPConn, _ int) bool {
		frames := string(harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)) +
			string(harness.EncodeFrame(t, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"some words"}}`))
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(frames), frames)
		conn.Read(make([]byte, 1)) // until the gateway leaves
		return false
	}})
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
timeouts: {idle: 1s}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	for path, c := range map[string]struct{ members, event, end string }{
		"/v1/chat/completions": {`"messages":[{"role":"user","content":"hi"}]`, `data: {"error":{`, "[DONE]"},
		"/v1/responses":        {`"input":"hi"`, "event: error\ndata: {", "event: response.completed"},
		"/v1/messages": {`"max_tokens":9,"messages":[{"role":"user","content":"hi"}]`, "event: error\ndata: {",
			"message_stop"},
	} {
		res, body := sendBearer(t, g, key, "POST", path, `{"model":"`+model+`","stream":true,`+c.members+`}`)
		if res.StatusCode != 200 || !strings.Contains(body, "some words") || !strings.Contains(body, c.event) ||
			strings.Contains(body, c.end) {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}
