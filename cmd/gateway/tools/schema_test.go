package tools

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

func TestSchema(t *testing.T) {
	got, err := output(t, "schema")
	if err != nil || got != string(config.Schema()) || !strings.Contains(got,
		`"$schema": "https://json-schema.org/draft/2020-12/schema"`) {
		t.Errorf("%v\n%s", err, got)
	}
}
