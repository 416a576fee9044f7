package leg

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestUser walks the places in which a request says whom it is for.
func TestUser(t *testing.T) {
	f := func(from *config.Users, op wire.Operation, dialect, body, header, want string) {
		t.Helper()
		r := &Request{Snapshot: &snapshot.Snapshot{Config: &config.Config{Users: from}}, Body: []byte(body),
			Caller: &tenant.Identity{Tenant: &tenant.Tenant{Root: "acme"}}, Target: wire.Target{Op: op}}
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header = wire.Header{{Name: name, Value: value}}
		}
		if err := r.Facts.Read(op, wire.DialectNamed(dialect), r.Body); err != nil {
			t.Fatal(err)
		}
		got := r.user(&r.Facts)
		if want == "hashed" {
			if len(got) != 16 || got != r.user(&r.Facts) {
				t.Errorf("%s: %q is no hash", body, got)
			}
		} else if got != want {
			t.Errorf("%s %s: %q, want %q", body, header, got, want)
		}
	}
	all := &config.Users{Header: "X-User", Metadata: "who", Body: true}
	f(nil, wire.OpInvoke, "openai", `{"user":"ann"}`, "X-User: bob", "")
	f(all, wire.OpInvoke, "openai", `{"user":"ann"}`, "x-USER: bob", "bob")
	f(all, wire.OpInvoke, "openai", `{"user":"\u0061nn"}`, "", "ann")
	f(all, wire.OpInvoke, "openai", `{"user":"(other)"}`, "", "hashed")
	f(all, wire.OpInvoke, "openai", `{"user":7}`, "", "")
	f(all, wire.OpInvoke, "anthropic", `{"metadata":{"user_id":"ann"}}`, "", "ann")
	f(all, wire.OpInvoke, "llama", `{"user":"ann"}`, "", "")
	f(all, wire.OpConverse, "", `{"requestMetadata":{"team":"x","who":"ann"}}`, "", "ann")
	f(all, wire.OpInvoke, "openai", `{"user":"ann"}`, `X-Amzn-Bedrock-Request-Metadata: {"who":"eve"}`, "eve")
	f(all, wire.OpInvoke, "openai", `{"user":"ann"}`, `X-Amzn-Bedrock-Request-Metadata: {"who":7}`, "ann")
	f(&config.Users{Body: true}, wire.OpConverse, "", `{"requestMetadata":{"who":"ann"}}`, "", "")
	f(all, wire.OpInvoke, "openai", `{"user":"`+strings.Repeat("a", 65)+`"}`, "", "hashed")
	f(all, wire.OpInvoke, "openai", `{"user":"a b\n|"}`, "", "hashed")
	f(&config.Users{Body: true, Hash: true}, wire.OpInvoke, "openai", `{"user":"ann"}`, "", "hashed")
	f(&config.Users{Body: true, Hash: true}, wire.OpInvoke, "openai", `{"user":""}`, "", "")
}
