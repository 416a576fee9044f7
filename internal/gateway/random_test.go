package gateway

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// randomRuns is how many runs TestNothingRejectedLeaks makes.
const randomRuns = 12_000

// TestNothingRejectedLeaks draws settings, answers, faults and callers who
// leave, and holds each run against the promises: no byte of a rejected answer
// reaches the caller, each attempt has exactly one END, at most one is served,
// nothing stays open and nothing stays in memory.
func TestNothingRejectedLeaks(t *testing.T) {
	var snapshots []*Snapshot
	for _, partner := range []string{"", partnered} {
		for _, stream := range []string{"buffer", "pre_only", "parallel"} {
			for _, more := range []string{"", "    on_abandon: cancel\n", "    unknown: accept\n    on_abandon: cancel\n", "    on_length: escalate\n", "    mode: rules\n", "    mode: observe\n    shadow: {tenant: platform/shadow, fraction: 1}\n"} {
				snapshots = append(snapshots, compiled(t, partner+"    stream: "+stream+"\n"+more))
			}
		}
	}
	runs := randomRuns
	if testing.Short() {
		runs /= 20
	}
	paths := map[string]int{}
	for i := range runs {
		random := rand.New(rand.NewPCG(uint64(i), 4))
		s := snapshots[random.IntN(len(snapshots))]
		synctest.Test(t, func(t *testing.T) { paths[randomRun(t, random, s, i)]++ })
		if t.Failed() {
			return
		}
	}
	t.Logf("%d runs: %v", runs, paths)
	for _, path := range []string{"light", "escalated", ""} {
		if paths[path] < runs/50 {
			t.Errorf("path %q came %d times: the runs are not random enough", path, paths[path])
		}
	}
}

// randomRun makes one request and returns its path, "" when the caller left.
func randomRun(t *testing.T, random *rand.Rand, s *Snapshot, seed int) string {
	light, partner, strong := drawReply(random, "LIGHT"), drawReply(random, "PARTNER"), drawReply(random, "STRONG")
	b := newBench(s, byModel(light, partner, strong))
	caller, leave := context.WithCancel(t.Context())
	stays := random.IntN(3) > 0
	if !stays {
		time.AfterFunc(time.Duration(random.IntN(4000))*time.Millisecond, leave)
	}
	defer leave()
	op := []wire.Operation{wire.OpConverse, wire.OpConverseStream}[random.IntN(2)]
	res := b.line.Serve(b.ask(caller, op, hello))
	body := readSome(random, res, leave)
	b.line.Close(t.Context())
	synctest.Wait()

	path := res.Header.Get("x-sluice-path")
	settings := s.Config.Cascades[0]
	if bytes.Contains(body, []byte("PARTNER")) {
		t.Errorf("run %d %+v: the partner's answer reached the caller: %q", seed, settings, body)
	}
	if (path == "escalated" || path == "direct") && bytes.Contains(body, []byte("LIGHT")) || path == "light" && bytes.Contains(body, []byte("STRONG")) {
		t.Errorf("run %d: path %s %s, but the caller got %q", seed, path, res.Header.Get("x-sluice-reason"), body)
	}
	wantBooks(t, b, seed)
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
	if open, held := b.upstream.active.Load(), b.line.held.Load(); open != 0 || held != 0 {
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
