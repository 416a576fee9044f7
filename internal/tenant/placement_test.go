package tenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
)

// TestResidencyNarrows gives tenants the strictest residency, and all requirements, of those above them.
func TestResidencyNarrows(t *testing.T) {
	d := mustBuild(t, nil, config.Tenant{ID: "a", Residency: "geo", Require: []string{"indemnity"}},
		config.Tenant{ID: "a/none"}, config.Tenant{ID: "a/region", Residency: "region", Require: []string{"residency"}},
		config.Tenant{ID: "a/region/x", Require: []string{"indemnity"}}, config.Tenant{ID: "b", Residency: "any"})
	f := func(id, residency string, require ...string) {
		t.Helper()
		got := d.Lookup(id)
		if diff := cmp.Diff(require, got.Require); got.Residency != residency || diff != "" {
			t.Errorf("%s: %q, %s", id, got.Residency, diff)
		}
	}
	f("a/none", "geo", "indemnity")
	f("a/region", "region", "residency", "indemnity")
	f("a/region/x", "region", "indemnity", "residency")
	f("b", "any")
}

// TestResidencyOfThoseAbove refuses a tenant that would go further than one above it, in any order of the file.
func TestResidencyOfThoseAbove(t *testing.T) {
	_, problems := Build(&config.Config{Tenants: []config.Tenant{
		{ID: "a/b/c", Residency: "any"}, {ID: "a/b"}, {ID: "a", Residency: "region"}, {ID: "a/d", Residency: "region"},
	}}, nil)
	if len(problems) != 1 || problems[0].Path != "tenants[0].residency" || problems[0].Warning ||
		!strings.Contains(problems[0].Message, "any lets requests go further than region of a above it does") {
		t.Errorf("%+v", problems)
	}
}
