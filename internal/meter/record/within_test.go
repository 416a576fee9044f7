package record

import "testing"

func TestWithin(t *testing.T) {
	f := func(tenant, other string, want bool) {
		t.Helper()
		if got := Within(tenant, other); got != want {
			t.Errorf("%q within %q: %t", tenant, other, got)
		}
	}
	f("acme", "acme", true)
	f("acme/a", "acme", true)
	f("acme/a/b", "acme/a", true)
	f("acme//K1", "acme", true)
	f("acme", "acme/a", false)
	f("acmeother", "acme", false)
	f("acme", "", false)
}
