package tools

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

const sums = "testdata/minutes.json"

// TestCommitSize: the golden files have loads of 0.1 to 4 units, whose best numbers were found by hand. A unit pays
// when it is used in 8.96 of the 24 minutes at $39.60, and in 6.27 at $27.72. The second unit is used for 10.0, the
// third for 7.8, the fourth for 3.2.
func TestCommitSize(t *testing.T) {
	f := func(name string, more ...string) {
		t.Helper()
		got, err := output(t, append([]string{"commit-size", "--minutes", sums, "--model", "claude-3-5-sonnet"}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		harness.Golden(t, name, got)
	}
	units := []string{
		"--unit-input", "260000", "--unit-output", "66000", "--term", "none=39.60", "--term", "6-months=27.72",
	}
	f("commit-size.txt", append(units, "--term", "dear=120")...)
	f("commit-size.json", append(units, "--format", "json", "--tenant", "acme")...)
	f("commit-size-reserved.txt", "--reserved-input", "60", "--reserved-output", "300", "--until", "2026-11-02T09:20:00Z")
}

// TestCommitSizeAsks reads the minutes of a gateway.
func TestCommitSizeAsks(t *testing.T) {
	answer, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const first = "2026-11-02T09:00:00Z"
		if q := r.URL.Query(); q.Get("since") <= first && q.Get("until") > first {
			w.Write(answer) //nolint:gosec // a test
			return
		}
		w.Write([]byte(`{"minutes":[]}`)) //nolint:gosec // a test
	}))
	defer gateway.Close()
	got, err := output(t, "commit-size", "--admin", gateway.URL, "--since", "2026-11-02T00:00:00Z", "--until",
		"2026-11-04T00:00:00Z", "--model", "sonnet", "--unit-input", "260000", "--term", "none=39.60")
	if err != nil || !strings.Contains(got, "2880 minutes, 24 with calls, $65.84 on demand") {
		t.Errorf("%v\n%s", err, got)
	}
	gateway.Close()
	_, err = output(t, "commit-size", "--admin", gateway.URL, "--model", "sonnet", "--reserved-input", "3")
	if !errors.Is(err, errSilent) {
		t.Error(err)
	}
}

func TestCommitSizeRefuses(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, err := output(t, append([]string{"commit-size"}, args...)...)
		var bad command.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	with := func(args ...string) []string { return append(args, "--minutes", sums) }
	f("what capacity costs", with()...)
	f("no format", with("--format", "xml")...)
	f("what a model unit serves", with("--term", "none=3")...)
	f("--term is NAME=USD", with("--term", "3", "--unit-input", "1")...)
	f("--term is NAME=USD", with("--term", "none=free", "--unit-input", "1")...)
	f("are from 0 to", with("--unit-input", "-1")...)
	f("no amount of dollars", with("--reserved-input", "-1")...)
	f("there is nothing to size", with("--reserved-input", "1", "--model", "opus")...)
	f("there is nothing to size", with("--reserved-input", "1", "--until", "2026-01-01T00:00:00Z")...)
	f("--since is how long ago", with("--reserved-input", "1", "--since", "lately")...)
	f("no such file", "--reserved-input", "1", "--minutes", "/nonexistent")
	f("is no answer of /api/v1/minutes", "--reserved-input", "1", "--minutes", harness.File(t, "m.json", "[]"))
	f("there is no minute", "--reserved-input", "1", "--minutes", harness.File(t, "m.json", "{}"))
	f("--config FILE or --admin ADDR is needed", "--reserved-input", "1")
}
