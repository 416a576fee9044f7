package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// broken has a mistake of each kind that a different part of the program finds.
const broken = `nonsense: 1
upstream: {region: us-east-1, endpoint: sandbox}
timeouts: {request: soon}
tenants:
  - id: acme
    keys: [not-a-key]
    output_tokens: {default: 500, max: ten}
cascades:
  - name: support
    match: request.modl == "auto"
    mode: rules
    light: amazon.nova-lite-v1:0
    escalation: us.anthropic.claude-sonnet-4-5-20250929-v1:0
prices: [missing.yaml]
`

// TestCheckTellsEverything checks a broken file: every mistake comes with its
// place and its line, whichever part of the program finds it.
func TestCheckTellsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "serve", "report"} {
		_, stderr := harness.RunBoth(t, 2, nil, command, "--config", file)
		for place, line := range map[string]string{
			"1:1":   "nonsense: 1",
			"3:21":  "timeouts: {request: soon}",
			"6:12":  "keys: [not-a-key]",
			"7:40":  "output_tokens: {default: 500, max: ten}",
			"10:19": `match: request.modl == "auto"`,
			"14:10": "prices: [missing.yaml]",
		} {
			if !strings.Contains(stderr, file+":"+place+": error: ") || !strings.Contains(stderr, " | ") ||
				!strings.Contains(stderr, line) {
				t.Errorf("%s does not show %s %q:\n%s", command, place, line, stderr)
			}
		}
		if !strings.HasSuffix(stderr, "6 errors\n") {
			t.Errorf("%s: want 6 errors:\n%s", command, stderr)
		}
	}
}

// TestUsage checks exit codes of what was typed wrongly.
func TestUsage(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		if _, stderr := harness.RunBoth(t, 2, nil, args...); stderr == "" {
			t.Errorf("gateway %v says nothing", args)
		}
	}
	f("nonsense")
	f("--nonsense")
	f("serve")
	f("serve", "--nonsense")
	f("serve", "--config", "/nonexistent")
	f("check", "--config")
	f("keys", "new")
	f("keys", "show")
	f("keys", "show", "nonsense")
	f("keys", "nonsense")
	f("sandbox", "--nonsense")
}

// TestCompletion asks for the shell completion as shells do.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := harness.Run(t, 0, nil, "completion", shell); !strings.Contains(out, "gateway") {
			t.Errorf("completion for %s: %s", shell, out)
		}
	}
	f := func(want string, typed ...string) {
		t.Helper()
		if out := harness.Run(t, 0, nil, append([]string{"__complete"}, typed...)...); !strings.Contains(out, want+"\n") &&
			!strings.Contains(out, want+"\t") {
			t.Errorf("%v completes to %s, want %s", typed, out, want)
		}
	}
	f("serve", "ser")
	f("json", "report", "--format", "")
	f("tenant", "report", "--by", "")
	f("tenant,model", "report", "--by", "tenant,")
	if out := harness.Run(t, 0, nil, "__complete", "report", "--by", "tenant,"); strings.Contains(out, "tenant,tenant") {
		t.Errorf("a column is offered twice: %s", out)
	}
}

// TestKeys issues a key and shows it again.
func TestKeys(t *testing.T) {
	key := harness.NewKey(t, "acme")
	var again harness.Key
	if err := json.Unmarshal([]byte(harness.Run(t, 0, nil, "keys", "show", key.KeyID, "--json")), &again); err != nil {
		t.Fatal(err)
	}
	if again != key || key.Bearer == "" || key.SecretAccessKey == "" {
		t.Errorf("shown again: %+v, want %+v", again, key)
	}
	text := harness.Run(t, 0, nil, "keys", "show", key.KeyID)
	for _, part := range []string{key.KeyID, key.Bearer, key.AccessKeyID, key.SecretAccessKey} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
	harness.RunBoth(t, 2, []string{"SLUICE_ROOT_SECRET=another root secret"}, "keys", "show", key.KeyID)
}

// TestReload changes the configuration under a running gateway.
func TestReload(t *testing.T) {
	t.Parallel() // it mostly waits
	sandbox := harness.StartSandbox(t, script)
	first, second := harness.NewKey(t, "acme"), harness.NewKey(t, "acme")
	with := func(keys, more string) string {
		return fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n%s",
			sandbox.URL(), keys, more)
	}
	gw := harness.Start(t, harness.Config{YAML: with(first.KeyID, "")})
	status := func(key harness.Key) int {
		return gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask).Status
	}
	// want waits until both keys are answered so. The bound is that of a revoked key.
	want := func(what string, one, two int) {
		t.Helper()
		harness.Eventually(t, 5*time.Second, func() (bool, string) {
			a, b := status(first), status(second)
			return a == one && b == two, fmt.Sprintf("%s: %d and %d, want %d and %d", what, a, b, one, two)
		})
	}
	want("at the start", 200, 403)
	if gw.Metric("sluice_config_last_reload_success") != 1 ||
		gw.Metric("sluice_config_last_reload_timestamp_seconds") == 0 {
		t.Error("the metrics do not show the configuration of the start")
	}

	gw.Write(with(first.KeyID+", "+second.KeyID, ""))
	want("a key more", 200, 200)
	gw.Write(with(second.KeyID, ""))
	want("a key revoked", 403, 200)

	gw.Write(with(first.KeyID, "timeouts: {request: soon}\n"))
	harness.Eventually(t, time.Minute, func() (bool, string) {
		code, r := gw.Readyz()
		stderr := r.Degraded["configuration"]
		return code == http.StatusOK && r.Ready &&
			strings.HasPrefix(stderr, "refused at 20"), fmt.Sprintf("/readyz: %d %+v", code, r)
	})
	if _, page := gw.Page("/readyz"); strings.Contains(page, "soon") || strings.Contains(page, "sluice.yaml") {
		t.Errorf("/readyz shows the configuration: %s", page)
	}
	if log := gw.Log.String(); !strings.Contains(log, "the last good one stays") ||
		!strings.Contains(log, "sluice.yaml:6:21") {
		t.Errorf("the log does not show the bad configuration:\n%s", log)
	}
	if n := gw.Metric("sluice_config_last_reload_success"); n != 0 {
		t.Errorf("the metric of a bad reload is %v", n)
	}
	want("after a bad reload", 403, 200)

	gw.Write(with(first.KeyID, ""))
	gw.Signal(syscall.SIGHUP)
	want("mended", 200, 403)
	if _, r := gw.Readyz(); len(r.Degraded) != 0 {
		t.Errorf("/readyz after mending: %+v", r)
	}

	gw.Write(with(first.KeyID+", "+second.KeyID, "journal: {fsync: always}\n"))
	want("with a setting that needs a restart", 200, 200)
	if log := gw.Log.String(); !strings.Contains(log, "need a restart") || !strings.Contains(log, `"journal"`) {
		t.Errorf("the log does not name the setting that needs a restart:\n%s", log)
	}
}

// TestReloadOfCutFiles cuts and removes files under a running gateway: it serves on, and
// says what is wrong. U20
func TestReloadOfCutFiles(t *testing.T) {
	t.Parallel() // it mostly waits
	sandbox := harness.StartSandbox(t, script)
	first, second := harness.NewKey(t, "acme"), harness.NewKey(t, "beta")
	main := fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ninclude: [teams/*.yaml]\ntenants:\n"+
		"  - id: acme\n    keys: [%s]\naliases: {auto: amazon.nova-lite-v1:0}\n", sandbox.URL(), first.KeyID)
	team := fmt.Sprintf("tenants:\n  - id: beta\n    keys: [%s]\n", second.KeyID)
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("teams/beta.yaml", team)
	gw := harness.Start(t, harness.Config{Dir: dir, YAML: main})
	served := func(what string) {
		t.Helper()
		for _, key := range []harness.Key{first, second} {
			if a := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask); a.Status != http.StatusOK {
				t.Errorf("%s: %d %s", what, a.Status, a.Body)
			}
		}
	}
	refused := func(what string, change, back func()) {
		t.Helper()
		change()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			code, r := gw.Readyz()
			return code == http.StatusOK && strings.HasPrefix(r.Degraded["configuration"], "refused at"),
				fmt.Sprintf("%s: %+v", what, r)
		})
		served(what)
		back()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			_, r := gw.Readyz()
			return len(r.Degraded) == 0, fmt.Sprintf("after %s: %+v", what, r)
		})
	}
	teams, away := filepath.Join(dir, "teams"), filepath.Join(dir, "away")
	whole := func() { gw.Write(main); put("teams/beta.yaml", team) }
	refused("an empty file", func() { gw.Write("") }, whole)
	refused("half a line", func() { gw.Write(main[:strings.Index(main, "acme")+2]) }, whole)
	refused("an empty included file", func() { put("teams/beta.yaml", "") }, whole)
	refused("a folder that is gone", func() { os.Rename(teams, away) }, func() { os.Rename(away, teams) })
	put("teams/beta.yaml", "tenants:\n")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		_, r := gw.Readyz()
		return r.Degraded["configuration"] != "", fmt.Sprintf("a list without entries: %+v", r)
	})
	served("a list without entries")
}

// TestReloadFindsNewFiles adds a file that an include glob matches, and takes it
// away again.
func TestReloadFindsNewFiles(t *testing.T) {
	t.Parallel() // it mostly waits
	sandbox := harness.StartSandbox(t, script)
	first, second := harness.NewKey(t, "acme"), harness.NewKey(t, "beta")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: "+
		"[{id: acme, keys: [%s]}]\ninclude: [tenants/*.yaml]\n",
		sandbox.URL(), first.KeyID)})
	want := func(what string, status int) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			got := gw.Post(t, second.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask).Status
			return got == status, fmt.Sprintf("%s: %d, want %d", what, got, status)
		})
	}
	want("before there is a directory", 403)
	file := filepath.Join(gw.Dir, "tenants", "beta.yaml")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, "tenants: [{id: beta, keys: [%s]}]\n", second.KeyID),
		0o600); err != nil {
		t.Fatal(err)
	}
	want("with the file", 200)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("without it again", 403)
}

// TestReadyzWhileDraining: load balancers must stop sending as soon as a gateway
// begins to drain, although it still answers what it has.
func TestReadyzWhileDraining(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: [{delay: {first_byte: 60s}}]\n")
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: "+
		"[{id: acme, keys: [%s]}]\n", sandbox.URL(), key.KeyID)})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = post(gw, key, "/model/test.model/converse", ask) // cut off when the test ends
	}()
	defer func() { gw.Kill(); <-sent }()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		return gw.Metric("sluice_requests_in_flight") == 1, "the request is not under way"
	})
	if code, r := gw.Readyz(); code != http.StatusOK || !r.Ready || r.Draining {
		t.Fatalf("/readyz before: %d %+v", code, r)
	}
	gw.Signal(syscall.SIGTERM)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		code, r := gw.Readyz()
		return code == http.StatusServiceUnavailable && !r.Ready && r.Draining, fmt.Sprintf("/readyz: %d %+v", code, r)
	})
	if gw.Exited() {
		t.Error("it did not wait for the request")
	}
}

// TestReloadAtStart asks for a reload as soon as a gateway is ready: a signal that nobody
// has asked for yet would end it.
func TestReloadAtStart(t *testing.T) {
	key := harness.NewKey(t, "acme")
	for range 5 {
		gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1}\ntenants: [{id: acme, keys: "+
			"[%s]}]\n", key.KeyID)})
		gw.Signal(syscall.SIGHUP)
		harness.Eventually(t, time.Minute, func() (bool, string) {
			return strings.Contains(gw.Log.String(), "configuration reloaded"), gw.Log.String()
		})
		gw.Kill()
	}
}

// TestReloadsUnderLoad reloads good and bad configurations while requests run:
// none of them fails.
func TestReloadsUnderLoad(t *testing.T) {
	sandbox := harness.StartSandbox(t, "rules: []\n")
	key := harness.NewKey(t, "acme")
	yaml := fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n", sandbox.URL(),
		key.KeyID)
	gw := harness.Start(t, harness.Config{YAML: yaml})
	stop, done, requests := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(done)
		for ; ; requests++ {
			select {
			case <-stop:
				return
			default:
			}
			operation := [...]string{"converse", "converse-stream"}[requests%2]
			if err := post(gw, key, "/model/test.model/"+operation, ask); err != nil {
				t.Errorf("request %d: %v", requests, err)
			}
		}
	}()
	const reloads = 48
	for i := range reloads {
		// another engine
		changed := strings.Replace(yaml, "us-east-1,", fmt.Sprintf("us-east-1, retry: {max_attempts: %d},", 1+i%4), 1)
		if i%6 == 5 {
			changed = yaml + "nonsense: 1\n"
		}
		gw.Write(changed)
		gw.Signal(syscall.SIGHUP)
		harness.Eventually(t, time.Minute, func() (bool, string) {
			taken := gw.Metric(`sluice_config_reloads_total{result="taken"}`)
			refused := gw.Metric(`sluice_config_reloads_total{result="refused"}`)
			return taken+refused >= float64(i+2), fmt.Sprintf("reload %d: %v taken, %v refused", i, taken, refused)
		})
	}
	close(stop)
	<-done
	gw.Write(yaml)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		return len(rows) == 1 && rows[0].Requests == int64(requests) &&
			rows[0].Unknown == 0, fmt.Sprintf("%d requests, report: %+v", requests, rows)
	})
}

// TestRootSecretOfLedger starts a gateway on a ledger that was made under
// another root secret.
func TestRootSecretOfLedger(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			key := harness.NewKey(t, "acme")
			c := harness.Config{Dir: t.TempDir(), YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: sandbox}\n"+
				"tenants: [{id: acme, keys: [%s]}]\n%s", key.KeyID, ledger)}
			gw := harness.Start(t, c)
			gw.Stop()
			other := []string{"SLUICE_ROOT_SECRET=another root secret"}
			_, stderr := harness.RunBoth(t, 1, other, "serve", "--config", gw.ConfigFile())
			if !strings.Contains(stderr, "root secret") {
				t.Errorf("the reason is missing:\n%s", stderr)
			}
			harness.Start(t, c).Stop() // the right one still opens it
		})
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}
