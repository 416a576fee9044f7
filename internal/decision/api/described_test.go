package api

import (
	"maps"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestEveryRouteIsDescribed: openapi.yaml has each path that is routed here. TestContract compares
// them the other way.
func TestEveryRouteIsDescribed(t *testing.T) { harness.Described(t, "", maps.Keys(routes())) }
