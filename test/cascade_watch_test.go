package test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// watchScript has two light models that agree and answer differently from the
// escalation model. The judge finds that as good for prompts with "good", and
// worse for all others, in whichever order it is asked.
const watchScript = `rules:
  - {match: {model: "*nova-pro*", text: "good"}, answer: {text: "TIE"}}
  - {match: {model: "*nova-pro*", text: "the answer is 41\n--- SECOND"}, answer: {text: "SECOND"}}
  - {match: {model: "*nova-pro*", text: "the answer is 41\n--- END"}, answer: {text: " FIRST\n"}}
  - {match: {model: "*haiku*"}, answer: {text: "the answer is 41"}}
  - {answer: {text: "the answer is 42"}}
`

// TestWatchOutlastsARestart goes the whole way with a judge: observed, certified,
// enforced, refuted, and still refuted after a restart. What judging cost is the
// shadow tenant's.
func TestWatchOutlastsARestart(t *testing.T) {
	sandbox := harness.StartSandbox(t, watchScript)
	key := harness.NewKey(t, "acme/support")
	dir := t.TempDir()
	settings := func(more string) string {
		return fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]}, {id: lab/shadow}]
cascades:
  - name: support
    match: request.model == "auto"
    light: %q
    partner: %q
    escalation: %q
    shadow: {tenant: lab/shadow, fraction: 1, judge: amazon.nova-pro-v1:0}
%s`, sandbox.URL(), cascadeEscalation, key.KeyID, cascadeLight, cascadePartner, cascadeEscalation, more)
	}
	gw := harness.Start(t, harness.Config{Dir: dir, YAML: settings("    mode: observe\n")})
	asked := func(text string) string {
		t.Helper()
		_, h, _ := postWith(t, http.DefaultClient, gw.URL()+"/model/auto/converse", strings.Replace(ask, "hello", text, 1),
			key)
		return h.Get("x-sluice-path") + " " + h.Get("x-sluice-reason")
	}
	if got := asked("good"); got != "direct mode_observe" {
		t.Error(got)
	}
	cert := filepath.Join(dir, "support.cert")
	certifyFrom(t, gw, cert)
	gw.Stop()

	enforce := harness.Config{Dir: dir, YAML: settings(fmt.Sprintf("    mode: enforce\n    certificate: %q\n", cert))}
	gw = harness.Start(t, enforce)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		got := asked("bad")
		return got == "direct uncertified", got
	})
	if n := gw.Metric(`sluice_cascade_certificates_refuted_total{cascade="support"}`); n < 1 {
		t.Errorf("refuted %v times", n)
	}
	gw.Kill()
	gw = harness.Start(t, enforce)
	if got := asked("good"); got != "direct uncertified" {
		t.Errorf("after a restart: %s", got)
	}
	for _, r := range gw.Report("tenant,model") {
		if strings.Contains(r.Model, "nova-pro") && r.Tenant != "lab/shadow" {
			t.Errorf("the judge is on the account of %s", r.Tenant)
		}
	}
}

// certifyFrom certifies from the one pair that the gateway logs, which a judge
// has called a tie.
func certifyFrom(t *testing.T, gw *harness.Gateway, cert string) {
	t.Helper()
	log := filepath.Join(gw.Dir, "data", "pairs", "support.jsonl")
	var line []byte
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var err error
		line, err = os.ReadFile(log)
		return bytes.HasSuffix(line, []byte("\n")), fmt.Sprint(err)
	})
	if !bytes.Contains(line, []byte(`"judge":{"light":1,"escalation":1}`)) {
		t.Fatalf("%s", line)
	}
	many := filepath.Join(gw.Dir, "many.jsonl")
	if err := os.WriteFile(many, bytes.Repeat(line, 500), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := harness.RunBoth(t, 0, nil, "calibrate", "--config", gw.ConfigFile(), "--cascade", "support", "--pairs", many,
		"--out", cert)
	wantText(t, out, "500 by a judge", "certificate written")
}
