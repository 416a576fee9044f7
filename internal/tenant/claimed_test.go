package tenant

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestClaimedKey: a failed authentication names the key, never a secret.
func TestClaimedKey(t *testing.T) {
	s := mustLoad(t, "", environ(newRoot, ""))
	id := mustKeyID(t, s)
	c := mustCredentials(t, s, id)
	f := func(value, want string) {
		t.Helper()
		if got := ClaimedKey(wire.Header{{Name: "Authorization", Value: value}}); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
	f("Bearer "+c.Bearer, id)
	f("bearer "+c.Bearer+"x", id)
	f("AWS4-HMAC-SHA256 Credential="+id+"/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0", id)
	f("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261129/us-east-1/bedrock/aws4_request", "")
	f("Bearer "+strings.Repeat("x", 100), "")
	f("Bearer "+c.SecretAccessKey, "")
	f("Bearer SLK", "")
	f("", "")
	if ClaimedKey(nil) != "" {
		t.Error("without a header")
	}
}
