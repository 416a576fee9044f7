package answer

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

var integer = json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},` +
	`"required":["n"],"additionalProperties":false}`)

// vetoes checks the veto of an answer.
func vetoes(t *testing.T) func(r Request, a Answer, o Options, want Veto) {
	var schemas Schemas
	return func(r Request, a Answer, o Options, want Veto) {
		t.Helper()
		if got := Check(&r, &a, &schemas, o).Veto; got != want {
			t.Errorf("Check(%+v) = %q, want %q", a, got, want)
		}
	}
}

func TestCheckText(t *testing.T) {
	f, schema, plain := vetoes(t), integer, Request{}
	var essay string
	for i := range 200 {
		essay += fmt.Sprintf("point %d ", i)
	}
	f(plain, Answer{Text: "Paris.", StopReason: "end_turn"}, Options{}, "")
	f(plain, Answer{Text: "Paris.", StopReason: "a_new_reason"}, Options{}, "")
	f(plain, Answer{Text: " \n "}, Options{}, Empty)
	reasons := []string{
		"content_filtered", "guardrail_intervened", "malformed_tool_use", "malformed_model_output", "refusal",
	}
	for _, reason := range reasons {
		f(plain, Answer{Text: "Paris.", StopReason: reason}, Options{}, StopReason)
	}

	cut := Answer{Text: "It was a dark and", StopReason: "max_tokens"}
	f(plain, cut, Options{}, "")
	f(plain, cut, Options{EscalateCut: true}, Length)
	f(plain, cut, Options{NextHasRoom: true}, Length)
	f(Request{Schema: schema}, cut, Options{}, Length)
	f(plain, Answer{ToolCalls: []ToolCall{{"add", json.RawMessage(`{"n":`)}}, StopReason: "max_tokens"}, Options{}, Length)
	f(plain, Answer{Text: `{"a": 1, "b"`, StopReason: "max_tokens"}, Options{}, "")

	f(plain, Answer{Text: "I'm sorry, but I can't help with that."}, Options{}, Refusal)
	f(plain, Answer{Text: "I’m sorry, but I can’t help with that."}, Options{}, Refusal)
	f(plain, Answer{Text: "I'm sorry, but I can't agree: " + essay}, Options{}, "")
	f(plain, Answer{Text: "She said: I can't help you."}, Options{}, "")

	f(plain, Answer{Text: "{\"a\": [1, 2"}, Options{}, TruncatedJSON)
	f(plain, Answer{Text: "```json\n{\"a\": \"b\n```"}, Options{}, TruncatedJSON)
	f(plain, Answer{Text: `{"a": "x } y"} and more`}, Options{}, "")
	f(plain, Answer{Text: `[citation needed`}, Options{}, "")

	loop := "The driver looked. " + strings.Repeat("He had the last clear chance. ", 20)
	f(plain, Answer{Text: loop}, Options{}, Repetition)
	f(plain, Answer{Text: strings.Repeat("-", 2000)}, Options{}, "")
	f(plain, Answer{Text: "Ha" + strings.Repeat("ha", 30)}, Options{}, "")
}

func TestCheckForm(t *testing.T) {
	f, schema := vetoes(t), integer
	tools := []Tool{{Name: "add", Schema: schema}, {Name: "free"}}
	f(Request{Schema: schema}, Answer{Text: `{"n": 3}`}, Options{}, "")
	f(Request{Schema: schema}, Answer{Text: "```json\n{\"n\": 3}\n```"}, Options{}, "")
	f(Request{Schema: schema}, Answer{Text: `{"n": "3"}`}, Options{}, Schema)
	f(Request{Schema: schema}, Answer{Text: `The answer is 3.`}, Options{}, Schema)
	f(Request{Schema: json.RawMessage(`{"type": 7}`)}, Answer{Text: `{"n": 3}`}, Options{}, "")
	f(Request{Schema: json.RawMessage(`{"$ref": "file:///etc/passwd"}`)}, Answer{Text: `{"n": 3}`}, Options{}, "")

	call := func(name, input string) Answer {
		return Answer{ToolCalls: []ToolCall{{name, json.RawMessage(input)}}, StopReason: "tool_use"}
	}
	f(Request{Tools: tools}, call("add", `{"n": 3}`), Options{}, "")
	f(Request{Tools: tools}, call("add", `{"n": 3.5}`), Options{}, ToolArgs)
	f(Request{Tools: tools}, call("add", `{"n": 3, "m": 4}`), Options{}, ToolArgs)
	f(Request{Tools: tools}, call("add", `{"n": `), Options{}, ToolArgs)
	f(Request{Tools: tools}, call("free", `{"x": 1}`), Options{}, "")
	f(Request{Tools: tools}, call("unknown", `{}`), Options{}, ToolArgs)
}

func TestUncheckedIsSaid(t *testing.T) {
	remote := &Request{Schema: json.RawMessage(`{"$ref": "http://example.com/s"}`)}
	v := Check(remote, &Answer{Text: "{}"}, &Schemas{}, Options{})
	if v.Veto != "" || !v.Unchecked {
		t.Errorf("a schema that cannot be compiled: %+v", v)
	}
	if v := Check(&Request{}, &Answer{Text: "a", StopReason: "max_tokens"}, nil, Options{}); !v.Cut || v.Veto != "" {
		t.Errorf("an accepted cut answer has to be counted: %+v", v)
	}
}

func TestSchemasAreBounded(t *testing.T) {
	var s Schemas
	for i := range maxSchemas + 50 {
		s.compiled.of(fmt.Appendf(nil, `{"const": %d}`, i), maxSchemas, compile)
	}
	if n := s.compiled.cache.Len(); n != maxSchemas {
		t.Errorf("kept %d schemas, want %d", n, maxSchemas)
	}
}

func TestKeyOf(t *testing.T) {
	offering := &Request{Choices: value.Offered("A. one\nB. two\n")}
	f := func(text string, kind Kind, want string) {
		t.Helper()
		if k := KeyOf(offering, &Answer{Text: text}); k.Kind != kind || k.String() != want {
			t.Errorf("KeyOf(%q) = %v %q, want %v %q", text, k.Kind, k, kind, want)
		}
	}
	f(`{"reasoning": "so \boxed{7}", "answer": "1,000"}`, FinalKey, "1000")
	f("{\"reasoning\": \"he said \"no\"\nand left\", \"answer\": 18}", FinalKey, "18")
	f(`{"answer": [1, 'a', (2,)]}`, FinalKey, `[1,"a",(2)]`)
	f(`{"answer": "wrong"} Wait. {"answer": "$\frac{1}{2}$"}`, FinalKey, "0.5")
	f(`so the result is $\boxed{\dfrac{3\sqrt{2}}{2}}$.`, FinalKey, "2.12132034356")
	f("We see that the answer is (B).", FinalKey, "B")
	f("**Answer:** B) Because it rains.", FinalKey, "B")
	f("#### 42", FinalKey, "42")
	f(`{"result": "ok", "amount": 5, "reason": "because"}`, ValuesKey, `{"amount":5,"result":"ok",}`)
	f("Here it is:\n```json\n{\"answer\": \"B\", \"confidence\": 0.8}\n```", FinalKey, "B")
	f(`{"label_a": "x", "score": 1.50}`, ValuesKey, `{"label_a":"x","score":1.5,}`)
	f("Positive", WholeKey, "Positive")
	f("First we add, and then we divide, which gives a long explanation.\n\nThat makes 12 apples.", NoKey, "")
	f("A long text about nothing in particular that has no number in it and goes on.\nAnd on.", NoKey, "")
	f(`{"text": "`+strings.Repeat("prose ", 30)+`"}`, NoKey, "")
}

func TestAgree(t *testing.T) {
	final := func(raw string) Key {
		return Key{Kind: FinalKey, value: value.Of(raw, value.Offered("A. one\nB. two"))}
	}
	f := func(a, b string, want Agreement) {
		t.Helper()
		if got := Agree(final(a), final(b)); got != want {
			t.Errorf("Agree(%q, %q) = %v, want %v (%q, %q)", a, b, got, want, final(a), final(b))
		}
		if got := Agree(final(b), final(a)); got != want {
			t.Errorf("Agree(%q, %q) = %v, want %v: not symmetric", b, a, got, want)
		}
	}
	for _, pair := range [][2]string{
		{"1,000", "1000.0"}, {"$18", "18"}, {"18 dollars", "$18.00"}, {"20%", "20"}, {"-3", "−3"}, {"0", "-0"},
		{"3.33", `\frac{10}{3}`}, {`\frac12`, "1/2"}, {"0.5", "1/2"}, {`10\sqrt{2}`, "10√2"},
		{`x = 5`, "5"}, {`\text{B}`, "(B)"},
		{"B. because", "B"}, {"'a b'", `"a b"`}, {"'a'", "a"}, {"[1, 2]", "[1,2]"}, {"{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"},
		{"{2, 1}", "{1, 2}"}, {"True", "true"}, {"(5)", "5"}, {"Yes", "yes"}, {"YES.", "yes"}, {"  a  b ", "a b"},
		{`90^\circ`, "90"}, {`2\pi`, "2π"}, {`(\frac{1}{2}, 3)`, "(1/2,3)"},
		{"12 cm^2", "12"}, {"'89'", "89"}, {"**7**", "7"},
		{`\$5`, "5"}, {"10{,}000", "10000"}, {"2^{10}", "1024"},
	} {
		f(pair[0], pair[1], Same)
	}
	for _, pair := range [][2]string{
		{"1,000", "1001"}, {"3", "3.33"}, {"007", "7"}, {"5 PM", "5 AM"}, {"usAr", "USar"},
		{"'a '", "'a'"}, {"[1, 2]", "(1, 2)"},
		{"[1, 2]", "[2, 1]"}, {"A", "B"}, {"1,00", "100"}, {"5 million", "5"}, {"A dog", "A cat"}, {"2 - 1", "21"}, {"", "x"},
		{"{'a': 1}", "{'a': 2}"}, {"10 or 12", "10"}, {`\sqrt{2}`, `\sqrt{3}`}, {"1/0", "0"},
	} {
		f(pair[0], pair[1], Different)
	}
	if got := Agree(Key{}, final("1")); got != Unknown {
		t.Errorf("no key: %v, want unknown", got)
	}
}

func TestAgreeOnToolCallsAndDocuments(t *testing.T) {
	calls := func(parts ...string) Key {
		var a Answer
		for i := 0; i < len(parts); i += 2 {
			a.ToolCalls = append(a.ToolCalls, ToolCall{parts[i], json.RawMessage(parts[i+1])})
		}
		return KeyOf(&Request{}, &a)
	}
	f := func(a, b Key, want Agreement) {
		t.Helper()
		if got := Agree(a, b); got != want {
			t.Errorf("Agree(%q, %q) = %v, want %v", a, b, got, want)
		}
	}
	f(calls("add", `{"a": 1, "b": "x"}`), calls("add", `{"b":"x","a":1.0}`), Same)
	f(calls("add", `{}`, "sub", `{}`), calls("sub", `{}`, "add", `{}`), Same)
	f(calls("add", `{"a": 1}`), calls("add", `{"a": 2}`), Different)
	f(calls("add", `{"a": 1}`), calls("sub", `{"a": 1}`), Different)
	f(calls("add", `{"a": 1}`), KeyOf(&Request{}, &Answer{Text: "1"}), Different)
	f(calls("add", `{"a": `), calls("add", `{"a": 1}`), Unknown)

	doc := func(text string) Key {
		return KeyOf(&Request{Schema: json.RawMessage(`{}`)}, &Answer{Text: text})
	}
	f(doc(`{"why": "`+strings.Repeat("a ", 40)+`", "ok": true}`),
		doc(`{"ok":true,"why":"`+strings.Repeat("b ", 45)+`"}`), Same)
	f(doc(`{"ok": true}`), doc(`{"ok": false}`), Different)
	f(doc(`{"why": "`+strings.Repeat("a ", 40)+`"}`), doc(`{"why": "`+strings.Repeat("a ", 40)+`"}`), Unknown)
	f(doc("no JSON"), doc(`{"ok": false}`), Unknown)
}

// FuzzKeyOf looks for panics and for keys that do not agree with themselves.
func FuzzKeyOf(f *testing.F) {
	for _, seed := range []string{
		`{"answer": "1"}`, `\boxed{\frac{1}{2}}`, "the answer is (B).", `{"answer": {"a": [1, (2,)], 'b'`, `"answer": "\`,
		"answer: 1 1/2", "```json\n{\"a\": 1}\n```", `{"answer": "\frac"}`,
		"#### -1,234.50", `answer: ((((((1))))))`, "answer: {1:2,}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := Answer{Text: text}
		k := KeyOf(&Request{}, &a)
		if k.Kind != NoKey && Agree(k, KeyOf(&Request{}, &a)) != Same {
			t.Errorf("the key %q of %q does not agree with itself", k, text)
		}
		Check(&Request{Schema: json.RawMessage(`{}`)}, &a, &Schemas{}, Options{})
	})
}

// TestSchemasConcurrently is for the race detector.
func TestSchemasConcurrently(t *testing.T) {
	var s Schemas
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 100 {
				schema := fmt.Appendf(nil, `{"const": %d}`, (i+g)%7)
				r := Request{Schema: schema}
				if v := Check(&r, &Answer{Text: fmt.Sprint((i + g) % 7)}, &s, Options{}); v.Veto != "" {
					t.Errorf("%s: veto %s", schema, v.Veto)
				}
			}
		})
	}
	all.Wait()
}
