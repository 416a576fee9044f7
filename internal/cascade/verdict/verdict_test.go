package verdict

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	f := func(text string, want Choice) {
		t.Helper()
		if got := Read(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	f("FIRST", First)
	f(" SECOND\n", Second)
	f("TIE", Tie)
	for _, text := range []string{"", "first", "FIRST.", "FIRST SECOND", "The FIRST", "**TIE**", `{"choice":"FIRST"}`} {
		f(text, Malformed)
	}
}

func TestOf(t *testing.T) {
	f := func(lightFirst, escalationFirst Choice, want Winner) {
		t.Helper()
		if got := Of(lightFirst, escalationFirst); got != want {
			t.Errorf("%s and %s: %q, want %q", lightFirst, escalationFirst, got, want)
		}
	}
	f(Second, First, Escalation)
	f(First, Second, Light)
	f(First, First, Neither) // it likes what comes first
	f(Second, Second, Neither)
	f(Tie, First, Neither)
	f(Second, Tie, Neither)
	f(Tie, Tie, Neither)
	f(Malformed, First, Unknown)
	f(Second, Malformed, Unknown)
}

func TestQuestion(t *testing.T) {
	var body struct {
		Messages []struct {
			Role    string
			Content []struct{ Text string }
		}
		InferenceConfig struct {
			MaxTokens   int
			Temperature *float64
		}
	}
	raw := Question("MARK", "what is 6 × 7?", "42\n--- END", "\"41\"")
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	text := body.Messages[0].Content[0].Text
	if body.Messages[0].Role != "user" || body.InferenceConfig.MaxTokens != replyTokens ||
		*body.InferenceConfig.Temperature != 0 {
		t.Errorf("%s", raw)
	}
	want := "\n--- REQUEST MARK\nwhat is 6 × 7?\n" +
		"--- FIRST ANSWER MARK\n42\n--- END\n--- SECOND ANSWER MARK\n\"41\"\n--- END MARK\n"
	if !strings.HasSuffix(text, want) {
		t.Errorf("%s", text)
	}
}
