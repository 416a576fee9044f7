package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// FuzzRequests: whatever comes, a request is refused with a message and a status below 500, or
// becomes a body that is JSON and that the reader of native bodies takes.
func FuzzRequests(f *testing.F) {
	for _, model := range []string{"claude", "nova", "nova2", "oss", "opus"} {
		f.Add([]byte(ask(model, `"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral",`+
			`"scope":"global"}}],`+
			`"tools":[`+tool+`],"tool_choice":{"type":"tool","name":"f"},"thinking":{"type":"adaptive"},"top_k":5`,
			user(`[{"type":"text","text":"a"},`+image+`]`), assistant(calls),
			user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"x"},`+image+`]}]`))))
		f.Add([]byte(ask(model, `"stream":true,"output_config":{"effort":"low","format":{"type":"json_schema",`+
			`"schema":{}}},`+
			`"context_management":{"edits":[{"type":"clear_thinking_20251015"}]},"anthropic_beta":["x"]`,
			user(`[{"type":"document","source":{"type":"text","data":"x"},"title":"t"}]`),
			assistant(`[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"}]`))))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
			for _, policy := range []caller.Policy{caller.PolicyDefault, caller.PolicyRefuse, caller.PolicyDrop} {
				n, failure := Open("POST", path).Native(request(string(body), policy))
				if failure != nil {
					if status, _, said := Fail(failure); status >= 500 || !json.Valid(said) || failure.Message == "" {
						t.Fatalf("%d %s", status, said)
					}
					continue
				}
				checkNative(t, n)
			}
		}
	})
}

func checkNative(t *testing.T, n *caller.Native) {
	t.Helper()
	if !json.Valid(n.Body) || strings.Contains(strings.Join(n.Dropped, ""), "\n") {
		t.Fatalf("%s %q", n.Body, n.Dropped)
	}
	var facts wire.Facts
	if err := facts.Read(n.Op, wire.DialectNamed(Family), n.Body); err != nil && n.Op.IsConverse() {
		t.Fatalf("%v in %s", err, n.Body)
	}
}

// FuzzAnswers (symptom 44): whatever an upstream answers, the caller gets JSON, or a failure.
func FuzzAnswers(f *testing.F) {
	f.Add("contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":"a"}}`))
	f.Add("contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"a",`+
		`"signature":"b"}}}`))
	f.Add("contentBlockStart", []byte(`{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"b"}}}`))
	f.Add("messageStop", []byte(`{"stopReason":"end_turn"}`))
	f.Add("metadata", []byte(`{"usage":{"inputTokens":1,"outputTokens":2}}`))
	f.Add("chunk", []byte(`{"bytes":"eyJ0eXBlIjoicGluZyJ9"}`))
	f.Add("", []byte(`{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"toolUseId":"a","name":"b"}}]}}}`))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		if len(kind) > 100 {
			return
		}
		x := Open("POST", "/v1/messages")
		if got, failure := x.Answer(&caller.Answer{Op: wire.OpConverse,
			Body: payload}); failure == nil && !json.Valid(got) {
			t.Fatalf("%s", got)
		}
		coded := []byte(`{"bytes":"` + base64.StdEncoding.EncodeToString(payload) + `"}`)
		for op, of := range map[wire.Operation][]byte{wire.OpConverseStream: payload, wire.OpInvokeStream: coded} {
			s := x.Stream(&caller.Answer{Op: op})
			raw := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: kind}}, of)
			out, failure := s.Frame(nil, wire.SplitFrame(raw))
			if failure == nil {
				out, failure = s.Frame(out, wire.SplitFrame(raw))
			}
			if failure != nil {
				out = s.Fail(out, failure)
			}
			for _, line := range strings.Split(string(s.End(out)), "\n") {
				data, ok := strings.CutPrefix(line, "data: ")
				if ok && op == wire.OpConverseStream && !json.Valid([]byte(data)) {
					t.Fatalf("%s", line)
				}
			}
		}
	})
}
