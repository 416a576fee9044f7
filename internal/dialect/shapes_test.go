package dialect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/anthropic"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
)

// shape is a random valid request by the official shapes: test/clients/python/shapes.py makes them.
type shape struct {
	Path string
	Body object
}

// shapes reads the recorded ones, or those of the file that SLUICE_SHAPES names.
func shapes(t *testing.T) (all []shape) {
	t.Helper()
	var lines io.Reader
	if file := os.Getenv("SLUICE_SHAPES"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines = bytes.NewReader(text)
	} else {
		packed, err := os.ReadFile("testdata/shapes.jsonl.gz")
		if err != nil {
			t.Fatal(err)
		}
		if lines, err = gzip.NewReader(bytes.NewReader(packed)); err != nil {
			t.Fatal(err)
		}
	}
	for in := bufio.NewScanner(lines); in.Scan(); {
		var s shape
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// place is a member or an element somewhere in a request.
type place []any // names and indices

func (p place) String() string {
	var b strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

// kind is a place without its indices.
func (p place) kind() string {
	return indices.ReplaceAllString(p.String(), "[]")
}

// placeOf reads a place as failures and x-sluice-dropped name it. Anthropic's has indices as names.
func placeOf(path string) (p place) {
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		if i, err := strconv.Atoi(name); err == nil {
			p = append(p, i)
		} else {
			p = append(p, name)
		}
	}
	return p
}

// at is what is at a place.
func at(v any, p place) (any, bool) {
	for _, step := range p {
		switch step := step.(type) {
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				return nil, false
			}
			v = list[step]
		case string:
			members, ok := v.(object)
			if !ok {
				return nil, false
			}
			if v, ok = members[step]; !ok {
				return nil, false
			}
		}
	}
	return v, true
}

// without is a copy that lacks what is at a place.
func without(v any, p place) any {
	switch v := v.(type) {
	case object:
		out := maps.Clone(v)
		name, _ := p[0].(string)
		if len(p) == 1 {
			delete(out, name)
		} else {
			out[name] = without(v[name], p[1:])
		}
		return out
	case []any:
		i, _ := p[0].(int)
		if len(p) == 1 {
			return slices.Delete(slices.Clone(v), i, i+1)
		}
		out := slices.Clone(v)
		out[i] = without(v[i], p[1:])
		return out
	}
	return v
}

// places are all of a request, inner ones after outer ones.
func places(v any, above place) (all []place) {
	add := func(step, v any) {
		here := append(slices.Clip(above), step)
		all = append(append(all, here), places(v, here)...)
	}
	switch v := v.(type) {
	case object:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			add(name, v[name])
		}
	case []any:
		for i, e := range v {
			add(i, e)
		}
	}
	return all
}

// covers reports whether one of the dropped members is this one, or has it inside.
func covers(dropped []string, p place) bool {
	return slices.ContainsFunc(dropped, func(d string) bool {
		within, ok := strings.CutPrefix(p.kind(), d)
		return ok && (within == "" || within[0] == '.' || within[0] == '[')
	})
}

// asking translates requests of one path to one model.
type asking struct {
	path, model string
	open        func(method, path string) Exchange
}

func (a *asking) native(body any) (*caller.Native, *caller.Failure) {
	r := request(a.path, encode(body))
	r.Model = func(name string) caller.Model {
		m := caller.Model{ID: name, Foundation: wire.ParseModelID(name).Foundation, Family: "another"}
		if strings.Contains(name, "claude") {
			m.Family = anthropic.Family
		}
		return m
	}
	return a.open("POST", a.path).Native(r)
}

// accepted takes away what is refused until the request is accepted. Each refusal has to name something that is there,
// or that is missing.
func (a *asking) accepted(t *testing.T, body any) (any, *caller.Native) {
	t.Helper()
	for range 200 {
		n, failure := a.native(body)
		if failure == nil {
			return body, n
		}
		p := placeOf(failure.Param)
		if failure.Class != caller.ClassInvalid || len(p) == 0 {
			t.Errorf("%s: %+v for %s", a.path, failure, encode(body))
			return nil, nil
		}
		for len(p) > 1 {
			if _, there := at(body, p); there {
				break
			}
			p = p[:len(p)-1] // it lacks something
		}
		if _, there := at(body, p); !there {
			return nil, nil // without it there is no request
		}
		body = without(body, p)
	}
	t.Errorf("%s: refused for ever: %s", a.path, encode(body))
	return nil, nil
}

var (
	word    = regexp.MustCompile(`w\d+w`)
	indices = regexp.MustCompile(`\[\d+\]`)
)

// TestShapes: of random valid requests by the official shapes, each member is carried and makes a difference, or it is
// dropped and named, or refused and named; and each word that is not dropped reaches the model.
func TestShapes(t *testing.T) {
	models := []string{"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0",
		"meta.llama3-3-70b-instruct-v1:0", "openai.gpt-oss-120b-1:0", "amazon.nova-2-lite-v1:0"}
	lost := map[string]string{}
	accepted := map[string]int{}
	for i, s := range shapes(t) {
		a := &asking{path: s.Path, model: models[i/5%len(models)], open: OpenAI().Open}
		if strings.HasPrefix(s.Path, "/v1/messages") {
			a.open = Anthropic().Open
		} else if s.Path == "/v1/embeddings" {
			a.model = "cohere.embed-v4:0"
		}
		s.Body["model"] = a.model
		body, n := a.accepted(t, s.Body)
		if n == nil {
			continue
		}
		accepted[s.Path]++
		a.check(body, n, lost)
	}
	for _, kind := range slices.Sorted(maps.Keys(lost)) {
		t.Errorf("%s is lost: %s", kind, lost[kind])
	}
	t.Log(accepted)
}

// check finds what is lost of a request that is accepted.
func (a *asking) check(body any, n *caller.Native, lost map[string]string) {
	of := func(n *caller.Native) string {
		return fmt.Sprintf("%s %s %s %s", n.Body, n.Header, n.Dropped, n.Session)
	}
	tell := func(what, how string) {
		lost[a.path+" "+what] = fmt.Sprintf("%s: %s became %s, dropped %q", how, encode(body), n.Body, n.Dropped)
	}
	for _, p := range places(body, nil) {
		v, _ := at(body, p)
		if covers(n.Dropped, p) || neutral(a.path, p, body, v) {
			continue
		}
		if text, ok := v.(string); ok && !reaches(of(n)+string(n.Count), text) {
			tell(p.kind(), "its words")
		}
		if other, failure := a.native(without(body, p)); failure == nil && of(other) == of(n) {
			tell(p.kind()+" = "+encode(v), "no difference")
		}
	}
}

// reaches reports whether the words of a text, or what a data URL has, came through.
func reaches(native, text string) bool {
	if _, data, ok := strings.Cut(text, ";base64,"); ok {
		text = data
	}
	return strings.Contains(native, base64.StdEncoding.EncodeToString([]byte(text))) ||
		len(text) > 20 && strings.Contains(native, text) ||
		!slices.ContainsFunc(word.FindAllString(text, -1), func(w string) bool { return !strings.Contains(native, w) })
}

// lacks reports whether a request has nothing at a top-level member.
func lacks(body any, name string) bool {
	v, _ := at(body, place{name})
	list, ok := v.([]any)
	return v == nil || ok && len(list) == 0
}

// same are values that mean what a request means without them: defaults, what the vendors ignore, and what says of what
// kind something is that has one kind only. The answer, not the request, is where stream_options, include and
// encoding_format are carried.
var same = map[string][]string{
	"background": {"false"}, "frequency_penalty": {"0", "-0"}, "presence_penalty": {"0", "-0"}, "top_p": {"1"},
	"messages[].content[].image_url.detail": {`"auto"`}, "tool_choice.disable_parallel_tool_use": {"false"},
	"messages[].content[].caller": {`{"type":"direct"}`}, "logprobs": {"false"}, "n": {"1"},
	"modalities": {`["text"]`}, "modalities[]": {`"text"`}, "prompt_cache_retention": {`"in_memory"`},
	"response_format": {`{"type":"text"}`}, "service_tier": {`"auto"`, `"default"`, `"standard_only"`},
	"store": {"false"}, "stream": {"false"}, "tool_choice": {`"auto"`, `{"type":"auto"}`}, "verbosity": {`"medium"`},
	"truncation": {`"disabled"`}, "text.verbosity": {`"medium"`}, "reasoning.summary": {`"auto"`},
	"reasoning.generate_summary": {`"auto"`}, "thinking": {`{"type":"disabled"}`}, "reasoning_effort": {`"none"`},
	"reasoning.effort": {`"none"`}, "reasoning.context": {`"auto"`}, "parallel_tool_calls": {"true"},
	"top_logprobs":  {"0"},
	"function_call": {`"auto"`, `"none"`}, "text.format": {`{"type":"text"}`},
	"tools[].function.strict": {"false"}, "tools[].strict": {"false"},
	"messages[].content[].is_error": {"false"}, "encoding_format": nil, "include": nil, "stream_options": nil,
	"tools[].type": {`"custom"`},
	// Ids and states of items are of use where responses are stored.
	"input[].id": nil, "input[].status": nil, "input[].content[].id": nil,
	// A forced tool, or words, bind the answer to the schema; the name of it is the caller's own.
	"response_format.json_schema.name": nil, "text.format.name": nil, "response_format.json_schema.strict": nil,
	"text.format.strict": nil,
}

// neutral reports whether a member means what a request means without it.
func neutral(path string, p place, body, v any) bool {
	if empty := encode(v); v == nil || empty == "[]" || empty == `"{}"` {
		return true
	}
	for i := range p { // what is inside of something that is as good as absent
		kind := p[:i+1].kind()
		values, known := same[kind]
		above, _ := at(body, p[:i+1])
		if known && (values == nil || slices.Contains(values, encode(above))) {
			model, _ := at(body, place{"model"})
			always := capability.Of(wire.ParseModelID(model.(string)).Foundation).AlwaysThinks
			return !always || kind != "thinking" && kind != "reasoning_effort" && kind != "reasoning.effort"
		}
	}
	choice, _ := at(body, place{"tool_choice"})
	switch kind := p.kind(); {
	case (strings.HasPrefix(kind, "tools") || kind == "parallel_tool_calls") && strings.Contains(encode(choice), `"none"`):
		return true // those that the conversation has not called go
	case lacks(body, "tools") && slices.Contains([]string{"tool_choice", "function_call", "parallel_tool_calls"}, kind):
		return true
	case lacks(body, "tools") && strings.HasPrefix(kind, "tool_choice."):
		return true
	case path == "/v1/chat/completions" && kind == "max_tokens":
		return !lacks(body, "max_completion_tokens") // which wins
	case strings.HasSuffix(kind, ".type"), strings.HasSuffix(kind, ".media_type"): // it is read from the bytes
		return true
	case strings.HasSuffix(kind, ".cache_control.ttl"):
		return v == "5m"
	}
	members, ok := v.(object)
	turn := p.kind() == "messages[]" || p.kind() == "input[]"
	if !ok || !turn && (members["type"] != nil || members["role"] != nil) {
		return false
	}
	for name, v := range members { // what has nothing but such members
		here := append(slices.Clip(p), name)
		if !slices.Contains([]string{"role", "name", "type"}, name) && !neutral(path, here, body, v) && !quiet(v) {
			return false
		}
	}
	return true
}

// quiet reports whether content has nothing but what its model gets from no other one.
func quiet(content any) bool {
	parts, ok := content.([]any)
	return ok && !slices.ContainsFunc(parts, func(part any) bool {
		members, _ := part.(object)
		return members["type"] != "thinking" && members["type"] != "redacted_thinking"
	})
}
