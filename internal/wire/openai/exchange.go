package openai

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// chatRequest translates a Chat Completions request.
func chatRequest(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	r := request{from: from, nested: true, talk: "messages"}
	var d jsontree.Doc
	if v, ok := r.begin(&d, from.Body); ok {
		r.read(chat, v)
	}
	return r.end(converseOperation)
}

// converseOperation is the operation of a request by whether it streams.
func converseOperation(stream bool) wire.Operation {
	if stream {
		return wire.OpConverseStream
	}
	return wire.OpConverse
}

// end is what has become of a request.
func (r *request) end(operation func(stream bool) wire.Operation) (*known, *caller.Native, *caller.Failure) {
	if r.problem != nil {
		return nil, nil, r.problem
	}
	r.finish()
	if r.problem != nil {
		return nil, nil, r.problem
	}
	r.names = r.b.Renamed()
	body := r.b.Append(make([]byte, 0, len(r.from.Body)+len(r.from.Body)/4+256))
	return &r.known, &caller.Native{Op: operation(r.stream), Model: r.id, Body: body, Dropped: r.dropped}, nil
}

// finish adds what depends on several fields.
func (r *request) finish() {
	if r.max > 0 {
		r.b.Inference.Add("maxTokens", appendInt(nil, r.max))
	}
	if r.thinking {
		r.b.Rest.Add("additionalModelResponseFieldPaths", []byte(`["/usage/output_tokens_details"]`))
	}
	prefilled := r.b.Prefilled()
	switch {
	case !r.b.Begun() && !r.b.Instruct():
		r.failAt(r.talk, codeValue, "Invalid '"+r.talk+"': there are no words in it.")
	case prefilled && r.b.Model.NoPrefill:
		r.failAt(r.talk, codeUnsupported, "Unsupported value: this model does not go on from words of the assistant. The "+
			"last message has to be a user's or a tool's.")
	}
}
