package keys

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/test/harness"
)

func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return harness.Execute(t, Commands(), args...)
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

func newKey(t *testing.T) (key harness.Key) {
	t.Helper()
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	out, err := output(t, "keys", "new", "--tenant", "acme", "--json")
	if err != nil || json.Unmarshal([]byte(out), &key) != nil {
		t.Fatal(out, err)
	}
	return key
}

func TestKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	key := newKey(t)
	out, err := output(t, "keys", "show", key.KeyID)
	if err != nil || !strings.Contains(out, key.Bearer) || !strings.Contains(out, key.SecretAccessKey) {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = output(t, "keys", "new", "--tenant", "acme")
	if err != nil || !strings.Contains(out, "- id: acme\n      keys: [SLK") {
		t.Errorf("%v\n%s", err, out)
	}
	cfg := harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ndata_dir: d\n")
	if _, err := output(t, "keys", "show", key.KeyID, "--config", cfg); err != nil {
		t.Error(err)
	}
	refused(t, "--tenant ID is needed", "keys", "new")
	refused(t, "key id", "keys", "show", "nonsense")
	refused(t, "the command is: gateway keys show KEY_ID", "keys", "show")
	t.Setenv("SLUICE_ROOT_SECRET", "short")
	refused(t, "16", "keys", "new", "--tenant", "acme")
}

// TestActs issues keys that are valid at once and does everything to them that there is.
func TestActs(t *testing.T) {
	listed := newKey(t)
	cfg := harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ndata_dir: .\n"+
		"tenants: [{id: acme, keys: ["+listed.KeyID+"]}, {id: acme/app}]\n")
	do := func(want string, args ...string) string {
		t.Helper()
		out, err := output(t, append([]string{"keys"}, append(args, "--config", cfg)...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v, want %q\n%s", args, err, want, out)
		}
		return out
	}
	no := func(text string, args ...string) {
		t.Helper()
		refused(t, text, append([]string{"keys"}, append(args, "--config", cfg)...)...)
	}
	var key admin.WithCredentials
	out := do("", "new", "--tenant", "acme/app", "--live", "--json", "--name", "ci", "--owner", "a@b", "--expires", "30d",
		"--network", "10.0.0.0/8", "--network", "192.0.2.1", "--budget", "month=50", "--budget", "day=5:notify",
		"--requests-per-minute", "60", "--reason", "for CI")
	err := json.Unmarshal([]byte(out), &key)
	if err != nil || key.Bearer == "" || key.State != admin.Active || key.ID == "" {
		t.Fatalf("%v in %s", err, out)
	}
	for _, text := range []string{
		"ci", "a@b", "10.0.0.0/8", "192.0.2.1/32", "$50 per month, reject", "60 requests per minute",
	} {
		do(text, "show", key.ID)
	}
	do("active", "set", listed.KeyID, "--name", "listed")
	do("state              frozen", "freeze", key.ID, "--reason", "leaked?")
	no("is frozen", "rotate", key.ID)
	do("state              active", "unfreeze", key.ID)
	do("[acme]", "freeze", "--tenant", "acme")
	do("tenant acme is frozen", "list")
	do("[]", "unfreeze", "--tenant", "acme")
	no("itself is not frozen", "unfreeze", "--tenant", "acme")
	var next admin.WithCredentials
	if out := do("", "rotate", key.ID, "--grace", "0s", "--json"); json.Unmarshal([]byte(out), &next) != nil ||
		next.Replaces != key.ID || next.Name != "ci" || next.Expires == nil {
		t.Error(out)
	}
	do("expired", "show", key.ID)
	do("revoked", "revoke", listed.KeyID, "--reason", "left the company")
	do("revoked", "revoke", listed.KeyID)
	no("revoked, for ever", "set", listed.KeyID, "--name", "again")
	no("revoked", "unfreeze", listed.KeyID)
	do("although the configuration lists it", "list")
	do("8 acts, all links hold", "audit")
	do("left the company", "audit")

	no("no tenant", "new", "--tenant", "other", "--live")
	no("no network", "new", "--tenant", "acme", "--network", "10.0.0.0/33")
	no("PERIOD=USD", "new", "--tenant", "acme", "--budget", "50")
	no("period must be", "new", "--tenant", "acme", "--budget", "year=50")
	no("usd must be", "new", "--tenant", "acme", "--budget", "month=-1")
	no("which is over", "new", "--tenant", "acme", "--expires", "2020-01-01")
	no("--expires", "new", "--tenant", "acme", "--expires", "soon")
	no("below zero", "new", "--tenant", "acme", "--tokens-per-minute", "-1")
	no("printable", "new", "--tenant", "acme", "--name", "a\x1bb")
	no("nothing to set", "set", key.ID)
	no("not a key id", "revoke", "nonsense")
	no("not a key id", "freeze", "nonsense")
	no("there is no key", "set", "SLK"+strings.Repeat("A", 21), "--name", "n")
	no("either a KEY_ID or --tenant", "freeze")
	no("either a KEY_ID or --tenant", "freeze", key.ID, "--tenant", "acme")
	no("--grace", "rotate", key.ID, "--grace", "soon")
}

// TestAuditNamesTheFirstBrokenLink changes and removes lines of the log.
func TestAuditNamesTheFirstBrokenLink(t *testing.T) {
	key := newKey(t)
	cfg := harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ndata_dir: .\ntenants: [{id: acme, keys: ["+
		key.KeyID+"]}]\n")
	for _, name := range []string{"one", "two", "three", "four"} {
		if _, err := output(t, "keys", "set", key.KeyID, "--name", name, "--config", cfg); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(filepath.Dir(cfg), "keys.jsonl")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	f := func(name, want string, change func([]string) []string) {
		t.Helper()
		text := strings.Join(change(append([]string{}, lines...)), "")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := output(t, "keys", "audit", "--config", cfg)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, want %q\n%s", name, err, want, out)
		}
	}
	f("changed", "broken at line 2", func(l []string) []string {
		l[1] = strings.Replace(l[1], `"two"`, `"tow"`, 1)
		return l
	})
	f("removed", "broken at line 2", func(l []string) []string { return append(l[:1:1], l[2:]...) })
	f("cut", "broken at line 3", func(l []string) []string { l[2] = l[2][:40] + "\n"; return l })
	f("with another seal", "broken at line 1", func(l []string) []string {
		l[0] = l[0][:len(l[0])-4] + "0" + l[0][len(l[0])-3:]
		if l[0] == lines[0] {
			l[0] = l[0][:len(l[0])-4] + "1" + l[0][len(l[0])-3:]
		}
		return l
	})
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := output(t, "keys", "audit", "--config", cfg); err != nil {
		t.Errorf("the whole log: %v\n%s", err, out)
	}
}

// TestWhen reads times and durations.
func TestWhen(t *testing.T) {
	now := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	f := func(text, want string) {
		t.Helper()
		at, err := parseWhen(text, now)
		got := "refused"
		if err == nil {
			got = "never"
			if at != nil {
				got = at.Format(time.RFC3339)
			}
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	f("never", "never")
	f("1d", "2026-11-30T02:00:00Z")
	f("90m", "2026-11-29T03:30:00Z")
	f("2027-01-31", "2027-01-31T00:00:00Z")
	f("2027-01-31T01:00:00+01:00", "2027-01-31T01:00:00+01:00")
	for _, bad := range []string{"", "0d", "-1h", "-1d", "1.5d", "d", "99999d", "2027-13-01", "tomorrow", "5"} {
		f(bad, "refused")
	}
}
