// Command standin is a Bedrock that answers at once and as cheaply as it can:
// Converse and InvokeModel of Claude, whole and streamed, with fixed answers that
// carry usage, and a sink for OTLP. It checks nothing.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
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
	s := &standIn{
		answer: []byte(answer()), messages: messages(), pause: *over / time.Duration(deltas+4),
		claude: []byte(claudeAnswer()), events: events(),
	}
	server := &fasthttp.Server{
		Handler: s.serve, MaxRequestBodySize: 64 << 20, ReadBufferSize: 16 << 10, NoDefaultServerHeader: true,
		IdleTimeout: 5 * time.Minute,
	}
	log.Fatal(server.ListenAndServe(*listen))
}

type standIn struct {
	answer   []byte
	messages [][]byte
	claude   []byte // the same as Claude says it to InvokeModel
	events   [][]byte
	pause    time.Duration // before each message
}

func (s *standIn) serve(ctx *fasthttp.RequestCtx) {
	path := ctx.Path()
	switch uri := ctx.RequestURI(); {
	case bytes.HasSuffix(uri, []byte("-stream")):
		ctx.Response.Header.Set("x-amzn-RequestId", "6d1e3b52-0000-4000-8000-3d6a54c10001")
		ctx.SetContentType("application/vnd.amazon.eventstream")
		messages := s.messages
		if bytes.HasSuffix(uri, []byte("invoke-with-response-stream")) {
			messages = s.events
		}
		ctx.SetBodyStreamWriter(func(w *bufio.Writer) { s.stream(w, messages) })
	case bytes.HasSuffix(path, []byte("/converse")), bytes.HasSuffix(path, []byte("/chat/completions")):
		ctx.Response.Header.Set("x-amzn-RequestId", "6d1e3b52-0000-4000-8000-3d6a54c10002")
		ctx.SetContentType("application/json")
		ctx.Response.SetBodyRaw(s.answer)
	case bytes.HasSuffix(path, []byte("/invoke")), bytes.HasSuffix(path, []byte("/messages")):
		ctx.Response.Header.Set("x-amzn-RequestId", "6d1e3b52-0000-4000-8000-3d6a54c10002")
		ctx.SetContentType("application/json")
		ctx.Response.SetBodyRaw(s.claude)
	case bytes.HasPrefix(path, []byte("/v1/")): // OTLP
		ctx.SetContentType("application/x-protobuf")
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

func (s *standIn) stream(w *bufio.Writer, messages [][]byte) {
	for _, m := range messages {
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
	return `{"metrics":{"latencyMs":812},"output":{"message":{"role":"assistant","content":[{"text":"` + text() +
		`"}]}},"stopReason":"end_turn",` + usage + `}`
}

func text() string {
	const sentence = `Three risks stand out: one supplier, the currency, and the \"bus factor\" of a small team. `
	return strings.Repeat(sentence, 10) + `\n\nThe answer is 42.`
}

func claudeAnswer() string {
	return `{"id":"msg_bdrk_01","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{` +
		`"type":"text","text":"` + text() + `"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{` +
		`"input_tokens":512,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":231}}`
}

// events are a stream of Claude's as InvokeModel has it, of as many messages.
func events() [][]byte {
	out := [][]byte{
		event(`{"type":"message_start","message":{"id":"msg_bdrk_01","type":"message","role":"assistant",` +
			`"model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{` +
			`"input_tokens":512,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}`),
		event(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`),
	}
	for i := range deltas - 1 {
		const delta = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" piece number %d"}}`
		out = append(out, event(fmt.Sprintf(delta, i)))
	}
	return append(out,
		event(`{"type":"content_block_stop","index":0}`),
		event(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},`+
			`"usage":{"output_tokens":231}}`),
		event(`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":512,"outputTokenCount":231,`+
			`"invocationLatency":812,"firstByteLatency":120}}`))
}

func event(text string) []byte {
	coded := base64.StdEncoding.EncodeToString([]byte(text))
	return message("chunk", `{"bytes":"`+coded+`","p":"abcdefghijklmnopqrstuvwxyz"}`)
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
