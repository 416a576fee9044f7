package config

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestAccessLog: the path is relative to the file that has it, stdout is no path, and a
// change needs a restart.
func TestAccessLog(t *testing.T) {
	dir := t.TempDir()
	f := func(value, want string) *Config {
		t.Helper()
		text := "upstream: {endpoint: sandbox, region: r}\ntelemetry: {access_log: " + value + "}\n"
		c, err := load(&decoder{env: testEnv}, filepath.Join(dir, "sluice.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c.Telemetry.AccessLog != want {
			t.Errorf("%s: %q", value, c.Telemetry.AccessLog)
		}
		return c
	}
	off := f(`""`, "")
	on := f("logs/access.jsonl", filepath.Join(dir, "logs/access.jsonl"))
	f("/var/log/sluice.jsonl", "/var/log/sluice.jsonl")
	f("stdout", "stdout")
	if changed := Keep(off, on); !slices.Contains(changed, "telemetry.access_log") {
		t.Errorf("%q", changed)
	}
}
