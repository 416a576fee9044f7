package bedrock

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// TestGenerations keeps an engine while its options stay, and an engine that was
// replaced until its last request must be over.
func TestGenerations(t *testing.T) {
	var g Generations
	start := time.Unix(0, 0)
	engine := func(region, ca string, longest time.Duration) *Engine {
		t.Helper()
		u := config.Upstream{Region: region, Endpoint: "http://127.0.0.1:1", BearerToken: "b", CAFile: ca}
		e, err := g.Engine(t.Context(), Options{Upstreams: map[string]config.Upstream{"": u}}, longest, start)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := engine("us-east-1", "", time.Minute)
	if again := engine("us-east-1", "", time.Hour); again != first {
		t.Error("the same options have another engine")
	}
	if second := engine("eu-west-1", "", time.Minute); second == first || len(g.retired) != 1 {
		t.Error("other options have the same engine")
	}
	g.Expire(start.Add(time.Hour - 1))
	if len(g.retired) != 1 {
		t.Error("an engine was closed while a request may use it")
	}
	g.Expire(start.Add(time.Hour))
	if len(g.retired) != 0 {
		t.Error("an engine that nobody uses was not closed")
	}
	bad := Options{Upstreams: map[string]config.Upstream{"": {Region: "r", Endpoint: "http://127.0.0.1:1",
		CAFile: "/nonexistent"}}}
	if _, err := g.Engine(t.Context(), bad, time.Minute, start); err == nil {
		t.Error("an engine without its certificates")
	}
	g.Close()
}
