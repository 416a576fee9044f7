package router

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/interpreter"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestVocabulary reads every word of the conditions on one request.
func TestVocabulary(t *testing.T) {
	const body = `{"system":[{"text":"You are \"brief\"."},{"cachePoint":{"type":"default"}},{"text":"Be kind."}],` +
		`"messages":[{"role":"user","content":[{"text":"prove it"}]}],"requestMetadata":{"team":"red"}}`
	in := converse("auto")
	in.says(body)
	facts := in.Facts
	facts.Op, facts.Stream, facts.Dialect = wire.OpConverseStream, true, wire.DialectNamed("nova")
	facts.InputTokens, facts.TextBytes, facts.Turns, facts.Images = 11, 12, 13, 14
	facts.Documents, facts.Tools, facts.MaxTokens, facts.ThinkingTokens = 15, 16, wire.Known(17), wire.Known(18)
	in.Header = wire.Header{{Name: "X-Team", Value: "a"}, {Name: "x-team", Value: "b"},
		{Name: "Authorization", Value: "s"}}
	v := &view{in: in}
	f := func(source string) {
		t.Helper()
		cond, problems := newConditions().compile("c", "c", source)
		for _, p := range problems {
			if !p.Warning {
				t.Fatalf("%s: %s", source, p.Message)
			}
		}
		if matched, err := cond.eval(v); !matched || err != nil {
			t.Errorf("%s: %t, %v; want true", source, matched, err)
		}
	}
	f(`request.model == "auto" && request.operation == "converse-stream" && request.dialect == "nova"`)
	f(`request.stream`)
	f(`request.input_tokens == 11 && request.text_bytes == 12 && request.turns == 13`)
	f(`request.images == 14 && request.documents == 15 && request.tools == 16`)
	f(`request.max_tokens == 17 && request.thinking_tokens == 18`)
	f(`request.text.contains("prove it")`)
	f(`request.system == "You are \"brief\".\nBe kind."`)
	f(`request.headers["x-team"] == "a" && !("authorization" in request.headers)`)
	f(`has(request.headers.accept) == false`)
	f(`request.metadata["team"] == "red" && size(request.metadata) == 1`)
	f(`request.metadata.exists(k, k.startsWith("te"))`)
	f(`tenant.id == "acme/support" && tenant.root == "acme" && key.id == "KEY1"`)
	f(`now < timestamp("2026-04-01T00:00:00Z") && now.getHours() == 12`)
	f(`request.input_tokens > 10.5 && request.input_tokens < 1e3`)
	f(`request.text.matches("(?i)PROVE")`)
}

func TestSystemText(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		if got, err := systemText([]byte(raw)); err != nil || got != want {
			t.Errorf("systemText(%s) = %q, %v; want %q", raw, got, err, want)
		}
	}
	f(``, "")
	f(`""`, "")
	f(`"a\nb"`, "a\nb")
	f(`[]`, "")
	f(`[{"text":"a"},{"cachePoint":{}},{"type":"text","text":"b"}]`, "a\nb")
	if text, err := systemText([]byte(`7`)); err == nil {
		t.Errorf("systemText(7) = %q, want an error", text)
	}
}

// TestHiddenSystemPrompt: a system prompt that cannot be told apart is not
// taken for an empty one.
func TestHiddenSystemPrompt(t *testing.T) {
	in := converse("auto")
	cond, _ := newConditions().compile("c", "c", `request.system == ""`)
	if matched, err := cond.eval(&view{in: in}); !matched || err != nil {
		t.Errorf("without one: %t, %v; want true", matched, err)
	}
	in.Facts.System = true
	if matched, err := cond.eval(&view{in: in}); matched || err == nil {
		t.Errorf("with one among the messages: %t, %v; want an error", matched, err)
	}
}

func TestInvokeMetadataIsAHeader(t *testing.T) {
	in := invoke("auto", "nova")
	cond, _ := newConditions().compile("c", "c", `request.metadata["team"] == "red"`)
	in.Header = wire.Header{{Name: "x-amzn-bedrock-request-metadata", Value: `{"team":"red"}`}}
	if matched, err := cond.eval(&view{in: in}); !matched || err != nil {
		t.Errorf("matched %t, %v; want true", matched, err)
	}
	in.Header[0].Value = `{"team":`
	if matched, err := cond.eval(&view{in: in}); matched || err == nil {
		t.Errorf("with broken JSON: matched %t, %v; want an error", matched, err)
	}
}

// TestTextIsReadOnce shows by its value that the text is shared between rules,
// and by its absence that it is not read without need.
func TestTextIsReadOnce(t *testing.T) {
	v := &view{in: converse("auto")}
	conditions := newConditions()
	number, _ := conditions.compile("n", "n", `request.input_tokens > 5 || request.text == ""`)
	text, _ := conditions.compile("t", "t", `request.text.matches("time")`)
	literal, _ := conditions.compile("l", "l", `request.text.contains("time")`)
	if matched, err := number.eval(v); !matched || err != nil || v.text.value != nil {
		t.Errorf("number: %t, %v, text %v; want true and no text read", matched, err, v.text.value)
	}
	if matched, err := literal.eval(v); !matched || err != nil || v.text.value != nil {
		t.Errorf("literal: %t, %v, text %v; want true and no text copied", matched, err, v.text.value)
	}
	if matched, err := text.eval(v); !matched || err != nil || v.text.value == nil {
		t.Errorf("text: %t, %v; want true and the text kept", matched, err)
	}
	v.in.Body = nil
	if matched, err := text.eval(v); !matched || err != nil {
		t.Errorf("text again: %t, %v; want it from what was kept", matched, err)
	}
}

// TestCostLimit gives a condition whose cost grows with the text a text for
// which it is too much.
func TestCostLimit(t *testing.T) {
	cond, problems := newConditions().compile("c", "c",
		`request.text.matches("(a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t)+z")`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	in := converse("auto")
	in.says(`{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat(" ", 2<<20) + `"}]}]}`)
	exceeds(t, cond, in)
	many := strings.Repeat(`|| request.text.contains("x")`, 5)
	cond, problems = newConditions().compile("c", "c", many[3:])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	exceeds(t, cond, in)
}

func exceeds(t *testing.T, cond condition, in *Input) {
	t.Helper()
	matched, err := cond.eval(&view{in: in})
	cancelled := interpreter.EvalCancelledError{}
	if matched || !errors.As(err, &cancelled) || cancelled.Cause != interpreter.CostLimitExceeded {
		t.Errorf("matched %t, %v; want the cost limit", matched, err)
	}
}

// TestLiterals finds the same as CEL does in the text.
func TestLiterals(t *testing.T) {
	in := converse("auto")
	in.says(`{"system":[{"text":"caf\u00e9 \"au lait\""}],"messages":[{"role":"user","content":[{"text":"a\need"},` +
		`{"text":"` + strings.Repeat("x\\t", 3000) + `end"}]}]}`)
	f := func(literal string, want bool) {
		t.Helper()
		quoted, _ := json.Marshal(literal)
		for _, source := range []string{
			`request.text.contains(` + string(quoted) + `)`,
			`request.text.contains(request.model != "" ? ` + string(quoted) + ` : "")`,
		} {
			cond, problems := newConditions().compile("c", "c", source)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			v := &view{in: in}
			if matched, err := cond.eval(v); matched != want || err != nil {
				t.Errorf("%s: %t, %v; want %t", source, matched, err, want)
			}
		}
	}
	f("café", true)
	f("caf\\u00e9", false)
	f(`"au lait"`, true)
	f("need", false)
	f("eed", true)
	f("a\need", true)
	f("eed\nx\tx", true)
	f("\tx\tend", true)
	f("\t\t", false)
	f("", true)
	f(strings.Repeat("x\t", 500), true)
	f(strings.Repeat("x\t", 3001), false)
	f(strings.Repeat("x\t", 3000)+"end", true)
}

// FuzzCondition finds no source that crashes the compiler or a program.
func FuzzCondition(f *testing.F) {
	for _, source := range []string{
		`request.model == "auto"`, `request.modle`, `1 +`, "é > \n request.x", `request == request`,
		`[1,2].all(x, x > request.turns)`, `sluice.Request{model: "x"} == request`, `type(key) == type(tenant)`,
		`request.headers.map(k, request.headers[k])[0] == ""`, `1 / 0 > 2`, `now - now > duration("1s")`,
	} {
		f.Add(source)
	}
	conditions := newConditions()
	f.Fuzz(func(t *testing.T, source string) {
		cond, problems := conditions.compile("c", "c", source)
		for _, p := range problems {
			if p.Offset < 0 || p.Offset > len(source) || p.Message == "" {
				t.Errorf("%q: problem %+v", source, p)
			}
		}
		if cond.program == nil {
			if len(problems) == 0 {
				t.Errorf("%q: neither a program nor a problem", source)
			}
			return
		}
		in := converse("auto")
		in.Now = time.Unix(0, 0)
		if matched, err := cond.eval(&view{in: in}); matched && err != nil {
			t.Errorf("%q: matched and failed with %v", source, err)
		}
	})
}
