package parts

import "encoding/json"

// converseAnswer is the answer of Converse, and of Nova's InvokeModel.
type converseAnswer struct {
	Output struct {
		Message *struct{ Content []members }
	}
	StopReason string `json:"stopReason"`
}

// members are those of a union: a content block has one of them, which says what it
// is. Service model: ContentBlock, ContentBlockStart, ContentBlockDelta.
type members map[string]json.RawMessage

func (b *builder) converse(a *converseAnswer) error {
	b.stopped(a.StopReason)
	if a.Output.Message == nil {
		return nil
	}
	b.read = true
	for i, part := range a.Output.Message.Content {
		if err := b.union(i, part); err != nil {
			return err
		}
	}
	return nil
}

// toolUse is a call, or the part of one that an event has: its input is then a
// string with a piece of JSON.
type toolUse struct {
	Name  string
	Type  string
	Input json.RawMessage
}

// serverTool is the type of a call that the upstream makes itself.
const serverTool = "server_tool_use"

// union reads a content block, or what an event has of it.
func (b *builder) union(index int, u members) error {
	for name, raw := range u {
		switch name {
		case "text":
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
			b.say(index, text)
		case "toolUse":
			var use toolUse
			if err := json.Unmarshal(raw, &use); err != nil {
				return err
			}
			b.use(index, &use)
		case "reasoningContent":
			b.reasoned()
		default:
			b.unread()
		}
	}
	return nil
}

func (b *builder) use(index int, use *toolUse) {
	if use.Type == serverTool {
		b.unread()
		return
	}
	b.call(index, use.Name)
	var piece string
	if json.Unmarshal(use.Input, &piece) == nil {
		b.say(index, piece)
		return
	}
	b.say(index, string(use.Input))
}

// converseEvent is the payload of any event of ConverseStream that matters.
type converseEvent struct {
	Index        int `json:"contentBlockIndex"`
	Start, Delta members
	StopReason   string `json:"stopReason"`
}

func (b *builder) event(name string, payload []byte) error {
	switch name {
	case "contentBlockStart", "contentBlockDelta", "messageStop":
		var e converseEvent
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		return b.take(&e)
	}
	return nil
}

func (b *builder) take(e *converseEvent) error {
	b.stopped(e.StopReason)
	if err := b.union(e.Index, e.Start); err != nil {
		return err
	}
	return b.union(e.Index, e.Delta)
}
