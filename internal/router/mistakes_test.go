package router

import (
	"strings"
	"testing"
)

// TestConditionMistakes: a mistake in a condition is told once, at its place, in the
// user's terms. ^ marks the place. U13
func TestConditionMistakes(t *testing.T) {
	compiler := newConditions()
	f := func(marked string, want ...string) {
		t.Helper()
		at := strings.Index(marked, "^")
		source := strings.Replace(marked, "^", "", 1)
		_, problems := compiler.compile("id", "match", source)
		if len(problems) != len(want) {
			t.Errorf("%s: %d problems, want %d: %+v", source, len(problems), len(want), problems)
			return
		}
		for i, p := range problems {
			if i == 0 && p.Offset != at || p.Message != want[i] {
				t.Errorf("%s:\n got %d %s\nwant %d %s", source, p.Offset, p.Message, at, want[i])
			}
		}
	}
	f(`request.model ^= "auto"`, `"=" is no operator here: write ==`)
	f(`request.model ==^= "a"`, `"===" is no operator here: write ==`)
	f(`request.model ^=~ "a"`, `"=~" is no operator here: write .matches(…)`)
	f(`request.tools ^=> 3`, `"=>" is no operator here: write >=`)
	f(`request.model == 'a' ^and request.tools > 0`, `"and" is no operator here: write &&`)
	f(`request.stream ^& request.tools > 0`, `"&" is no operator here: write &&`)
	f(`request.model != 'a' || request.stream ^or true`, `"or" is no operator here: write ||`)
	f(`not ^request.stream`, `"not" is no operator: write !`)
	f(`request.model == ^"auto`, "this quote is not closed")
	f(`request.model == ^“auto”`, `“ is no quote: write " or '`)
	f(`request.model == 'a' && ^`, "the condition ends too early: a value is missing")
	f(`(request.model == 'a'^`, `a ")" is missing`)
	f(`request.model == 'a'^)`, `")" closes nothing`)
	f(`true ^false`, `"false" does not belong here: an operator is missing before it`)
	f(`request.input_tokens > 30^k`, `"k" does not belong here: an operator is missing before it`)
	f(`^if request.tools`, `"if" is no operator here: write the condition alone`)
	f(`request^.modl == 'a'`, `there is no field "modl"; did you mean "model"?`)
	f(`request^.foo && request.input_token > 5`, `there is no field "foo"`,
		`there is no field "input_token"; did you mean "input_tokens"?`)
	f(`^requst.model == 'a'`, `there is no name "requst"; did you mean "request"?`)
	f(`request.model == ^auto`, `there is no name "auto"; a text needs quotes`)
	f(`request.text.^contain('a')`, `there is no function "contain"; did you mean "contains"?`)
	f(`^len(request.text) > 3`, `there is no function "len"; did you mean "size"?`)
	f(`request.tools ^> "3"`, "> cannot be applied to (int, string)")
	f(`request[^model]`, `there is no name "model"; a text needs quotes`)
	f(`^!request.model`, "! cannot be applied to (string)")
	f(`^request.tools`, "the condition is of type int, want bool: compare it with something")
}
