package openai

import (
	"strings"
	"testing"
)

// BenchmarkChat translates a request of about 2 KB and its answer.
func BenchmarkChat(b *testing.B) {
	words := strings.Repeat(`the committee asked for a \"short\" summary, naïve `, 7)
	body := `{"model":"` + sonnet45 + `","messages":[{"role":"system","content":"` + words + `"},{"role":"user","co` +
		`ntent":"` +
		words + `"},{"role":"assistant","content":"` + words + `"},{"role":"user","content":"` + words + `"}],` + weather +
		`,"max_tokens":4096,"temperature":0.2,"stop":["x"]}`
	from, answer := asked(body), told(`{"output":{"message":{"role":"assistant","content":[{"text":"`+words+`"}]}},`+
		`"stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		k, _, failure := chatAPI.request(from)
		if failure != nil {
			b.Fatal(failure)
		}
		if _, failure = k.chatAnswer(answer); failure != nil {
			b.Fatal(failure)
		}
	}
}
