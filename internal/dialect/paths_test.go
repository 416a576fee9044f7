package dialect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// paths are those that callers of the dialects may ask for: with a part of the message of what is not served, and ""
// for what is.
var paths = map[string]string{
	"/v1/chat/completions": "", "/v1/responses": "", "/v1/embeddings": "", "/v1/messages": "",
	"/v1/messages/count_tokens": "", "/v1/models": "",
	"/v1/batches": "CreateModelInvocationJob", "/v1/batches/b/cancel": "CreateModelInvocationJob",
	"/v1/messages/batches": "CreateModelInvocationJob", "/v1/messages/batches/b/results": "CreateModelInvocationJob",
	"/v1/files": "the request", "/v1/files/f/content": "the request", "/v1/uploads": "file_data",
	"/v1/rerank": "InvokeModel", "/v1/images": "InvokeModel", "/v1/images/generations": "InvokeModel",
	"/v1/images/edits": "InvokeModel", "/v1/audio/speech": "Converse", "/v1/moderations": "guardrail",
	"/v1/completions": "/v1/chat/completions", "/v1/assistants": "/v1/responses", "/v1/threads/t/runs": "/v1/responses",
	"/v1/fine_tuning/jobs": "AWS", "/v1/conversations": "input", "/v1/conversations/c/items": "input",
	"/v1/responses/input_tokens": "/v1/messages/count_tokens", "/v1/responses/compact": "input",
	"/v1/responses/r": "input", "/v1/responses/r/input_items": "input", "/v1/responses/r/cancel": "input",
	"/v1/v1/chat/completions": "twice", "/v1/v1/messages": "twice",
	"/chat/completions": "base URL", "/responses": "base URL", "/embeddings": "base URL", "/models": "base URL",
	"/messages": "base URL", "/messages/count_tokens": "base URL", "/openai/v1/chat/completions": "base URL",
	"/anthropic/v1/messages": "base URL",
	"/v1/":                   "dialect has", "/v1/vector_stores": "dialect has", "/v1/complete": "dialect has",
	"/v1/skills": "dialect has",
	"/v1/chat":   "dialect has", "/v1/messagesx": "dialect has", "/v1//messages": "dialect has",
	"/v1/messages/": "dialect has", "/v1/chat/completions/": "dialect has",
}

// refusing is a line that asks for the native request, and refuses it when there is one.
func refusing(req *gateway.Request) *gateway.Response {
	err := req.Translator.Native(&leg.Request{
		ID: req.ID, Method: req.Method, Header: req.Header, Body: []byte(`{"model":1}`),
		Caller: &tenant.Identity{Tenant: &tenant.Tenant{}},
	})
	if err == nil {
		err = wire.Errorf(wire.KindValidation, "it was understood")
	}
	return &gateway.Response{Status: err.Status(), Header: err.AppendHeader(nil, req.ID), Body: err.AppendJSON(nil)}
}

// TestPaths walks all paths by all methods, with and without a query and the header of Anthropic's SDKs: what is not
// served is 404 and names the way, and all failures are said in the dialect of the caller.
func TestPaths(t *testing.T) {
	h := New(Options{Line: lineFunc(refusing), Snapshots: &snapshot.Store{}, OpenAI: OpenAI(), Anthropic: Anthropic()})
	for path, way := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
			for _, query := range []string{"", "?beta=true", "?a=/v1/messages"} {
				for _, version := range []string{"", "2023-06-01"} {
					req := &gateway.Request{ID: "01X", Method: method, Target: path + query}
					if version != "" {
						req.Header = wire.Header{{Name: "anthropic-version", Value: version}}
					}
					walk(t, h.Serve(req), method+" "+path+query+" "+version, path, way)
				}
			}
		}
	}
}

func walk(t *testing.T, res *gateway.Response, name, path, way string) {
	t.Helper()
	var said struct {
		Type      string
		RequestID string `json:"request_id"`
		Error     struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(res.Body, &said); err != nil || said.Error.Message == "" || said.Error.Type == "" {
		t.Fatalf("%s: %v in %s", name, err, res.Body)
	}
	anthropics := strings.HasPrefix(path, "/v1/messages") || strings.HasPrefix(path, "/messages")
	if said.Type == "error" && said.RequestID == "" || anthropics && said.Type != "error" {
		t.Errorf("%s: it is in no dialect: %s", name, res.Body)
	}
	switch {
	case way == "" && (res.Status == 400 || res.Status == 405):
	case way != "" && res.Status == 404 && strings.Contains(said.Error.Message, way):
	default:
		t.Errorf("%s: %d %s, want %q", name, res.Status, res.Body, way)
	}
}

// TestStrays: what is wrong with a base URL is said, and Bedrock's own paths are not touched.
func TestStrays(t *testing.T) {
	for target, want := range map[string]bool{
		"/messages": true, "/messages?beta=true": true, "/openai/v1/models": true, "/models": true, "/modelsx": false,
		"/model/a.b/converse": false, "/foundation-models": false, "/inference-profiles": false, "/custom-models": false,
		"/chat": false, "/": false, "": false, "/openai": false,
	} {
		h := New(Options{Snapshots: &snapshot.Store{}})
		if h.foreign(target) != want {
			t.Errorf("%q: %t", target, !want)
		}
	}
}
