// Package caller is what the dialects of callers have in common: what a translation of a
// request gets and gives, how failures are classed, and what becomes of what cannot be carried.
//
// A dialect (package anthropic, package openai) turns a request of its own into a native one
// of Bedrock's, and what comes back into its own again. It does no input or output, and it
// knows the configuration only by what is in a Request.
package caller

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Policy is what becomes of a member of a request that the model's native request has no
// place for.
type Policy string

// The policies. The zero value is PolicyDefault.
const (
	PolicyDefault Policy = ""       // refused when it changes what the answer means, dropped when it only tunes
	PolicyRefuse  Policy = "refuse" // always refused
	PolicyDrop    Policy = "drop"   // dropped and named, wherever the request stays valid without it
)

// Model is what is known of the model that a request names.
type Model struct {
	// ID is what the line asks for: the name as given, or the id that it stands for; "" when
	// the name is one of a maker whose models are known, and there is none.
	ID string
	// Foundation is the foundation model's id, "" when nobody knows it.
	Foundation string
	// Family is the name of its InvokeModel dialect (wire.Dialect), "" when unknown.
	Family string
	// Listed is whether the catalogue has the model. What it cannot take is known only then.
	Listed bool
	// What a listed model takes.
	System, Tools, Images, Documents, CachePoints, Reasoning bool
	MaxOutput                                                int64 // 0: not known
	// Chat and Responses is whether AWS itself serves these of OpenAI's paths for the model.
	Chat, Responses bool
	// Mantle is whether the host bedrock-mantle serves it, which has no Converse and no InvokeModel.
	Mantle bool
}

// Request is a request of a caller, authenticated, as it came.
type Request struct {
	ID       string // x-sluice-request-id
	Method   string
	Path     string // below the base path, without the query
	Query    string
	Header   wire.Header
	Body     []byte
	Policy   Policy
	Received time.Time
	Stores   bool // AWS may keep responses
	// Model finds out about the model of a name.
	Model func(name string) Model
	// Foreign reports whether a native request would go to a cascade with a model of another
	// family than its body is written for.
	Foreign func(*Native) bool
	// Cascaded reports whether a cascade takes the native request that made makes, nil for none. It is made only where
	// there are cascades.
	Cascaded func(made func() *Native) bool
	// Memory counts what the translation makes; nil counts nothing.
	Memory Memory
}

// Native is the request that goes on instead, and what is remembered of the caller's.
type Native struct {
	Op       wire.Operation
	Model    string // as Request.Model gave it
	Resource string // for operations on a path of their own
	Body     []byte
	Further  [][]byte    // bodies of further calls, where the model takes the request in parts; Body is the first
	Header   wire.Header // fields to add for the upstream
	Dropped  []string    // members that could not be carried, as x-sluice-dropped names them
	Session  string      // what the caller calls its session, "" for nothing
	// Count is the request whose tokens are counted, as the body of CountOp, for the case that the
	// upstream does not count for the model. It is nil for other operations.
	Count   []byte
	CountOp wire.Operation
	// Kept is how many bytes are remembered of the request beside these, for its answer.
	Kept int64
	// Own reports whether the body of an error is in the caller's dialect already; nil where it never is.
	Own func(body []byte) bool
}

// Listed is a model in a list of models.
type Listed struct {
	ID, Name string
	Owner    string // "anthropic", "amazon"
}

// Answer is a whole answer, or the head of a stream.
type Answer struct {
	ID       string // x-sluice-request-id
	Op       wire.Operation
	Model    string // that served
	Received time.Time
	Header   wire.Header // the native one
	Body     []byte      // the native one; nil for a stream and for a list
	Parts    []Part      // in place of Body, of a request with Further
	Models   []Listed    // for lists of models
	// Estimated is whether the gateway counted the tokens itself, Body has a CountTokens answer then.
	Estimated bool
	// Memory counts what the translation makes; nil counts nothing.
	Memory Memory
	// Lost are parts of the answer that the dialect has no word for, as x-sluice-dropped names them. A translation adds
	// them.
	Lost []string
}

// Part is the native answer to one part of a request.
type Part struct {
	Header wire.Header
	Body   []byte
}

// All are the parts of the answer, of which most have one.
func (a *Answer) All() []Part {
	if a.Parts != nil {
		return a.Parts
	}
	return []Part{{a.Header, a.Body}}
}

// Tree is the body as a tree. Its objects may have a member twice, as models write them.
func (a *Answer) Tree() (jsontree.Value, *Failure) { return a.TreeOf(a.Body) }

// TreeOf is the body of one of the parts, as Tree.
func (a *Answer) TreeOf(body []byte) (jsontree.Value, *Failure) {
	d := jsontree.Doc{AllowDuplicates: true}
	if reserve(a.Memory, &d, body) != nil { // it is paid for, and must not be asked for again
		return jsontree.Value{}, Broken("there is no memory for the answer")
	}
	v, err := d.Parse(body)
	if err != nil {
		return v, Broken("the upstream's answer is no JSON")
	}
	return v, nil
}

// Stream translates the frames of one stream, in their order. Each method appends to dst what
// leaves. A frame is valid only during the call.
type Stream interface {
	Frame(dst []byte, f wire.Frame) ([]byte, *Failure)
	// Fail ends a stream that has broken.
	Fail(dst []byte, f *Failure) []byte
	// End ends a stream whose last frame has come.
	End(dst []byte) []byte
}
