package router

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
)

// TestRoute: the members of a pool that may take calls of a model, by residency and by the region of an ARN.
func TestRoute(t *testing.T) {
	cfg := baseConfig()
	cfg.Upstream.Region = "us-east-1"
	cfg.Upstreams = map[string]config.Upstream{"west": {Region: "us-west-2"}, "eu": {Region: "eu-west-1"}}
	cfg.Pools = map[string]pools.Pool{"all": {Order: pools.AsListed, Members: []pools.Member{
		{Upstream: "", Weight: 1}, {Upstream: "west", Weight: 1}, {Upstream: "eu", Weight: 1},
	}}}
	r := mustCompile(t, cfg)
	f := func(model string, b Bounds, upstream, members string) {
		t.Helper()
		route, err := r.Route(model, &b)
		var names []string
		for _, m := range route.Members {
			names = append(names, m.Upstream)
		}
		got := strings.Join(names, ",")
		if err != nil || route.Upstream != upstream || got != members || route.Pool != "all" {
			t.Errorf("%s %+v: %+v, %v", model, b, route, err)
		}
	}
	f(lite, Bounds{Upstream: "all"}, "", ",west,eu")
	f(lite, Bounds{Upstream: "all", Residency: "any"}, "", ",west,eu")
	f(lite, Bounds{Upstream: "all", Residency: "geo"}, "", ",west")
	f(lite, Bounds{Upstream: "all", Residency: "region"}, "", "")
	f("arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/x", Bounds{Upstream: "all"}, "eu", "eu")
	const abroad = "arn:aws:bedrock:ap-south-1:123456789012:provisioned-model/x"
	if _, err := r.Route(abroad, &Bounds{Upstream: "all"}); err == nil {
		t.Error("no member has that region")
	}
	route, err := r.Route(lite, &Bounds{Upstream: "west"})
	if err != nil || route.Pool != "" || route.Upstream != "west" {
		t.Error(route, err)
	}
	if at := r.Region(lite, "all"); at != "us-east-1" {
		t.Error(at)
	}
}

// TestPoolHome: a pool in which no member meets a tenant's residency is a mistake where it takes every model, and a
// warning where it takes some.
func TestPoolHome(t *testing.T) {
	for glob, want := range map[string]string{"*": "mistake", "us.*": "warning"} {
		for residency, home := range map[string]string{"geo": "eu", "region": "eu", "any": "eu", "": "eu"} {
			cfg := baseConfig()
			cfg.Upstreams = map[string]config.Upstream{"west": {Region: "us-west-2"}, "eu": {Region: "eu-west-1"}}
			cfg.Pools = map[string]pools.Pool{"us": {Members: []pools.Member{{Upstream: "west"}}}}
			cfg.ModelUpstreams = []config.ModelUpstream{{Glob: glob, Name: "us"}}
			cfg.Tenants = []config.Tenant{{ID: "acme", Residency: residency, Upstream: home}}
			_, problems := Compile(cfg)
			got := ""
			for _, p := range problems {
				if p.Path == "tenants[0].residency" {
					got = map[bool]string{true: "warning", false: "mistake"}[p.Warning]
				}
			}
			if bound := residency == "geo" || residency == "region"; bound && got != want || !bound && got != "" {
				t.Errorf("%s %q: %q", glob, residency, got)
			}
		}
	}
}
