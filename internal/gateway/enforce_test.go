package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const enforcing = partnered + "    mode: enforce\n    shadow: {tenant: platform/shadow, fraction: 1}\n"

// certifiedAt gives the cascade of s a certificate with this threshold, changed
// by edit, and returns what loading it says.
func certifiedAt(t *testing.T, s *snapshot.Snapshot, threshold float64, edit func(*certify.Binding)) string {
	t.Helper()
	s.Config.Cascades[0].Certificate = filepath.Join(t.TempDir(), "cert.json")
	now := writeCertificate(t, s, threshold, edit)
	problems := recompile(s, now)
	for _, p := range problems {
		if strings.HasSuffix(p.Path, ".light") {
			continue // its models spell InvokeModel bodies differently
		}
		if !p.Warning {
			t.Errorf("%v is no warning", p)
		}
		return p.Message
	}
	return ""
}

// writeCertificate writes the certificate that the cascade of s names, and
// returns when it was issued.
func writeCertificate(
	t *testing.T, s *snapshot.Snapshot, threshold float64, edit func(*certify.Binding), routes ...certify.Traffic,
) time.Time {
	t.Helper()
	settings := &s.Config.Cascades[0]
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	recompile(s, now)
	binding := s.Binding(settings, now)
	binding.Schemas = []string{""}
	edit(&binding)
	c := certify.Issue(&certify.Report{N: 1000, Bound: 0.01, Certified: 1,
		Curve: []certify.Point{{Threshold: threshold / 2, Saving: 0.1}, {Threshold: threshold, Saving: 0.2}}},
		certify.Options{MaxLoss: 0.02, Delta: 0.1, Routes: routes}, binding, now)
	if err := os.WriteFile(settings.Certificate, c.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return now
}

// recompile takes in what the configuration of s and its files say now.
func recompile(s *snapshot.Snapshot, now time.Time) []config.Problem {
	secrets, _ := credentials()
	next, problems := snapshot.Compile(s.Config, secrets, now)
	*s = *next
	return problems
}

func asIs(*certify.Binding) {}

// TestEnforce puts the certified threshold in the place of agreement.
func TestEnforce(t *testing.T) {
	f := func(name string, threshold float64, partner reply, path, reason string) {
		t.Helper()
		s := compiled(t, enforcing)
		if problem := certifiedAt(t, s, threshold, asIs); problem != "" {
			t.Fatal(problem)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, byModel(reply{text: "the answer is 42"}, partner, reply{text: "the answer is 42"}))
			got := b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
			b.line.Close(t.Context())
			if got.path != path || got.reason != reason {
				t.Errorf("%s: %s %q, want %s %q", name, got.path, got.reason, path, reason)
			}
		})
	}
	same, other := reply{text: "the answer is 42"}, reply{text: "the answer is 41"}
	f("agree", 1, same, "light", "agree")
	f("agree, but not enough", 0.1, same, "escalated", "score")
	f("disagree", 1, other, "escalated", "disagree")
	f("disagree, and certified all the same", 2, other, "light", "score")
	f("partner fails", 2, reply{status: 400}, "escalated", "unknown")
}

// TestVoidCertificates has what must send every request to the escalation model.
func TestVoidCertificates(t *testing.T) {
	f := func(want string, edit func(*certify.Binding)) {
		t.Helper()
		s := compiled(t, enforcing)
		if got := certifiedAt(t, s, 1, edit); !strings.Contains(got, want) || got == "" {
			t.Errorf("%q, want something about %s", got, want)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(s, byModel(reply{text: "light"}, reply{text: "light"}, reply{text: "strong"}))
			if got := b.do(b.ask(t.Context(), wire.OpConverse, hello)); got.path != "direct" || got.reason != "uncertified" {
				t.Errorf("%s: %s %q", want, got.path, got.reason)
			}
		})
	}
	f("models", func(b *certify.Binding) { b.Models[0] = "another" })
	f("prices", func(b *certify.Binding) { b.PricesHash = "another" })
	f("policy", func(b *certify.Binding) { b.PolicyHash = "another" })
	f("cascade", func(b *certify.Binding) { b.Cascade = "another" })
	f("rubric", func(b *certify.Binding) { b.Rubric = "another" })
	f("adequate grade", func(b *certify.Binding) { b.Adequate = 7 })
	f("scores", func(b *certify.Binding) { b.Scores[certify.RoleScore] = "another" })
	f("scores", func(b *certify.Binding) { b.Scores[certify.RolePreScore] = "another" })
}

// TestRefutedInService has light answers that agree with the partner's and are
// wrong all the same: the shadow samples refute the certificate.
func TestRefutedInService(t *testing.T) {
	s := compiled(t, enforcing)
	certifiedAt(t, s, 1, asIs)
	synctest.Test(t, func(t *testing.T) {
		wrong := reply{text: "the answer is 41"}
		b := newBench(s, byModel(wrong, wrong, reply{text: "the answer is 42"}))
		for n := 1; ; n++ {
			got := b.do(b.ask(t.Context(), wire.OpConverseStream, hello))
			synctest.Wait()
			if got.path == "direct" && got.reason == "uncertified" {
				t.Logf("refuted after %d wrong answers", n-1)
				return
			}
			if n == 50 {
				t.Fatalf("50 wrong answers and still %s %q", got.path, got.reason)
			}
		}
	})
}

// TestWatchStepsBack has a threshold that lets disagreements through, which are
// wrong, and one below it that does not.
func TestWatchStepsBack(t *testing.T) {
	s := compiled(t, enforcing)
	certifiedAt(t, s, 2, asIs)
	kept := filepath.Join(t.TempDir(), "tightened.json")
	script := byModel(reply{text: "the answer is 41"}, reply{text: "the answer is 40"}, reply{text: "the answer is 42"})
	asked := func(t *testing.T, b *bench) got {
		got := b.do(b.ask(t.Context(), wire.OpConverse, hello))
		synctest.Wait()
		return got
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, script)
		b.line.shadows.Tightened = &memory.Tightened{File: kept}
		n := 0
		for ; asked(t, b).path == "light"; n++ {
			if n == 100 {
				t.Fatal("100 wrong answers, and the threshold stands")
			}
		}
		t.Logf("stepped back after %d wrong answers", n)
		if got := asked(t, b); got.path != "escalated" || got.reason != "disagree" {
			t.Errorf("after the step: %s %q", got.path, got.reason)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, script)
		b.line.shadows.Tightened = &memory.Tightened{File: kept}
		if err := b.line.Restore(); err != nil {
			t.Fatal(err)
		}
		if got := asked(t, b); got.path != "escalated" || got.reason != "disagree" {
			t.Errorf("after a restart: %s %q", got.path, got.reason)
		}
	})
}
