package bedrock

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/outbound/outboundtest"
)

// TestProfileProblems: what a profile has that does not hold here, and one that is not
// there, are said in words for who wrote it. U3, U12
func TestProfileProblems(t *testing.T) {
	dir := t.TempDir()
	file, bundle := filepath.Join(dir, "config"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(bundle, outboundtest.NewAuthority(t).PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	f := func(text, profile, env string, warning bool, want string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_PROFILE", profile)
		t.Setenv("AWS_CA_BUNDLE", env)
		got := Problems(&config.Config{Upstream: config.Upstream{Region: "us-east-1"}})
		if want == "" && len(got) == 0 {
			return
		}
		if len(got) != 1 || got[0].Path != "upstream" || got[0].Warning != warning ||
			!strings.Contains(got[0].Message, want) {
			t.Errorf("%q as %q: %+v, want %q", text, profile, got, want)
		}
	}
	own := "[profile own]\nca_bundle = " + bundle + "\n"
	f(own, "own", "", true, "set ca_file, or the variable AWS_CA_BUNDLE, to "+bundle)
	f(own, "own", bundle, false, "")
	f("[profile own]\n", "own", "", false, "")
	f(own, "other", "", false, `there is no profile "other" (AWS_PROFILE) in `+file+" and "+filepath.Join(dir, "none"))
}
