package tools

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/doctor"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestDoctor: every check is in the report, the exit code follows the worst, and each
// finding that is not well has a way out.
func TestDoctor(t *testing.T) {
	bedrock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, status := "ValidationException", http.StatusBadRequest
		if strings.Contains(r.URL.Path, "sonnet") {
			kind, status = "AccessDeniedException", http.StatusForbidden
		}
		w.Header().Set("x-amzn-errortype", kind)
		w.WriteHeader(status)
		w.Write([]byte(`{"message":"no"}`))
	}))
	defer bedrock.Close()
	store := redistest.NewServer(t, "--appendonly", "yes")
	settings := func(ledger, alias string) string {
		return "listen: 127.0.0.1:0\nadmin: {listen: \"" + harness.FreeAddr(t) + "\"}\ndata_dir: " + t.TempDir() + "\n" +
			"upstream: {region: us-east-1, endpoint: \"" + bedrock.URL + "\", bearer_token: key}\n" +
			"ledger: {redis: \"" + ledger + "\"}\naliases: {auto: " + alias + "}\ntenants: [{id: a}]\n"
	}
	type report struct {
		Findings       []doctor.Finding
		OK, Warn, Fail int
	}
	f := func(yaml, want string, args ...string) report {
		t.Helper()
		file := harness.File(t, "sluice.yaml", yaml)
		out, err := harness.Execute(t, Commands(), append([]string{"doctor", "--json", "--config", file}, args...)...)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q: %s", err, want, out)
		}
		var r report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err, out)
		}
		if len(r.Findings) == 0 || r.OK+r.Warn+r.Fail != len(r.Findings) {
			t.Errorf("%s", out)
		}
		for _, found := range r.Findings {
			if found.State != doctor.OK && found.WayOut == "" {
				t.Errorf("no way out: %+v", found)
			}
		}
		return r
	}
	const nova, sonnet = "amazon.nova-lite-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
	good := f(settings(store.URL(), nova), "")
	checks := map[string]bool{}
	for _, found := range good.Findings {
		checks[found.Check] = true
	}
	for _, check := range []string{"configuration", "memory", "open files", "disk", "fsync", "gateway", "port", "price",
		"lifecycle", "ledger latency", "ledger clock", "ledger version", "ledger memory", "ledger persistence",
		"permission", "clock"} {
		if !checks[check] {
			t.Errorf("nothing about %s", check)
		}
	}
	f(settings(store.URL(), sonnet), "not all is well")
	f(settings(store.URL(), sonnet), "", "--no-calls")
	f(settings("redis://127.0.0.1:1", sonnet), "", "--offline")
	f(settings("redis://127.0.0.1:1", nova), "not all is well")
	f("nonsense: 1\n", "not all is well")
	f("upstream: {endpoint: sandbox, region: us-east-1}\nlisten: 127.0.0.1:0\nadmin: {listen: \""+
		harness.FreeAddr(t)+"\"}\ndata_dir: "+t.TempDir()+"\ntenants: [{id: a, models: ["+nova+"]}]\n", "")
}

// TestDoctorText is what people read. A secret in the ledger's address is not shown.
func TestDoctorText(t *testing.T) {
	yaml := "ledger: {redis: \"redis://:hidden@127.0.0.1:1\"}\nupstream: {endpoint: sandbox, region: us-east-1}\n" +
		"data_dir: " + t.TempDir() + "\n"
	out, err := harness.Execute(t, Commands(), "doctor", "--config", harness.File(t, "sluice.yaml", yaml))
	if err == nil || !strings.Contains(out, "fail  ledger redis://:xxxxx@127.0.0.1:1: ") ||
		!strings.Contains(out, "\n      → see that Redis runs") || !strings.Contains(out, " failures\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, "hidden") {
		t.Error("a password is shown")
	}
	if _, err := harness.Execute(t, Commands(), "doctor"); err == nil {
		t.Error("without a file")
	}
	if _, err := os.Stat("data"); err == nil {
		t.Error("a folder was made")
	}
}

// TestDoctorOfFilesThatAreNone: each says what is wrong with the file, once and in one
// line. A name that is absent came twice.
func TestDoctorOfFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"blank": " \n", "zeros": "a\x00b", "packed": "\x1f\x8b\x08", "utf-16": "\xff\xfea\x00", "latin": "name: M\xfcller\n",
		"open": "tenants: [", "strange": "nonsense: 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "a-folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{
		"missing", "no/folder", "blank/below", "a-folder", "a-folder/", "blank", "zeros", "packed", "utf-16", "latin", "open",
		"strange", filepath.Join(dir, "missing"),
	} {
		out, err := harness.Execute(t, Commands(), "doctor", "--config", name)
		first, rest, _ := strings.Cut(out, "\n")
		if err == nil || strings.Count(first, name) != 1 || !strings.HasPrefix(rest, "      → ") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
