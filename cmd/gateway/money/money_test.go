package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/keys"
	"github.com/sluice-gateway/sluice/cmd/gateway/serving"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	lite   = "amazon.nova-lite-v1:0"
	sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

	settings = `upstream: {region: us-east-1, endpoint: %q}
tenants:
  - {id: acme, budgets: [{period: month, usd: 100}]}
  - {id: acme/support, keys: [%s]}
aliases: {auto: %[3]s}
cascades:
  - name: support
    match: request.model == "auto"
    mode: rules
    light: %[4]s
    escalation: %[3]s
    escalate_if: [{id: long, if: request.text_bytes > 1000}]
%[5]s`
)

// used is a gateway that has answered requests and was stopped: two light ones,
// one escalated and one of which nobody knows what it used.
type used struct {
	t    *testing.T
	gw   *harness.Gateway
	stop func()
}

func use(t *testing.T, ledger string) *used {
	t.Helper()
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	var key harness.Key
	out, err := harness.Execute(t, keys.Commands(), "keys", "new", "--tenant", "acme/support", "--json")
	if err != nil || json.Unmarshal([]byte(out), &key) != nil {
		t.Fatal(out, err)
	}
	script, err := sandbox.LoadScript([]byte("rules: [{match: {text: '#nousage'}, fault: {missing_usage: true}}]"))
	if err != nil {
		t.Fatal(err)
	}
	standIn, err := sandbox.New(sandbox.Options{
		Script: script, AccessKeyID: "AKIDTEST", SecretAccessKey: "secret",
		InvocationLogPath: filepath.Join(t.TempDir(), "invocations.jsonl"),
	})
	if err != nil {
		t.Fatal(err)
	}
	url, err := standIn.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standIn.Close() })
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	u := &used{t: t}
	u.gw, u.stop = harness.Serve(t, serving.Commands("test"), fmt.Sprintf(settings, url, key.KeyID, sonnet, lite, ledger))
	for _, text := range []string{"hello", "hello", strings.Repeat("long ", 300), "#nousage"} {
		body := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":50}}`, text)
		if a := u.gw.Post(t, key.BearerCredential, "/model/auto/converse", body); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) { // a record may follow its answer
		out, err := u.run("report", "--by", "", "--format", "json")
		return err == nil && strings.Contains(out, `"requests":4`), out
	})
	return u
}

// run runs a command on the gateway's configuration.
func (u *used) run(name string, args ...string) (string, error) {
	u.t.Helper()
	return harness.Execute(u.t, Commands(), append([]string{name, "--config", u.gw.ConfigFile()}, args...)...)
}

// works demands that a command succeeds and prints these texts.
func (u *used) works(texts []string, name string, args ...string) string {
	u.t.Helper()
	out, err := u.run(name, args...)
	if err != nil {
		u.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			u.t.Errorf("%s %q lacks %q:\n%s", name, args, text, out)
		}
	}
	return out
}

// fails demands that a command fails with a text, as the user's mistake or not.
func (u *used) fails(text string, invalid bool, name string, args ...string) {
	u.t.Helper()
	out, err := u.run(name, args...)
	var bad command.InvalidError
	if err == nil || !strings.Contains(err.Error(), text) || errors.As(err, &bad) != invalid {
		u.t.Errorf("%s %q: %v, want %q\n%s", name, args, err, text, out)
	}
}

// row is a line of a report grouped by nothing.
type row struct {
	Requests, Legs, Escalated, Unknown int64
	Input                              int64  `json:"input_tokens"`
	Cost                               string `json:"cost_usd"`
	Correction                         string
}

// reports reads the line of what was metered, of a report grouped by nothing, and those of
// corrections.
func (u *used) reports() (metered row, corrections []row) {
	u.t.Helper()
	var rows []row
	out := u.works(nil, "report", "--by", "", "--format", "json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) == 0 || rows[0].Correction != "" {
		u.t.Fatalf("%v in %s", err, out)
	}
	return rows[0], rows[1:]
}

func TestReport(t *testing.T) {
	u := use(t, "")
	u.stop()
	row, _ := u.reports()
	if row.Requests != 4 || row.Escalated != 1 || row.Unknown != 1 {
		t.Errorf("%+v", row)
	}
	u.works([]string{"acme/support", lite, "escalated"}, "report")
	u.works([]string{"from,to,day,path,"}, "report", "--by", "day,path", "--format", "csv")
	u.works([]string{"support", "saved"}, "report", "savings")
	u.works([]string{`"cascade":"support"`}, "report", "savings", "--format", "json")
	for format, want := range map[string]string{
		"html": "<!doctype html>", "parquet": "PAR1", "focus-1.2": "PublisherName", "focus-1.4": "HostProviderName",
	} {
		u.works([]string{want, lite}, "report", "--format", format)
	}
	u.works([]string{"unit_price_usd", "0.00000006"}, "report", "--by", "class,price_version", "--format", "csv")
	zones(u)
	u.fails("no column", true, "report", "--by", "nonsense")
	u.fails("no column", true, "report", "--columns", "nonsense")
	u.fails("no FOCUS version", true, "report", "--format", "focus-1.0")
	u.fails("neither a date", true, "report", "--from", "yesterday")
	u.fails("format", true, "report", "--format", "xml")
	u.fails("neither a date", true, "report", "savings", "--to", "tomorrow")
	u.fails("format", true, "report", "savings", "--format", "xml")
	if err := os.RemoveAll(filepath.Join(u.gw.Dir, "data")); err != nil {
		t.Fatal(err)
	}
	u.fails("has this gateway been started", false, "report")
	u.fails("has this gateway been started", false, "verify")
	u.fails("has this gateway been started", false, "resolve")
}

// TestReportWithinHours: M14, a report of a shared ledger may begin and end within an hour, as this gateway has all
// records of it.
func TestReportWithinHours(t *testing.T) {
	began := time.Now().UTC()
	u := use(t, fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
	u.stop()
	ended := time.Now().UTC()
	of := func(from, to time.Time, want string) {
		t.Helper()
		u.works([]string{want}, "report", "--by", "", "--format", "json", "--from", from.Format(time.RFC3339Nano), "--to",
			to.Format(time.RFC3339Nano))
	}
	of(began, ended.Add(time.Nanosecond), `"requests":4`)
	of(ended.Add(time.Nanosecond), ended.Add(2*time.Hour), `[]`)
	if err := os.RemoveAll(filepath.Join(u.gw.Dir, "data", "journal")); err != nil {
		t.Fatal(err)
	}
	u.fails("the nearest bounds that are exact are", true, "report", "--from", began.Format(time.RFC3339Nano))
}

// zones has days of other zones: the request of a moment ago is on the day that it is there.
func zones(u *used) {
	for _, name := range []string{"Asia/Tokyo", "America/Los_Angeles", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			u.t.Fatal(err)
		}
		now := time.Now().In(zone)
		from := now.AddDate(0, 0, -1).Format(time.DateOnly)
		args := []string{"--zone", name, "--by", "day", "--format", "csv", "--from", from}
		if name == "Asia/Kolkata" { // no records are kept of before the gateway began
			args[len(args)-1] = now.Add(time.Hour).Truncate(time.Hour).Format(time.RFC3339)
			u.fails("is not before", true, "report", append(args, "--to", now.Add(-time.Hour).Format(time.RFC3339))...)
			u.fails("single records are kept since", true, "report", append(args[:len(args)-2], "--from", "2026-01-02")...)
			continue
		}
		u.works([]string{"," + now.Format(time.DateOnly) + ",4,"}, "report", args...)
	}
	u.works([]string{"acme/support"}, "report", "--zone", "billing")
	u.fails("there is no time zone", true, "report", "--zone", "Berlin")
	u.fails("days in UTC", true, "report", "--zone", "Europe/Berlin", "--format", "focus-1.4")
}

// TestCorrections lists, resolves and adjusts on both ledgers, while the gateway
// runs.
func TestCorrections(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { corrections(t, use(t, "")) })
	t.Run("redis", func(t *testing.T) {
		corrections(t, use(t, fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL())))
	})
}

func corrections(t *testing.T, u *used) {
	list := strings.Split(strings.TrimSpace(u.works(nil, "resolve")), "\n")
	if len(list) != 2 {
		t.Fatalf("%q", list)
	}
	id := strings.Fields(list[1])[0]
	u.fails("needs --input and --output", true, "resolve", id, "--input", "30")
	u.fails("not both", true, "resolve", id, "--invocation-log", "x")
	u.fails("need the ID", true, "resolve", "--input", "30")
	u.fails("negative", true, "resolve", id, "--input", "-30", "--output", "1")
	u.fails("need an --invocation-log", true, "resolve", "--all")
	u.fails("no attempt nobody", false, "resolve", "nobody", "--input", "30", "--output", "20")
	u.works([]string{"resolved: 30 input and 20 output"}, "resolve", id, "--input", "30", "--output", "20")
	u.works([]string{"before in the same way"}, "resolve", id, "--input", "30", "--output", "20")
	if left := u.works(nil, "resolve"); strings.Contains(left, id) {
		t.Errorf("still listed:\n%s", left)
	}
	credit := []string{"--tenant", "acme/support", "--model", lite, "--usd=-1.5", "--input", "7", "--reason", "credit",
		"--force"}
	u.works([]string{"rows priced anew"}, "prices", "rerate")
	before, _ := u.reports()
	u.works([]string{"adjustment c-7 made", "$-1.50"}, "adjust", append(credit, "--id", "c-7")...)
	u.works([]string{"made before"}, "adjust", append(credit, "--id", "c-7")...)
	u.fails("c-7", false, "adjust", append(credit, "--id", "c-7", "--output", "2")...)
	u.works([]string{"made: acme/support"}, "adjust", append(credit, "--at", time.Now().UTC().Format(time.RFC3339))...)
	u.fails("--reason is needed", true, "adjust", "--tenant", "acme", "--model", lite)
	for want, args := range map[string][]string{ // M23
		"no tenant \"acme/suppport\"": {"--tenant", "acme/suppport", "--input", "1"},
		"cannot be a tenant":          {"--tenant", "=cmd|x", "--input", "1", "--force"},
		"takes back more":             {"--tenant", "acme/support", "--usd=-8000000"},
		"before the 400 days":         {"--tenant", "acme/support", "--input", "1", "--at", "2006-01-02T00:00:00Z"},
		"has not come yet":            {"--tenant", "acme/support", "--input", "1", "--at", "2062-01-02T00:00:00Z"},
		"is not COLUMN=VALUE":         {"--tenant", "acme/support", "--set", "nonsense=1"},
	} {
		u.fails(want, true, "adjust", append(args, "--model", lite, "--reason", "r")...)
	}
	u.works([]string{"queries 5"}, "adjust", "--tenant", "acme/support", "--model", lite, "--reason",
		"search units of 11-23", "--id", "q-1", "--refers-to", "01REQ", "--set", "queries=5", "--set", "key=K7",
		"--set", "query_usd=0.01")
	u.works([]string{"q-1", "queries=5 query_usd=0.01", `"search units of 11-23"`, "01REQ", signature().Actor, "c-7"},
		"adjust", "list")
	listsAsJSON(t, u)
	u.fails("nothing to adjust", true, "adjust", "--tenant", "acme", "--model", lite, "--reason", "r")
	u.fails("--usd", true, "adjust", "--tenant", "acme", "--model", lite, "--reason", "r", "--usd", "much")
	u.fails("--at", true, "adjust", append(credit, "--at", "noon")...)
	after, made := u.reports()
	if after.Input != before.Input || after.Unknown != 0 {
		t.Errorf("%+v, before %+v", after, before)
	}
	want := []row{{Input: 14, Cost: "-3.00", Correction: "credit"}, {Cost: "0.01", Correction: "search units of 11-23"}}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	u.stop()
	u.works([]string{"\n0 differences"}, "verify")
}

// listsAsJSON: M23, the adjustments as JSON, and those of a time.
func listsAsJSON(t *testing.T, u *used) {
	t.Helper()
	var all []listed
	read := func(args ...string) int {
		t.Helper()
		if err := json.Unmarshal([]byte(u.works(nil, "adjust", append([]string{"list", "--format", "json"}, args...)...)),
			&all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	n, today := read(), time.Now().UTC()
	last := all[n-1]
	want := listed{last.Made, "q-1", signature().Actor, "search units of 11-23", "01REQ", last.Hour,
		map[string]string{"tenant": "acme/support", "model": lite, "key": "K7"},
		map[string]any{"queries": 5.0, "query_usd": "0.01"}}
	if diff := cmp.Diff(want, last); diff != "" || last.Made.Before(today.Add(-time.Hour)) {
		t.Error(diff)
	}
	day := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
	made := last.Made.Format(time.RFC3339Nano)
	if read("--since", day(-1), "--until", day(2)) != n || read("--since", day(1)) != 0 || read("--until", day(-1)) != 0 ||
		read("--since", made) != 1 || read("--until", made) != n-1 {
		t.Error("the times do not bound the list")
	}
	u.fails("--since: ", true, "adjust", "list", "--since", "noon")
	u.fails("is not before", true, "adjust", "list", "--since", day(1), "--until", day(1))
	u.fails("no format \"csv\"", true, "adjust", "list", "--format", "csv")
}

// TestResolveFromLog reads the stand-in's invocation log.
func TestResolveFromLog(t *testing.T) {
	u := use(t, "")
	u.stop()
	log := filepath.Join(t.TempDir(), "none.jsonl")
	u.fails("no such file", true, "resolve", "--invocation-log", log)
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u.works([]string{"0 resolved"}, "resolve", "--invocation-log", log, "--all")
}

// TestRebuild mends a shared ledger that lost everything; the embedded one is made
// from its journal.
func TestRebuild(t *testing.T) {
	redis := redistest.NewServer(t)
	u := use(t, fmt.Sprintf("ledger: {redis: %q}\n", redis.URL()))
	u.stop()
	u.works([]string{"\n0 differences"}, "verify", "--all")
	redis.CLI("FLUSHALL")
	u.fails("differences", false, "verify")
	u.works([]string{"posted", "\n0 differences"}, "rebuild")
	u.works([]string{"wiped", "\n0 differences"}, "rebuild", "--wipe")
	if row, _ := u.reports(); row.Requests != 4 {
		t.Errorf("%+v", row)
	}
	e := use(t, "")
	e.stop()
	e.works([]string{"\n0 differences"}, "verify")
	e.fails("there is nothing to rebuild", true, "rebuild")
}
