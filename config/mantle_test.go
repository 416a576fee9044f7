package config

import (
	"strings"
	"testing"
)

// TestMantleMistakes: an upstream of kind mantle is one of the further ones, and takes no tags.
func TestMantleMistakes(t *testing.T) {
	const first = "upstream: {region: us-east-1}\nupstreams: {m: {"
	for text, want := range map[string]string{
		"upstream: {kind: mantle, region: us-east-1}":                   "1:18: error: upstream.kind: must be runtime: ",
		first + "kind: mantel, region: us-east-1}}":                     `2:23: error: upstreams["m"].kind: must be one of`,
		first + "kind: mantle, region: eu-west-1, tag_requests: true}}": `2:64: error: upstreams["m"].tag_requests: has no`,
		first + "kind: mantle}}\nmodel_upstreams: {x: n}":               `3:22: error: model_upstreams["x"]: there is no upstream`,
	} {
		_, err := load(&decoder{env: testEnv}, "sluice.yaml", []byte(text+"\ntenants: [{id: a}]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	c := mustParse(t, first+"kind: mantle, region: us-west-2}, n: {region: us-west-2}}\n")
	m, n := c.Upstreams["m"], c.Upstreams["n"]
	if !m.Mantle() || n.Mantle() || c.Upstream.Mantle() {
		t.Error(c.Upstreams)
	}
}
