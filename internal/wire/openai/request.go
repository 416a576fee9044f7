// Package openai is OpenAI's dialect: Chat Completions, Responses, Embeddings and Models, and how each of their fields,
// blocks, stop reasons, counts and errors is said in Bedrock's. Its functions are pure: bytes in, bytes out.
package openai

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// known is what the answer to a request needs to know of it.
type known struct {
	model      string // as it was asked for
	stream     bool
	usage      bool // the caller wants counts at the end of a stream
	names      converse.Renamed
	jsonTool   string // that was made of response_format, "" for none
	foundation string
	base64     bool // of vectors
	inputs     int  // of Embeddings
	encrypted  bool // the caller wants to keep what the model thinks
	echo       []byte
	tier       string // that was asked for, "" for none
	passed     bool   // AWS serves the request itself
}

// request is a request that is being read.
type request struct {
	known
	caller.Reading
	from     *caller.Request
	id       string // of the model, for the line
	embed    embedding
	b        converse.Builder
	talk     string // the member that has the conversation
	nested   bool   // functions and schemas are one level deeper, as Chat Completions has them
	unsigned bool   // the last turn of the assistant called tools without its reasoning
	last     bool   // the message that is read is the last
	lastRole string // who spoke last
}

func newRequest(from *caller.Request) *request {
	return &request{from: from, Reading: caller.Reading{Words: &words, Policy: from.Policy}}
}

// field is a member of a request.
type field = caller.Field[*request]

// table is the fields of one kind of request.
type table = caller.Table[*request]

// Codes of what is wrong with a request.
const (
	codeMissing     = "missing_required_parameter"
	codeType        = "invalid_type"
	codeValue       = "invalid_value"
	codeUnsupported = "unsupported_parameter"
	codeUnknown     = "unknown_parameter"
	codeModel       = "model_not_found"
	codeURL         = "unknown_url"
)

var words = caller.Words{
	Missing: func(path string) *caller.Failure {
		return invalid(path, codeMissing, "Missing required parameter: '"+path+"'.")
	},
	Unknown: func(path string) *caller.Failure {
		return invalid(path, codeUnknown, "Unknown parameter: '"+path+"'.")
	},
	Unsupported: func(path, why string) *caller.Failure {
		if why != "" {
			why = " " + why
		}
		return invalid(path, codeUnsupported, "Unsupported parameter: '"+path+"' cannot be carried to this model."+why)
	},
	Kind: func(path string, got, want caller.Kinds) *caller.Failure {
		if got&caller.Integer != 0 {
			got = caller.Integer
		}
		return invalid(path, codeType,
			"Invalid type for '"+path+"': expected "+describe(want)+", but got "+describe(got)+" instead.")
	},
}

func invalid(path, code, message string) *caller.Failure {
	f := caller.Invalid(path, message)
	f.Code = code
	return f
}

var kindNames = []struct {
	kind caller.Kinds
	name string
}{
	{caller.Text, "a string"}, {caller.Integer, "an integer"}, {caller.Number, "a number"},
	{caller.Boolean, "a boolean"}, {caller.Object, "an object"}, {caller.Array, "an array"},
}

func describe(k caller.Kinds) string {
	var all []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			all = append(all, n.name)
		}
	}
	if len(all) == 0 {
		return "null"
	}
	return strings.Join(all, " or ")
}

func (r *request) fail(v jsontree.Value, code, message string) { r.failAt(v.Path(), code, message) }

func (r *request) failAt(path, code, message string) { r.Fail(invalid(path, code, message)) }

// begin parses a body and finds its model.
func (r *request) begin(d *jsontree.Doc, body []byte) (jsontree.Value, bool) {
	if f := r.from.Reserve(d, body); f != nil {
		r.Fail(f)
		return jsontree.Value{}, false
	}
	v, err := d.Parse(body)
	if err != nil {
		r.failAt("", "", "We could not parse the JSON body of your request: "+err.Error()+".")
		return v, false
	}
	if !v.IsObject() {
		r.failAt("", codeType, "The body of the request must be a JSON object.")
		return v, false
	}
	m, ok := r.Need(v, "model", caller.Text)
	if !ok {
		return v, false
	}
	r.model = m.Text()
	found := r.from.Model(ModelName(r.model))
	if !wire.ValidID(found.ID) {
		r.Fail(noModel(r.model))
		return v, false
	}
	r.id, r.foundation, r.b.Model = found.ID, found.Foundation, capability.Of(found.Foundation)
	return v, true
}

func noModel(name string) *caller.Failure {
	f := invalid("model", codeModel, "The model '"+name+"' does not exist, or you do not have access to it.")
	f.Class = caller.ClassNotFound
	return f
}

// ModelName is the model that a caller means: other gateways want a provider before it.
func ModelName(asked string) string {
	for _, prefix := range []string{"bedrock/converse/", "bedrock/invoke/", "bedrock/"} {
		if rest, ok := strings.CutPrefix(asked, prefix); ok {
			return rest
		}
	}
	return asked
}
