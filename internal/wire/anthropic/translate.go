package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// translation makes a request of Converse's of one in Messages.
type translation struct {
	from    *caller.Request
	b       converse.Builder
	dropped []string
	failure *caller.Failure

	counting bool  // the tokens are counted, and nothing is asked
	max      int64 // of output
	sampled  bool  // temperature was sent
	thinking bool
	media    []func() // pictures and documents of a tool's result, which stand beside it
}

// field is a member of Messages, and what becomes of it on the way to Converse.
type field struct {
	name string
	how  treatment
	must bool
	note string // for docs/dialects.md, and for a refusal
	read func(t *translation, v jsontree.Value)
}

// translate reads a body for a model. It returns nil with a failure.
func translate(from *caller.Request, m *caller.Model, counting bool) (*translation, *caller.Failure) {
	t := &translation{from: from, counting: counting}
	t.b.Model = capability.Of(m.Foundation)
	if m.Listed && !m.CachePoints {
		t.b.Model.CachePoints = false
	}
	var d jsontree.Doc
	v, err := d.Parse(from.Body)
	if err != nil {
		return nil, caller.Invalid("", "the request's body is not valid JSON: "+err.Error())
	}
	t.members(v)
	if t.failure == nil {
		t.finish()
	}
	if t.failure != nil {
		return nil, t.failure
	}
	return t, nil
}

// members reads the members of the body in the order of the table.
func (t *translation) members(v jsontree.Value) {
	values := make([]jsontree.Value, len(fields))
	for m := range v.All() {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == string(m.Name()) })
		switch {
		case !m.Present():
		case i < 0:
			t.unknown(m)
		default:
			values[i] = m
		}
	}
	for i := range fields {
		f, v := &fields[i], values[i]
		if t.failure != nil {
			return
		}
		switch {
		case !v.Present():
			if f.must && !t.counting || f.name == "messages" && f.must {
				t.fail(f.name, f.name+": Field required")
			}
		case f.how == consumed:
		case f.how == dropped:
			t.drop(v)
		case f.how == refused:
			t.refuse(v, f.note)
		default:
			f.read(t, v)
		}
	}
}

// finish adds what depends on several members.
func (t *translation) finish() {
	if t.max > 0 {
		t.b.Inference.Add("maxTokens", strconv.AppendInt(nil, t.max, 10))
	}
	if t.counting { // which is asked of the conversation alone
		t.b.Inference, t.b.Rest, t.b.Metadata = nil, nil, nil
	} else if t.thinking {
		t.b.Rest.Add("additionalModelResponseFieldPaths", []byte(`["/usage/output_tokens_details"]`))
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

func (t *translation) fail(param, message string) {
	if t.failure == nil {
		t.failure = caller.Invalid(param, message)
	}
}

// at is where a value is, in the words of Anthropic's API: messages.0.content.
func at(v jsontree.Value) string {
	return strings.NewReplacer("[", ".", "]", "").Replace(v.Path())
}

func (t *translation) failAt(v jsontree.Value, why string) { t.fail(at(v), at(v)+": "+why) }

// refuse is for what would change the answer if it were left out.
func (t *translation) refuse(v jsontree.Value, why string) {
	if t.from.Policy == caller.PolicyDrop {
		t.name(v)
		return
	}
	if why == "" {
		why = "this model cannot be given it"
	}
	if t.failure == nil {
		t.failure = unsupported(at(v), why)
	}
}

// unknown is for members that nobody here has heard of.
func (t *translation) unknown(v jsontree.Value) { t.refuse(v, "Extra inputs are not permitted") }

// drop is for what does not change what the answer means.
func (t *translation) drop(v jsontree.Value) {
	if t.from.Policy == caller.PolicyRefuse {
		t.refuse(v, "")
		return
	}
	t.name(v)
}

// name names what is left out, once for all places of a list.
func (t *translation) name(v jsontree.Value) {
	var out []byte
	inside := false
	for _, c := range []byte(v.Path()) {
		inside = inside && c != ']'
		if !inside {
			out = append(out, c)
		}
		inside = inside || c == '['
	}
	if name := string(out); !slices.Contains(t.dropped, name) {
		t.dropped = append(t.dropped, name)
	}
}

// only refuses members of an object that are not named.
func (t *translation) only(v jsontree.Value, names ...string) {
	for m := range v.All() {
		if m.Present() && !slices.Contains(names, string(m.Name())) {
			t.unknown(m)
		}
	}
}

// The kinds of values, as Anthropic's API names them.
const (
	aString  = "a valid string"
	aNumber  = "a valid number"
	aBoolean = "a valid boolean"
	aList    = "a valid list"
	anObject = "a valid dictionary"
)

func kindOf(v jsontree.Value) string {
	switch v.Kind() {
	case jsonscan.String:
		return aString
	case jsonscan.Number:
		return aNumber
	case jsonscan.True, jsonscan.False:
		return aBoolean
	case jsonscan.BeginArray:
		return aList
	case jsonscan.BeginObject:
		return anObject
	}
	return ""
}

// is refuses a value of another kind, and reports whether it is of this one.
func (t *translation) is(v jsontree.Value, kind string) bool {
	if kindOf(v) == kind {
		return true
	}
	t.failAt(v, "Input should be "+kind)
	return false
}

// need is a member that has to be there.
func (t *translation) need(v jsontree.Value, name, kind string) (jsontree.Value, bool) {
	m := v.Get(name)
	if !m.Present() {
		path := strings.TrimPrefix(at(v)+"."+name, ".")
		t.fail(path, path+": Field required")
		return m, false
	}
	return m, t.is(m, kind)
}

func quoted(s string) []byte { return wire.AppendJSONString(nil, s) }
