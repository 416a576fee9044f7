package dialect

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/anthropic"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// counting counts what a translation takes, as far as limit.
type counting struct{ taken, limit int64 }

func (c *counting) Take(n int64) *caller.Failure {
	if c.taken += n; c.limit > 0 && c.taken > c.limit {
		return &caller.Failure{Class: caller.ClassUnavailable}
	}
	return nil
}

// many is a text n times, joined by commas, each with its number for #.
func many(text string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.ReplaceAll(text, "#", strconv.Itoa(i))
	}
	return strings.Join(all, ",")
}

// asked is a request of a path whose body is large.
type asked struct {
	name, path, body string
	model            caller.Model
	policy           caller.Policy
}

func (a *asked) native(m caller.Memory) (*caller.Native, *caller.Failure) {
	d := OpenAI()
	if strings.HasPrefix(a.path, "/v1/messages") {
		d = Anthropic()
	}
	return d.Open("POST", a.path).Native(&caller.Request{
		Method: "POST", Path: a.path, Body: []byte(a.body), Policy: a.policy, Memory: m,
		Model: func(string) caller.Model { return a.model }, Foreign: func(*caller.Native) bool { return false },
		Cascaded: func(func() *caller.Native) bool { return false },
	})
}

var (
	nova   = caller.Model{ID: "amazon.nova-pro-v1:0", Foundation: "amazon.nova-pro-v1:0"}
	claude = caller.Model{ID: "anthropic.claude-sonnet-4-5-20250929-v1:0", Family: anthropic.Family,
		Foundation: "anthropic.claude-sonnet-4-5-20250929-v1:0"}
	oss   = caller.Model{ID: "openai.gpt-oss-120b-1:0", Foundation: "openai.gpt-oss-120b-1:0", Chat: true}
	titan = caller.Model{ID: "amazon.titan-embed-text-v2:0", Foundation: "amazon.titan-embed-text-v2:0"}
)

// said is a conversation in the three dialects: the messages of each, and more members.
func said(name, chat, messages, input, chatMore, messagesMore, inputMore string) []asked {
	of := func(path, talk, content, more string, m caller.Model) asked {
		return asked{name + " " + path + " " + m.Family, path, `{"model":"m","max_tokens":5,"` + talk + `":[` + content +
			`]` + more + `}`, m, ""}
	}
	input = strings.Replace(of("/v1/responses", "input", input, inputMore, nova).body, `"max_tokens":5,`, ``, 1)
	return []asked{
		of("/v1/chat/completions", "messages", chat, chatMore, nova),
		of("/v1/messages", "messages", messages, messagesMore, nova),
		of("/v1/messages", "messages", messages, messagesMore, claude),
		of("/v1/messages/count_tokens", "messages", messages, messagesMore, nova),
		of("/v1/messages/count_tokens", "messages", messages, messagesMore, claude),
		{name + " /v1/responses", "/v1/responses", input, nova, ""},
	}
}

func user(content string) string { return `{"role":"user","content":` + content + `}` }

// large are requests of some size, of each shape that costs in another way.
func large(size int) (all []asked) {
	text := `"` + strings.Repeat(`the \"committee\" asked, naïve `, size/32) + `"`
	numbers := many("1", size/2)
	picture := "iVBORw0KGgoA" + strings.Repeat("QUJD", size/4)
	schema := `{"type":"object","x":[` + numbers + `]}`
	coded := `"{\"x\":[` + numbers + `]}"`
	same := func(name, content string) { all = append(all, said(name, content, content, content, "", "", "")...) }
	same("text", user(text))
	same("turns", many(user(`"a"`)+`,{"role":"assistant","content":"b"}`, size/64)+`,`+user(`"c"`))
	all = append(all, said("parts", user(`[`+many(`{"type":"text","text":"a"}`, size/27)+`]`),
		user(`[`+many(`{"type":"text","text":"a"}`, size/27)+`]`),
		user(`[`+many(`{"type":"input_text","text":"a"}`, size/33)+`]`), "", "", "")...)
	all = append(all, said("tools", user(`"a"`), user(`"a"`), user(`"a"`),
		`,"tools":[{"type":"function","function":{"name":"f","parameters":`+schema+`}}]`,
		`,"tools":[{"name":"f","input_schema":`+schema+`}]`,
		`,"tools":[{"type":"function","name":"f","parameters":`+schema+`}]`)...)
	all = append(all, said("calls",
		user(`"a"`)+`,{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{`+
			`"name":"f","arguments":`+coded+`}}]},{"role":"tool","tool_call_id":"c","content":"a"}`,
		user(`"a"`)+`,{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":`+schema+`}]},`+
			user(`[{"type":"tool_result","tool_use_id":"c","content":"a"}]`),
		user(`"a"`)+`,{"type":"function_call","call_id":"c","name":"f","arguments":`+coded+`},`+
			`{"type":"function_call_output","call_id":"c","output":"a"}`, "", "", "")...)
	all = append(all, said("picture",
		user(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,`+picture+`"}}]`),
		user(`[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"`+picture+`"}}]`),
		user(`[{"type":"input_image","image_url":"data:image/png;base64,`+picture+`"}]`), "", "", "")...)
	return append(all,
		asked{"passed on", "/v1/chat/completions", `{"model":"m","store":true,"messages":[` + user(text) + `]}`, oss, ""},
		asked{"embedding", "/v1/embeddings", `{"model":"m","input":` + text + `}`, titan, ""},
	)
}

// TestTranslationsCount (E4): what a translation has made, and what it makes on the way, is taken from the budget, and
// not much more.
func TestTranslationsCount(t *testing.T) {
	const size = 1 << 18
	for _, a := range large(size) {
		var before, after runtime.MemStats
		m := &counting{}
		runtime.GC()
		runtime.ReadMemStats(&before)
		n, failure := a.native(m)
		runtime.ReadMemStats(&after)
		if failure != nil {
			t.Errorf("%s: %+v", a.name, failure)
			continue
		}
		// A part of what was allocated is garbage before the rest is: blocks that have grown.
		made := float64(after.TotalAlloc-before.TotalAlloc) - float64(len(a.body)) // which []byte(a.body) is
		counted := float64(m.taken)
		if made > 1.3*counted+size/8 || counted > 3*made+size/8 {
			t.Errorf("%s: %.1f of %.1f MB counted", a.name, counted/1e6, made/1e6)
		}
		if kept(n, nil) > m.taken+1<<10 { // members of a few bytes are put in
			t.Errorf("%s: %d bytes are kept, and %d were taken", a.name, kept(n, nil), m.taken)
		}
		if _, failure = a.native(&counting{limit: m.taken - 1}); failure == nil || failure.Class != caller.ClassUnavailable {
			t.Errorf("%s: with too little memory: %+v", a.name, failure)
		}
	}
}

// TestNoRoom (E4): what there is no memory for is refused in the words of the dialect: to come back when others have
// ended, or as too large when it never fits.
func TestNoRoom(t *testing.T) {
	f := func(path string, held, wanted int64, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { // Grow waits
			p := pool.New(pool.Limits{Bytes: 64 << 20, Body: 25 << 20}, nil)
			full, a := new(pool.Account), new(pool.Account)
			p.Open(full)
			p.Open(a)
			full.Grow(held)
			x := New(Options{OpenAI: OpenAI(), Anthropic: Anthropic()}).open(&gateway.Request{Target: path, Account: a})
			x.failure = x.Take(wanted)
			res := x.fail(x.failed(nil), &gateway.Response{})
			if res.Status != want || want > 500 && res.Header.Get("retry-after") != "1" {
				t.Errorf("%s: %d %v %s", path, res.Status, res.Header, res.Body)
			}
		})
	}
	for path, overloaded := range map[string]int{"/v1/messages": 529, "/v1/chat/completions": 503, "/v1/responses": 503} {
		f(path, 50<<20, 20<<20, overloaded)
		f(path, 0, 63<<20, 413)
	}
}

// TestAnswersCount (E4): a translated answer counts beside the upstream's, and what there is no memory for is an error
// that no client repeats: it is paid for.
func TestAnswersCount(t *testing.T) {
	body := `{"output":{"message":{"role":"assistant","content":[{"text":"` + strings.Repeat("a", 1<<20) + `"}]}},` +
		`"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}`
	for _, a := range said("", user(`"a"`), user(`"a"`), user(`"a"`), "", "", "") {
		if a.model.Family != "" || strings.HasSuffix(a.path, "count_tokens") {
			continue
		}
		d := OpenAI()
		if a.path == "/v1/messages" {
			d = Anthropic()
		}
		x := d.Open("POST", a.path)
		if _, failure := x.Native(&caller.Request{Method: "POST", Path: a.path, Body: []byte(a.body),
			Model: func(string) caller.Model { return nova }}); failure != nil {
			t.Fatal(failure)
		}
		m := &counting{}
		answer := &caller.Answer{Op: wire.OpConverse, Body: []byte(body), Memory: m}
		if out, failure := x.Answer(answer); failure != nil || int64(cap(out)) > m.taken {
			t.Errorf("%s: %d bytes of %d: %+v", a.path, m.taken, cap(out), failure)
		}
		answer.Memory = &counting{limit: 1}
		if _, failure := x.Answer(answer); failure == nil || failure.Class != caller.ClassModel {
			t.Errorf("%s: %+v", a.path, failure)
		}
	}
}

// TestLargeFramesCount (E4): what becomes of a large frame counts, once for frames of the same size.
func TestLargeFramesCount(t *testing.T) {
	frame := strings.Repeat("a", 1<<20)
	p := pool.New(pool.Limits{Bytes: 64 << 20, Body: 25 << 20}, nil)
	x := &exchange{request: &gateway.Request{Account: new(pool.Account)}}
	p.Open(x.request.Account)
	s := &stream{exchange: x, own: plain{}, source: &frames{parts: []any{"a", frame, frame, frame + frame}}}
	for _, want := range []int64{0, translated << 20, translated << 20, translated << 21} {
		s.Wait()
		s.translate()
		if got := p.InUse(); got < want || got > want+1<<12 {
			t.Errorf("%d bytes are counted, want %d", got, want)
		}
		s.left = nil
	}
}

// TestNoRoomForFrame (E4): a stream ends where there is no memory for what a frame becomes.
func TestNoRoomForFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // Grow waits
		p := pool.New(pool.Limits{Bytes: 64 << 20, Body: 25 << 20}, nil)
		x := &exchange{request: &gateway.Request{Account: new(pool.Account)}}
		p.Open(x.request.Account)
		s := &stream{exchange: x, own: plain{}, source: &frames{parts: []any{strings.Repeat("a", 20<<20)}}}
		s.Wait()
		if s.translate(); !s.ended || !strings.HasPrefix(string(s.left), "error:") {
			t.Errorf("%.40q", s.left)
		}
	})
}
