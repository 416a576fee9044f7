package anthropic

import (
	"encoding/base64"
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// count makes the question for the count of a request's tokens: of Claude's own body, or of
// Converse's. Where the upstream does not count for a model that is known, the gateway estimates.
func (b *body) count(r *caller.Request, m *caller.Model) (*caller.Native, *caller.Failure) {
	if m.Mantle && m.Family == Family {
		n := b.onMantle(r, m, wire.OpCountMessages)
		n.Count, n.CountOp = n.Body, wire.OpInvoke
		return n, nil
	}
	n := &caller.Native{Op: wire.OpCountTokens, Model: m.ID, Session: session(r.Header)}
	if m.Family != Family {
		t, failure := translate(r, m, true)
		if failure != nil {
			return nil, failure
		}
		body := t.body()
		if failure = r.Take(len(body)); failure != nil {
			return nil, failure
		}
		n.Dropped, n.Body = t.Dropped, slices.Concat([]byte(`{"input":{"converse":`), body, []byte(`}}`))
		if m.Listed || m.Family != "" {
			n.Count, n.CountOp = body, wire.OpConverse
		}
		return n, nil
	}
	if failure := b.invoke(r, n); failure != nil {
		return nil, failure
	}
	if b.Find("max_tokens") == nil { // which InvokeModel wants, and the question does not have
		n.Body = append(n.Body[:len(n.Body)-1], `,"max_tokens":1}`...)
	}
	n.Count, n.CountOp = n.Body, wire.OpInvoke
	const open, end = `{"input":{"invokeModel":{"body":"`, `"}}}`
	size := len(open) + base64.StdEncoding.EncodedLen(len(n.Body)) + len(end)
	if failure := r.Take(size); failure != nil {
		return nil, failure
	}
	n.Body = append(base64.StdEncoding.AppendEncode(append(make([]byte, 0, size), open...), n.Body), end...)
	return n, nil
}
