package edge

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const container = 512 << 20

// largeBodies is E4 with good keys, and wrongSignatures E4 as it was found.
func largeBodies() row {
	return row{
		name: "E4 large bodies",
		goal: "100 × 25 MB inside 512 MB, good keys",
		must: "no kill; each 200, or 503 with `Retry-After`; small requests ≥ 99 %",
		run:  func(t *testing.T, m *measured) { floodBodies(t, m, true) },
	}
}

func wrongSignatures() row {
	return row{
		name: "E4 wrong signatures",
		goal: "100 × 25 MB inside 512 MB, wrong signatures of a known key id",
		must: "no kill; each 403 or 503; small requests ≥ 99 %",
		run:  func(t *testing.T, m *measured) { floodBodies(t, m, false) },
	}
}

// translatedBodies is E4 in the other dialects, whose requests are decoded, and made another body of.
func translatedBodies() row {
	return row{
		name: "E4 translated bodies",
		goal: "100 × 25 MB inside 512 MB, good keys, by Chat Completions, Responses and Messages",
		must: "no kill; each 200, 413, or 503 or 529 with `Retry-After`; small requests ≥ 99 %",
		run:  floodDialects,
	}
}

// flood is what came of many requests at once.
type flood struct {
	mu     sync.Mutex
	status map[int]int // 0 is no answer
	bad    []string
}

func (f *flood) note(status int, bad string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status == nil {
		f.status = map[int]int{}
	}
	f.status[status]++
	if bad != "" {
		f.bad = append(f.bad, bad)
	}
}

// send sends one request over a connection of its own.
func send(f *flood, g *harness.Gateway, cred harness.Credential, body []byte) {
	sendTo(f, g, askTarget, cred, body)
}

func sendTo(f *flood, g *harness.Gateway, target string, cred harness.Credential, body []byte) {
	req, _ := http.NewRequest(http.MethodPost, g.URL()+target, bytes.NewReader(body))
	if err := cred(req, body); err != nil {
		f.note(0, err.Error())
		return
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := c.Do(req)
	if err != nil {
		f.note(0, err.Error())
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	bad := ""
	if err != nil {
		bad = err.Error()
	} else if (res.StatusCode == 503 || res.StatusCode == 529) && res.Header.Get("Retry-After") == "" {
		bad = "no room without Retry-After: " + string(text)
	}
	f.note(res.StatusCode, bad)
}

func largeBody(size int) []byte {
	const head, tail = `{"messages":[{"role":"user","content":[{"text":"`, `"}]}]}`
	return []byte(head + strings.Repeat("a", size-len(head)-len(tail)) + tail)
}

// answering is an upstream that reads what it gets and answers after a moment.
func answering(t *testing.T) *httptest.Server {
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("content-type", "application/json")
		io.WriteString(w, converseAnswer("hi"))
	}))
	t.Cleanup(u.Close)
	return u
}

func converseAnswer(text string) string {
	return `{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"text":"` + text +
		`"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}`
}

// beside stops small questions, and returns how many there were, how many of them failed,
// and why the first.
type beside func() (asked, failed int64, first string)

// askBeside asks small questions, signed and with a bearer key, until stopped.
func askBeside(g *harness.Gateway, key harness.Key) beside {
	var asked, failed atomic.Int64
	var first atomic.Value
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				var f flood
				send(&f, g, cred, []byte(ask))
				asked.Add(1)
				if f.status[200] == 0 {
					failed.Add(1)
					first.CompareAndSwap(nil, fmt.Sprint(f.status, f.bad))
				}
			}
		})
	}
	return func() (int64, int64, string) {
		close(done)
		all.Wait()
		why, _ := first.Load().(string)
		return asked.Load(), failed.Load(), why
	}
}

func floodBodies(t *testing.T, m *measured, good bool) {
	box := harness.Confine(t, container)
	key, other := harness.NewKey(t, "acme"), harness.NewKey(t, "other")
	g := harness.Start(t, harness.Config{Program: box.Program, YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}, {id: other, keys: [%s]}]
`, answering(t).URL, key.KeyID, other.KeyID)})
	stop := askBeside(g, key)
	wrong := key
	wrong.SecretAccessKey = other.SecretAccessKey
	body := largeBody(25_000_000)
	var f flood
	callers(m.of(100, 8), 100, func(i int) {
		cred := wrong.SigV4Credential
		if good {
			cred = []harness.Credential{key.SigV4Credential, key.BearerCredential, other.SigV4Credential}[i%3]
		}
		send(&f, g, cred, body)
	})
	f.passed(t, m, box, g, stop)
	if len(f.bad) > 0 {
		t.Errorf("%d requests without an answer as it should be: %s", len(f.bad), f.bad[0])
	}
	for status, n := range f.status {
		if ok := status == 503 || good && status == 200 || !good && status == 403; !ok {
			t.Errorf("%d × status %d", n, status)
		}
	}
	if good && f.status[200] == 0 || !good && f.status[403] == 0 {
		t.Error("none was served")
	}
}

// dialectBodies are large requests of the other dialects: texts, and what costs most to decode, by which is a tree of
// small values.
func dialectBodies(size int) (all []dialectBody) {
	const user = `{"role":"user","content":"%s"}`
	const turns = `{"role":"user","content":"a"},{"role":"assistant","content":"b"},`
	text := fmt.Sprintf(user, strings.Repeat("a", size-300))
	tree := `{"type":"object","x":[1` + strings.Repeat(",1", size/2-300) + `]}`
	add := func(target, model, talk, content, more string) {
		body := `{"model":"` + model + `","` + talk + `":[` + content + `]` + more + `}`
		all = append(all, dialectBody{target, []byte(body)})
	}
	const nova, claude = "amazon.nova-pro-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"
	add("/v1/chat/completions", nova, "messages", text, "")
	add("/v1/messages", nova, "messages", text, `,"max_tokens":9`)
	add("/v1/messages", claude, "messages", text, `,"max_tokens":9`)
	add("/v1/responses", nova, "input", text, "")
	add("/v1/chat/completions", nova, "messages", fmt.Sprintf(user, "a"),
		`,"tools":[{"type":"function","function":{"name":"f","parameters":`+tree+`}}]`)
	hi := fmt.Sprintf(user, "a")
	add("/v1/messages", nova, "messages", strings.Repeat(turns, size/len(turns)-10)+hi, `,"max_tokens":9`)
	add("/v1/messages", nova, "messages", hi, `,"max_tokens":9,"tools":[{"name":"f","input_schema":`+tree+`}]`)
	return all
}

type dialectBody struct {
	target string
	body   []byte
}

// confined is a gateway in a control group of its own, in front of an upstream, and a key for it.
func confined(t *testing.T, upstream *httptest.Server) (*harness.Confined, *harness.Gateway, harness.Key) {
	box := harness.Confine(t, container)
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{Program: box.Program, YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL, key.KeyID)})
	return box, g, key
}

func floodDialects(t *testing.T, m *measured) {
	box, g, key := confined(t, answering(t))
	stop := askBeside(g, key)
	bodies := dialectBodies(25_000_000)
	var f flood
	callers(m.of(100, len(bodies)), 100, func(i int) {
		b := bodies[i%len(bodies)]
		sendTo(&f, g, b.target, key.BearerCredential, b.body)
	})
	f.passed(t, m, box, g, stop)
	if len(f.bad) > 0 {
		t.Errorf("%d requests without an answer as it should be: %s", len(f.bad), f.bad[0])
	}
	for status, n := range f.status {
		if status != 200 && status != 413 && status != 503 && status != 529 {
			t.Errorf("%d × status %d", n, status)
		}
	}
	if f.status[200] == 0 {
		t.Error("none was served")
	}
}

// passed notes what came of a flood, and fails when the gateway has not outlived it inside
// its box, or when small requests beside it were not answered.
func (f *flood) passed(t *testing.T, m *measured, box *harness.Confined, g *harness.Gateway, stop beside) {
	t.Helper()
	asked, failed, why := stop()
	m.note("%v", f.status)
	m.note("%d of %d small requests failed", failed, asked)
	m.note("at most %d MB (%s)", box.Most(t, g)>>20, box.Kind)
	if box.Passed(t, g) {
		t.Error("the gateway was killed, or had more memory than it may")
	}
	if failed*100 > asked {
		t.Errorf("%d of %d small requests failed: %s", failed, asked, why)
	}
}

// largeAnswers is E8.
func largeAnswers() row {
	return row{
		name: "E8 large answers",
		goal: "20 × 1 GB answers inside 512 MB",
		must: "no kill, modelled error that no SDK repeats, unknown in the books; small requests ≥ 99 %",
		run:  floodAnswers,
	}
}

// endless answers questions that say so with a gigabyte, of one kind after the other.
func endless(t *testing.T) *httptest.Server {
	var n atomic.Int64
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("content-type", "application/json")
		if !bytes.Contains(body, []byte("endless")) {
			io.WriteString(w, converseAnswer("hi"))
			return
		}
		piece := bytes.Repeat([]byte("a"), 1<<20)
		switch n.Add(1) % 3 {
		case 0: // announced
			w.Header().Set("content-length", fmt.Sprint(1<<30))
		case 1: // within the bound of one answer
			w.Header().Set("content-length", fmt.Sprint(60<<20))
		}
		io.WriteString(w, `{"output":{"message":{"content":[{"text":"`)
		for range 1024 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func floodAnswers(t *testing.T, m *measured) {
	box, g, key := confined(t, endless(t))
	stop := askBeside(g, key)
	var f flood
	callers(m.of(20, 6), 20, func(int) {
		send(&f, g, key.BearerCredential, []byte(strings.Replace(ask, "hello", "endless", 1)))
	})
	f.passed(t, m, box, g, stop)
	if f.status[424] != m.of(20, 6) {
		t.Errorf("answers: %v %v, want 424 for all", f.status, f.bad)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var unknown int64
		for _, r := range g.Report("model") {
			unknown += r.Unknown
		}
		return unknown == int64(m.of(20, 6)), fmt.Sprintf("%d unknown in the books", unknown)
	})
	m.note("%d unknown in the books", m.of(20, 6))
}
