package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/test/harness"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// certified is a snapshot with a cascade that enforces, and where its files are.
type certified struct {
	*Snapshot
	certificate, score string
}

// load compiles a cascade that enforces and has a certificate, changed by edit. It
// returns what is wrong with the cascade's files.
func load(t *testing.T, edit func(*certify.Binding)) (c certified, wrong string) {
	t.Helper()
	dir := t.TempDir()
	c = certified{certificate: filepath.Join(dir, "cert.json"), score: filepath.Join(dir, "support.score")}
	cfg, err := config.Load(harness.File(t, "test.yaml", fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
tenants: [{id: b/x}, {id: a}, {id: b/y}]
cascades:
  - name: support
    match: request.model == "auto"
    mode: enforce
    light: amazon.nova-lite-v1:0
    escalation: us.amazon.nova-pro-v1:0
    certificate: %s
    score: %s
    shadow: {tenant: a, fraction: 1}
`, c.certificate, c.score)), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c.Snapshot, _ = Compile(cfg, nil, now)
	c.certify(t, edit)
	return c, c.again(t)
}

// again compiles the same configuration again.
func (c *certified) again(t *testing.T) (wrong string) {
	t.Helper()
	var problems []config.Problem
	c.Snapshot, problems = Compile(c.Config, nil, now)
	for _, p := range problems {
		if !p.Warning {
			t.Errorf("%v is no warning", p)
		}
		wrong += p.Message + "\n"
	}
	return wrong
}

// certify writes a certificate for the cascade as it is, changed by edit.
func (c *certified) certify(t *testing.T, edit func(*certify.Binding)) {
	t.Helper()
	binding := c.Binding(&c.Config.Cascades[0], now)
	edit(&binding)
	curve := []certify.Point{{Threshold: 0.5, Saving: 0.1}, {Threshold: 1, Saving: 0.2}}
	cert := certify.Issue(&certify.Report{N: 1000, Bound: 0.01, Certified: 1, Curve: curve},
		certify.Options{MaxLoss: 0.02, Delta: 0.1}, binding, now)
	write(t, c.certificate, cert.Encode())
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func asIs(*certify.Binding) {}

// trained writes a score file and returns its hash.
func trained(t *testing.T, file string) string {
	t.Helper()
	m, _ := score.CrossFit(nil, nil, score.Unkeyed)
	data := m.Encode()
	write(t, file, data)
	return score.FileHash(data)
}

// TestRoots listens for every root tenant, once.
func TestRoots(t *testing.T) {
	s, _ := load(t, asIs)
	if want := []string{"a", "b"}; !slices.Equal(s.Roots, want) {
		t.Errorf("%q, want %q", s.Roots, want)
	}
}

// TestReloadArtifacts reads new files of a cascade together, and keeps the old
// ones while the new ones do not belong together.
func TestReloadArtifacts(t *testing.T) {
	s, wrong := load(t, asIs)
	if !strings.Contains(wrong, "support.score") {
		t.Errorf("without its score file: %q", wrong)
	}
	if s.Artifacts["support"].Certificate == nil {
		t.Fatal("a certificate about the untrained order needs no score")
	}
	f := func(name, want string, kept bool) {
		t.Helper()
		next, problems := s.ReloadArtifacts(now)
		if (want == "") != (len(problems) == 0) || len(problems) > 0 && !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: %v", name, problems)
		}
		if got := next.Artifacts["support"] == s.Artifacts["support"]; got != kept {
			t.Errorf("%s: the old files are kept: %v", name, got)
		}
	}
	f("still no score", "there is no file", true)
	hash := trained(t, s.score)
	f("whole files", "", false)
	s.certify(t, func(b *certify.Binding) { b.Scores[certify.RoleScore] = "another" })
	f("a certificate about another score", "scores", true)
	s.certify(t, func(b *certify.Binding) { b.Scores[certify.RoleScore] = hash })
	f("one about this score", "", false)
	write(t, s.certificate, []byte("{"))
	f("half a certificate", "certificate", true)
}

// TestQuality shows a bound only for a certificate that the line obeys, and says
// of any other what is wrong with it.
func TestQuality(t *testing.T) {
	quality := func(s *certified) saving.Quality { return s.Baselines()[0].Quality }
	f := func(what, want string, edit func(*certify.Binding)) {
		t.Helper()
		s, _ := load(t, edit)
		if got := quality(&s).String(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	f("as it is", "at most 1 points, 90 % sure, n = 1000", asIs)
	f("prices", "uncertified: certificate is void: prices changed", func(b *certify.Binding) { b.PricesHash = "another" })
	f("models", "uncertified: certificate is void: models changed", func(b *certify.Binding) { b.Models[0] = "another" })

	s, _ := load(t, asIs)
	data, err := os.ReadFile(s.certificate)
	if err != nil {
		t.Fatal(err)
	}
	again := func(what, want string, contents []byte) {
		t.Helper()
		write(t, s.certificate, contents)
		s.again(t)
		if got := quality(&s).String(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	forged := strings.Replace(string(data), `"n": 1000`, `"n": 9000`, 1)
	again("forged", "uncertified: certificate is void: contents", []byte(forged))
	again("broken", "uncertified: certificate", data[:len(data)/2])
	s.Config.Cascades[0].Mode = "check"
	if s.again(t); quality(&s) != (saving.Quality{}) {
		t.Errorf("a mode that obeys no certificate: %q", quality(&s))
	}
}
