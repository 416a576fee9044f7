package wire_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestLimit(t *testing.T) {
	op, dialect := wire.OpConverse, ""
	f := func(body string, c wire.Cap, want string, tokens int64) {
		t.Helper()
		facts := read(t, op, dialect, body)
		l, err := facts.LimitOf(c)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		got := string(wire.ApplySplices(nil, []byte(body), l.Splices))
		if got != want || l.Tokens.N != tokens || l.Tokens.Known != (tokens > 0) || l.Changed != (got != body) ||
			l.Changed != (l.Header() != "") {
			t.Errorf("%s:\n got %s %+v\nwant %s %d", body, got, l, want, tokens)
		}
	}
	def, clamp := wire.Cap{Default: 500}, wire.Cap{Default: 500, Max: 1000}

	f(`{}`, def, `{"inferenceConfig":{"maxTokens":500}}`, 500)
	f(`{ "messages":[] }`, def, `{"inferenceConfig":{"maxTokens":500}, "messages":[] }`, 500)
	f(`{"inferenceConfig":{}}`, def, `{"inferenceConfig":{"maxTokens":500}}`, 500)
	f(`{"inferenceConfig":{"topP":1}}`, def, `{"inferenceConfig":{"maxTokens":500,"topP":1}}`, 500)
	f(`{"inferenceConfig":null}`, def, `{"inferenceConfig":{"maxTokens":500}}`, 500)
	f(`{"inferenceConfig":{"maxTokens":null}}`, def, `{"inferenceConfig":{"maxTokens":500}}`, 500)
	f(`{"inferenceConfig":{"maxTokens":9000}}`, def, `{"inferenceConfig":{"maxTokens":9000}}`, 9000)
	f(`{"inferenceConfig":{"maxTokens":9000}}`, clamp, `{"inferenceConfig":{"maxTokens":1000}}`, 1000)
	f(`{"inferenceConfig":{"maxTokens":900}}`, clamp, `{"inferenceConfig":{"maxTokens":900}}`, 900)
	f(`{"inferenceConfig":{"m\u0061xTokens" : 9000 }}`, clamp, `{"inferenceConfig":{"m\u0061xTokens" : 1000 }}`, 1000)
	f(`{}`, wire.Cap{Max: 1000}, `{"inferenceConfig":{"maxTokens":1000}}`, 1000)
	f(`{}`, wire.Cap{Max: 1000, ModelMax: 400}, `{"inferenceConfig":{"maxTokens":400}}`, 400)
	f(`{}`, wire.Cap{Default: 2000, Max: 1000}, `{"inferenceConfig":{"maxTokens":1000}}`, 1000)
	f(`{}`, wire.Cap{}, `{}`, 0)
	f(`{}`, wire.Cap{ModelMax: 4096}, `{}`, 4096)
	f(`{"inferenceConfig":{"maxTokens":1e3}}`, wire.Cap{}, `{"inferenceConfig":{"maxTokens":1e3}}`, 0)
	f(`{"inferenceConfig":{"maxTokens":8}}`, wire.Cap{}, `{"inferenceConfig":{"maxTokens":8}}`, 8)
	f(`{"additionalModelRequestFields":{"max_tokens":8}}`, wire.Cap{ModelMax: 9},
		`{"additionalModelRequestFields":{"max_tokens":8}}`, 9)
	f(`{"inferenceConfig":{"maxTokens":8000},"additionalModelRequestFields":{"thinking":{"budget_tokens":4000}}}`,
		wire.Cap{Max: 4000},
		`{"inferenceConfig":{"maxTokens":4000},"additionalModelRequestFields":{"thinking":{"budget_tokens":2000}}}`, 4000)
	f(`{"inferenceConfig":{"maxTokens":8000},"additionalModelRequestFields":{"thinking":{"budget_tokens":7999}}}`,
		wire.Cap{Max: 1025},
		`{"inferenceConfig":{"maxTokens":1025},"additionalModelRequestFields":{"thinking":{"budget_tokens":1024}}}`, 1025)
	f(`{"additionalModelRequestFields":{"thinking":{"budget_tokens":2000}}}`, def,
		`{"inferenceConfig":{"maxTokens":2500},"additionalModelRequestFields":{"thinking":{"budget_tokens":2000}}}`, 2500)
	f(`{"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`, def,
		`{"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`, 0)
	f(`{"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`,
		wire.Cap{Max: 9000, ModelMax: 8000},
		`{"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`, 8000)

	op = wire.OpInvoke
	for _, row := range []struct{ dialect, body, filled, asks, lowered string }{
		{"anthropic", `{"messages":[]}`, `{"max_tokens":500,"messages":[]}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"anthropic", `{"prompt":"x"}`, `{"max_tokens_to_sample":500,"prompt":"x"}`, `{"max_tokens_to_sample":5000}`,
			`{"max_tokens_to_sample":1000}`},
		{"nova", `{"messages":[]}`, `{"inferenceConfig":{"maxTokens":500},"messages":[]}`,
			`{"inferenceConfig":{"max_new_tokens":5000,"maxTokens":2000}}`,
			`{"inferenceConfig":{"max_new_tokens":1000,"maxTokens":1000}}`},
		{"titan-text", `{"inputText":"x"}`, `{"textGenerationConfig":{"maxTokenCount":500},"inputText":"x"}`,
			`{"textGenerationConfig":{"maxTokenCount":5000}}`, `{"textGenerationConfig":{"maxTokenCount":1000}}`},
		{"llama", `{"prompt":"x"}`, `{"max_gen_len":500,"prompt":"x"}`, `{"max_gen_len":5000}`, `{"max_gen_len":1000}`},
		{"llama", `{"max_tokens":1}`, `{"max_gen_len":500,"max_tokens":1}`, `{"max_gen_len":1001}`, `{"max_gen_len":1000}`},
		{"mistral", `{"prompt":"x"}`, `{"max_tokens":500,"prompt":"x"}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"cohere-text", `{"prompt":"x"}`, `{"max_tokens":500,"prompt":"x"}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"cohere-chat", `{"message":"x"}`, `{"max_tokens":500,"message":"x"}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"jamba", `{"messages":[]}`, `{"max_tokens":500,"messages":[]}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"j2", `{"prompt":"x"}`, `{"maxTokens":500,"prompt":"x"}`, `{"maxTokens":5000}`, `{"maxTokens":1000}`},
		{"deepseek-r1", `{"prompt":"x"}`, `{"max_tokens":500,"prompt":"x"}`, `{"max_tokens":5000}`, `{"max_tokens":1000}`},
		{"openai", `{"messages":[]}`, `{"max_completion_tokens":500,"messages":[]}`, `{"max_tokens":5000}`,
			`{"max_tokens":1000}`},
		{"openai-compatible", `{"messages":[]}`, `{"max_tokens":500,"messages":[]}`, `{"max_tokens":5000}`,
			`{"max_tokens":1000}`},
	} {
		dialect = row.dialect
		f(row.body, clamp, row.filled, 500)
		f(row.asks, clamp, row.lowered, 1000)
	}
	dialect = "titan-text" // its own default is not raised
	f(`{"inputText":"x"}`, wire.Cap{Max: 1000}, `{"textGenerationConfig":{"maxTokenCount":512},"inputText":"x"}`, 512)
	f(`{"inputText":"x"}`, wire.Cap{ModelMax: 3072}, `{"inputText":"x"}`, 512)
	dialect = "jamba"
	f(`{"n":3,"max_tokens":1000}`, wire.Cap{Max: 1000}, `{"n":3,"max_tokens":333}`, 999)
	f(`{"n":3}`, clamp, `{"max_tokens":333,"n":3}`, 999)
	f(`{"n":2,"max_tokens":100}`, clamp, `{"n":2,"max_tokens":100}`, 200)
	f(`{"n":2,"max_tokens":100}`, wire.Cap{}, `{"n":2,"max_tokens":100}`, 200)
	f(`{"n":2.5,"max_tokens":100}`, wire.Cap{}, `{"n":2.5,"max_tokens":100}`, 0)
	dialect = ""
	f(`{"max_tokens":5000}`, clamp, `{"max_tokens":1000}`, 0)
	f(`{"x":1}`, clamp, `{"x":1}`, 0)
}

func TestLimitRefuses(t *testing.T) {
	f := func(op wire.Operation, dialect, body string, c wire.Cap, want string) {
		t.Helper()
		l, err := read(t, op, dialect, body).LimitOf(c)
		if err == nil || err.Kind != wire.KindValidation || !strings.Contains(err.Message, want) {
			t.Errorf("%s: %+v, %v", body, l, err)
		}
	}
	top := wire.Cap{Max: 1000}
	f(wire.OpConverse, "", `{"inferenceConfig":{"maxTokens":1001}}`, wire.Cap{Max: 1000, Reject: true},
		"the limit is 1000")
	for _, v := range []string{`1e3`, `100.0`, `0`, `-1`, `2147483648`, `99999999999999999999`, `"100"`, `[1]`, `{}`,
		`true`} {
		f(wire.OpConverse, "", `{"inferenceConfig":{"maxTokens":`+v+`}}`, top, "whole number")
		f(wire.OpConverse, "", `{"inferenceConfig":{"maxTokens":`+v+`}}`, wire.Cap{Default: 5}, "whole number")
	}
	for _, v := range []string{`{"max_tokens":9}`, `{"inferenceConfig":{"maxTokens":9}}`, `{"max_gen_len":1}`,
		`{"textGenerationConfig":{"maxTokenCount":1}}`} {
		f(wire.OpConverse, "", `{"additionalModelRequestFields":`+v+`}`, top, "additionalModelRequestFields")
	}
	f(wire.OpConverse, "", `{"inferenceConfig":[]}`, top, "must be an object")
	f(wire.OpConverse, "", `{"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`, top,
		"reasoning effort")
	f(wire.OpInvoke, "nova", `{"inferenceConfig":{"reasoningConfig":{"maxReasoningEffort":"high"}}}`, top,
		"reasoning effort")
	f(wire.OpInvoke, "anthropic", `{"max_tokens":5000,"thinking":{"type":"enabled","budget_tokens":4000}}`, top,
		"no room for thinking")
	f(wire.OpInvoke, "jamba", `{"n":1001}`, top, "cannot share")
	f(wire.OpInvoke, "jamba", `{"n":"2"}`, top, "number of completions")
	facts := read(t, wire.OpConverse, "", `{}`)
	facts.NoMaxTokens = true // a prompt ARN
	if _, err := facts.LimitOf(top); err == nil {
		t.Error("a prompt ARN under a maximum was let through")
	}
	if l, err := facts.LimitOf(wire.Cap{Default: 5}); err != nil || l.Changed {
		t.Errorf("a prompt ARN got a default: %+v, %v", l, err)
	}
}

func TestLimitWithoutOutput(t *testing.T) {
	for _, f := range []*wire.Facts{read(t, wire.OpInvoke, "cohere-embed", `{"texts":[]}`),
		read(t, wire.OpCountTokens, "", `{}`), read(t, wire.OpApplyGuardrail, "", `{}`)} {
		if l, err := f.LimitOf(wire.Cap{Default: 5, Max: 9}); err != nil || l.Changed || l.Tokens != wire.Known(0) {
			t.Errorf("%s: %+v, %v", f.Op, l, err)
		}
	}
	if l, err := read(t, wire.OpInvoke, "", `{}`).LimitOf(wire.Cap{Max: 9}); err != nil || l.CutAt != 9 ||
		l.Tokens.Known {
		t.Errorf("unknown family: %+v, %v", l, err)
	}
	if l, err := read(t, wire.OpInvoke, "nova", ``).LimitOf(wire.Cap{Max: 9}); err != nil || l.Changed {
		t.Errorf("empty body: %+v, %v", l, err)
	}
	if l, err := read(t, wire.OpConverse, "",
		`{"inferenceConfig":{"maxTokens":9000}}`).LimitOf(wire.Cap{Max: 1000}); err != nil || l.Cut != 8000 ||
		l.Header() != "1000" {
		t.Errorf("cut: %+v, %v", l, err)
	}
}

// capped is a body with a random shape, and the model of what it asks for.
type capped struct {
	op                        wire.Operation
	dialect                   string
	body                      string
	maxTokens, thinking, many int64 // 0: absent
}

func drawCapped(t *rapid.T) capped {
	shape := rapid.SampledFrom([]capped{
		{op: wire.OpConverse}, {op: wire.OpConverseStream},
		{op: wire.OpInvoke, dialect: "anthropic"}, {op: wire.OpInvokeStream, dialect: "nova"},
		{op: wire.OpInvoke, dialect: "titan-text"},
		{op: wire.OpInvoke, dialect: "llama"}, {op: wire.OpInvoke, dialect: "jamba"},
		{op: wire.OpInvoke, dialect: "cohere-text"},
		{op: wire.OpInvoke, dialect: "j2"}, {op: wire.OpInvoke, dialect: "openai"},
	}).Draw(t, "shape")
	maybe := func(label string, low, high int64) int64 {
		if rapid.Bool().Draw(t, "has "+label) {
			return rapid.Int64Range(low, high).Draw(t, label)
		}
		return 0
	}
	shape.maxTokens = maybe("maxTokens", 1, 1<<31-1)
	parents := map[string][2]string{"": {"inferenceConfig", "maxTokens"}, "nova": {"inferenceConfig", "maxTokens"},
		"titan-text": {"textGenerationConfig", "maxTokenCount"}}
	names := map[string]string{"anthropic": "max_tokens", "llama": "max_gen_len", "jamba": "max_tokens",
		"cohere-text": "max_tokens", "j2": "maxTokens", "openai": "max_completion_tokens"}
	members := []string{`"big":123456789012345678901234567890`, `"x":{"maxTokens":99999,"max_tokens":[77777]}`, `"dup":1`,
		`"dup":2`, `"é\n":"ü"`}
	if p, ok := parents[shape.dialect]; ok && (shape.maxTokens > 0 || rapid.Bool().Draw(t, "parent")) {
		inner := []string{`"topP":0.5`}[:rapid.IntRange(0, 1).Draw(t, "others")]
		if shape.maxTokens > 0 {
			inner = append(inner, fmt.Sprintf(`"%s": %d `, p[1], shape.maxTokens))
		}
		members = append(members, fmt.Sprintf(`"%s":{ %s}`, p[0], strings.Join(inner, " , ")))
	} else if !ok && shape.maxTokens > 0 {
		members = append(members, fmt.Sprintf(`"%s" : %d`, names[shape.dialect], shape.maxTokens))
	}
	if many := map[string]string{"jamba": "n", "cohere-text": "num_generations",
		"j2": "numResults"}[shape.dialect]; many != "" {
		if shape.many = maybe("many", 1, 5); shape.many > 0 {
			members = append(members, fmt.Sprintf(`"%s":%d`, many, shape.many))
		}
	}
	thinking := map[string]string{"": `"additionalModelRequestFields":{"thinking":{"budget_tokens":%d}}`,
		"anthropic": `"thinking":{"type":"enabled","budget_tokens":%d}`}[shape.dialect]
	if thinking != "" {
		if shape.thinking = maybe("thinking", 1024, 30000); shape.thinking > 0 {
			members = append(members, fmt.Sprintf(thinking, shape.thinking))
		}
	}
	members = rapid.Permutation(members).Draw(t, "order")
	members = slices.DeleteFunc(members, func(m string) bool { return m[1] == 'd' && rapid.Bool().Draw(t, "drop") })
	shape.body = "{ " + strings.Join(members, ", ") + "}"
	return shape
}

// TestLimitHolds is the property: the edited body is valid, differs in the
// splices only, reads back as the cap says, and settles.
func TestLimitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawCapped(t)
		c := wire.Cap{
			Default:  rapid.SampledFrom([]int64{0, 1, 500, 4000}).Draw(t, "default"),
			Max:      rapid.SampledFrom([]int64{0, 5, 1000, 1025, 8000}).Draw(t, "max"),
			ModelMax: rapid.SampledFrom([]int64{0, 2000, 64000}).Draw(t, "model max"),
		}
		d := wire.DialectNamed(in.dialect)
		var before, after wire.Facts
		if err := before.Read(in.op, d, []byte(in.body)); err != nil {
			t.Fatalf("%s: %v", in.body, err)
		}
		if before.MaxTokens.N != in.maxTokens || before.ThinkingTokens.N != in.thinking ||
			int64(before.Multiplier) != max(1, in.many) {
			t.Fatalf("%s: read as %+v", in.body, before)
		}
		l, err := before.LimitOf(c)
		if err != nil {
			if in.thinking == 0 {
				t.Fatalf("%s: %v", in.body, err)
			}
			return // no room for thinking
		}
		out := wire.ApplySplices(nil, []byte(in.body), l.Splices)
		if !json.Valid(out) {
			t.Fatalf("%s → %s is not JSON", in.body, out)
		}
		onlySplices(t, in.body, string(out), l.Splices)
		if err := after.Read(in.op, d, out); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if (c.Default > 0 || c.Max > 0) && !after.MaxTokens.Known {
			t.Fatalf("%s → %s has no cap", in.body, out)
		}
		if c.Max > 0 && after.MaxTokens.N*int64(after.Multiplier) > c.Max {
			t.Fatalf("%s → %s is above %d", in.body, out, c.Max)
		}
		if c.Default > 0 && in.maxTokens > 0 && c.Max == 0 && l.Changed {
			t.Fatalf("%s: a default changed a request that has a cap", in.body)
		}
		if l.Changed && (strconv.FormatInt(after.MaxTokens.N, 10) != l.Header() ||
			l.Tokens.N != after.MaxTokens.N*int64(after.Multiplier)) {
			t.Fatalf("%s → %s: limit %+v", in.body, out, l)
		}
		if l.Changed && after.ThinkingTokens.Known &&
			(after.ThinkingTokens.N >= after.MaxTokens.N || after.ThinkingTokens.N < 1024) {
			t.Fatalf("%s → %s: thinking does not fit", in.body, out)
		}
		again, err := after.LimitOf(c)
		if err != nil || again.Changed {
			t.Fatalf("%s → %s: limited again: %+v, %v", in.body, out, again, err)
		}
	})
}

// onlySplices undoes the splices by hand and wants the original back.
func onlySplices(t *rapid.T, before, after string, splices []wire.Splice) {
	back := after
	for _, s := range splices { // sorted, so that all before this one is undone
		end := s.Start + len(s.Text)
		if back[s.Start:end] != string(s.Text) {
			t.Fatalf("splice %+v is not where it should be in %s", s, after)
		}
		back = back[:s.Start] + before[s.Start:s.End] + back[end:]
	}
	if back != before {
		t.Fatalf("%s\nis not\n%s", back, before)
	}
}

func TestModelAndMetadataSplices(t *testing.T) {
	apply := func(body string, s ...wire.Splice) string { return string(wire.ApplySplices(nil, []byte(body), s)) }
	const oai = `{"messages":[], "model" : "a\u0062"}`
	s, ok := read(t, wire.OpInvoke, "openai", oai).ModelSplice(`new"id`)
	if got := apply(oai, s); !ok || got != `{"messages":[], "model" : "new\"id"}` {
		t.Errorf("%s", got)
	}
	if _, ok := read(t, wire.OpInvoke, "openai", `{}`).ModelSplice("x"); ok {
		t.Error("a body without model got one")
	}
	f := func(body, want string) {
		t.Helper()
		facts := read(t, wire.OpConverse, "", body)
		s, ok := facts.MetadataSplices([]byte(body), wire.Pair{Key: "tenant", Value: `a"b`})
		if got := apply(body, s...); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %t %s", body, ok, got)
		}
		l, err := facts.LimitOf(wire.Cap{Default: 5})
		if err != nil {
			t.Fatal(err)
		}
		if both := apply(body, append(l.Splices, s...)...); ok && !json.Valid([]byte(both)) {
			t.Errorf("%s: with the cap: %s", body, both)
		}
	}
	f(`{}`, `{"requestMetadata":{"tenant":"a\"b"}}`)
	f(`{"a":1}`, `{"requestMetadata":{"tenant":"a\"b"},"a":1}`)
	f(`{"requestMetadata":{}}`, `{"requestMetadata":{"tenant":"a\"b"}}`)
	f(`{"requestMetadata":{"x":"y"}}`, `{"requestMetadata":{"tenant":"a\"b","x":"y"}}`)
	f(`{"requestMetadata":{"x":"y","ten\u0061nt":"forged"}}`, `{"requestMetadata":{"x":"y","ten\u0061nt":"a\"b"}}`)
	f(`{"requestMetadata":null}`, ``)
	pairs := make([]string, 16)
	for i := range pairs {
		pairs[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	f(`{"requestMetadata":{`+strings.Join(pairs, ",")+`}}`, ``)
	two := func(body, want string) {
		t.Helper()
		s, ok := read(t, wire.OpConverse, "", body).MetadataSplices([]byte(body), wire.Pair{Key: "a", Value: "1"},
			wire.Pair{Key: "b", Value: "2"})
		if got := apply(body, s...); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %t %s", body, ok, got)
		}
	}
	two(`{}`, `{"requestMetadata":{"a":"1","b":"2"}}`)
	two(`{"requestMetadata":{}}`, `{"requestMetadata":{"a":"1","b":"2"}}`)
	two(`{"requestMetadata":{"b":"x"}}`, `{"requestMetadata":{"a":"1","b":"2"}}`)
	two(`{"requestMetadata":{"b":"x","a":"y"}}`, `{"requestMetadata":{"b":"2","a":"1"}}`)
	two(`{"requestMetadata":{`+strings.Join(pairs[:14], ",")+`}}`,
		`{"requestMetadata":{"a":"1","b":"2",`+strings.Join(pairs[:14], ",")+`}}`)
	two(`{"requestMetadata":{`+strings.Join(pairs[:15], ",")+`}}`, ``)
	two(`{"requestMetadata":{"a":"y",`+strings.Join(pairs[:15], ",")+`}}`, ``)
	if _, ok := read(t, wire.OpInvoke, "openai", oai).MetadataSplices([]byte(oai), wire.Pair{Key: "a", Value: "b"}); ok {
		t.Error("InvokeModel got requestMetadata")
	}
}
