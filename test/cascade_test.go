package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	cascadeLight      = "anthropic.claude-3-haiku-20240307-v1:0"
	cascadePartner    = "us.anthropic.claude-3-5-haiku-20241022-v1:0"
	cascadeEscalation = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

const cascadeScript = `rules:
  - {match: {model: "*claude-3-haiku*", text: "refuse"}, answer: {text: "I'm sorry, but I can't help with that, says the light model"}}
  - {match: {model: "*claude-3-haiku*", text: "filter"}, answer: {text: "the light model", stop_reason: content_filtered}}
  - {match: {model: "*claude-3-haiku*", text: "break"}, answer: {text: "the light model breaks here and says no more"}, fault: {exception_after_frames: 3}}
  - {match: {model: "*claude-3-haiku*"}, answer: {text: "the light answer is 42", input_tokens: 10, output_tokens: 5}}
  - {match: {model: "*claude-3-5-haiku*", text: "differ"}, answer: {text: "the answer is 41"}}
  - {match: {model: "*claude-3-5-haiku*", text: "slow"}, answer: {text: "the answer is 42"}, delay: {first_byte: 4s}}
  - {match: {model: "*claude-3-5-haiku*"}, answer: {text: "I think the answer is 42.0"}}
  - {answer: {text: "the strong answer is 42", input_tokens: 12, output_tokens: 6}}
`

func startCascade(t *testing.T, more string) (*harness.Sandbox, *harness.Gateway, harness.Key) {
	t.Helper()
	return startScripted(t, cascadeScript, more)
}

// startScripted starts a cascade in front of a stand-in with a script of its own.
func startScripted(t *testing.T, script, more string) (*harness.Sandbox, *harness.Gateway, harness.Key) {
	t.Helper()
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme/support")
	return sandbox, harness.Start(t, harness.Config{YAML: cascadeYAML(sandbox, key, more)}), key
}

// cascadeYAML configures a cascade for a key of acme/support. What is added goes to the cascade, and below it.
func cascadeYAML(sandbox *harness.Sandbox, key harness.Key, more string) string {
	return fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]}, {id: acme/shadow}]
cascades:
  - name: support
    match: request.model == "auto"
    light: %q
    partner: %q
    escalation: %q
%s`, sandbox.URL(), cascadeEscalation, key.KeyID, cascadeLight, cascadePartner, cascadeEscalation, more)
}

// TestCascadeChecks runs each decision through the binary, for Converse and
// InvokeModel, whole and streamed, over both HTTP versions.
func TestCascadeChecks(t *testing.T) {
	_, gw, key := startCascade(t, "")
	bodies := map[wire.Operation]string{
		wire.OpConverse:       `{"messages":[{"role":"user","content":[{"text":"%s"}]}]}`,
		wire.OpConverseStream: `{"messages":[{"role":"user","content":[{"text":"%s"}]}]}`,
		wire.OpInvoke:         `{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"%s"}]}`,
		wire.OpInvokeStream:   `{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"%s"}]}`,
	}
	f := func(text, path, reason, want string) {
		t.Helper()
		for op, body := range bodies {
			for _, client := range cascadeClients() {
				target := wire.Target{Op: op, Model: "auto"}
				status, h, raw := postWith(t, client, gw.URL()+target.String(), fmt.Sprintf(body, text), key)
				if status != 200 || h.Get("x-sluice-path") != path || h.Get("x-sluice-reason") != reason {
					t.Errorf("%s %s: %d %s %q, want %s %q", op, text, status, h.Get("x-sluice-path"), h.Get("x-sluice-reason"), path,
						reason)
				}
				if got := textOf(op, raw); got != want {
					t.Errorf("%s %s: the caller got %q, want %q", op, text, got, want)
				}
			}
		}
	}
	const light, strong = "the light answer is 42", "the strong answer is 42"
	f("hello", "light", "agree", light)
	f("differ", "escalated", "disagree", strong)
	f("refuse", "escalated", "refusal", strong)
	f("refuse slow", "escalated", "refusal", strong)

	for _, op := range []wire.Operation{wire.OpConverseStream, wire.OpInvokeStream} {
		target := wire.Target{Op: op, Model: "auto"}
		_, h, raw := postWith(t, http.DefaultClient, gw.URL()+target.String(), fmt.Sprintf(bodies[op], "break"), key)
		if got := textOf(op, raw); got != strong || h.Get("x-sluice-reason") != "light_error" {
			t.Errorf("%s: a stream that ends in an exception: %q %q", op, h.Get("x-sluice-reason"), got)
		}
	}
	wantCascadeRows(t, gw)
}

// wantCascadeRows compares the report by path with what was asked.
func wantCascadeRows(t *testing.T, gw *harness.Gateway) {
	t.Helper()
	const each = 8 // four operations, two versions of HTTP
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("path")
		got := map[string][3]int64{}
		for _, r := range rows {
			got[r.Path] = [3]int64{r.Requests, r.Legs, r.Escalated}
		}
		ok := got["light"] == [3]int64{each, 4*each + 2, 0} && got["partner"] == [3]int64{0, 4*each + 2, 0} &&
			got["escalated"] == [3]int64{3*each + 2, 3*each + 2, 3*each + 2}
		return ok, fmt.Sprintf("%v", got)
	})
}

// cancels is how often TestCascadeCancel has a connection closed, for each
// operation.
const cancels = 100

// TestCascadeCancel rejects light answers while the partner has not answered
// yet: its connection is closed, and the leg is unknown in the ledger. The test
// measures how long that takes after the light answer was sent.
func TestCascadeCancel(t *testing.T) {
	up := &abandoned{under: make(chan struct{}), closed: make(chan time.Duration, 1)}
	upstream := httptest.NewServer(up)
	defer upstream.Close()
	key := harness.NewKey(t, "acme/support")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, bearer_token: sandbox}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]}]
cascades:
  - {name: support, match: request.model == "auto", light: %q, partner: %q, escalation: %q, on_abandon: cancel}
`, upstream.URL, cascadeEscalation, key.KeyID, cascadeLight, cascadePartner, cascadeEscalation)})
	for _, op := range []string{"converse", "converse-stream"} {
		var all []time.Duration
		for range cancels {
			got := gw.Post(t, key.BearerCredential, "/model/auto/"+op, ask)
			if got.Header.Get("x-sluice-reason") != "empty" || !bytes.Contains(got.Body, []byte("strong")) {
				t.Fatalf("%v %s", got.Header, got.Body)
			}
			select {
			case took := <-up.closed:
				all = append(all, took)
			case <-time.After(10 * time.Second):
				t.Fatal("the partner's connection was never closed")
			}
		}
		slices.Sort(all)
		t.Logf("%s: upstream saw the partner's connection closed after the light answer within %v (median), %v (p99), %v "+
			"(most)",
			op, all[cancels/2], all[cancels*99/100-1], all[cancels-1])
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		for _, r := range gw.Report("path") {
			if r.Path == "partner" {
				return r.Legs == 2*cancels && r.Unknown == 2*cancels, fmt.Sprintf("%+v", r)
			}
		}
		return false, "no partner leg in the ledger"
	})
}

// abandoned is an upstream whose partner never comes to an end, and whose light
// model answers with nothing as soon as the partner is under way.
type abandoned struct {
	under  chan struct{}
	closed chan time.Duration // from the light answer to the close of the partner's
	sent   atomic.Int64
}

func (u *abandoned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	streamed := strings.HasSuffix(r.URL.Path, "-stream")
	w.Header().Set("Content-Type", map[bool]string{false: "application/json",
		true: "application/vnd.amazon.eventstream"}[streamed])
	switch {
	case strings.Contains(r.URL.Path, "claude-3-5-haiku"):
		if streamed {
			w.Write(converseFrame("messageStart", `{"role":"assistant"}`))
			http.NewResponseController(w).Flush()
		}
		u.under <- struct{}{}
		<-r.Context().Done()
		u.closed <- time.Since(time.Unix(0, u.sent.Load()))
	case strings.Contains(r.URL.Path, "claude-3-haiku"):
		<-u.under
		u.sent.Store(time.Now().UnixNano())
		w.Write(bedrockAnswer(streamed, ""))
	default:
		w.Write(bedrockAnswer(streamed, "strong"))
	}
}

// bedrockAnswer is an answer of Converse, or all frames of a ConverseStream.
func bedrockAnswer(streamed bool, text string) []byte {
	const usage = `"usage":{"inputTokens":9,"outputTokens":2}`
	if !streamed {
		content := ""
		if text != "" {
			content = fmt.Sprintf(`{"text":%q}`, text)
		}
		return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[%s]}},"stopReason":"end_turn",%s}`,
			content, usage)
	}
	return slices.Concat(converseFrame("messageStart", `{"role":"assistant"}`),
		converseFrame("contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":%q}}`, text)),
		converseFrame("messageStop", `{"stopReason":"end_turn"}`), converseFrame("metadata", "{"+usage+"}"))
}

func converseFrame(event, payload string) []byte {
	return wire.AppendFrame(nil, []wire.Field{
		{Name: ":event-type", Value: event}, {Name: ":content-type", Value: "application/json"},
		{Name: ":message-type", Value: "event"},
	}, []byte(payload))
}

// TestCascadeObserve serves the escalation model and logs the pair.
func TestCascadeObserve(t *testing.T) {
	_, gw, key := startCascade(t, "    mode: observe\n    shadow: {tenant: acme/shadow, fraction: 1}\n")
	got := gw.Post(t, key.BearerCredential, "/model/auto/converse", ask)
	if got.Header.Get("x-sluice-path") != "direct" || got.Header.Get("x-sluice-reason") != "mode_observe" {
		t.Errorf("%v", got.Header)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		line, err := os.ReadFile(filepath.Join(gw.Dir, "data", "pairs", "support.jsonl"))
		return err == nil && bytes.Contains(line, []byte(`"partner":"same","label":"same"`)), fmt.Sprintf("%v %s", err, line)
	})
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("tenant")
		for _, r := range rows {
			if r.Tenant == "acme/shadow" && r.Legs == 2 && r.Requests == 0 {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", rows)
	})
}

func cascadeClients() []*http.Client {
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	return []*http.Client{http.DefaultClient, {Transport: &http.Transport{Protocols: &h2}}}
}

func postWith(t *testing.T, client *http.Client, url, body string, key harness.Key) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, raw
}

// textOf is the text of an answer, or a note that there is none.
func textOf(op wire.Operation, raw []byte) string {
	a := parts.Answer(op, raw)
	if op == wire.OpConverseStream || op == wire.OpInvokeStream {
		a = parts.Stream(op, harness.SplitFrames(raw))
	}
	if a == nil || a.Broken {
		return "unreadable: " + string(raw)
	}
	return a.Text
}
