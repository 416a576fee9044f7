// Package openai is OpenAI's dialect: Chat Completions, Responses, Embeddings and Models, and how each of their fields,
// blocks, stop reasons, counts and errors is said in Bedrock's. Its functions are pure: bytes in, bytes out.
package openai

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// known is what the answer to a request needs to know of it.
type known struct {
	model      string // as it was asked for
	stream     bool
	usage      bool              // the caller wants counts at the end of a stream
	names      map[string]string // of tools that are sent under other names
	jsonTool   string            // that was made of response_format, "" for none
	foundation string
	base64     bool // of vectors
	encrypted  bool // the caller wants to keep what the model thinks
	echo       []byte
}

// request is a request that is being read.
type request struct {
	known
	from     *caller.Request
	id       string // of the model, for the line
	embed    embedding
	dropped  []string // fields that could not be carried, by their path
	b        converse.Builder
	problem  *caller.Failure
	max      int64  // output tokens asked for, 0 for none
	pairs    int    // of request metadata
	talk     string // the member that has the conversation
	nested   bool   // functions and schemas are one level deeper, as Chat Completions has them
	thinking bool
	sampled  bool   // temperature was sent
	unsigned bool   // the last turn of the assistant called tools without its reasoning
	last     bool   // the message that is read is the last
	lastRole string // who spoke last
}

// Codes of what is wrong with a request.
const (
	codeMissing     = "missing_required_parameter"
	codeType        = "invalid_type"
	codeValue       = "invalid_value"
	codeUnsupported = "unsupported_parameter"
	codeUnknown     = "unknown_parameter"
	codeModel       = "model_not_found"
)

// kinds are kinds of JSON values.
type kinds uint8

const (
	text kinds = 1 << iota
	number
	integer
	boolean
	object
	array
)

// how a field is treated.
type treatment uint8

const (
	carried treatment = iota // as it is, or in Converse's words
	fitted                   // to what the model takes
	refused                  // 400, because the answer would not be what was asked for
	dropped                  // named in x-sluice-dropped
)

// field is a member of a request.
type field struct {
	name string
	want kinds
	how  treatment
	must bool   // it has to be there
	note string // for docs/dialects.md
	// same are values that mean the same as none.
	same []string
	read func(r *request, v jsontree.Value) // of what is carried or fitted
}

// table is the fields of one kind of request, in the order in which they are read.
type table struct {
	fields []field
	index  map[string]int
}

func newTable(fields []field) *table {
	t := &table{fields: fields, index: make(map[string]int, len(fields))}
	for i, f := range fields {
		t.index[f.name] = i
	}
	return t
}

// mostFields is how many fields a table may have.
const mostFields = 64

// read reads the members of v by the table.
func (r *request) read(t *table, v jsontree.Value) {
	var values [mostFields]jsontree.Value
	for m := range v.All() {
		i, ok := t.index[string(m.Name())]
		switch {
		case !ok:
			r.unknown(m)
		case m.Present():
			values[i] = m
			r.check(m, t.fields[i].want)
		}
	}
	for i := range t.fields {
		f, v := &t.fields[i], values[i]
		if r.problem != nil {
			return
		}
		if f.must && !v.Present() {
			r.failAt(f.name, codeMissing, "Missing required parameter: '"+f.name+"'.")
			return
		}
		if !v.Present() || slices.Contains(f.same, string(v.Raw())) {
			continue
		}
		switch f.how {
		case refused:
			r.refuse(v, f.note)
		case dropped:
			r.drop(v)
		default:
			f.read(r, v)
		}
	}
}

// members refuses members of an object that are not named.
func (r *request) members(v jsontree.Value, names ...string) {
	for m := range v.All() {
		if m.Present() && !slices.Contains(names, string(m.Name())) {
			r.unknown(m)
		}
	}
}

func (r *request) fail(v jsontree.Value, code, message string) {
	r.failAt(v.Path(), code, message)
}

func (r *request) failAt(path, code, message string) {
	if r.problem == nil {
		class := caller.ClassInvalid
		if code == codeModel {
			class = caller.ClassNotFound
		}
		r.problem = &caller.Failure{Class: class, Param: path, Code: code, Message: message}
	}
}

// refuse is for what would change the answer if it were left out.
func (r *request) refuse(v jsontree.Value, why string) {
	if r.from.Policy == caller.PolicyDrop {
		r.name(v.Path())
		return
	}
	if why != "" {
		why = " " + why
	}
	r.fail(v, codeUnsupported, "Unsupported parameter: '"+v.Path()+"' cannot be carried to this model."+why)
}

// unknown is for members that nobody knows.
func (r *request) unknown(m jsontree.Value) {
	if !m.Present() {
		return
	}
	if r.from.Policy == caller.PolicyDrop {
		r.name(m.Path())
		return
	}
	r.fail(m, codeUnknown, "Unknown parameter: '"+m.Path()+"'.")
}

// drop is for what does not change what the answer means.
func (r *request) drop(v jsontree.Value) { r.dropAt(v.Path()) }

func (r *request) dropAt(path string) {
	if r.from.Policy == caller.PolicyRefuse {
		r.failAt(path, codeUnsupported, "Unsupported parameter: '"+path+"' cannot be carried to this model.")
		return
	}
	r.name(path)
}

func (r *request) name(path string) {
	path = withoutNumbers(path)
	if !slices.Contains(r.dropped, path) {
		r.dropped = append(r.dropped, path)
	}
}

// withoutNumbers makes messages[].name of messages[3].name, so that a header names a field once.
func withoutNumbers(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	out := make([]byte, 0, len(path))
	inside := false
	for i := range len(path) {
		inside = inside && path[i] != ']'
		if !inside {
			out = append(out, path[i])
		}
		inside = inside || path[i] == '['
	}
	return string(out)
}

var kindNames = []struct {
	kind kinds
	name string
}{
	{text, "a string"}, {integer, "an integer"}, {number, "a number"}, {boolean, "a boolean"}, {object, "an object"},
	{array, "an array"},
}

func kindOf(v jsontree.Value) kinds {
	switch v.Kind() {
	case jsonscan.String:
		return text
	case jsonscan.Number:
		if _, ok := v.Int(); ok {
			return number | integer
		}
		return number
	case jsonscan.True, jsonscan.False:
		return boolean
	case jsonscan.BeginObject:
		return object
	case jsonscan.BeginArray:
		return array
	}
	return 0
}

// check refuses a value of a kind that is not wanted, and reports whether it is.
func (r *request) check(v jsontree.Value, want kinds) bool {
	got := kindOf(v)
	if got&want != 0 {
		return true
	}
	describe := func(k kinds) string {
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
	if got&integer != 0 {
		got = integer
	}
	r.fail(v, codeType, "Invalid type for '"+v.Path()+"': expected "+describe(want)+", but got "+describe(got)+" instead.")
	return false
}

// need is a member that has to be there, of one of these kinds.
func (r *request) need(v jsontree.Value, name string, want kinds) (jsontree.Value, bool) {
	m := v.Get(name)
	if !m.Present() {
		path := name
		if up := v.Path(); up != "" {
			path = up + "." + name
		}
		r.failAt(path, codeMissing, "Missing required parameter: '"+path+"'.")
		return m, false
	}
	return m, r.check(m, want)
}

// begin parses a body and finds its model.
func (r *request) begin(d *jsontree.Doc, body []byte) (jsontree.Value, bool) {
	v, err := d.Parse(body)
	if err != nil {
		r.failAt("", "", "We could not parse the JSON body of your request: "+err.Error()+".")
		return v, false
	}
	if !v.IsObject() {
		r.failAt("", codeType, "The body of the request must be a JSON object.")
		return v, false
	}
	m, ok := r.need(v, "model", text)
	if !ok {
		return v, false
	}
	r.model = m.Text()
	found := r.from.Model(ModelName(r.model))
	if !wire.ValidID(found.ID) {
		r.failAt("model", codeModel, "The model '"+r.model+"' does not exist, or you do not have access to it.")
		return v, false
	}
	r.id, r.foundation, r.b.Model = found.ID, found.Foundation, capability.Of(found.Foundation)
	return v, true
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
