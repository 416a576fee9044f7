package tenant

import "github.com/sluice-gateway/sluice/internal/wire"

// defaultOperations are allowed to a tenant that names none.
var defaultOperations = []string{
	"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens", "apply-guardrail",
}

// AllowsModel reports whether the tenant may use a model, given by every id
// that it goes by: as it was asked for and as it resolved. Each must match
// models and none may match deny_models. Without any id it reports false.
func (t *Tenant) AllowsModel(ids ...string) bool {
	for _, id := range ids {
		if t.deny.Match(id) || !t.models.Match(id) {
			return false
		}
	}
	return len(ids) > 0
}

// AllowsOperation reports whether the tenant may call the operation.
func (t *Tenant) AllowsOperation(op wire.Operation) bool { return t.operations[op] }
