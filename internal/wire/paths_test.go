package wire_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestAgentTargets: the paths of service model bedrock-agent-runtime 2023-07-26, there and back.
func TestAgentTargets(t *testing.T) {
	f := func(raw string, want wire.Target) {
		t.Helper()
		got, err := wire.ParseTarget("POST", raw, "")
		if err != nil || got != want || !got.Op.OnAgents() || got.String() != raw {
			t.Errorf("%s: %+v %v, back %s", raw, got, err, got.String())
		}
		if op, named := wire.ParseOperation(want.Op.String()); !named || op != want.Op {
			t.Errorf("%s is not known by its name", want.Op)
		}
	}
	f("/knowledgebases/KB1/retrieve", wire.Target{Op: wire.OpRetrieve, Resource: "KB1"})
	f("/retrieveAndGenerate", wire.Target{Op: wire.OpRetrieveAndGenerate})
	f("/retrieveAndGenerateStream", wire.Target{Op: wire.OpRetrieveAndGenerateStream})
	f("/rerank", wire.Target{Op: wire.OpRerank})
	f("/agents/AG1/agentAliases/AL1/sessions/s.1-a/text",
		wire.Target{Op: wire.OpInvokeAgent, Resource: "AG1", Version: "AL1", Session: "s.1-a"})
	for raw, status := range map[string]int{
		"/knowledgebases/KB1": 404, "/knowledgebases/KB1/x": 404, "/rerank/x": 404,
		"/agents/a/agentAliases/b/sessions/c":    404,
		"/knowledgebases/KB12345678901/retrieve": 400, "/knowledgebases/K_B/retrieve": 400, "/knowledgebases//retrieve": 400,
	} {
		if _, err := wire.ParseTarget("POST", raw, ""); err == nil || err.Status() != status {
			t.Errorf("%s: %v, want %d", raw, err, status)
		}
	}
	if _, err := wire.ParseTarget("GET", "/rerank", ""); err == nil || err.Status() != 405 {
		t.Error(err)
	}
}

// TestAgentTrace: the tokens of an agent are those of all its model calls, as far as the trace is there.
func TestAgentTrace(t *testing.T) {
	frame := func(kind, payload string) wire.Frame {
		raw := wire.AppendFrame(nil, []wire.Field{
			{Name: ":message-type", Value: "event"}, {Name: ":event-type", Value: kind},
		}, []byte(payload))
		f, err := wire.ParseFrame(raw)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	s := wire.StreamUsage{Op: wire.OpInvokeAgent}
	s.Observe(frame("chunk", `{"bytes":"aGVsbG8="}`))
	if u := s.Usage(); u.Input.Known || u.Output.Known || !s.End() {
		t.Errorf("without a trace: %+v", u)
	}
	s.Observe(frame("trace", `{"trace":{"orchestrationTrace":{"modelInvocationInput":`+
		`{"foundationModel":"amazon.nova-lite-v1:0"}}}}`))
	for range 2 {
		s.Observe(frame("trace", `{"trace":{"orchestrationTrace":{"modelInvocationOutput":{"metadata":{"usage":`+
			`{"inputTokens":7,"outputTokens":3}}}}}}`))
	}
	s.Observe(frame("trace", `{"trace":{"preProcessingTrace":{"modelInvocationOutput":{"metadata":{"usage":`+
		`{"inputTokens":1,"outputTokens":1}}}}}}`))
	u := s.Usage()
	if u.Input != wire.Known(15) || u.Output != wire.Known(7) || u.InvokedModel != "amazon.nova-lite-v1:0" {
		t.Errorf("%+v", u)
	}
}
