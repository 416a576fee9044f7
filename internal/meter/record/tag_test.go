package record

import (
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	check := func(tenant, key string, want Owner) {
		t.Helper()
		tags := (&Start{ID: "01JD", Tenant: tenant, Key: key, Path: "direct"}).Tags()
		if tags[0].Key != TagKey || tags[0].Value != "01JD" {
			t.Errorf("%v", tags)
		}
		if want == (Owner{}) {
			if len(tags) > 1 {
				t.Errorf("%s: %v", tenant, tags)
			}
			return
		}
		if got, ok := ParseOwner(tags[1].Value); !ok || got != want || tags[1].Key != OwnerKey {
			t.Errorf("%s: %v, read as %+v", tenant, tags, got)
		}
	}
	check("acme/support", "k1", Owner{"acme/support", "k1", "direct"})
	check("acme", "", Owner{"acme", "", "direct"})
	check("acme/größe", "k1", Owner{})
	check("acme/"+strings.Repeat("x", 250), "k1", Owner{})
	for _, bad := range []string{"", "acme", "acme k", " k direct", "acme k direct more", "acme  direct"} {
		if o, ok := ParseOwner(bad); ok {
			t.Errorf("%q is %+v", bad, o)
		}
	}
}
