// Package anthropic is Anthropic's dialect: Messages, token counting and the list of models,
// and how each field, block, stop reason, count and error is said in Bedrock's. For Claude the
// body stays what it is, in InvokeModel; for other families it is translated to Converse.
package anthropic

import (
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// Family is the name of Claude's dialect in InvokeModel.
const Family = "anthropic"

// Routes are the paths of the API, by what serves them. What is not here is not served.
type route struct {
	method, path string // a path that ends in a slash stands for all below it
	kind         kind
}

// kind is what a path is for.
type kind uint8

const (
	unknown kind = iota
	messages
	count
	models
	model
	batches
	files
	twice
)

var routes = []route{
	{http.MethodPost, "/v1/messages", messages},
	{http.MethodPost, "/v1/messages/count_tokens", count},
	{http.MethodGet, "/v1/models", models},
	{http.MethodGet, "/v1/models/", model},
	{"", "/v1/messages/batches", batches},
	{"", "/v1/messages/batches/", batches},
	{"", "/v1/files", files},
	{"", "/v1/files/", files},
	{"", "/v1/v1/", twice},
}

// absent says of what is not served which way there is instead.
var absent = map[kind]string{
	batches: "Message batches are not served here. Bedrock runs batches as CreateModelInvocationJob: send the requests " +
		"as a JSONL file in S3 to the AWS API",
	twice:   "The path has /v1 twice: the base URL has none, for the SDK adds it",
	files:   "Files are not served here: put a document or an image into the request as base64",
	unknown: "There is no such path. Anthropic's dialect has /v1/messages, /v1/messages/count_tokens and /v1/models",
}

// find is what a path is for, and whether the method fits it.
func find(method, path string) (k kind, fits bool) {
	for _, r := range routes {
		if path == r.path || strings.HasSuffix(r.path, "/") && strings.HasPrefix(path, r.path) && path != r.path {
			return r.kind, r.method == "" || r.method == method
		}
	}
	return unknown, true
}

// failures are how each class of failure is called, and its status.
var failures = [caller.Classes]struct {
	kind   string
	status int
	final  bool // no SDK repeats it
}{
	caller.ClassInternal:       {"api_error", http.StatusInternalServerError, false},
	caller.ClassInvalid:        {"invalid_request_error", http.StatusBadRequest, false},
	caller.ClassAuthentication: {"authentication_error", http.StatusUnauthorized, false},
	caller.ClassPermission:     {"permission_error", http.StatusForbidden, false},
	caller.ClassNotFound:       {"not_found_error", http.StatusNotFound, false},
	caller.ClassMethod:         {"invalid_request_error", http.StatusMethodNotAllowed, false},
	caller.ClassTooLarge:       {"request_too_large", http.StatusRequestEntityTooLarge, false},
	caller.ClassBudget:         {"billing_error", http.StatusTooManyRequests, true},
	caller.ClassRate:           {"rate_limit_error", http.StatusTooManyRequests, false},
	caller.ClassUnavailable:    {"overloaded_error", statusOverloaded, false},
	caller.ClassTimeout:        {"timeout_error", http.StatusGatewayTimeout, false},
	caller.ClassModel:          {"api_error", http.StatusFailedDependency, true},
}

// statusOverloaded is Anthropic's own.
const statusOverloaded = 529

// Fail is a failure in the dialect.
func Fail(f *caller.Failure) (status int, header wire.Header, body []byte) {
	row := failures[f.Class]
	return row.status, f.RetryFields(row.final), appendError(nil, f)
}

func appendError(dst []byte, f *caller.Failure) []byte {
	dst = append(append(dst, `{"type":"error","error":{"type":"`...), failures[f.Class].kind...)
	dst = wire.AppendJSONString(append(dst, `","message":`...), message(f))
	dst = wire.AppendJSONString(append(dst, `},"request_id":`...), f.ID)
	return append(dst, '}')
}

// message is the text of a failure. Claude Code mends its requests by the upstream's own words,
// so they stay as they are; a member that the text does not name is put before it.
func message(f *caller.Failure) string {
	if f.Param == "" || strings.Contains(f.Message, f.Param) {
		return f.Message
	}
	return f.Param + ": " + f.Message
}

// AppendPing appends what keeps a silent stream alive.
func AppendPing(dst []byte) []byte {
	return append(dst, "event: ping\ndata: {\"type\":\"ping\"}\n\n"...)
}

// Field is a field of an answer that tells how a limit stands, x-ratelimit-remaining-requests and the like, as
// Anthropic calls it; any other stays. A reset is a time there, and not how long it takes.
func Field(f wire.Field, now time.Time) wire.Field {
	rest, ok := strings.CutPrefix(f.Name, "x-ratelimit-")
	what, unit, whole := strings.Cut(rest, "-")
	if !ok || !whole {
		return f
	}
	if wait, err := time.ParseDuration(f.Value); what == "reset" && err == nil {
		f.Value = now.Add(wait).UTC().Format(time.RFC3339)
	}
	f.Name = "anthropic-ratelimit-" + unit + "-" + what
	return f
}
