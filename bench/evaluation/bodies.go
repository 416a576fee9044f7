package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// The operations, as their paths end.
const (
	converse       = "converse"
	converseStream = "converse-stream"
	invoke         = "invoke"
	invokeStream   = "invoke-with-response-stream"
)

var operations = []string{converse, converseStream, invoke, invokeStream}

func streams(operation string) bool { return operation == converseStream || operation == invokeStream }

// The dialects of InvokeModel bodies that are sent, as the catalogue names them.
const (
	anthropic = "anthropic"
	openAI    = "openai-compatible"
)

// requestBody is what all the bodies that are sent have in common: one message,
// whose content is a text or blocks with one.
type requestBody struct {
	Version   string    `json:"anthropic_version,omitempty"`
	MaxTokens int       `json:"max_tokens,omitempty"`
	Messages  []message `json:"messages"`
}

type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"`
}

type block struct {
	Text string `json:"text"`
}

// ask writes a request for a prompt.
func ask(operation, dialect, prompt string) []byte {
	body := requestBody{Messages: []message{{"user", prompt}}}
	switch {
	case operation == converse, operation == converseStream:
		body.Messages[0].Content = []block{{prompt}}
	case dialect == anthropic:
		body.Version, body.MaxTokens = "bedrock-2023-05-31", 8192
	}
	return encoded(body)
}

// asked reads the prompt of a request, and whose body it is.
func asked(raw []byte) (prompt, dialect string, err error) {
	var body struct {
		Version  string `json:"anthropic_version"`
		Messages []struct{ Content json.RawMessage }
	}
	if err := json.Unmarshal(raw, &body); err != nil || len(body.Messages) != 1 {
		return "", "", fmt.Errorf("not one message: %w", err)
	}
	dialect = openAI
	if body.Version != "" {
		dialect = anthropic
	}
	var blocks []block
	if json.Unmarshal(body.Messages[0].Content, &blocks) == nil && len(blocks) == 1 {
		return blocks[0].Text, dialect, nil
	}
	return prompt, dialect, json.Unmarshal(body.Messages[0].Content, &prompt)
}

// answerBody is a whole answer.
func answerBody(operation, dialect string, r reply) []byte {
	switch {
	case operation == converse:
		return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":%s}]}},`+
			`"stopReason":"end_turn","usage":%s,"metrics":{"latencyMs":1}}`, encoded(r.text), usage(r))
	case dialect == anthropic:
		return fmt.Appendf(nil, `{"type":"message","role":"assistant","content":[{"type":"text","text":%s}],`+
			`"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, encoded(r.text), r.in, r.out)
	default:
		return fmt.Appendf(nil, `{"choices":[{"index":0,"message":{"role":"assistant","content":%s},`+
			`"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
			encoded(r.text), r.in, r.out, r.in+r.out)
	}
}

func usage(r reply) string {
	return fmt.Sprintf(`{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d}`, r.in, r.out, r.in+r.out)
}

// frameText is how many characters of an answer a frame carries.
const frameText = 80

// answerFrames is an answer as an event stream.
func answerFrames(operation, dialect string, r reply) []byte {
	var out bytes.Buffer
	chunk := func(payload string) {
		frame(&out, "chunk", string(encoded(map[string][]byte{"bytes": []byte(payload)})))
	}
	metrics := fmt.Sprintf(`"amazon-bedrock-invocationMetrics":{"inputTokenCount":%d,"outputTokenCount":%d,`+
		`"invocationLatency":1,"firstByteLatency":1}`, r.in, r.out)
	switch {
	case operation == converseStream:
		frame(&out, "messageStart", `{"role":"assistant"}`)
		for _, part := range cut(r.text) {
			frame(&out, "contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":%s}}`, encoded(part)))
		}
		frame(&out, "contentBlockStop", `{"contentBlockIndex":0}`)
		frame(&out, "messageStop", `{"stopReason":"end_turn"}`)
		frame(&out, "metadata", `{"usage":`+usage(r)+`,"metrics":{"latencyMs":1}}`)
	case dialect == anthropic:
		chunk(fmt.Sprintf(`{"type":"message_start","message":{"role":"assistant","content":[],`+
			`"usage":{"input_tokens":%d,"output_tokens":1}}}`, r.in))
		chunk(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
		for _, part := range cut(r.text) {
			chunk(fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}`, encoded(part)))
		}
		chunk(`{"type":"content_block_stop","index":0}`)
		chunk(fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}`, r.out))
		chunk(`{"type":"message_stop",` + metrics + `}`)
	default:
		for _, part := range cut(r.text) {
			chunk(fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}`, encoded(part)))
		}
		chunk(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],` + metrics + `}`)
	}
	return out.Bytes()
}

func cut(text string) []string {
	var parts []string
	for rest := []rune(text); len(rest) > 0; {
		n := min(frameText, len(rest))
		parts, rest = append(parts, string(rest[:n])), rest[n:]
	}
	return parts
}

func frame(out *bytes.Buffer, name, payload string) {
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	m.Headers.Set(":event-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	if err := eventstream.NewEncoder().Encode(out, m); err != nil {
		panic("BUG: a frame does not encode: " + err.Error())
	}
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// textOf reads what the caller got, with nothing of the gateway's code.
func textOf(operation string, raw []byte) (string, error) {
	if !streams(operation) {
		var whole struct {
			Output  struct{ Message struct{ Content []block } }
			Content []block
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal(raw, &whole); err != nil {
			return "", err
		}
		var text strings.Builder
		for _, b := range append(whole.Output.Message.Content, whole.Content...) {
			text.WriteString(b.Text)
		}
		for _, c := range whole.Choices {
			text.WriteString(c.Message.Content)
		}
		return text.String(), nil
	}
	var text strings.Builder
	for r := bytes.NewReader(raw); r.Len() > 0; {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			return "", err
		}
		if err := readFrame(&text, m.Payload); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

// readFrame appends what a frame of any of the streams says.
func readFrame(text *strings.Builder, payload []byte) error {
	var chunk struct{ Bytes []byte }
	if err := json.Unmarshal(payload, &chunk); err != nil {
		return err
	}
	if chunk.Bytes != nil {
		payload = chunk.Bytes
	}
	var event struct {
		Delta   block
		Choices []struct{ Delta struct{ Content string } }
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return err
	}
	text.WriteString(event.Delta.Text)
	for _, c := range event.Choices {
		text.WriteString(c.Delta.Content)
	}
	return nil
}
