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
	Completion *string           `json:"completion"` // Claude, text completions
	Generation *string           `json:"generation"` // Llama
	Text       *string           `json:"text"`       // Cohere Command R
	Outputs    []completion      `json:"outputs"`    // Mistral, text completions
	Choices    []choice          `json:"choices"`    // OpenAI and followers, Jamba, DeepSeek
	ToolCalls  []cohereCall      `json:"tool_calls"`
	Citations  []json.RawMessage `json:"citations"` // Cohere
	Stop       string            `json:"stop_reason"`
	Finish     string            `json:"finish_reason"`
}

type anthropicBlock struct {
	Type      string
	Text      string
	Name      string
	Input     json.RawMessage
	Citations []json.RawMessage
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

// message is an OpenAI message. What else it may have (audio, images, annotations
// with citations) is not read.
type message struct {
	Content      json.RawMessage
	ToolCalls    []openAICall      `json:"tool_calls"`
	FunctionCall *function         `json:"function_call"`
	Refusal      string            `json:"refusal"`
	Reasoning    json.RawMessage   `json:"reasoning"`
	Thoughts     json.RawMessage   `json:"reasoning_content"`
	Annotations  []json.RawMessage `json:"annotations"`
	Images       []json.RawMessage `json:"images"`
	Audio        *struct{}         `json:"audio"`
}

type openAICall struct {
	Index    int
	Function *function
}

type function struct{ Name, Arguments string }

// calls is where the blocks of tool calls begin in families that number them
// separately from the text.
const calls = 1 << 10

func (b *builder) invoke(a *invokeAnswer) error {
	if err := b.converse(&a.converseAnswer); err != nil {
		return err
	}
	for i := range a.Content {
		b.anthropic(i, &a.Content[i])
	}
	b.texts(a.Completion, a.Generation, a.Text)
	b.first(len(a.Results))
	if len(a.Results) > 0 {
		b.say(0, a.Results[0].OutputText)
		b.stopped(a.Results[0].CompletionReason)
	}
	b.first(len(a.Completions))
	if len(a.Completions) > 0 {
		b.say(0, a.Completions[0].Data.Text)
		b.stopped(a.Completions[0].FinishReason.Reason)
	}
	b.completions(a.Generations)
	b.common(&a.common)
	return nil
}

// first notes that of n completions the first alone is read.
func (b *builder) first(n int) {
	if n > 1 {
		b.unread()
	}
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
	if len(c.Citations) > 0 {
		b.unread()
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
	if len(part.Citations) > 0 {
		b.unread()
	}
	switch part.Type {
	case "text":
		b.say(index, part.Text)
	case "tool_use":
		b.call(index, part.Name)
		if !bytes.Equal(bytes.TrimSpace(part.Input), []byte("{}")) { // a stream starts with {} and sends the rest
			b.say(index, string(part.Input))
		}
	case "thinking", "redacted_thinking":
		b.reasoned()
	default:
		b.unread()
	}
}

func (b *builder) completions(all []completion) {
	b.first(len(all))
	if len(all) > 0 {
		b.say(0, all[0].Text)
		b.stopped(cmp.Or(all[0].Stop, all[0].Finish))
	}
}

func (b *builder) choice(c *choice, position int) {
	if c.Index != 0 || position != 0 {
		b.unread()
		return
	}
	if c.Text != "" {
		b.say(0, c.Text)
	}
	b.message(&c.Message)
	b.message(&c.Delta)
	b.stopped(cmp.Or(c.Finish, c.Stop))
}

func (b *builder) message(m *message) {
	b.content(m.Content)
	for i, call := range m.ToolCalls {
		at := calls + cmp.Or(call.Index, i)
		if call.Function == nil { // of a kind whose arguments are no JSON
			b.unread()
			continue
		}
		b.call(at, call.Function.Name)
		b.say(at, call.Function.Arguments)
	}
	if call := m.FunctionCall; call != nil {
		b.call(calls, call.Name)
		b.say(calls, call.Arguments)
	}
	if m.Refusal != "" {
		b.say(0, m.Refusal)
		b.refused = true
	}
	if len(m.Annotations)+len(m.Images) > 0 || m.Audio != nil {
		b.unread()
	}
	if says(m.Reasoning) || says(m.Thoughts) {
		b.reasoned()
	}
}

func says(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) && !bytes.Equal(raw, []byte(`""`))
}

// content reads a string, or blocks of which some are texts.
func (b *builder) content(raw json.RawMessage) {
	var text string
	if !says(raw) && !bytes.Equal(raw, []byte(`""`)) {
		return
	}
	if json.Unmarshal(raw, &text) == nil {
		b.say(0, text)
		return
	}
	var blocks []struct {
		Type string
		Text *string
	}
	if json.Unmarshal(raw, &blocks) != nil {
		b.unread()
		return
	}
	for _, part := range blocks {
		switch {
		case part.Type == "thinking" || part.Type == "reasoning":
			b.reasoned()
		case part.Text != nil:
			b.say(0, *part.Text)
		default:
			b.unread()
		}
	}
}

// invokeChunk is one chunk of InvokeModelWithResponseStream: an event of
// Claude's, a ConverseStream event as a member (Nova), or a part of the answer.
type invokeChunk struct {
	common
	Type         string
	Index        int
	ContentBlock *anthropicBlock `json:"content_block"`
	Delta        struct {
		Type        string
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
		b.delta(&c)
	case "message_delta":
		b.stopped(c.Delta.Stop)
	default:
		return b.part(&c)
	}
	return nil
}

func (b *builder) delta(c *invokeChunk) {
	switch c.Delta.Type {
	case "thinking_delta", "signature_delta":
		b.reasoned()
	case "text_delta", "input_json_delta", "":
		b.say(c.Index, c.Delta.Text+c.Delta.PartialJSON)
	default: // citations_delta, and what is new
		b.unread()
	}
}

// part reads a chunk that is a part of an answer rather than an event.
func (b *builder) part(c *invokeChunk) error {
	for _, e := range []*converseEvent{c.ContentBlockStart, c.ContentBlockDelta, c.MessageStop} {
		if e == nil {
			continue
		}
		if err := b.take(e); err != nil {
			return err
		}
	}
	switch { // Cohere and Titan number completions, not blocks
	case c.Index == 0:
		b.texts(c.OutputText, c.Completion, c.Generation, c.Text)
	case c.OutputText != nil || c.Text != nil:
		b.unread()
	}
	b.common(&c.common)
	b.stopped(c.CompletionReason)
	return nil
}
