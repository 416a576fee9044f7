package api

import (
	"os"
	"strings"
	"testing"
)

// TestEveryRouteIsDescribed: openapi.yaml has each path that is routed here. TestContract compares
// them the other way.
func TestEveryRouteIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for path := range routes() {
		if !strings.Contains(string(text), "\n  "+path+":\n") {
			t.Errorf("%s is not described", path)
		}
	}
}
