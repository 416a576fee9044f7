package gateway

import (
	"bytes"
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// randomRuns is how many runs TestNothingRejectedLeaks makes.
const randomRuns = 12_000

// TestNothingRejectedLeaks draws models, settings, operations, answers, faults
// and callers who leave, and holds each run against the promises: no byte of a
// rejected answer reaches the caller, each attempt has exactly one END, at most
// one is served, nothing stays open and nothing stays in memory.
func TestNothingRejectedLeaks(t *testing.T) {
	worlds := randomWorlds(t)
	runs := randomRuns / slower
	if testing.Short() {
		runs /= 20
	}
	paths, kinds := map[string]int{}, map[string]int{}
	over := 0
	for i := range runs {
		random := rand.New(rand.NewPCG(uint64(i), 4))
		w := worlds[random.IntN(len(worlds))]
		synctest.Test(t, func(t *testing.T) {
			op := w.ops[random.IntN(len(w.ops))]
			path := randomRun(t, random, &w, randomAsk{op, i, &over})
			paths[path]++
			kinds[w.models+" "+op.String()]++
			kinds[w.mode+" "+path]++
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d runs: %v, %d are quite over", runs, paths, over)
	if over < runs/3 { // not when a caller, or a leg, may still know of a request
		t.Errorf("the memory of %d requests in %d is used again", over, runs)
	}
	for _, path := range []string{"light", "escalated", ""} {
		if paths[path] < runs/50 {
			t.Errorf("path %q came %d times: the runs are not random enough", path, paths[path])
		}
	}
	for _, kind := range wantKinds {
		if kinds[kind] < runs/1000 {
			t.Errorf("%s came %d times: the runs are not random enough", kind, kinds[kind])
		}
	}
}

// wantKinds have to come often enough: models with operations, and modes with
// paths.
var wantKinds = []string{
	"mixed converse", "mixed converse-stream", "nova invoke", "nova invoke-with-response-stream", "claude converse-stream",
	"claude invoke", "claude invoke-with-response-stream", "check parallel gated escalated", "check cancel buffer light",
	"check uncertain buffer gated light", "observe buffer direct", "observe judged pre_only direct",
	"enforce buffer light",
	"enforce buffer escalated", "enforce cancel parallel gated light", "enforce cancel parallel gated escalated",
	"enforce pre_only light",
}

// world is a configuration that runs are drawn for.
type world struct {
	models   string
	mode     string // with its stream setting
	family   family
	ops      []wire.Operation
	snapshot *snapshot.Snapshot
}

const deepseekJudges = "    shadow: {tenant: platform/shadow, fraction: 1, judge: us.deepseek.r1-v1:0}\n"

// modes are the further settings of the worlds; each comes with every stream
// setting, with and without a partner.
var modes = []struct{ name, settings string }{
	{"check", ""},
	{"check cancel", "    on_abandon: cancel\n"},
	{"check accept", "    unknown: accept\n    on_abandon: cancel\n"},
	{"check cut", "    on_length: escalate\n"},
	{"check uncertain", "    partner_when: uncertain\n"},
	{"rules", "    mode: rules\n"},
	{"observe", "    mode: observe\n    shadow: {tenant: platform/shadow, fraction: 1}\n"},
	{"observe judged", "    mode: observe\n" + deepseekJudges},
	{"enforce", "    mode: enforce\n    shadow: {tenant: platform/shadow, fraction: 1}\n"},
	{"enforce cancel", "    mode: enforce\n    on_abandon: cancel\n" + deepseekJudges},
}

func randomWorlds(t *testing.T) []world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "support.score")
	hash := trained(t, file, score.Unkeyed)
	unsure := gateUnsure()
	converse := []wire.Operation{wire.OpConverse, wire.OpConverseStream}
	all := []wire.Operation{wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream,
		wire.OpInvokeStream}
	var worlds []world
	for name, models := range map[string]family{"mixed": mixed, "nova": nova, "claude": claude} {
		ops := all
		if models.body == "" {
			ops = converse
		}
		for _, mode := range modes {
			for _, stream := range []string{"buffer", "pre_only", "parallel"} {
				for _, partner := range []string{"", "    partner: " + models.partner + "\n"} {
					s := compiledFor(t, models, partner+"    stream: "+stream+"\n    score: "+file+"\n"+mode.settings)
					if s.Config.Cascades[0].Mode == "enforce" {
						certifiedAt(t, s, 1.5, func(b *certify.Binding) { b.Scores[certify.RoleScore] = hash })
					}
					worlds = append(worlds, world{name, mode.name + " " + stream, models, ops, s})
					if stream == "parallel" || strings.Contains(mode.name, "uncertain") {
						gated := *s
						gated.Artifacts = withGate(s, unsure)
						worlds = append(worlds, world{name, mode.name + " " + stream + " gated", models, ops, &gated})
					}
				}
			}
		}
	}
	slices.SortStableFunc(worlds, func(a, b world) int { return strings.Compare(a.models, b.models) })
	return worlds
}

// withGate is what s has learned, and a pre-score.
func withGate(s *snapshot.Snapshot, g *score.PreScore) map[string]*snapshot.Artifacts {
	learned := snapshot.Artifacts{PreScore: g}
	if l := s.Artifacts["support"]; l != nil {
		learned.Score, learned.Certificate = l.Score, l.Certificate
	}
	return map[string]*snapshot.Artifacts{"support": &learned}
}

// randomAsk is what is asked, and the number of the run.
type randomAsk struct {
	op   wire.Operation
	seed int
	over *int // how many left their memory to the next
}

// randomRun makes one request and returns its path, "" when the caller left.
func randomRun(t *testing.T, random *rand.Rand, w *world, ask randomAsk) string {
	t.Helper()
	script := w.family.script(drawReply(random, "LIGHT"), drawReply(random, "PARTNER"), drawReply(random, "STRONG"),
		drawReply(random, "JUDGE"))
	b := newBench(w.snapshot, script)
	caller, leave := context.WithCancel(t.Context())
	stays := random.IntN(3) > 0
	if !stays {
		time.AfterFunc(time.Duration(random.IntN(4000))*time.Millisecond, leave)
	}
	defer leave()
	body := hello
	if ask.op == wire.OpInvoke || ask.op == wire.OpInvokeStream {
		body = w.family.body
	}
	res := b.line.Serve(b.ask(caller, ask.op, body))
	answer := visible(readSome(random, res, leave))
	b.line.Close(t.Context())
	synctest.Wait()

	path := res.Header.Get("x-sluice-path")
	if bytes.Contains(answer, []byte("PARTNER")) || bytes.Contains(answer, []byte("JUDGE")) {
		t.Errorf("run %d, %s %s: an answer that is nobody's reached the caller: %q", ask.seed, w.models+" "+w.mode, ask.op,
			answer)
	}
	if (path == "escalated" || path == "direct") && bytes.Contains(answer, []byte("LIGHT")) || path == "light" &&
		bytes.Contains(answer, []byte("STRONG")) {
		t.Errorf("run %d, %s %s: path %s %s, but the caller got %q", ask.seed, w.models+" "+w.mode, ask.op, path,
			res.Header.Get("x-sluice-reason"), answer)
	}
	wantBooks(t, b, ask.seed)
	b.ended.want(t, 0)
	*ask.over += len(b.ended.calls)
	if !stays {
		return ""
	}
	return path
}

// readSome reads an answer, perhaps only its beginning.
func readSome(random *rand.Rand, res *Response, leave func()) []byte {
	if res.Stream == nil {
		return res.Body
	}
	var body []byte
	buf := make([]byte, 64+random.IntN(4096))
	for left := random.IntN(60); left > 0; left-- {
		n, err := res.Stream.Read(buf)
		body = append(body, buf[:n]...)
		if err != nil {
			break
		}
	}
	if random.IntN(2) == 0 {
		leave()
	}
	res.Stream.Close()
	return body
}

func wantBooks(t *testing.T, b *bench, seed int) {
	t.Helper()
	served := 0
	for _, s := range b.books.starts {
		ends := b.books.ends[s.ID]
		if len(ends) != 1 {
			t.Errorf("run %d: attempt %s of %s has %d ENDs", seed, s.ID, s.Path, len(ends))
			continue
		}
		if ends[0].Served {
			served++
		}
		if ends[0].Served && ends[0].Wasted || (s.Path == "partner" || s.Path == "shadow") && ends[0].Served {
			t.Errorf("run %d: %s is %+v", seed, s.Path, ends[0])
		}
	}
	if served != 1 {
		t.Errorf("run %d: %d attempts count as served: %v", seed, served, b.books.rows())
	}
	if open, held := b.upstream.active.Load(), b.line.asker.Held(); open != 0 || held != 0 {
		t.Errorf("run %d: %d calls open, %d bytes held", seed, open, held)
	}
}

func drawReply(random *rand.Rand, who string) reply {
	r := reply{text: who + ": the answer is 42"}
	one := func(n int) bool { return random.IntN(n) == 0 }
	switch {
	case one(3):
		r.text = who + ": the answer is 41"
	case one(6):
		r.text = who + strings.Repeat(" nothing that has a key of its own at all", 5)
	case one(12):
		r.text = ""
	case one(200):
		r.text, r.pad = who, 20_000
		r.text += strings.Repeat("x", 5<<20)
	}
	if one(8) {
		r.stop = []string{"max_tokens", "content_filtered", "guardrail_intervened"}[random.IntN(3)]
	}
	if one(8) {
		r.tool, r.input = "look", []string{`{"at":1}`, `{}`}[random.IntN(2)]
	}
	r.after = time.Duration(random.IntN(3)) * time.Second
	r.pause = time.Duration(random.IntN(3)) * 300 * time.Millisecond
	switch {
	case one(8):
		r.status = []int{400, 429, 500, 503}[random.IntN(4)]
	case one(12):
		r.fail = engine.Failure(1 + random.IntN(8))
	case one(12):
		r.cut = 1 + random.IntN(5)
	case one(12):
		r.fault = 1 + random.IntN(6)
	case one(30):
		r.hang = true
	}
	return r
}
