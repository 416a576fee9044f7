package check

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/test/harness"
)

func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return harness.Execute(t, []*cobra.Command{Command("test")}, args...)
}

// refused demands that a command line is refused as the user's mistake.
func refused(t *testing.T, text string, args ...string) {
	t.Helper()
	_, err := output(t, args...)
	var bad command.InvalidError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), text) {
		t.Errorf("%q: %v, want %q", args, err, text)
	}
}

func TestCheck(t *testing.T) {
	good := "upstream: {endpoint: sandbox}\ntenants: [{id: acme}]\naliases: {auto: m}\n"
	out, err := output(t, "check", "--config", harness.File(t, "sluice.yaml", good))
	if err != nil || !strings.Contains(out, "is valid: 1 tenants, 0 cascades, 1 aliases") {
		t.Errorf("%v\n%s", err, out)
	}
	refused(t, "--config FILE is needed", "check")
	refused(t, "no such file", "check", "--config", "/nonexistent")
	refused(t, "unknown key", "check", "--config", harness.File(t, "sluice.yaml", good+"nonsense: 1\n"))
	cascade := "cascades: [{name: c, match: request.x, light: l, escalation: e}]\n"
	refused(t, "cascades[0].match", "check", "--config", harness.File(t, "sluice.yaml", good+cascade))
	refused(t, "2 errors", "check", "--config", harness.File(t, "sluice.yaml", good+cascade+"nonsense: 1\n"))
}

// broken has a mistake that the loader finds, one of a condition, and something that
// is probably not meant.
const broken = `upstream: {region: us-esat-1}
nonsense: 1
cascades: [{name: c, match: request.model = "é", light: amazon.nova-lite-v1:0, escalation: amazon.nova-pro-v1:0}]
`

// TestJSON prints every finding with its place, whether or not there is an error.
func TestJSON(t *testing.T) {
	var got struct {
		Valid            bool
		Errors, Warnings int
		Findings         []jsonFinding
		Notes            []string
	}
	read := func(text string, valid bool) {
		t.Helper()
		out, err := output(t, "check", "--format", "json", "--config", harness.File(t, "sluice.yaml", text))
		if (err == nil) != valid || json.Unmarshal([]byte(out), &got) != nil || got.Valid != valid {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	read("upstream: {endpoint: sandbox}\n", true)
	if len(got.Findings) != 0 || got.Findings == nil {
		t.Errorf("%+v", got)
	}
	read(broken, false)
	if got.Errors != 2 || got.Warnings != 1 || len(got.Findings) != 3 {
		t.Fatalf("%+v", got)
	}
	if f := got.Findings[0]; f.Severity != "warning" || f.Line != 1 || f.Column != 20 || f.EndColumn != 29 ||
		f.Path != "upstream.region" || !strings.HasSuffix(f.File, "sluice.yaml") {
		t.Errorf("%+v", f)
	}
	if f := got.Findings[2]; f.Line != 3 || f.Column != 43 || f.Message != `"=" is no operator here: write ==` {
		t.Errorf("%+v", f)
	}
	got.Findings = nil
	out, err := output(t, "check", "--format", "json", "--config", "/nonexistent")
	if err == nil || json.Unmarshal([]byte(out), &got) != nil || len(got.Findings) != 1 || got.Findings[0].Line != 0 {
		t.Errorf("%v %s", err, out)
	}
	refused(t, "none of text, json, sarif", "check", "--format", "xml", "--config", "/nonexistent")
}

// TestSARIF has what SARIF 2.1.0 demands of a log, and each rule that a result names.
// Whole logs were validated against the schema of OASIS, which is not a part of this
// repository.
func TestSARIF(t *testing.T) {
	var log struct {
		Version string
		Runs    []struct {
			ColumnKind string
			Tool       struct {
				Driver struct {
					Name, Version string
					Rules         []struct{ ID string }
				}
			}
			Results []struct {
				RuleID, Level string
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn, EndColumn int }
					}
				}
			}
		}
	}
	out, err := output(t, "check", "--format", "sarif", "--config", harness.File(t, "sluice.yaml", broken))
	if err == nil || json.Unmarshal([]byte(out), &log) != nil || log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	run := log.Runs[0]
	rules := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		rules[r.ID] = true
	}
	if run.Tool.Driver.Name != "sluice" || run.ColumnKind != "unicodeCodePoints" || len(run.Results) != 3 {
		t.Errorf("%+v", run)
	}
	for _, r := range run.Results {
		at := r.Locations[0].PhysicalLocation
		if !rules[r.RuleID] || r.Level != "error" && r.Level != "warning" || r.Message.Text == "" ||
			!strings.HasPrefix(at.ArtifactLocation.URI, "file:///") || at.Region.StartLine < 1 ||
			at.Region.EndColumn <= at.Region.StartColumn {
			t.Errorf("%+v", r)
		}
	}
}

// TestObservingHasItsPrice: before a cascade observes, the operator knows what pairs will
// cost and whose answers nobody judges.
func TestObservingHasItsPrice(t *testing.T) {
	f := func(cascade string, want ...string) {
		t.Helper()
		text := "upstream: {endpoint: sandbox}\n" +
			"tenants: [{id: acme, models: ['amazon.*']}, {id: beta}, {id: lab}]\n" +
			"aliases: {critic: mistral.mistral-large-2407-v1:0}\n" +
			"cascades: [{name: c, match: 'true', light: amazon.nova-lite-v1:0, escalation: amazon.nova-premier-v1:0, " +
			cascade + "}]\n"
		out, err := output(t, "check", "--config", harness.File(t, "sluice.yaml", text))
		_, notes, _ := strings.Cut(out, "\n")
		if joined := strings.Join(want, "\n"); err != nil || strings.TrimSpace(notes) != joined {
			t.Errorf("%s: %v\n got %s\nwant %s", cascade, err, notes, joined)
		}
	}
	f("mode: check, shadow: {tenant: lab}")
	f("mode: observe")
	at := "note: cascade c observes: at 1800 input and 250 output tokens a pair costs $0.00017 for the shadow"
	hint := " (gateway simulate --observe, for your requests)"
	f("mode: observe, shadow: {tenant: lab}", at+"; 500 pairs $0.08"+hint)
	f("mode: observe, shadow: {tenant: lab, judge: critic, adequate: 5, usd_per_day: 20}",
		at+" and $0.01108 for the judge; 500 pairs $5.62, never more than $20.00 a day"+hint,
		"note: cascade c observes: answers to acme are not judged, because they may not use critic")
	f("mode: observe, partner: amazon.nova-micro-v1:0, shadow: {tenant: lab, judge: amazon.nova-pro-v1:0}",
		"note: cascade c observes: at 1800 input and 250 output tokens a pair costs $0.00027 for the shadow "+
			"and $0.00412 for the judge; 500 pairs $2.19"+hint)
}

// TestExplainLimits: each limit has its value and where that came from.
func TestExplainLimits(t *testing.T) {
	file := harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ntenants: [{id: acme}]\n"+
		"limits:\n  max_connections: 400\n  max_connections_per_address: 0\ntimeouts: {header: 3s}\n")
	out, err := output(t, "check", "--explain-limits", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"limits.max_connections ":             "400 " + file + ":4",
		"limits.max_unproven_connections":     "330 five sixths of max_connections",
		"limits.max_connections_per_address":  "none " + file + ":5",
		"limits.max_body_bytes":               "26214400 default",
		"limits.max_queue_delay":              "25ms default",
		"timeouts.header":                     "3s " + file + ":6",
		"timeouts.drain":                      "5m0s default",
		"bytes of a head":                     "65536 fixed",
		"failed credentials in a row, HTTP/2": "200 fixed",
	} {
		found := false
		for line := range strings.Lines(out) {
			if rest, is := strings.CutPrefix(line, name); is {
				found = strings.Join(strings.Fields(rest), " ") == want
			}
		}
		if !found {
			t.Errorf("%s is not %q in\n%s", name, want, out)
		}
	}
}
