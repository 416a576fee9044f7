package tenant

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// ClaimedKey is the key id that a caller named who was refused, for logs: nothing proves
// that it is theirs. It is "" where the credential has none of Sluice's form. It never
// returns a part of a secret.
func ClaimedKey(h wire.Header) string {
	value := h.Get("authorization")
	i := strings.Index(value, keyIDPrefix)
	if i < 0 || len(value)-i < keyIDLength {
		return ""
	}
	if id := value[i:][:keyIDLength]; IsKeyID(id) {
		return id
	}
	return ""
}
