package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestInvalid: what is the user's mistake stays one however often it is wrapped.
func TestInvalid(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		var bad InvalidError
		if errors.As(err, &bad) != want {
			t.Errorf("%v", err)
		}
	}
	f(fmt.Errorf("wrapped: %w", Invalidf("--flag")), true)
	f(InvalidIf(fmt.Errorf("reading: %w", os.ErrNotExist), os.ErrNotExist), true)
	f(InvalidIf(os.ErrPermission, os.ErrNotExist), false)
	if err := Invalid(nil); err != nil {
		t.Errorf("%v", err)
	}
}

// TestConfigured loads what --config names, before the command runs.
func TestConfigured(t *testing.T) {
	var got *config.Config
	f := func(text, want string) {
		t.Helper()
		cmd := Configured(&cobra.Command{Use: "try", Args: Args(cobra.NoArgs)},
			func(_ *cobra.Command, cfg *config.Config) error {
				got = cfg
				_, err := Compile(cfg)
				return err
			})
		_, err := harness.Execute(t, []*cobra.Command{cmd}, "try", "--config", harness.File(t, "sluice.yaml", text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f("upstream: {endpoint: sandbox}\ndata_dir: d\n", "")
	if !strings.HasSuffix(string(JournalDir(got)), "d/journal") {
		t.Error(JournalDir(got))
	}
	if dir, ever := Corrected(got); ever || !strings.HasSuffix(string(dir), "d/corrections") {
		t.Error(dir, ever)
	}
	f("upstream: {endpoint: sandbox}\nnonsense: 1\n", "unknown key")
	f("upstream: {endpoint: sandbox}\ntenants: [{id: a, keys: [short]}]\n", "tenants[0].keys[0]")
	got.Ledger.Redis = "redis://127.0.0.1:1/x"
	if _, err := OpenRedis(got); err == nil || !strings.Contains(err.Error(), "ledger.redis") {
		t.Errorf("%v", err)
	}
	if o := MeterOptions(got, nil); o.Disk != JournalDir(got) || o.Keep != got.Journal.Keep || o.Now == nil {
		t.Errorf("%+v", o)
	}
}
