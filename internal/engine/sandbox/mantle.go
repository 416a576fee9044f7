package sandbox

import (
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// mantleService is what callers of the host bedrock-mantle sign for.
const mantleService = "bedrock-mantle"

// mantlePaths begin the paths that the host bedrock-mantle alone has. It has those below openAIPath, too, where the
// signature says which host is meant.
const (
	mantleOpenAI   = "/v1/"
	mantleMessages = "/anthropic/v1/messages"
)

// ownTarget reads a request for a path of OpenAI's or Anthropic's API, and says whether it is for the host
// bedrock-mantle.
func ownTarget(r *http.Request) (target wire.Target, mantle, ok bool) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	post := r.Method == http.MethodPost
	switch {
	case path == mantleMessages && post:
		return wire.Target{Op: wire.OpMessages}, true, true
	case path == mantleMessages+"/count_tokens" && post:
		return wire.Target{Op: wire.OpCountMessages}, true, true
	}
	rest, mantle := strings.CutPrefix(path, mantleOpenAI)
	if mantle {
		path = openAIPath + rest
	}
	target, ok = openAITarget(r.Method, path)
	signed := strings.Contains(r.Header.Get("Authorization"), "/"+mantleService+"/")
	return target, mantle || ok && signed, ok
}

// service is what the caller has to sign for.
func (c *call) service() string {
	if c.mantle {
		return mantleService
	}
	return sigv4.Service
}

// onMantle refuses what the host refuses of an id: the forms of the runtime host, and paths that are not the model's.
func (c *call) onMantle() *failure {
	name, gpt := strings.CutPrefix(c.model, "openai.gpt-")
	if wire.ParseModelID(c.model).Kind != wire.ModelFoundation || strings.Contains(c.model, ":") {
		text := "The model " + c.model + " does not exist."
		return &failure{http.StatusNotFound, "ResourceNotFoundException", text, modelsURI}
	}
	claude := strings.HasPrefix(c.model, "anthropic.")
	below := gpt && !strings.HasPrefix(name, "oss") || strings.HasPrefix(c.model, "xai.") ||
		strings.HasPrefix(c.model, "google.gemma-4")
	if c.op.IsOpenAI() && (claude || below != strings.HasPrefix(c.path, openAIPath)) || !c.op.IsOpenAI() && !claude {
		return invalid("The model " + c.model + " isn't supported on this route.")
	}
	return nil
}

// readMessages reads what a body for one of Anthropic's paths contains.
func (c *call) readMessages() *failure {
	c.model, _ = c.body["model"].(string)
	for _, f := range families {
		if f.name == "anthropic" {
			c.family = f
		}
	}
	c.copies, c.cap = 1, whole(c.body["max_tokens"])
	switch {
	case c.header.Get("Anthropic-Version") == "":
		return invalid("anthropic-version: header is required")
	case c.model == "":
		return invalid("model: Field required")
	case c.cap < 1 && c.op == wire.OpMessages:
		return invalid("max_tokens: Field required")
	}
	if c.body["stream"] == true && c.op == wire.OpMessages {
		c.op = wire.OpMessagesStream
	}
	return c.onMantle()
}

// messageEvents is a stream of Messages.
func messageEvents(r *reply) []event {
	out := anthropicChunks(r)
	for i := range out {
		out[i].kind = kindNamed
	}
	return out
}

// mantleKinds are the types of errors in the envelopes of OpenAI and Anthropic, by status.
var mantleKinds = map[int]string{
	http.StatusBadRequest: "invalid_request_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusTooManyRequests: "rate_limit_error",
	http.StatusServiceUnavailable: "overloaded_error", statusOverloaded: "overloaded_error",
}

// statusOverloaded is Anthropic's own.
const statusOverloaded = 529

// enveloped is an error as the host bedrock-mantle says it.
func (c *call) enveloped(f *failure) object {
	kind := mantleKinds[f.status]
	if kind == "" {
		kind = "api_error"
	}
	if c.op.IsOpenAI() || c.op.OfStored() {
		return object{"error": object{"message": f.message, "type": kind, "param": nil, "code": nil}}
	}
	return object{"type": "error", "error": object{"type": kind, "message": f.message}, "request_id": c.id}
}
