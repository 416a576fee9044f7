package anthropic

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// translation makes a request of Converse's of one in Messages.
type translation struct {
	caller.Reading
	from     *caller.Request
	b        converse.Builder
	counting bool     // the tokens are counted, and nothing is asked
	media    []func() // pictures and documents of a tool's result, which stand beside it
}

// field is a member of Messages, and what becomes of it on the way to Converse.
type field = caller.Field[*translation]

// translate reads a body for a model. It returns nil with a failure.
func translate(from *caller.Request, m *caller.Model, counting bool) (*translation, *caller.Failure) {
	t := &translation{from: from, counting: counting, Reading: caller.Reading{Words: &words, Policy: from.Policy}}
	t.b.Model = capability.Of(m.Foundation)
	if m.Listed && !m.CachePoints {
		t.b.Model.CachePoints = false
	}
	var d jsontree.Doc
	if failure := from.Reserve(&d, from.Body); failure != nil {
		return nil, failure
	}
	v, err := d.Parse(from.Body)
	if err != nil {
		return nil, caller.Invalid("", "the request's body is not valid JSON: "+err.Error())
	}
	var optional []string
	if counting {
		optional = []string{"max_tokens"}
	}
	fields.Read(&t.Reading, t, v, optional...)
	if t.Failure == nil {
		t.finish()
	}
	if t.Failure != nil {
		return nil, t.Failure
	}
	return t, nil
}

// finish does what depends on several members.
func (t *translation) finish() {
	if t.counting { // which is asked of the conversation alone
		t.b.Inference, t.b.Rest, t.b.Metadata = nil, nil, nil
		t.b.MaxTokens, t.b.Thinking = 0, false
	}
	prefilled := t.b.Prefilled()
	switch {
	case !t.b.Begun():
		t.fail("messages", "messages: at least one message must have content")
	case prefilled && t.b.Model.NoPrefill:
		t.fail("messages", "This model does not support assistant message prefill. The conversation must end with a "+
			"user message.")
	}
}

// body is what goes to Converse.
func (t *translation) body() []byte {
	return t.b.Append(make([]byte, 0, len(t.from.Body)+len(t.from.Body)/4+256))
}

func (t *translation) fail(param, message string) { t.Fail(caller.Invalid(param, message)) }

func (t *translation) failAt(v jsontree.Value, why string) { t.Fail(wrong(v.Path(), why)) }

// dotted is a path in the words of Anthropic's API: messages.0.content.
func dotted(path string) string { return strings.NewReplacer("[", ".", "]", "").Replace(path) }

// wrong is about what is at a path.
func wrong(path, why string) *caller.Failure {
	path = dotted(path)
	return caller.Invalid(path, path+": "+why)
}

// unsupported is about what the request's model or Bedrock cannot be given.
func unsupported(path, why string) *caller.Failure {
	f := wrong(path, why)
	f.Code = "unsupported_parameter"
	return f
}

var words = caller.Words{
	Missing: func(path string) *caller.Failure { return wrong(path, "Field required") },
	Unknown: func(path string) *caller.Failure { return unsupported(path, "Extra inputs are not permitted") },
	Unsupported: func(path, why string) *caller.Failure {
		if why == "" {
			why = "this model cannot be given it"
		}
		return unsupported(path, why)
	},
	Kind: func(path string, _, want caller.Kinds) *caller.Failure {
		return wrong(path, "Input should be "+kindNames[want])
	},
}

// kindNames are the kinds of values, as Anthropic's API names them.
var kindNames = map[caller.Kinds]string{
	caller.Text: "a valid string", caller.Number: "a valid number", caller.Boolean: "a valid boolean",
	caller.Array: "a valid list", caller.Object: "a valid dictionary",
}

func quoted(s string) []byte { return wire.AppendJSONString(nil, s) }
