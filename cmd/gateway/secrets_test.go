package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/test/harness"
)

// withSecrets is a configuration whose secrets are in no shell.
const withSecrets = `data_dir: data
admin: {listen: "0.0.0.0:9090", token: "${SLUICE_TEST_TOKEN}"}
upstream: {region: us-east-1, bearer_token: "${SLUICE_TEST_BEARER}"}
tenants:
  - {id: a, keys: ["${SLUICE_TEST_KEY}"], webhook: "${SLUICE_TEST_HOOK}", webhook_secret: "${SLUICE_TEST_SECRET}"}
`

// TestCommandsAskForNoSecrets runs every command that takes a configuration, but for those
// that a gateway runs by. Whatever else they lack, it is no secret. U16
func TestCommandsAskForNoSecrets(t *testing.T) {
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	needs := map[string][]string{
		"gateway prices show": {"amazon.nova-lite-v1:0"}, "gateway keys show": {"SLKAAAAAAAAAAAAAAAAAAAAA"},
		"gateway keys new":      {"--tenant", "a"},
		"gateway money adjust":  {"--tenant", "a"},
		"gateway explain":       {"--tenant", "a", "--model", "amazon.nova-lite-v1:0"},
		"gateway calibrate":     {"--cascade", "x"},
		"gateway prices rerate": {"--yes"},
	}
	whole := map[string]bool{"gateway serve": true, "gateway check": true, "gateway doctor": true}
	tried := 0
	var each func(*cobra.Command)
	each = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			each(below)
		}
		path := cmd.CommandPath()
		if cmd.Flags().Lookup("config") == nil || whole[path] {
			return
		}
		tried++
		file := harness.File(t, "sluice.yaml", withSecrets)
		fresh := root()
		args := append(strings.Fields(path)[1:], needs[path]...)
		fresh.SetArgs(append(args, "--config", file))
		var out bytes.Buffer
		fresh.SetOut(&out)
		fresh.SetErr(&out)
		if err := fresh.ExecuteContext(t.Context()); err != nil && strings.Contains(err.Error(), "environment variable") {
			t.Errorf("%s: %v", path, err)
		}
	}
	each(root())
	if tried < 10 {
		t.Errorf("only %d commands", tried)
	}
	t.Log(tried, "commands")
}
