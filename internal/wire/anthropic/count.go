package anthropic

import (
	"encoding/base64"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// count makes the question for the count of a request's tokens: of Claude's own body, or of
// Converse's. Where the upstream does not count for the model, the gateway estimates.
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
		n.Dropped, n.Count, n.CountOp = t.Dropped, t.body(), wire.OpConverse
		n.Body = append(append([]byte(`{"input":{"converse":`), n.Count...), `}}`...)
		return n, nil
	}
	if failure := b.invoke(r, n); failure != nil {
		return nil, failure
	}
	if b.Find("max_tokens") == nil { // which InvokeModel wants, and the question does not have
		n.Body = append(n.Body[:len(n.Body)-1], `,"max_tokens":1}`...)
	}
	n.Count, n.CountOp = n.Body, wire.OpInvoke
	coded := base64.StdEncoding.EncodeToString(n.Body)
	n.Body = append(append([]byte(`{"input":{"invokeModel":{"body":"`), coded...), `"}}}`...)
	return n, nil
}
