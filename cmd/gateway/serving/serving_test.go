package serving

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/cmd/gateway/keys"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	model = "amazon.nova-lite-v1:0"
	ask   = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
)

func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return harness.Execute(t, Commands("test"), args...)
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

// TestSkew goes by the ledger's clock where this machine's differs. M25
func TestSkew(t *testing.T) {
	var log strings.Builder
	a := &accounts{accountsOptions: accountsOptions{log: newLog(&log)}}
	f := func(behind, corrected time.Duration, told bool) {
		t.Helper()
		log.Reset()
		a.health = health{}
		a.took(redis.Health{Ahead: behind}, nil)
		if got := a.health.ahead(); got != corrected || strings.Contains(log.String(), "clock differs") != told {
			t.Errorf("%s behind: corrected by %s\n%s", behind, got, &log)
		}
	}
	f(0, 0, false)
	f(300*time.Millisecond, 0, false)
	f(-10*time.Minute, -10*time.Minute, true)
	f(10*time.Minute, 10*time.Minute, true)
	f(25*time.Hour, 0, true)
}

func newKey(t *testing.T) (key harness.Key) {
	t.Helper()
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	out, err := harness.Execute(t, keys.Commands(), "keys", "new", "--tenant", "acme", "--json")
	if err != nil || json.Unmarshal([]byte(out), &key) != nil {
		t.Fatal(out, err)
	}
	return key
}

// TestServe answers, reloads what changed, and keeps the last good configuration.
func TestServe(t *testing.T) {
	key := newKey(t)
	yaml := func(tenants string) string {
		return "upstream: {region: us-east-1, endpoint: sandbox}\nupstreams: {eu: {endpoint: sandbox}}\ntenants:\n" + tenants
	}
	acme := fmt.Sprintf("  - {id: acme, keys: [%s], budgets: [{period: day, usd: 5}]}\n", key.KeyID)
	gw, stop := harness.Serve(t, Commands("test"), yaml(acme))
	wantStatus := func(want int) {
		t.Helper()
		if a := gw.Post(t, key.BearerCredential, "/model/"+model+"/converse", ask); a.Status != want {
			t.Fatalf("%d %s, want %d", a.Status, a.Body, want)
		}
	}
	wantStatus(http.StatusOK)
	gw.Write(yaml("  - {id: acme, nonsense: 1}\n"))
	harness.Eventually(t, time.Minute, func() (bool, string) {
		status, r := gw.Readyz()
		return status == http.StatusOK && strings.Contains(r.Degraded["configuration"], "refused at"), fmt.Sprint(r)
	})
	wantStatus(http.StatusOK)
	gw.Write(yaml("  - {id: acme}\n") + "journal: {fsync: always}\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		_, r := gw.Readyz()
		return r.Degraded["configuration"] == "", fmt.Sprint(r)
	})
	wantStatus(http.StatusForbidden)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		n := gw.Metric("sluice_requests_in_flight")
		return n == 0, fmt.Sprint(n, " requests in flight")
	})
	stop()
	if _, err := http.Get(gw.URL()); err == nil {
		t.Error("it still serves")
	}
	gw.Write(yaml(acme))
	stop = gw.Restart(Commands("test"))
	wantStatus(http.StatusOK)
	stop()
	t.Setenv("SLUICE_ROOT_SECRET", "another root secret of the test")
	if _, err := output(t, "serve", "--config", gw.ConfigFile()); err == nil ||
		!strings.Contains(err.Error(), "root secret") {
		t.Errorf("another root secret: %v", err)
	}
	t.Setenv("SLUICE_ROOT_SECRET_PREVIOUS", harness.RootSecret)
	stop = gw.Restart(Commands("test"))
	stop()
}

// TestServeOnRedis shares counts and the memory of cascades over a ledger.
func TestServeOnRedis(t *testing.T) {
	key := newKey(t)
	redis := redistest.NewServer(t)
	gw, stop := harness.Serve(t, Commands("test"), fmt.Sprintf("upstream: {region: us-east-1, endpoint: sandbox}\n"+
		"ledger: {redis: %q}\ntenants: [{id: acme, keys: [%s]}]\n"+
		"cascades: [{name: c, match: 'true', mode: rules, light: %s, escalation: "+
		"amazon.nova-pro-v1:0}]\n", redis.URL(), key.KeyID, model))
	if a := gw.Post(t, key.BearerCredential, "/model/"+model+"/converse", ask); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	stop()
	if n := redis.CLI("DBSIZE"); strings.Contains(n, " 0") {
		t.Errorf("the ledger has nothing: %s", n)
	}
	bad := strings.Replace(fmt.Sprintf("upstream: {endpoint: sandbox}\nledger: {redis: %q}\n", redis.URL()), "/0", "/x", 1)
	refused(t, "ledger.redis", "serve", "--config", harness.File(t, "sluice.yaml", bad))
}

func TestServeRefuses(t *testing.T) {
	refused(t, "--config FILE is needed", "serve")
	refused(t, "loopback", "serve", "--pprof", ":6060", "--config", harness.File(t, "sluice.yaml",
		"upstream: {endpoint: sandbox}\n"))
	taken := harness.File(t, "sluice.yaml",
		"upstream: {endpoint: sandbox}\nadmin: {listen: 127.0.0.1:0}\nlisten: 192.0.2.1:1\n")
	if _, err := output(t, "serve", "--config", taken); err == nil {
		t.Error("an address of another machine is served")
	}
}

func TestSandbox(t *testing.T) {
	addr := harness.FreeAddr(t)
	script := harness.File(t, "script.yaml", "rules: [{match: {text: hello}, answer: {text: from the script}}]\n")
	harness.Background(t, Commands("test"), "sandbox", "--listen", addr, "--script", script, "--bearer-token", "secret")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		req, _ := http.NewRequest(http.MethodPost, "http://"+addr+"/model/"+model+"/converse", strings.NewReader(ask))
		req.Header.Set("Authorization", "Bearer secret")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err.Error()
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return strings.Contains(string(body), "from the script"), string(body)
	})
	refused(t, "bad.yaml", "sandbox", "--script", harness.File(t, "bad.yaml", "nonsense: 1\n"))
	if _, err := output(t, "sandbox", "--script", "/nonexistent"); err == nil {
		t.Error("a script that is not there")
	}
}

// TestQuickstart prints calls that work as they are, and keeps key and
// configuration for the next start.
func TestQuickstart(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	secrets, err := command.Secrets("data")
	if err != nil {
		t.Fatal(err)
	}
	key, err := demoKey("data", secrets)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := demoKey("data", secrets); err != nil || again != key {
		t.Errorf("another key: %v", err)
	}
	file, err := demoConfig("data", key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	addr := harness.FreeAddr(t)
	own := strings.NewReplacer("127.0.0.1:8080", addr, "127.0.0.1:9090", harness.FreeAddr(t)).Replace(string(text))
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := harness.Background(t, Commands("test"), "quickstart")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		return strings.Contains(out.String(), "http://"+addr+"/model/auto/converse") &&
			strings.Contains(out.String(), key.Bearer), out.String()
	})
}
