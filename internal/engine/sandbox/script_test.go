package sandbox

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const fullScript = `
rules:
  - match: {model: "amazon.nova-micro-*", text: "substring", operation: converse-stream, every: 3}
    times: 2
    error: {status: 429, type: ThrottlingException, message: "Too many requests, please wait before trying again."}
  - match: {model: "*sonnet*"}
    answer: {text: "x", input_tokens: 12, output_tokens: 34, cache_read_tokens: 0, cache_write_tokens: 0,
             stop_reason: end_turn, tool: {name: f, input: {a: 1}}}
    delay: {first_byte: 200ms, frame: 10ms}
    fault: {cut_after_frames: 3, cut_in_frame: 2, cut_in_body: true, exception_after_frames: 2,
            exception: throttlingException, missing_usage: true, corrupt_crc: 2, hang: true, close_connection: true}
`

func TestLoadScript(t *testing.T) {
	s := load(t, fullScript)
	twelve, thirtyFour, three, two := int64(12), int64(34), 3, 2
	want := &Script{Rules: []Rule{
		{
			Match: Match{Model: "amazon.nova-micro-*", Text: "substring", Operation: "converse-stream", Every: 3}, Times: 2,
			Error: &ErrorReply{429, "ThrottlingException", "Too many requests, please wait before trying again."},
		}, {
			Match: Match{Model: "*sonnet*"},
			Answer: Answer{Text: "x", InputTokens: &twelve, OutputTokens: &thirtyFour, StopReason: "end_turn",
				Tool: &Tool{Name: "f", Input: map[string]any{"a": uint64(1)}}},
			Delay: Delay{FirstByte: 200 * time.Millisecond, Frame: 10 * time.Millisecond},
			Fault: Fault{CutAfterFrames: &three, CutInFrame: 2, CutInBody: true, ExceptionAfterFrames: &two,
				Exception:    "throttlingException",
				MissingUsage: true, CorruptCRC: 2, Hang: true, CloseConnection: true},
		},
	}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestLoadScriptNamesAllMistakes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := LoadScript([]byte(text))
		if err == nil {
			t.Fatalf("%s was taken", text)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q in it", text, err, w)
			}
		}
	}
	f("rules: [{mach: {}}]", "mach")
	f("rules: {", "sandbox script")
	f(`rules: [{match: {operation: talk}}, {error: {status: 200}}]`, "rules[0]", "talk", "rules[1]", "status",
		"error.type")
	f(`rules: [{times: -1, delay: {frame: -1s}, answer: {output_tokens: -1, tool: {}}, fault: {cut_in_frame: -1}}]`,
		"times", "delays", "token counts", "tool.name", "frame numbers")
	f(`rules: [{answer: {tool: {name: f, input: {a: .inf}}}}]`, "tool.input")
}

func TestFirstMatchingRuleWins(t *testing.T) {
	p := newPlayer(load(t, `rules:
  - {match: {every: 3}, answer: {text: third}}
  - {match: {model: "*nova*"}, times: 2, answer: {text: nova}}
  - {match: {operation: invoke}, answer: {text: invoke}}
  - {match: {text: please}, answer: {text: polite}}`))
	nova, other := call{op: wire.OpConverse, model: nova}, call{op: wire.OpInvoke, model: "meta.x"}
	polite := call{op: wire.OpConverse, model: "meta.x", lastText: "yes please"}
	var got []string
	for _, c := range []*call{&nova, &other, &nova, &nova, &nova, &nova, &polite, &other} {
		got = append(got, p.find(c).Answer.Text)
	}
	if diff := cmp.Diff([]string{"nova", "invoke", "third", "nova", "", "third", "polite", "invoke"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestControl(t *testing.T) {
	b := newBenchOf(t, Options{Control: true})
	put := func(text string) int {
		t.Helper()
		req, err := http.NewRequest("PUT", b.url+"/_sandbox/script", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return status(t, req)
	}
	if got := put(`rules: [{error: {status: 503, type: ServiceUnavailableException}}]`); got != 204 {
		t.Fatalf("status %d", got)
	}
	if got := put(`rules: [{}, nonsense]`); got != 400 {
		t.Fatalf("status %d", got)
	}
	_, err := b.converse("hello")
	wantCode(t, err, "ServiceUnavailableException")
	res, err := http.Get(b.url + "/_sandbox/log")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"status":503`) {
		t.Errorf("%v %s", err, text)
	}
}

func TestControlIsOffByDefault(t *testing.T) {
	b := newBench(t, "")
	req, err := http.NewRequest("GET", b.url+"/_sandbox/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, req); got != 404 {
		t.Errorf("status %d", got)
	}
}

func status(t *testing.T, req *http.Request) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{AccessKeyID: "a"}); err == nil {
		t.Error("half a key pair was taken")
	}
	if _, err := New(Options{LogPath: t.TempDir()}); err == nil {
		t.Error("a directory was taken as log")
	}
	s, err := New(Options{BearerToken: "only"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.verifier.keyID != "" || s.verifier.secret != "" {
		t.Error("the default key pair is accepted beside a configured token")
	}
}

func FuzzLoadScript(f *testing.F) {
	f.Add([]byte(fullScript))
	f.Add([]byte(`{"rules":[{"fault":{"hang":true}}]}`))
	f.Add([]byte(`rules: [{answer: {tool: {name: f, input: {a: {b: [1, .nan]}}}}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := LoadScript(data)
		if err != nil {
			return
		}
		for i := range s.Rules {
			if tool := s.Rules[i].Answer.Tool; tool != nil {
				marshal(tool.Input) // panics on what is not JSON
			}
		}
		newPlayer(s).find(&call{model: nova})
	})
}

// FuzzRead looks for a body that breaks the reading of requests or the making
// of answers, in any operation and family.
func FuzzRead(f *testing.F) {
	for _, b := range bodies {
		f.Add(b.model, uint8(wire.OpInvokeStream), []byte(b.body))
	}
	f.Add(nova, uint8(wire.OpConverse), []byte(helloBody))
	f.Add(nova, uint8(wire.OpCountTokens), []byte(`{"input":{"invokeModel":{"body":"e30="}}}`))
	f.Add("", uint8(wire.OpApplyGuardrail), []byte(`{"source":"INPUT","content":[{"text":{"text":"x"}}]}`))
	f.Add("", uint8(wire.OpStartAsyncInvoke),
		[]byte(`{"modelId":"m","modelInput":{},"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://b"}}}`))
	s, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, model string, op uint8, body []byte) {
		x := exchange{s: s, rule: &noRule}
		x.call = call{id: s.newID(), op: wire.Operation(op%11 + 1), model: model, header: http.Header{}}
		if x.call.read(body) != nil {
			return
		}
		out, problem := x.operate()
		if problem != nil {
			return
		}
		marshal(out.body)
		for i := range out.events {
			x.frame(nil, i, &out.events[i])
		}
		if limit := x.call.cap; limit > 0 && x.entry.Output > limit*x.call.copies {
			t.Errorf("%d tokens for a cap of %d", x.entry.Output, limit)
		}
		out.hideUsage()
	})
}
