package wire

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
)

// Target is where a request goes, read from its method and raw request target.
type Target struct {
	Op Operation
	// Model is the model id, percent-decoded once; empty for operations whose
	// path names none.
	Model string
	// Resource is the guardrail identifier or the invocation ARN, decoded once.
	Resource string
	// Version is the guardrail version.
	Version string
	// Query is the raw query string without the question mark.
	Query string
}
