package gateway

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestUnmappedEmbeddings (M8): behind a profile that nobody knows output is held, and a refusal for that names the line
// to add. The answer says that it is an embedding, which has no output.
func TestUnmappedEmbeddings(t *testing.T) {
	const line = `model_map: {\"` + profiles + `unmapped\": MODEL-ID}`
	header := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "5"}}
	for name, c := range map[string]struct {
		limit, answer string
		status        int
		posted        int64
		suspense      bool
	}{
		"too large":        {"3000", `{"embedding":[1],"inputTextTokenCount":5}`, 400, 0, false},
		"Titan":            {"9000", `{"embedding":[1],"inputTextTokenCount":5}`, 200, 5, false},
		"Titan by type":    {"9000", `{"embeddingsByType":{"binary":[1]}}`, 200, 5, false},
		"Cohere and Nova":  {"9000", `{"embeddings":[[1]]}`, 200, 5, false},
		"nothing is known": {"9000", `{"generation":"x"}`, 200, 5, true},
		"null":             {"9000", `{"embedding":null}`, 200, 5, true},
	} {
		f := capsFixture(t, "limits: {tokens_per_minute: "+c.limit+"}")
		f.reply = func(*engine.Request) (*engine.Response, error) {
			return &engine.Response{Status: 200, Body: []byte(c.answer), Header: header}, nil
		}
		res := f.post(t, wire.OpInvoke, profiles+"unmapped", `{"inputText":"x"}`)
		if res.Status != c.status || strings.Contains(string(res.Body), line) != (c.status == 400) {
			t.Errorf("M8: %s: %d %s", name, res.Status, res.Body)
		}
		got := f.end(t)["acme/app tokens"]
		if got.Posted != c.posted || (got.Suspense > 0) != c.suspense || got.Held != 0 {
			t.Errorf("M8: %s: %+v", name, got)
		}
	}
}

// TestUnmappedEmbeddingsAreLearned (M8): once a profile has answered with an embedding no output is held, until it
// answers with something else.
func TestUnmappedEmbeddingsAreLearned(t *testing.T) {
	f := capsFixture(t, "limits: {tokens_per_minute: 9000}")
	header := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "5"},
		{Name: "X-Amzn-Bedrock-Output-Token-Count", Value: "0"}}
	answer, inside := `{"embedding":[1]}`, false
	ask := func() int { return f.post(t, wire.OpInvoke, profiles+"unmapped", `{"inputText":"x"}`).Status }
	both := 0
	f.reply = func(*engine.Request) (*engine.Response, error) {
		if inside {
			inside = false
			both = ask()
		}
		return &engine.Response{Status: 200, Body: []byte(answer), Header: header}, nil
	}
	together := func(when string, want int) {
		t.Helper()
		inside = true
		if one := ask(); one != 200 || both != want {
			t.Errorf("M8: %s: %d and beside it %d, want 200 and %d", when, one, both, want)
		}
	}
	together("not known yet", 429)
	together("an embedding", 200)
	answer = `{"generation":""}`
	if status := ask(); status != 200 {
		t.Fatal(status)
	}
	answer = `{"embedding":[1]}`
	together("not always an embedding", 429)
}

// TestEmbeddingsHoldNoOutput (M8): nor are they capped.
func TestEmbeddingsHoldNoOutput(t *testing.T) {
	f := capsFixture(t, "limits: {tokens_per_minute: 3000}", capped)
	f.reply = func(*engine.Request) (*engine.Response, error) {
		return &engine.Response{Status: 200, Body: []byte(`{}`), Header: wire.Header{
			{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "5"}}}, nil
	}
	for _, id := range []string{profiles + "embed", "amazon.titan-embed-text-v2:0"} {
		if res := f.post(t, wire.OpInvoke, id, `{"inputText":"x"}`); res.Status != 200 {
			t.Errorf("M8: %s: %d %s", id, res.Status, res.Body)
		}
	}
	if got := f.end(t)["acme/app tokens"]; got.Posted != 10 || got.Suspense != 0 {
		t.Errorf("M8: %+v", got)
	}
}
