package gateway

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const partnered = "    partner: " + partnerModel + "\n"

// wantDecision sends a request, plain and as a stream, and looks at who answered,
// why, and what the books say.
func wantDecision(t *testing.T, name, settings string, script func(*engine.Request) reply,
	path, reason string, rows []string,
) {
	t.Helper()
	s := compiled(t, settings)
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, script)
			got := b.do(b.ask(t.Context(), op, hello))
			b.line.Close(t.Context())
			if got.status != 200 || got.path != path || got.reason != reason {
				t.Errorf("%s %s: %d %s %q, want %s %q\n%s", name, op, got.status, got.path, got.reason, path, reason, got.body)
			}
			if holds(got.body, "light") && path != "light" || path == "light" && !holds(got.body, "li") {
				t.Errorf("%s %s: the caller got %q", name, op, got.body)
			}
			if diff := cmp.Diff(rows, b.books.rows()); diff != "" {
				t.Errorf("%s %s: books: %s", name, op, diff)
			}
			if n := b.upstream.active.Load(); n != 0 || b.line.asker.Held() != 0 {
				t.Errorf("%s %s: %d calls open, %d bytes held", name, op, n, b.line.asker.Held())
			}
		})
	}
}

// TestDecisions sends requests through every check.
func TestDecisions(t *testing.T) {
	f := func(name, settings string, script func(*engine.Request) reply, path, reason string, rows ...string) {
		t.Helper()
		wantDecision(t, name, settings, script, path, reason, rows)
	}
	light, strong := reply{text: "light: the answer is 42"}, reply{text: "strong: the answer is 42"}
	same, other := reply{text: "partner: the answer is 42.0"}, reply{text: "partner: the answer is 41"}
	mute := reply{text: strings.Repeat("I know nothing of it at all. ", 9)}
	long := reply{text: "light " + strings.Repeat("no number here either ", 9)}
	two := func(reason string) []string {
		return []string{"light completed wasted", "escalated " + reason + " completed served escalated"}
	}
	three := func(reason, partner string) []string {
		return []string{"light completed wasted", "partner " + partner, "escalated " + reason + " completed served escalated"}
	}

	f("whole", "", byModel(light, same, strong), "light", "", "light completed served")
	f("empty", "", byModel(reply{}, same, strong), "escalated", "empty", two("empty")...)
	f("filtered", "", byModel(reply{text: "light", stop: "content_filtered"}, same, strong), "escalated", "stop_reason",
		two("stop_reason")...)
	f("refusal", "", byModel(reply{text: "I'm sorry, but I can't help the light"}, same, strong), "escalated", "refusal",
		two("refusal")...)
	f("cut where the next has room", "", byModel(reply{text: "light", stop: "max_tokens"}, same, strong), "escalated",
		"length", two("length")...)
	f("light error", "", byModel(reply{status: 400}, same, strong), "escalated", "light_error",
		"light failed wasted", "escalated light_error completed served escalated")

	f("agree", partnered, byModel(light, same, strong), "light", "agree", "light completed served", "partner completed")
	f("disagree", partnered, byModel(light, other, strong), "escalated", "disagree",
		three("disagree", "completed wasted")...)
	f("unknown", partnered, byModel(long, mute, strong), "escalated", "unknown", three("unknown", "completed wasted")...)
	f("unknown accepted", partnered+"    unknown: accept\n", byModel(long, mute, strong), "light", "unknown",
		"light completed served", "partner completed")
	f("partner refuses", partnered, byModel(light, reply{text: "I cannot help"}, strong), "escalated", "unknown",
		three("unknown", "completed wasted")...)
	f("partner fails", partnered, byModel(light, reply{status: 400}, strong), "escalated", "unknown",
		three("unknown", "failed wasted")...)
	f("partner late and not needed", partnered, byModel(reply{}, reply{text: "partner", after: 2 * time.Second}, strong),
		"escalated", "empty", three("empty", "completed wasted")...)
	f("partner hangs and is cut off", partnered, byModel(reply{}, reply{hang: true}, strong), "escalated", "empty",
		three("empty", "unknown wasted")...)
	f("rules do not look", "    mode: rules\n", byModel(reply{text: "light", stop: "content_filtered"}, same, strong),
		"light", "", "light completed served")
}

// TestStreams has what only streams can do: break, be too large, and be decided
// on before.
func TestStreams(t *testing.T) {
	f := func(name, settings string, script func(*engine.Request) reply, path, reason string, rows ...string) {
		t.Helper()
		s := compiled(t, settings)
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, script)
			got := b.do(b.ask(t.Context(), wire.OpConverseStream, offering))
			b.line.Close(t.Context())
			if got.path != path || got.reason != reason {
				t.Errorf("%s: %d %s %q, want %s %q", name, got.status, got.path, got.reason, path, reason)
			}
			if path == "escalated" && holds(got.body, "light") {
				t.Errorf("%s: a rejected answer reached the caller: %q", name, got.body)
			}
			if diff := cmp.Diff(rows, b.books.rows()); diff != "" {
				t.Errorf("%s: books: %s", name, diff)
			}
			if n := b.upstream.active.Load(); n != 0 || b.line.asker.Held() != 0 {
				t.Errorf("%s: %d calls open, %d bytes held", name, n, b.line.asker.Held())
			}
		})
	}
	light, strong := reply{text: "light: the answer is 42"}, reply{text: "strong: the answer is 42"}
	broken := light
	broken.cut = 3
	f("light breaks", "", byModel(broken, reply{}, strong), "escalated", "light_error",
		"light unknown wasted", "escalated light_error completed served escalated")
	faulty := light
	faulty.fault = 4
	f("light ends in an exception", "", byModel(faulty, reply{}, strong), "escalated", "light_error",
		"light unknown wasted", "escalated light_error completed served escalated")
	f("broken tool call", "", byModel(reply{tool: "look", input: `["half"`, text: "light"}, reply{}, strong),
		"escalated", "tool_args",
		"light completed wasted", "escalated tool_args completed served escalated")
	large := reply{text: "light" + strings.Repeat("x", 5<<20)}
	f("too large", "", byModel(large, reply{}, strong), "escalated", "buffer",
		"light completed wasted", "escalated buffer completed served escalated")
	large.pause = time.Second
	f("too large, cancelled", "    on_abandon: cancel\n", byModel(large, reply{}, strong), "escalated", "buffer",
		"light unknown wasted", "escalated buffer completed served escalated")
	f("pre_only", "    stream: pre_only\n", byModel(reply{text: "light", stop: "content_filtered"}, reply{}, strong),
		"light", "",
		"light completed served")
}

// offering is a request that offers a tool.
const offering = `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"look","inputSchema":{"json":{"type":"object"}}}}]}}`

// TestReplayIsExact compares what the caller gets with what the light leg sent.
func TestReplayIsExact(t *testing.T) {
	light := reply{text: "light: the answer is 42"}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(compiled(t, ""), byModel(light, reply{}, reply{}))
		got := b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
		if diff := cmp.Diff(bytes.Join(light.frames(&engine.Request{Op: wire.OpConverseStream}), nil), got.body); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCancelClosesAtOnce has a caller whose light answer is rejected while the
// partner still writes: with on_abandon cancel the partner's call is closed at
// the moment of the decision.
func TestCancelClosesAtOnce(t *testing.T) {
	s := compiled(t, partnered+"    on_abandon: cancel\n")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(reply{after: time.Second}, reply{text: "partner", pause: time.Hour}, reply{text: "strong"}))
		began := time.Now()
		b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
		synctest.Wait()
		if took := time.Since(began); took > time.Second+50*time.Millisecond || len(b.upstream.closed) != 1 {
			t.Errorf("closed %v after %v", b.upstream.closed, took)
		}
		want := []string{"light completed wasted", "partner unknown wasted", "escalated empty completed served escalated"}
		if diff := cmp.Diff(want, b.books.rows()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCallerLeaves has a caller who is gone when a rejected answer is decided
// on: nobody else is asked, nothing is sent, and the books are whole.
func TestCallerLeaves(t *testing.T) {
	s := compiled(t, "")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(reply{text: "light", stop: "content_filtered", after: 2 * time.Second}, reply{},
			reply{text: "strong"}))
		caller, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		got := b.do(b.ask(caller, wire.OpConverse, hello))
		if got.status != 424 || holds(got.body, "light") { // final: the light answer is billed
			t.Errorf("%d %s", got.status, got.body)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"light completed served drained"}, b.books.rows()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestNoJournalNoCall has a journal that takes nothing.
func TestNoJournalNoCall(t *testing.T) {
	s := compiled(t, partnered)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, func(r *engine.Request) reply { t.Errorf("called %s", r.Model); return reply{} })
		b.books.fail = true
		if got := b.do(b.ask(t.Context(), wire.OpConverse, hello)); got.status != 503 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}
