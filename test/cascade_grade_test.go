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

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
	"github.com/sluice-gateway/sluice/test/harness"
)

// gradeScript has a judge that finds the light answer poor and the other one very
// good, thinks a little better of the light one when it reads it before the request,
// and gives no grade where the request has "babble".
const gradeScript = `rules:
  - {match: {model: "*nova-pro*", text: "babble"}, answer: {text: "I would say it is rather good."}}
  - {match: {model: "*nova-pro*", text: "of the light model\n--- REQUEST"}, answer: {text: "**GRADE: 5**"}}
  - {match: {model: "*nova-pro*", text: "of the light model\n--- END"}, answer: {text: "GRADE: 4"}}
  - {match: {model: "*nova-pro*"}, answer: {text: "GRADE: 8\n"}}
  - {match: {model: "*haiku*", text: "number"}, answer: {text: "the answer is 42"}}
  - {match: {model: "*sonnet*", text: "number"}, answer: {text: "I say the answer is 42"}}
  - {match: {model: "*haiku*"}, answer: {text: "a short reply of the light model"}}
  - {answer: {text: "a longer reply, with a reason, of the other model"}}
`

// grading is a gateway that observes, with settings of the shadow and of the tenants.
func grading(t *testing.T, shadow, caller, payer string) (*harness.Gateway, harness.Key) {
	t.Helper()
	sandbox := harness.StartSandbox(t, gradeScript)
	key := harness.NewKey(t, "acme/support")
	return harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]%s}, {id: lab/shadow%s}]
cascades:
  - name: support
    match: request.model == "auto"
    mode: observe
    light: %q
    escalation: %q
    shadow: {tenant: lab/shadow, fraction: 1, judge: amazon.nova-pro-v1:0, adequate: 5, %s}
`, sandbox.URL(), cascadeEscalation, key.KeyID, caller, payer, cascadeLight, cascadeEscalation, shadow)}), key
}

// observed is the pair that one request gives.
func observed(t *testing.T, gw *harness.Gateway, key harness.Key, text string) (p *pairs.Pair) {
	t.Helper()
	log := filepath.Join(gw.Dir, "data", "pairs", "support.jsonl")
	before, _ := os.ReadFile(log) // it may not be there yet
	body := strings.Replace(ask, "hello", text, 1)
	_, h, _ := postWith(t, http.DefaultClient, gw.URL()+"/model/auto/converse", body, key)
	if got := h.Get("x-sluice-path"); got != "direct" {
		t.Fatal(got)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		all, err := os.ReadFile(log)
		if err != nil || len(all) <= len(before) || !bytes.HasSuffix(all, []byte("\n")) {
			return false, fmt.Sprint(err)
		}
		added := bytes.NewReader(all[len(before):])
		_, err = pairs.Read(added, func(q *pairs.Pair) error { p = q; return nil })
		return err == nil && p != nil, fmt.Sprint(err)
	})
	return p
}

// TestGrades has a judge grade both answers of a pair, each by itself, a sample of the
// pairs twice, and one where the keys are the same; the shadow tenant pays.
func TestGrades(t *testing.T) {
	gw, key := grading(t, "second_readings: 1, grade_agreeing: 1", "", "")
	p := observed(t, gw, key, "hello")
	g := p.Grades
	if g == nil || g.Reading != (pairs.Reading{Light: 4, Escalation: 8}) || g.Again == nil ||
		*g.Again != (pairs.Reading{Light: 5, Escalation: 8}) || g.Rubric != rubric.Hash() ||
		g.Judge != "amazon.nova-pro-v1:0" || g.Cost <= 0 || p.Judge != nil {
		t.Fatalf("%+v of %+v", g, p)
	}
	var cost string
	var judged int64
	for _, r := range gw.Report("tenant,model") {
		if strings.Contains(r.Model, "nova-pro") {
			cost, judged = r.Cost, judged+r.Legs
			if r.Tenant != "lab/shadow" {
				t.Errorf("the judge is on the account of %s", r.Tenant)
			}
		}
	}
	if judged != 4 || cost != g.Cost.String() {
		t.Errorf("%d questions for %s, the pair has %s", judged, cost, g.Cost)
	}
	if p = observed(t, gw, key, "number"); p.Label != "same" || p.Grades == nil || p.Grades.Light != 8 {
		t.Errorf("equal keys: %s %+v", p.Label, p.Grades)
	}
	if p = observed(t, gw, key, "babble"); p.Grades != nil || p.Label != "unknown" {
		t.Errorf("a reply that is no grade: %s %+v", p.Label, p.Grades)
	}
}

// TestGradesAreSampled reads once, and leaves equal keys to themselves.
func TestGradesAreSampled(t *testing.T) {
	gw, key := grading(t, "second_readings: 0, grade_agreeing: 0", "", "")
	if p := observed(t, gw, key, "hello"); p.Grades == nil || p.Grades.Again != nil {
		t.Errorf("%+v", p.Grades)
	}
	if p := observed(t, gw, key, "number"); p.Label != "same" || p.Grades != nil {
		t.Errorf("equal keys: %s %+v", p.Label, p.Grades)
	}
}

// TestGradesAreRefused asks no judge that the caller's tenant or the one that pays may
// not use.
func TestGradesAreRefused(t *testing.T) {
	const denied = `, deny_models: ["*nova-pro*"]`
	f := func(caller, payer string) {
		t.Helper()
		gw, key := grading(t, "second_readings: 0", caller, payer)
		if p := observed(t, gw, key, "hello"); p.Grades != nil || p.Label != "unknown" {
			t.Errorf("%s %s: %s %+v", caller, payer, p.Label, p.Grades)
		}
	}
	f(denied, "")
	f("", denied)
}
