package parts

import (
	"bytes"
	"cmp"
	"encoding/json"
)

// invokeAnswer has the members of the InvokeModel answers of all families; no
// two give the same name different meanings. Of several completions the first
// is read. Sources: AWS Bedrock user guide, "Inference request parameters and
// response fields for foundation models".
type invokeAnswer struct {
	converseAnswer // Nova
	common
	Content     []anthropicBlock     `json:"content"` // Claude
	Results     []titanResult        `json:"results"` // Titan
	Generations []completion         `json:"generations"`
	Completions []jurassicCompletion `json:"completions"` // Jurassic-2
}

// common are the members of whole answers and of chunks of streams alike.
type common struct {
	Completion *string      `json:"completion"` // Claude, text completions
	Generation *string      `json:"generation"` // Llama
	Text       *string      `json:"text"`       // Cohere Command R
	Outputs    []completion `json:"outputs"`    // Mistral, text completions
	Choices    []choice     `json:"choices"`    // OpenAI and followers, Jamba, DeepSeek
	ToolCalls  []cohereCall `json:"tool_calls"`
	Stop       string       `json:"stop_reason"`
	Finish     string       `json:"finish_reason"`
}

type anthropicBlock struct {
	Type  string
	Text  string
	Name  string
	Input json.RawMessage
}

type titanResult struct {
	OutputText       string
	CompletionReason string
}

type jurassicCompletion struct {
	Data         struct{ Text string }
	FinishReason struct{ Reason string }
}

type completion struct {
	Text   string
	Stop   string `json:"stop_reason"`
	Finish string `json:"finish_reason"`
}

type cohereCall struct {
	Name       string
	Parameters json.RawMessage
}

// choice is a completion of an OpenAI body, or its part in a chunk.
type choice struct {
	completion

	Index   int
	Message message
	Delta   message
}

type message struct {
	Content   json.RawMessage
	ToolCalls []openAICall `json:"tool_calls"`
}

type openAICall struct {
	Index    int
	Function struct{ Name, Arguments string }
}

// calls is where the blocks of tool calls begin in families that number them
// separately from the text.
const calls = 1 << 10

func (b *builder) invoke(a *invokeAnswer) bool {
	b.converse(&a.converseAnswer)
	for i, part := range a.Content {
		b.anthropic(i, &part)
	}
	b.texts(a.Completion, a.Generation, a.Text)
	if len(a.Results) > 0 {
		b.say(0, a.Results[0].OutputText)
		b.stopped(a.Results[0].CompletionReason)
	}
	if len(a.Completions) > 0 {
		b.say(0, a.Completions[0].Data.Text)
		b.stopped(a.Completions[0].FinishReason.Reason)
	}
	b.completions(a.Generations)
	b.common(&a.common)
	return b.read
}

// common reads all members but the texts.
func (b *builder) common(c *common) {
	b.completions(c.Outputs)
	for i := range c.Choices {
		b.choice(&c.Choices[i], i)
	}
	for i, call := range c.ToolCalls {
		b.call(calls+i, call.Name)
		b.say(calls+i, string(call.Parameters))
	}
	b.stopped(cmp.Or(c.Stop, c.Finish))
}

// texts reads the texts that are there.
func (b *builder) texts(all ...*string) {
	for _, text := range all {
		if text != nil {
			b.say(0, *text)
		}
	}
}

func (b *builder) anthropic(index int, part *anthropicBlock) {
	switch part.Type {
	case "text":
		b.say(index, part.Text)
	case "tool_use":
		b.call(index, part.Name)
		if !bytes.Equal(bytes.TrimSpace(part.Input), []byte("{}")) { // a stream starts with {} and sends the rest
			b.say(index, string(part.Input))
		}
	}
}

func (b *builder) completions(all []completion) {
	if len(all) > 0 {
		b.say(0, all[0].Text)
		b.stopped(cmp.Or(all[0].Stop, all[0].Finish))
	}
}

func (b *builder) choice(c *choice, position int) {
	if c.Index != 0 || position != 0 {
		return
	}
	if c.Text != "" {
		b.say(0, c.Text)
	}
	for _, part := range []*message{&c.Message, &c.Delta} {
		if text, ok := content(part.Content); ok {
			b.say(0, text)
		}
		for i, call := range part.ToolCalls {
			at := calls + cmp.Or(call.Index, i)
			b.call(at, call.Function.Name)
			b.say(at, call.Function.Arguments)
		}
	}
	b.stopped(cmp.Or(c.Finish, c.Stop))
}

// content is a string, or blocks of which some have a text. It reports false
// for null and for nothing.
func content(raw json.RawMessage) (string, bool) {
	var text *string
	if json.Unmarshal(raw, &text) == nil {
		if text == nil {
			return "", false
		}
		return *text, true
	}
	var blocks []struct{ Text string }
	if json.Unmarshal(raw, &blocks) != nil {
		return "", false
	}
	var all bytes.Buffer
	for _, part := range blocks {
		all.WriteString(part.Text)
	}
	return all.String(), true
}

// invokeChunk is one chunk of InvokeModelWithResponseStream: an event of
// Claude's, a ConverseStream event as a member (Nova), or a part of the answer.
type invokeChunk struct {
	common
	Type         string
	Index        int
	ContentBlock *anthropicBlock `json:"content_block"`
	Delta        struct {
		Text        string
		PartialJSON string `json:"partial_json"`
		Stop        string `json:"stop_reason"`
	}
	ContentBlockStart *converseEvent `json:"contentBlockStart"`
	ContentBlockDelta *converseEvent `json:"contentBlockDelta"`
	MessageStop       *converseEvent `json:"messageStop"`

	OutputText       *string `json:"outputText"` // Titan
	CompletionReason string  `json:"completionReason"`
}

func (b *builder) chunk(raw []byte) error {
	var c invokeChunk
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	switch c.Type {
	case "content_block_start":
		if c.ContentBlock != nil {
			b.anthropic(c.Index, c.ContentBlock)
		}
	case "content_block_delta":
		b.say(c.Index, c.Delta.Text+c.Delta.PartialJSON)
	case "message_delta":
		b.stopped(c.Delta.Stop)
	default:
		b.part(&c)
	}
	return nil
}

// part reads a chunk that is a part of an answer rather than an event.
func (b *builder) part(c *invokeChunk) {
	for _, e := range []*converseEvent{c.ContentBlockStart, c.ContentBlockDelta, c.MessageStop} {
		if e != nil {
			b.take(e)
		}
	}
	if c.Index == 0 { // Cohere and Titan number completions, not blocks
		b.texts(c.OutputText, c.Completion, c.Generation, c.Text)
	}
	b.common(&c.common)
	b.stopped(c.CompletionReason)
}
