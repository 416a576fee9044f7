package wire

import (
	"cmp"
	"strings"
)

// routeAgents matches the paths of the host bedrock-agent-runtime.
func routeAgents(head, rest string) (Target, bool) {
	part := strings.Split(rest, "/")
	switch {
	case head == "knowledgebases" && len(part) == 2 && part[1] == "retrieve":
		return Target{Op: OpRetrieve, Resource: part[0]}, true
	case head == "agents" && len(part) == 6 && part[1] == "agentAliases" && part[3] == "sessions" && part[5] == "text":
		return Target{Op: OpInvokeAgent, Resource: part[0], Version: part[2], Session: part[4]}, true
	case rest != "":
		return Target{}, false
	}
	op := map[string]Operation{
		"retrieveAndGenerate": OpRetrieveAndGenerate, "retrieveAndGenerateStream": OpRetrieveAndGenerateStream,
		"rerank": OpRerank,
	}[head]
	return Target{Op: op}, op != OpUnknown
}

// checkAgents refuses ids that none of the host bedrock-agent-runtime looks like.
func (t *Target) checkAgents() *Error {
	if t.Op.OnAgents() && (!shortID(t.Resource) || !shortID(t.Version) || len(t.Session) > maxAgentSession) {
		return Errorf(KindValidation, "The path of %s needs ids of at most 10 letters and digits, not ARNs, and a session "+
			"of at most %d bytes.", t.Op.APIName(), maxAgentSession)
	}
	return nil
}

// maxAgentSession is how long the session of an agent may be (service model).
const maxAgentSession = 100

// shortID reports whether an id may be that of a knowledge base, an agent or an alias, or is none (service model).
func shortID(id string) bool {
	for i := range len(id) {
		digit, letter := id[i]-'0' <= 9, (id[i]|0x20)-'a' < 26
		if !digit && !letter {
			return false
		}
	}
	return len(id) <= 10
}

// appendAgents appends a path of the host bedrock-agent-runtime.
func (t Target) appendAgents(b []byte) []byte {
	switch t.Op {
	case OpRetrieve:
		return append(AppendLabel(append(b, "/knowledgebases/"...), t.Resource), "/retrieve"...)
	case OpRerank:
		return append(b, "/rerank"...)
	case OpInvokeAgent:
		b = AppendLabel(append(b, "/agents/"...), t.Resource)
		b = AppendLabel(append(b, "/agentAliases/"...), t.Version)
		b = AppendLabel(append(b, "/sessions/"...), t.Session)
		return append(b, "/text"...)
	case OpRetrieveAndGenerateStream:
		return append(b, "/retrieveAndGenerateStream"...)
	}
	return append(b, "/retrieveAndGenerate"...)
}

// OpenAIBase begins OpenAI's own paths on the runtime host.
const OpenAIBase = "/openai/v1"

const messagesPath = "/anthropic/v1/messages"

// appendOpenAI appends one of OpenAI's own paths.
func (t Target) appendOpenAI(b []byte) []byte {
	b = append(b, cmp.Or(t.Base, OpenAIBase)...)
	if t.Op == OpChat || t.Op == OpChatStream {
		return append(b, "/chat/completions"...)
	}
	b = append(b, "/responses"...)
	if t.Op.OfStored() {
		b = AppendLabel(append(b, '/'), t.Resource)
	}
	if t.Op == OpCancelResponse {
		b = append(b, "/cancel"...)
	}
	return b
}

// AppendLabel appends s as a Smithy HTTP label: each byte other than
// A-Z a-z 0-9 - . _ ~ becomes %XX in upper case (Smithy 2.0, HTTP bindings,
// httpLabel serialization rules).
func AppendLabel(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = AppendEscaped(dst, s[i])
	}
	return dst
}
