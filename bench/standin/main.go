// Command standin is a Bedrock that answers at once and as cheaply as it can:
// Converse, ConverseStream and InvokeModel with fixed answers that carry usage,
// and a sink for OTLP. It checks nothing.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/valyala/fasthttp"
)

// deltas is how many pieces of text a stream has. With start, stop and usage it
// makes 60 messages.
const deltas = 56

const usage = `"usage":{"inputTokens":512,"outputTokens":231,"totalTokens":743,` +
	`"cacheReadInputTokens":0,"cacheWriteInputTokens":0}`

func main() {
	listen := flag.String("listen", "127.0.0.1:8200", "address to listen at")
	over := flag.Duration("over", 0, "spread the messages of a stream over this time; 0 sends them at full speed")
	flag.Parse()
	s := &standIn{answer: []byte(answer()), messages: messages(), pause: *over / time.Duration(deltas+4)}
	server := &fasthttp.Server{
		Handler: s.serve, MaxRequestBodySize: 64 << 20, ReadBufferSize: 16 << 10, NoDefaultServerHeader: true,
		IdleTimeout: 5 * time.Minute,
	}
	log.Fatal(server.ListenAndServe(*listen))
}

type standIn struct {
	answer   []byte
	messages [][]byte
	pause    time.Duration // before each message
}

func (s *standIn) serve(ctx *fasthttp.RequestCtx) {
	path := ctx.Path()
	switch {
	case bytes.HasSuffix(path, []byte("-stream")):
		ctx.Response.Header.Set("x-amzn-RequestId", "6d1e3b52-0000-4000-8000-3d6a54c10001")
		ctx.SetContentType("application/vnd.amazon.eventstream")
		ctx.SetBodyStreamWriter(s.stream)
	case bytes.HasSuffix(path, []byte("/converse")), bytes.HasSuffix(path, []byte("/invoke")),
		bytes.HasSuffix(path, []byte("/chat/completions")):
		ctx.Response.Header.Set("x-amzn-RequestId", "6d1e3b52-0000-4000-8000-3d6a54c10002")
		ctx.SetContentType("application/json")
		ctx.Response.SetBodyRaw(s.answer)
	case bytes.HasPrefix(path, []byte("/v1/")): // OTLP
		ctx.SetContentType("application/x-protobuf")
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

func (s *standIn) stream(w *bufio.Writer) {
	for _, m := range s.messages {
		if s.pause > 0 {
			time.Sleep(s.pause)
		}
		if _, err := w.Write(m); err != nil || w.Flush() != nil {
			return
		}
	}
}

// answer is 1.3 KB and ends in a result that two models can agree on.
func answer() string {
	const sentence = `Three risks stand out: one supplier, the currency, and the \"bus factor\" of a small team. `
	text := strings.Repeat(sentence, 10) + `\n\nThe answer is 42.`
	return `{"metrics":{"latencyMs":812},"output":{"message":{"role":"assistant","content":[{"text":"` + text +
		`"}]}},"stopReason":"end_turn",` + usage + `}`
}

func messages() [][]byte {
	out := [][]byte{message("messageStart", `{"p":"abcdefghijkl","role":"assistant"}`)}
	for i := range deltas {
		const delta = `{"contentBlockIndex":0,"delta":{"text":" piece number %d"},"p":"abcdefghijklmnopqrstuvwxyz"}`
		out = append(out, message("contentBlockDelta", fmt.Sprintf(delta, i)))
	}
	return append(out,
		message("contentBlockStop", `{"contentBlockIndex":0,"p":"abcdef"}`),
		message("messageStop", `{"p":"abcdefgh","stopReason":"end_turn"}`),
		message("metadata", `{"metrics":{"latencyMs":812},"p":"abc",`+usage+`}`))
}

func message(event, payload string) []byte {
	var b bytes.Buffer
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":event-type", eventstream.StringValue(event))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		panic("BUG: " + err.Error())
	}
	return b.Bytes()
}
