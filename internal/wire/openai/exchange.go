package openai

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// route is a path of the API. One that ends in a slash stands for all below it.
type route struct {
	method, path string
	serve        *service
	// absent says which way there is instead, of what is not served.
	absent string
}

// service is how the requests of a path are translated, and their answers.
type service struct {
	request func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	answer  func(*known, *caller.Answer) ([]byte, *caller.Failure)
	stream  func(*known, *caller.Answer) caller.Stream
}

var routes = []route{
	{method: http.MethodPost, path: "/v1/chat/completions", serve: &service{
		request: chatAPI.request, answer: (*known).chatAnswer,
		stream: func(k *known, a *caller.Answer) caller.Stream { return k.chatStream(a) },
	}},
	{method: http.MethodPost, path: "/v1/responses", serve: &service{
		request: responsesAPI.request, answer: (*known).responsesAnswer,
		stream: func(k *known, a *caller.Answer) caller.Stream { return k.responseStream(a) },
	}},
	{path: "/v1/responses/input_tokens", absent: "Tokens are not counted by this path. POST /v1/messages/count_tokens " +
		"counts them, for models of all makers."},
	{path: "/v1/responses/compact", absent: "Conversations are not compacted here: send the whole conversation as input."},
	{path: "/v1/responses/", serve: &service{request: storedRequest, answer: (*known).asItCame}},
	{method: http.MethodPost, path: "/v1/embeddings", serve: &service{
		request: embeddingsRequest, answer: (*known).embeddingsAnswer,
	}},
	{method: http.MethodGet, path: "/v1/models", serve: &service{request: modelsRequest, answer: (*known).modelsAnswer}},
	{method: http.MethodGet, path: "/v1/models/", serve: &service{request: modelsRequest, answer: (*known).modelAnswer}},
	{path: "/v1/conversations", absent: "Conversations are not stored here: send the whole conversation as input."},
	{path: "/v1/completions", absent: "Text completions are not served here. Use /v1/chat/completions."},
	{path: "/v1/assistants", absent: "Assistants are not served here. Use /v1/responses."},
	{path: "/v1/threads", absent: "Threads are not served here. Use /v1/responses."},
	{path: "/v1/batches", absent: "Batches are not served here. Bedrock runs them as CreateModelInvocationJob: send the " +
		"requests as a JSONL file in S3 to the AWS API."},
	{path: "/v1/files", absent: "Files are not stored here: send the file itself, as file_data, in the request."},
	{path: "/v1/uploads", absent: "Files are not stored here: send the file itself, as file_data, in the request."},
	{path: "/v1/images", absent: "Images are not served in this dialect. Call an image model by InvokeModel: " +
		"POST /model/{modelId}/invoke."},
	{path: "/v1/rerank", absent: "Reranking is not served in this dialect. Call a rerank model by InvokeModel: " +
		"POST /model/{modelId}/invoke."},
	{path: "/v1/audio", absent: "Speech is not served here: no model behind Converse speaks or hears."},
	{path: "/v1/moderations", absent: "Moderation is not served in this dialect. Use a guardrail: " +
		"POST /guardrail/{guardrailId}/version/{version}/apply."},
	{path: "/v1/fine_tuning", absent: "Fine tuning is not served here. Use the AWS API."},
	{path: "/v1/v1", absent: "The path has /v1 twice: the base URL ends in /v1, and the SDK adds the rest."},
}

// Owns reports whether a path is of OpenAI's API, and not of Anthropic's as well.
func Owns(path string) bool {
	r := find(path)
	return r != nil && !slices.Contains([]string{"/v1/models", "/v1/models/", "/v1/files", "/v1/v1"}, r.path)
}

const nowhere = "There is no such path. OpenAI's dialect has /v1/chat/completions, /v1/responses, /v1/embeddings " +
	"and /v1/models."

// find is what a path is for; nil when it is for nothing.
func find(path string) *route {
	for i := range routes {
		r := &routes[i]
		below := strings.HasPrefix(path, strings.TrimSuffix(r.path,
			"/")+"/") && (r.serve == nil || strings.HasSuffix(r.path, "/"))
		if path == r.path || below {
			return r
		}
	}
	return nil
}

// Exchange is one request and its answer. Make it with Open.
type Exchange struct {
	route  *route
	method string
	known  *known
}

// Open begins the exchange of a request.
func Open(method, path string) *Exchange { return &Exchange{route: find(path), method: method} }

// Native translates the request. It fails with what the caller is told.
func (x *Exchange) Native(r *caller.Request) (n *caller.Native, failure *caller.Failure) {
	switch {
	case x.route == nil:
		return nil, &caller.Failure{Class: caller.ClassNotFound, Code: codeURL, Message: nowhere}
	case x.route.serve == nil:
		return nil, &caller.Failure{Class: caller.ClassNotFound, Code: codeURL, Message: x.route.absent}
	case x.route.method != "" && x.method != x.route.method:
		return nil, &caller.Failure{Class: caller.ClassMethod, Message: "This path takes the method " + x.route.method + "."}
	}
	x.known, n, failure = x.route.serve.request(r)
	return n, failure
}

// Answer translates a whole answer.
func (x *Exchange) Answer(a *caller.Answer) ([]byte, *caller.Failure) {
	if x.known.passed {
		return x.known.asItCame(a)
	}
	return x.route.serve.answer(x.known, a)
}

// Stream begins the translation of a stream.
func (x *Exchange) Stream(a *caller.Answer) caller.Stream {
	if x.known.passed {
		return &passed{known: x.known, api: a.Op}
	}
	return x.route.serve.stream(x.known, a)
}

// translateChat translates a Chat Completions request.
func translateChat(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	r := newRequest(from)
	r.nested, r.talk = true, "messages"
	var d jsontree.Doc
	if v, ok := r.begin(&d, from.Body); ok {
		chat.Read(&r.Reading, r, v)
	}
	return r.end()
}

// end is what has become of a request that goes to Converse.
func (r *request) end() (*known, *caller.Native, *caller.Failure) {
	if r.Failure == nil {
		r.finish()
	}
	if r.Failure != nil {
		return nil, nil, r.Failure
	}
	r.names = r.b.Renamed()
	n := &caller.Native{Op: wire.OpConverse, Model: r.id, Dropped: r.Dropped}
	n.Kept = 2 * int64(len(r.echo)) // once more in each event that repeats it
	if r.stream {
		n.Op = wire.OpConverseStream
	}
	n.Body = r.b.Append(make([]byte, 0, len(r.from.Body)+len(r.from.Body)/4+256))
	return &r.known, n, nil
}

// finish looks at the conversation as a whole.
func (r *request) finish() {
	prefilled := r.b.Prefilled()
	switch {
	case !r.b.Begun() && !r.b.Instruct():
		r.failAt(r.talk, codeValue, "Invalid '"+r.talk+"': there are no words in it.")
	case prefilled && r.b.Model.NoPrefill:
		r.failAt(r.talk, codeUnsupported, "Unsupported value: this model does not go on from words of the assistant. The "+
			"last message has to be a user's or a tool's.")
	}
}

// modelsRequest asks for the list of models, or for one of them.
func modelsRequest(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	k := &known{model: strings.TrimPrefix(strings.TrimPrefix(from.Path, "/v1/models"), "/")}
	if id, err := url.PathUnescape(k.model); err == nil {
		k.model = id
	}
	return k, &caller.Native{Op: wire.OpListFoundationModels}, nil
}

func (k *known) modelsAnswer(a *caller.Answer) ([]byte, *caller.Failure) {
	dst := []byte(`{"object":"list","data":[`)
	for i, m := range a.Models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendModel(dst, m)
	}
	return append(dst, `]}`...), nil
}

func (k *known) modelAnswer(a *caller.Answer) ([]byte, *caller.Failure) {
	for _, m := range a.Models {
		if m.ID == k.model {
			return appendModel(nil, m), nil
		}
	}
	return nil, noModel(k.model)
}

// appendModel appends a model. AWS does not say when it came.
func appendModel(dst []byte, m caller.Listed) []byte {
	dst = wire.AppendJSONString(append(dst, `{"id":`...), m.ID)
	dst = wire.AppendJSONString(append(dst, `,"object":"model","created":0,"owned_by":`...), m.Owner)
	return append(dst, '}')
}
