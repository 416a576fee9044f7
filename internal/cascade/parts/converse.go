package parts

import "encoding/json"

// converseAnswer is the answer of Converse, and of Nova's InvokeModel.
type converseAnswer struct {
	Output struct {
		Message *struct {
			Content []struct {
				Text    *string
				ToolUse *struct {
					Name  string
					Input json.RawMessage
				}
			}
		}
	}
	StopReason string `json:"stopReason"`
}

func (b *builder) converse(a *converseAnswer) bool {
	b.stopped(a.StopReason)
	if a.Output.Message == nil {
		return b.read
	}
	b.read = true
	for i, part := range a.Output.Message.Content {
		if part.Text != nil {
			b.say(i, *part.Text)
		}
		if call := part.ToolUse; call != nil {
			b.call(i, call.Name)
			b.say(i, string(call.Input))
		}
	}
	return true
}

// converseEvent is the payload of any event of ConverseStream that matters.
type converseEvent struct {
	Index int `json:"contentBlockIndex"`
	Start struct {
		ToolUse *struct{ Name string }
	}
	Delta struct {
		Text    *string
		ToolUse *struct{ Input string }
	}
	StopReason string `json:"stopReason"`
}

func (b *builder) event(name string, payload []byte) error {
	switch name {
	case "contentBlockStart", "contentBlockDelta", "messageStop":
		var e converseEvent
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		b.take(&e)
	}
	return nil
}

func (b *builder) take(e *converseEvent) {
	if e.Start.ToolUse != nil {
		b.call(e.Index, e.Start.ToolUse.Name)
	}
	if e.Delta.Text != nil {
		b.say(e.Index, *e.Delta.Text)
	}
	if e.Delta.ToolUse != nil {
		b.say(e.Index, e.Delta.ToolUse.Input)
	}
	b.stopped(e.StopReason)
}
