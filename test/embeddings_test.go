package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const titan, novaEmbed = "amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0"

// embed asks for the embeddings of texts.
func embed(t *testing.T, g *harness.Gateway, key harness.Key, model string, texts []string, members string) (
	*http.Response, string,
) {
	t.Helper()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"model":%q,"input":%s%s}`, model, input, members)
	return sendBearer(t, g, key, "POST", "/v1/embeddings", body)
}

// TestEmbeddingsOfSeveral: a model that takes one text at a time is asked once for each, and each call is in the books
// once; the answer is one, in the order of the texts, with the sum of the counts.
func TestEmbeddingsOfSeveral(t *testing.T) {
	g, upstream, key := dialects(t, `rules: [{match: {text: slow}, delay: {first_byte: 200ms}}]`, "", "")
	texts := []string{"slow one"}
	for i := range 40 {
		texts = append(texts, strings.Repeat("x", 4*i+1))
	}
	calls, tokens := int64(0), int64(0)
	for _, c := range []struct {
		model, members string
		calls          int64
	}{
		{titan, "", 41}, {novaEmbed, `,"dimensions":256`, 41}, {titan, `,"encoding_format":"base64","dimensions":256`, 41},
		{"cohere.embed-english-v3", "", 1},
	} {
		res, body := embed(t, g, key, c.model, texts, c.members)
		var answer struct {
			Data []struct {
				Index     int
				Embedding any
			}
			Usage struct {
				Prompt int64 `json:"prompt_tokens"`
				Total  int64 `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 200 || len(answer.Data) != 41 {
			t.Fatal(c.model, res.Status, err, body)
		}
		if c.calls > 1 { // each text has its own embedding
			var sole struct {
				Data  []struct{ Embedding any }
				Usage struct {
					Prompt int64 `json:"prompt_tokens"`
				}
			}
			_, alone := embed(t, g, key, c.model, texts[7:8], c.members)
			if err := json.Unmarshal([]byte(alone), &sole); err != nil {
				t.Fatal(err, alone)
			}
			if fmt.Sprint(sole.Data[0].Embedding) != fmt.Sprint(answer.Data[7].Embedding) {
				t.Errorf("%s: the embedding of text 7 is another's", c.model)
			}
			calls, tokens = calls+1, tokens+sole.Usage.Prompt
		}
		for i, d := range answer.Data {
			if d.Index != i {
				t.Errorf("%s: embedding %d has the index %d", c.model, i, d.Index)
			}
		}
		if answer.Usage.Prompt != answer.Usage.Total || answer.Usage.Prompt < 41 {
			t.Errorf("%s: %+v", c.model, answer.Usage)
		}
		calls, tokens = calls+c.calls, tokens+answer.Usage.Prompt
	}
	if n := int64(len(upstream.Log())); n != calls {
		t.Errorf("%d calls, want %d", n, calls)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var n, in int64
		for _, r := range g.Report("model") {
			n, in = n+r.Requests, in+r.Input
		}
		return n == calls && in == tokens, fmt.Sprint(n, calls, in, tokens)
	})
}

// TestEmbeddingsFail: the first text that fails answers, the texts behind it are not asked, and what was answered
// before is booked; SDKs do not repeat it. One of whom too much would be held is refused before anything is asked.
func TestEmbeddingsFail(t *testing.T) {
	g, upstream, key := dialects(t, `rules:
  - {match: {text: bad}, error: {status: 400, type: ValidationException, message: "bad text"}}
`, `, limits: {tokens_per_minute: 100000}`, "")
	texts := make([]string, 200)
	for i := range texts {
		texts[i] = fmt.Sprint("text ", i)
	}
	texts[20] = "bad"
	res, body := embed(t, g, key, titan, texts, "")
	if res.StatusCode != 400 || !strings.Contains(body, "bad text") || res.Header.Get("X-Should-Retry") != "false" {
		t.Error(res.Status, res.Header, body)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		log := upstream.Log()
		var used, booked int64
		for _, s := range log {
			used += s.Input
		}
		for _, r := range g.Report("model") {
			booked += r.Input
		}
		return used == booked && len(log) > 20 && len(log) < 100, fmt.Sprint(used, booked, len(log))
	})
	before := len(upstream.Log())
	for i := range texts {
		texts[i] = strings.Repeat("a long text ", 100)
	}
	res, body = embed(t, g, key, titan, texts, "")
	if res.StatusCode != 429 || len(upstream.Log()) != before {
		t.Error(res.Status, body)
	}
	res, body = embed(t, g, key, titan, make([]string, 1025), "")
	if res.StatusCode != 400 || len(upstream.Log()) != before {
		t.Error(res.Status, body)
	}
}
