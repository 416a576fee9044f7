package api

import (
	"strings"
	"testing"
)

// TestEveryRouteIsDescribed: openapi.yaml has each path that is routed here.
func TestEveryRouteIsDescribed(t *testing.T) {
	for _, r := range routes() {
		if !strings.Contains(string(description), "\n  "+r.path+":\n") {
			t.Errorf("%s is not described", r.path)
		}
	}
}
