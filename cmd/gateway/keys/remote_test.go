package keys

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/test/harness"
)

// apiHere is the API on keys of a gateway of a configuration, with the token "letmein".
func apiHere(t *testing.T) string {
	t.Helper()
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	cfg := harness.File(t, "sluice.yaml", "upstream: {endpoint: sandbox}\ndata_dir: .\n"+
		"tenants: [{id: acme}, {id: acme/app}]\n")
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	d, err := openDesk(cmd, cfg, writing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	api := admin.API{Office: d.office, Callers: admin.ByToken(func() string { return "letmein" })}
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// TestElsewhere does all that there is through a gateway elsewhere.
func TestElsewhere(t *testing.T) {
	url := apiHere(t)
	t.Setenv(command.AdminToken, "letmein")
	t.Chdir(t.TempDir()) // nothing here is read or written
	do := func(want string, args ...string) string {
		t.Helper()
		out, err := output(t, append(append([]string{"keys"}, args...), "--admin", url+"/")...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v, want %q\n%s", args, err, want, out)
		}
		return out
	}
	var key admin.WithCredentials
	out := do(`"bearer":"slk_`, "new", "--tenant", "acme/app", "--name", "ci", "--budget", "month=50", "--expires", "30d",
		"--network", "10.1.2.3/8", "--tokens-per-minute", "5", "--json")
	if err := json.Unmarshal([]byte(out), &key); err != nil || key.State != admin.Active {
		t.Fatalf("%v in %s", err, out)
	}
	do("10.0.0.0/8", "show", key.ID)
	do(key.Bearer, "show", key.ID)
	do("budget             $50 per month", "set", key.ID, "--owner", "o@example.com", "--reason", "asked for")
	out = do("o@example.com", "set", key.ID, "--budget", "none", "--network", "any", "--expires", "never")
	for _, gone := range []string{"budget", "network", "until"} {
		if strings.Contains(out, gone) || !strings.Contains(out, "5 tokens") {
			t.Errorf("%s is left, or limits are lost:\n%s", gone, out)
		}
	}
	do("frozen", "freeze", key.ID)
	do("active", "unfreeze", key.ID)
	do("frozen tenants: [acme]", "freeze", "--tenant", "acme", "--reason", "audit")
	do("tenant acme is frozen", "list")
	do("frozen tenants: []", "unfreeze", "--tenant", "acme")
	do("replaces           "+key.ID, "rotate", key.ID, "--grace", "2h")
	do("revoked", "revoke", key.ID, "--reason", "left")
	do(key.ID, "list", "--tenant", "acme/app", "--json")
	do("[]", "list", "--tenant", "other", "--json")
	do("acts, all links hold", "audit")
	if out := do("asked for", "audit"); !strings.Contains(out, "admin token ["+person()+"]") {
		t.Errorf("who acted is not said:\n%s", out)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left here: %v, %v", left, err)
	}
}

// TestElsewhereRefused: mistakes are the user's, and the token goes nowhere else.
func TestElsewhereRefused(t *testing.T) {
	url := apiHere(t)
	leaked := ""
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Get("Authorization")
	}))
	defer other.Close()
	moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	no := func(text string, args ...string) {
		t.Helper()
		refused(t, text, append([]string{"keys"}, args...)...)
	}
	no("SLUICE_ADMIN_TOKEN or in --token-file", "list", "--admin", url)
	t.Setenv(command.AdminToken, "wrong")
	no("does not take the token", "list", "--admin", url)
	file := harness.File(t, "token", "letmein\n")
	if _, err := output(t, "keys", "list", "--admin", url, "--token-file", file); err != nil {
		t.Error(err)
	}
	no("there is no such file", "list", "--admin", url, "--token-file", filepath.Join(t.TempDir(), "none"))
	no("--token-file is for --admin", "list", "--token-file", file)
	no("either --config FILE", "list", "--admin", url, "--config", "x.yaml")
	no("is no URL such as", "list", "--admin", "gateway:9090")
	no("is no URL such as", "list", "--admin", "ftp://gateway:9090")
	no("no user and password", "list", "--admin", strings.Replace(url, "://", "://u:letmein@", 1))
	t.Setenv(command.AdminToken, "letmein")
	no("no tenant", "new", "--tenant", "nobody", "--admin", url)
	no("there is no key", "show", "SLK"+strings.Repeat("A", 21), "--admin", url)
	no("not a key id", "revoke", "a/../b", "--admin", url)
	no("nothing to set", "set", "x", "--admin", url)
	no("--tenant ID is needed", "new", "--admin", url)
	for at, want := range map[string]string{
		moved.URL: "is --admin an admin port?", page.URL: "is --admin an admin port?", other.URL: "something else",
		"http://127.0.0.1:1": "no gateway answers at 127.0.0.1:1",
	} {
		leaked = ""
		_, err := output(t, "keys", "list", "--admin", at)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", at, err, want)
		}
		if at == moved.URL && leaked != "" {
			t.Error("the token followed a redirect")
		}
	}
}
