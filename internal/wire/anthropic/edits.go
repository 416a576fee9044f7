package anthropic

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// untakenEdits are edits of the context that Bedrock answers with 400. They spare tokens and
// change no answer, so that a request is served without them.
var untakenEdits = map[string]bool{"clear_thinking_20251015": true}

// edits appends context_management without the edits that Bedrock does not take: as it is, when
// it has none of them.
func (b *body) edits(out []byte, m *caller.Member, policy caller.Policy, n *caller.Native) ([]byte, *caller.Failure) {
	var asked struct {
		Edits []json.RawMessage `json:"edits"`
	}
	raw := b.Text(m)
	if json.Unmarshal(raw, &asked) != nil {
		return append(out, b.Raw[m.Start:m.End]...), nil // Bedrock says what is wrong with it
	}
	kept := asked.Edits[:0:0]
	for _, edit := range asked.Edits {
		var e struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(edit, &e) != nil || !untakenEdits[e.Type] {
			kept = append(kept, edit)
			continue
		}
		if policy == caller.PolicyRefuse {
			return nil, unsupported("context_management.edits", "Bedrock does not take "+e.Type)
		}
		n.Dropped = append(n.Dropped, "context_management:"+e.Type)
	}
	switch {
	case len(kept) == len(asked.Edits):
		return append(out, b.Raw[m.Start:m.End]...), nil
	case len(kept) == 0:
		return out[:len(out)-1], nil // with the comma before it
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return append(out, b.Raw[m.Start:m.End]...), nil
	}
	members["edits"] = encode(kept)
	return append(append(out, `"context_management":`...), encode(members)...), nil
}
