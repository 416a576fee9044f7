package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const follow = `{"messages":[{"role":"user","content":[{"text":"hello"}]},{"role":"assistant","content":[{"text":"hi"}]},{"role":"user","content":[{"text":"go on"}]}]}`

// TestSessionStays has a conversation that was escalated once: it stays there,
// until that wears off.
func TestSessionStays(t *testing.T) {
	s := compiled(t, "")
	light, strong := reply{text: "light", stop: "content_filtered"}, reply{text: "strong"}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(light, reply{}, strong))
		f := func(name, body, path, reason string, more ...wire.Field) {
			t.Helper()
			if got := b.do(b.ask(t.Context(), wire.OpConverse, body, more...)); got.path != path || got.reason != reason {
				t.Errorf("%s: %s %q, want %s %q", name, got.path, got.reason, path, reason)
			}
		}
		f("first", hello, "escalated", "stop_reason")
		f("the same first message is no conversation", hello, "escalated", "stop_reason")
		f("second turn", follow, "direct", "session")
		named := wire.Field{Name: "X-Sluice-Session", Value: "s1"}
		f("another session", follow, "escalated", "stop_reason", named)
		f("which stays too", hello, "direct", "session", named)
		time.Sleep(31 * time.Minute)
		f("worn off", follow, "escalated", "stop_reason")
	})
}

// TestGuardStopsPrecautions has callers whose answers never agree: beyond the
// budget the light answer is served, but vetoed ones are escalated still.
func TestGuardStopsPrecautions(t *testing.T) {
	s := compiled(t, partnered+"    guard: {per_key_per_minute: 2}\n")
	light, partner, strong := reply{text: "the answer is 1"}, reply{text: "the answer is 2"}, reply{text: "strong"}
	synctest.Test(t, func(t *testing.T) {
		var now reply
		b := newBench(s, nil)
		f := func(path, reason string) {
			t.Helper()
			synctest.Wait() // until nobody reads the script any more
			b.upstream.script = byModel(now, partner, strong)
			if got := b.do(b.ask(t.Context(), wire.OpConverse, hello)); got.path != path || got.reason != reason {
				t.Errorf("%s %q, want %s %q", got.path, got.reason, path, reason)
			}
		}
		now = light
		f("escalated", "disagree")
		f("escalated", "disagree")
		f("light", "guard")
		now = reply{}
		f("escalated", "empty")
		now = light
		time.Sleep(time.Minute)
		f("escalated", "disagree")
	})
}

// TestWarmGoesStraight has a conversation whose escalation model reads its
// prompt from a cache.
func TestWarmGoesStraight(t *testing.T) {
	s := compiled(t, "    session: {off: true}\n")
	body := `{"system":[{"text":"s"},{"cachePoint":{"type":"default"}}],` + follow[1:]
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(reply{text: "light", stop: "content_filtered"}, reply{}, reply{text: "strong"}))
		time.Sleep(27 * 366 * 24 * time.Hour) // a bubble starts in 2000, when nothing had a price
		b.books.cost = 1000
		for i := range 12 {
			synctest.Wait() // until the last request's legs are in the books
			want := "escalated"
			if i >= 10 {
				want = "direct" // every light answer was thrown away
			}
			got := b.do(b.ask(t.Context(), wire.OpConverse, body))
			if got.path != want || want == "direct" && got.reason != "warm" {
				t.Errorf("request %d: %s %q, want %s", i, got.path, got.reason, want)
			}
		}
	})
}

// gateFor is a pre-score that learned from two kinds of requests, and sends the
// one straight on.
func gateFor(light, strong string) *score.PreScore {
	var rows []score.Row
	for i := range 200 {
		easy, hard := score.Row{Light: 1, Escalation: 1}, score.Row{Light: 0, Escalation: 1}
		easy.Input = score.Input{Prompt: fmt.Sprintf("%s %d", light, i), Light: &answer.Answer{}}
		hard.Input = score.Input{Prompt: fmt.Sprintf("%s %d", strong, i), Light: &answer.Answer{}}
		rows = append(rows, easy, easy, easy, easy, hard)
	}
	g := score.TrainPreScore(rows, 1)
	low, _ := g.Score(&score.Input{Prompt: light}, nil)
	high, _ := g.Score(&score.Input{Prompt: strong}, nil)
	middle := (low + high) / 2
	g.Bounds = score.Bounds{Uncertain: middle, Direct: middle}
	return g
}

// TestPreScore sends hard requests straight on.
func TestPreScore(t *testing.T) {
	s := compiled(t, partnered+"    partner_when: uncertain\n")
	s.Artifacts = map[string]*snapshot.Artifacts{"support": {PreScore: gateFor("hello", "prove the theorem")}}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, byModel(reply{text: "the answer is 1"}, reply{text: "the answer is 1"}, reply{text: "strong"}))
		f := func(text, path, reason string, legs int) {
			t.Helper()
			before := len(b.books.starts)
			got := b.do(b.ask(t.Context(), wire.OpConverse,
				fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}]}`, text)))
			if n := len(b.books.starts) - before; got.path != path || got.reason != reason || n != legs {
				t.Errorf("%s: %s %q in %d legs, want %s %q in %d", text, got.path, got.reason, n, path, reason, legs)
			}
		}
		f("prove the theorem 17", "direct", "pre_score", 1)
		f("hello 17", "light", "", 1)
		s.Artifacts["support"].PreScore.Bounds = score.Unbounded()
		f("prove the theorem 17", "light", "agree", 2)
	})
}

// gateUnsure is a pre-score that cannot tell of any request what is gained.
func gateUnsure() *score.PreScore {
	g := score.TrainPreScore(nil, 1)
	g.Bounds = score.Bounds{Uncertain: -1, Direct: 2}
	return g
}

// TestParallel starts the escalation leg early where the pre-score cannot tell,
// and cuts the loser off.
func TestParallel(t *testing.T) {
	s := compiled(t, "    stream: parallel\n")
	s.Artifacts = map[string]*snapshot.Artifacts{"support": {PreScore: gateUnsure()}}
	f := func(light reply, path, reason string, rows ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, byModel(light, reply{}, reply{text: "strong", pause: time.Second}))
			got := b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
			b.line.Close(t.Context())
			if got.path != path || got.reason != reason || path == "escalated" && holds(got.body, "light") {
				t.Errorf("%s %q %q", got.path, got.reason, got.body)
			}
			if got := b.books.rows(); fmt.Sprint(got) != fmt.Sprint(rows) {
				t.Errorf("books %q, want %q", got, rows)
			}
			if len(b.upstream.closed) != 1 && path == "light" {
				t.Errorf("closed %v", b.upstream.closed)
			}
		})
	}
	f(reply{text: "light", after: 2 * time.Second}, "light", "", "light completed served",
		"escalated parallel unknown wasted")
	f(reply{text: "light", stop: "content_filtered"}, "escalated", "stop_reason", "light completed wasted",
		"escalated parallel completed served escalated")
}
