package wire

import (
	"net/url"
	"slices"
	"strings"
)

// Operation is one operation of the Bedrock Runtime API. The zero value is
// OpUnknown. Names and paths: AWS service model bedrock-runtime 2023-09-30.
type Operation uint8

// The operations that the gateway knows.
const (
	OpUnknown Operation = iota
	OpConverse
	OpConverseStream
	OpInvoke
	OpInvokeStream
	OpCountTokens
	OpApplyGuardrail
	OpInvokeGuardrailChecks
	OpStartAsyncInvoke
	OpGetAsyncInvoke
	OpListAsyncInvokes
	OpInvokeBidirectional
	// OpenAI's own paths on the runtime host, below /openai/v1. The model is in the body.
	OpChat
	OpChatStream
	OpResponse
	OpResponseStream
	// Of a response that AWS has stored; Resource is its id.
	OpGetResponse
	OpDeleteResponse
	OpCancelResponse
	// Anthropic's own paths, which the host bedrock-mantle has. The model is in the body.
	OpMessages
	OpMessagesStream
	OpCountMessages
	// Batch jobs, which the control plane has (AWS service model bedrock 2023-04-20); Resource is the job.
	OpCreateBatch
	OpGetBatch
	OpListBatches
	OpStopBatch
	// Of the host bedrock-agent-runtime (AWS service model bedrock-agent-runtime 2023-07-26): knowledge bases, with
	// Resource, and agents, with Resource, Version for the alias, and Session.
	OpRetrieve
	OpRetrieveAndGenerate
	OpRetrieveAndGenerateStream
	OpRerank
	OpInvokeAgent
	// Reads of the control plane, which clients send to the same address (AWS service
	// model bedrock 2023-04-20). They are answered here and never forwarded.
	OpListFoundationModels
	OpGetFoundationModel
	OpListInferenceProfiles
	OpGetInferenceProfile
	OpGetModelAvailability
	OpListOtherModels // custom, imported, provisioned models and the like; Resource is their path
	OpOtherControl    // any that the gateway does not answer
)

// operation is what an operation is called and how it is reached.
type operation struct {
	name    string // in configuration, and at the end of a path that begins with /model/
	api     string // in AWS's service model
	method  string
	onModel bool // the path begins with /model/
	streams bool
}

var operations = [...]operation{
	OpUnknown:               {name: "unknown"},
	OpConverse:              {"converse", "Converse", "POST", true, false},
	OpConverseStream:        {"converse-stream", "ConverseStream", "POST", true, true},
	OpInvoke:                {"invoke", "InvokeModel", "POST", true, false},
	OpInvokeStream:          {"invoke-with-response-stream", "InvokeModelWithResponseStream", "POST", true, true},
	OpCountTokens:           {"count-tokens", "CountTokens", "POST", true, false},
	OpApplyGuardrail:        {"apply-guardrail", "ApplyGuardrail", "POST", false, false},
	OpInvokeGuardrailChecks: {"invoke-guardrail-checks", "InvokeGuardrailChecks", "POST", false, false},
	OpStartAsyncInvoke:      {"start-async-invoke", "StartAsyncInvoke", "POST", false, false},
	OpGetAsyncInvoke:        {"get-async-invoke", "GetAsyncInvoke", "GET", false, false},
	OpListAsyncInvokes:      {"list-async-invokes", "ListAsyncInvokes", "GET", false, false},
	OpInvokeBidirectional: {
		"invoke-with-bidirectional-stream", "InvokeModelWithBidirectionalStream", "POST", true, true,
	},
	OpChat:           {"chat-completions", "ChatCompletions", "POST", false, false},
	OpChatStream:     {"chat-completions-stream", "ChatCompletionsStream", "POST", false, true},
	OpResponse:       {"responses", "CreateResponse", "POST", false, false},
	OpResponseStream: {"responses-stream", "CreateResponseStream", "POST", false, true},
	OpGetResponse:    {"get-response", "GetResponse", "GET", false, false},
	OpDeleteResponse: {"delete-response", "DeleteResponse", "DELETE", false, false},
	OpCancelResponse: {"cancel-response", "CancelResponse", "POST", false, false},
	OpMessages:       {"messages", "CreateMessage", "POST", false, false},
	OpMessagesStream: {"messages-stream", "CreateMessageStream", "POST", false, true},
	OpCountMessages:  {"count-messages", "CountMessageTokens", "POST", false, false},

	OpCreateBatch:               {"batch", "CreateModelInvocationJob", "POST", false, false},
	OpGetBatch:                  {"get-batch", "GetModelInvocationJob", "GET", false, false},
	OpListBatches:               {"list-batches", "ListModelInvocationJobs", "GET", false, false},
	OpStopBatch:                 {"stop-batch", "StopModelInvocationJob", "POST", false, false},
	OpRetrieve:                  {"retrieve", "Retrieve", "POST", false, false},
	OpRetrieveAndGenerate:       {"retrieve-and-generate", "RetrieveAndGenerate", "POST", false, false},
	OpRetrieveAndGenerateStream: {"retrieve-and-generate-stream", "RetrieveAndGenerateStream", "POST", false, true},
	OpRerank:                    {"rerank", "Rerank", "POST", false, false},
	OpInvokeAgent:               {"invoke-agent", "InvokeAgent", "POST", false, true},

	OpListFoundationModels:  {"list-foundation-models", "ListFoundationModels", "GET", false, false},
	OpGetFoundationModel:    {"get-foundation-model", "GetFoundationModel", "GET", false, false},
	OpListInferenceProfiles: {"list-inference-profiles", "ListInferenceProfiles", "GET", false, false},
	OpGetInferenceProfile:   {"get-inference-profile", "GetInferenceProfile", "GET", false, false},
	OpGetModelAvailability: {
		"get-foundation-model-availability", "GetFoundationModelAvailability", "GET", false, false,
	},
	OpListOtherModels: {"list-other-models", "", "GET", false, false},
	OpOtherControl:    {"other-control-plane", "", "", false, false}, // reads and writes
}

// String returns the operation's name in configuration, "unknown" for OpUnknown.
func (o Operation) String() string { return operations[o].name }

// APIName returns the operation's name in AWS's service model, "" for OpUnknown.
func (o Operation) APIName() string { return operations[o].api }

// Method returns the HTTP method of the operation, "" for OpUnknown and for one that any method may ask for.
func (o Operation) Method() string { return operations[o].method }

// Streams reports whether the operation answers with an event stream.
func (o Operation) Streams() bool { return operations[o].streams }

// IsConverse reports whether the body has Converse's form, the same for all models.
func (o Operation) IsConverse() bool { return o == OpConverse || o == OpConverseStream }

// IsInvoke reports whether the body has the form of a model's own family.
func (o Operation) IsInvoke() bool { return o == OpInvoke || o == OpInvokeStream }

// IsOpenAI reports whether a model answers on one of OpenAI's own paths. The body has the path's form, the same for all
// models.
func (o Operation) IsOpenAI() bool { return o >= OpChat && o <= OpResponseStream }

// IsMessages reports whether a model answers on Anthropic's own path.
func (o Operation) IsMessages() bool { return o == OpMessages || o == OpMessagesStream }

// NamesModel reports whether the model is in the body alone, as on the paths of OpenAI's and Anthropic's own APIs.
func (o Operation) NamesModel() bool { return o.IsOpenAI() || o.IsMessages() || o == OpCountMessages }

// OnMantle reports whether the host bedrock-mantle has the operation.
func (o Operation) OnMantle() bool { return o.NamesModel() || o.OfStored() }

// Counts reports whether the operation counts the tokens of a request.
func (o Operation) Counts() bool { return o == OpCountTokens || o == OpCountMessages }

// Writes reports whether a model writes an answer that is there when the call ends.
func (o Operation) Writes() bool {
	return o.IsConverse() || o.IsInvoke() || o.IsOpenAI() || o.IsMessages()
}

// OfStored reports whether the operation is about a response that AWS has stored.
func (o Operation) OfStored() bool { return o >= OpGetResponse && o <= OpCancelResponse }

// Starts reports whether the operation starts a job, whose answers a model writes later.
func (o Operation) Starts() bool { return o == OpStartAsyncInvoke || o == OpCreateBatch }

// OfBatch reports whether the operation is about batch jobs, which the control plane has.
func (o Operation) OfBatch() bool { return o >= OpCreateBatch && o <= OpStopBatch }

// OfBegun reports whether the operation looks after batch jobs that were started.
func (o Operation) OfBegun() bool { return o.OfBatch() && o != OpCreateBatch }

// OnAgents reports whether the host bedrock-agent-runtime has the operation.
func (o Operation) OnAgents() bool { return o >= OpRetrieve && o <= OpInvokeAgent }

// Granted is the operation whose name in a tenant's operations allows this one. OpenAI's paths are allowed with
// Converse, and Anthropic's with InvokeModel: where their requests go for models that have no such path.
func (o Operation) Granted() Operation {
	switch {
	case o == OpChatStream, o == OpResponseStream:
		return OpConverseStream
	case o.IsOpenAI(), o.OfStored():
		return OpConverse
	case o == OpMessages:
		return OpInvoke
	case o == OpMessagesStream:
		return OpInvokeStream
	case o == OpCountMessages:
		return OpCountTokens
	case o.OfBatch():
		return OpCreateBatch
	case o == OpRetrieveAndGenerateStream:
		return OpRetrieveAndGenerate
	}
	return o
}

// Control reports whether the operation is one of the control plane that the gateway answers itself.
func (o Operation) Control() bool { return o >= OpListFoundationModels }

// ParseOperation finds an operation of the runtime by its name in configuration.
func ParseOperation(name string) (Operation, bool) {
	o, ok := find(func(o operation) bool { return o.name == name })
	if o.Control() {
		return OpUnknown, false
	}
	return o, ok
}

// OperationOf finds an operation by its name in AWS's service model.
func OperationOf(apiName string) (Operation, bool) {
	return find(func(o operation) bool { return o.api == apiName })
}

func find(is func(operation) bool) (op Operation, ok bool) {
	i := max(slices.IndexFunc(operations[:], is), int(OpUnknown))
	return Operation(i), i != int(OpUnknown)
}

// MaxIDLength is how long a model id or ARN may be, in bytes. The service model
// allows 2,048, but the longest ids that AWS gives have fewer than 200, and each
// stays in ledgers as long as what it cost.
const MaxIDLength = 256

// Target is where a request goes, read from its method and raw request target.
type Target struct {
	Op Operation
	// Model is the model id, percent-decoded once; empty for operations whose
	// path names none.
	Model string
	// Resource is the guardrail identifier, the invocation ARN, the knowledge base or agent, or
	// the model or profile of which the control plane is asked, decoded once.
	Resource string
	// Version is the guardrail version, or the alias of an agent.
	Version string
	// Session is that of an agent.
	Session string
	// Query is the raw query string without the question mark.
	Query string
	// Base begins OpenAI's own paths, "" for that of the runtime host.
	Base string
}

// ParseTarget reads a raw request target, as it was on the wire. basePath is an
// optional prefix of the path, "" for none.
//
// Ids are percent-decoded once. Slashes in an ARN may be raw, because some
// clients send them so, and everything between the fixed parts of the path is
// the id. Whatever two servers could read differently is refused: bad escapes,
// control bytes, empty and dotted segments, fragments, absolute targets.
func ParseTarget(method, raw, basePath string) (Target, *Error) {
	if raw == "" || raw[0] != '/' {
		return Target{}, Errorf(KindValidation, "The request target must be an absolute path.")
	}
	path, query, _ := strings.Cut(raw, "?")
	if !ValidTarget(raw) {
		return Target{}, Errorf(KindValidation, "The request target holds a byte or an escape that is not allowed.")
	}
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(basePath, "/")); ok && strings.HasPrefix(rest, "/") {
		path = rest
	}
	if path != "/" && !cleanSegments(path[1:]) {
		return Target{}, Errorf(KindValidation, "The path holds an empty or dotted segment.")
	}
	t, ok := route(method, path)
	if !ok {
		return Target{}, Errorf(KindUnknownOperation, "The requested operation is not recognized by the service.")
	}
	if want := t.Op.Method(); want != "" && method != want {
		return Target{}, Errorf(KindMethodNotAllowed, "The operation %s takes the method %s.", t.Op.APIName(), t.Op.Method())
	}
	t.Query = query
	return t.decoded()
}

// route matches the path against the shapes of the service model. Ids are
// still encoded. Only /async-invoke and the control plane need the method.
func route(method, path string) (Target, bool) {
	head, rest, _ := strings.Cut(path[1:], "/")
	switch head {
	case "model":
		slash := strings.LastIndexByte(rest, '/')
		if slash <= 0 {
			return Target{}, false
		}
		op, _ := ParseOperation(rest[slash+1:])
		return Target{Op: op, Model: rest[:slash]}, operations[op].onModel
	case "guardrail":
		id, tail, ok := cutLast(rest, "/version/")
		version, found := strings.CutSuffix(tail, "/apply")
		ok = ok && found && id != "" && version != "" && !strings.Contains(version, "/")
		return Target{Op: OpApplyGuardrail, Resource: id, Version: version}, ok
	case "guardrail-checks":
		return Target{Op: OpInvokeGuardrailChecks}, rest == "invoke"
	case "async-invoke":
		if rest != "" {
			return Target{Op: OpGetAsyncInvoke, Resource: rest}, true
		}
		if method == "GET" {
			return Target{Op: OpListAsyncInvokes}, true
		}
		return Target{Op: OpStartAsyncInvoke}, true
	case "model-invocation-jobs":
		return Target{Op: OpListBatches}, rest == ""
	case "model-invocation-job":
		return routeBatch(rest), true
	}
	if t, ok := routeAgents(head, rest); ok {
		return t, true
	}
	return routeControl(method, head, rest)
}

// routeBatch matches what is below the path of batch jobs.
func routeBatch(rest string) Target {
	if id, ok := strings.CutSuffix(rest, "/stop"); ok {
		return Target{Op: OpStopBatch, Resource: id}
	}
	if rest != "" {
		return Target{Op: OpGetBatch, Resource: rest}
	}
	return Target{Op: OpCreateBatch}
}

// otherModels are the paths of OpListOtherModels.
var otherModels = map[string]bool{
	"custom-models": true, "imported-models": true, "provisioned-model-throughputs": true, "prompt-routers": true,
	"model-customization/custom-model-deployments": true, "marketplace-model/endpoints": true,
}

// otherControl are the first segments of further paths of the control plane (service model bedrock 2023-04-20).
var otherControl = map[string]bool{
	"advanced-prompt-optimization-job": true, "advanced-prompt-optimization-jobs": true,
	"automated-reasoning-policies": true, "create-foundation-model-agreement": true, "custom-models": true,
	"delete-foundation-model-agreement": true, "enforcedGuardrailsConfiguration": true, "evaluation-job": true,
	"evaluation-jobs": true, "guardrails": true, "imported-models": true,
	"list-foundation-model-agreement-offers": true, "listTagsForResource": true, "logging": true,
	"marketplace-model": true, "model-copy-jobs": true, "model-customization": true, "model-customization-jobs": true,
	"model-import-jobs": true, "prompt-routers": true, "provisioned-model-throughput": true,
	"provisioned-model-throughputs": true, "resource-policy": true, "tagResource": true, "untagResource": true,
	"use-case-for-model-access": true,
}

// routeControl matches a path of the control plane: reads of models and profiles, and all else that it has.
func routeControl(method, head, rest string) (Target, bool) {
	t := Target{Resource: rest}
	switch head {
	case "foundation-models":
		t.Op = OpGetFoundationModel
		if rest == "" {
			t.Op = OpListFoundationModels
		}
	case "inference-profiles":
		t.Op = OpGetInferenceProfile
		if rest == "" {
			t.Op = OpListInferenceProfiles
		}
		if method == "POST" && rest == "" || method == "DELETE" && rest != "" {
			t = Target{Op: OpOtherControl} // the operator makes profiles
		}
	case "foundation-model-availability":
		t.Op = OpGetModelAvailability
		if rest == "" {
			return Target{}, false
		}
	default:
		if !otherControl[head] {
			return Target{}, false
		}
		t = Target{Op: OpOtherControl}
		if path := strings.TrimSuffix(head+"/"+rest, "/"); method == "GET" && otherModels[path] {
			t = Target{Op: OpListOtherModels, Resource: path}
		}
	}
	return t, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// decoded decodes the ids and refuses those that no Bedrock id looks like.
func (t Target) decoded() (Target, *Error) {
	for _, id := range []*string{&t.Model, &t.Resource, &t.Version, &t.Session} {
		*id = unescape(*id)
		if !ValidID(*id) && *id != "" {
			return Target{}, Errorf(KindValidation, "The provided identifier in the path is invalid.")
		}
	}
	return t, t.checkAgents()
}

// ValidID reports whether id may be the id of a model, guardrail or invocation:
// letters, digits and ._:/- only, no empty or dotted segment, at most
// MaxIDLength bytes, and no key of a caller within: ids are written where keys must not be.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxIDLength || holdsKey(id) {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !Unreserved(c) && c != ':' && c != '/' || c == '~' {
			return false
		}
	}
	return cleanSegments(id)
}

// cleanSegments reports whether no segment of a path, given without the slash that
// it begins with, is empty, "." or "..".
// Dots that are percent-encoded count as dots.
func cleanSegments(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		switch unescape(segment) {
		case "", ".", "..":
			return false
		}
	}
	return true
}

// unescape decodes a string whose escapes are known to be complete.
func unescape(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		panic("BUG: an escape that was not checked")
	}
	return decoded
}

// String returns the target in its one canonical spelling for the upstream:
// the ids as Smithy labels, the query as it came.
func (t Target) String() string {
	var room [256]byte // on the stack, enough for most
	b := room[:0]
	switch t.Op {
	case OpApplyGuardrail:
		b = AppendLabel(append(b, "/guardrail/"...), t.Resource)
		b = AppendLabel(append(b, "/version/"...), t.Version)
		b = append(b, "/apply"...)
	case OpInvokeGuardrailChecks:
		b = append(b, "/guardrail-checks/invoke"...)
	case OpStartAsyncInvoke, OpListAsyncInvokes:
		b = append(b, "/async-invoke"...)
	case OpGetAsyncInvoke:
		b = AppendLabel(append(b, "/async-invoke/"...), t.Resource)
	case OpCreateBatch, OpGetBatch, OpListBatches, OpStopBatch:
		b = t.appendBatch(b)
	case OpChat, OpChatStream, OpResponse, OpResponseStream, OpGetResponse, OpDeleteResponse, OpCancelResponse:
		b = t.appendOpenAI(b)
	case OpRetrieve, OpRetrieveAndGenerate, OpRetrieveAndGenerateStream, OpRerank, OpInvokeAgent:
		b = t.appendAgents(b)
	case OpMessages, OpMessagesStream:
		b = append(b, messagesPath...)
	case OpCountMessages:
		b = append(b, messagesPath+"/count_tokens"...)
	default:
		b = AppendLabel(append(b, "/model/"...), t.Model)
		b = append(append(b, '/'), operations[t.Op].name...)
	}
	if t.Query != "" {
		b = append(append(b, '?'), t.Query...)
	}
	return string(b)
}

// appendBatch appends the path of batch jobs, or of one.
func (t Target) appendBatch(b []byte) []byte {
	if t.Op == OpListBatches {
		return append(b, "/model-invocation-jobs"...)
	}
	b = append(b, "/model-invocation-job"...)
	if t.Resource != "" {
		b = AppendLabel(append(b, '/'), t.Resource)
	}
	if t.Op == OpStopBatch {
		b = append(b, "/stop"...)
	}
	return b
}
