package serving

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/test/harness"
)

// running is a gateway whose reloads a test asks for.
type running struct {
	t    *testing.T
	file string
	app  *app
	reloader
}

// run starts a gateway without its ports being served.
func run(t *testing.T, text string) *running {
	t.Helper()
	t.Setenv("SLUICE_ROOT_SECRET", harness.RootSecret)
	file := harness.File(t, "sluice.yaml", text)
	load := fromFile(file)
	cfg, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	var closing closers
	t.Cleanup(func() { closing.run(5 * time.Second) })
	a, err := start(t.Context(), options{version: "test"}, cfg, &closing)
	if err != nil {
		t.Fatal(err)
	}
	return &running{t: t, file: file, app: a, reloader: *newReloader(a, load)}
}

// take reloads a text, and returns what /readyz shows then.
func (r *running) take(text string) readiness {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.reload(r.t.Context())
	_, state := r.app.ready()
	return state.(readiness)
}

// TestReloadApplies changes what only the edge, the admin port and the telemetry have,
// and looks there. U19
func TestReloadApplies(t *testing.T) {
	base := fmt.Sprintf("listen: %s\nadmin: {listen: %q, token: %%s}\n"+
		"upstream: {region: us-east-1, endpoint: sandbox}\n%%s", harness.FreeAddr(t), harness.FreeAddr(t))
	r := run(t, fmt.Sprintf(base, "first", "timeouts: {header: 10m}\n"))
	metrics := func(token string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+r.current.Admin.Listen+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := metrics("first"); got != http.StatusOK {
		t.Fatal(got)
	}
	go r.app.edge.Serve(t.Context())
	status := func() int {
		t.Helper()
		body := strings.NewReader(strings.Repeat(" ", 2000))
		res, err := http.Post("http://"+r.current.Listen+"/model/x/converse", "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := status(); got != http.StatusForbidden {
		t.Fatal(got)
	}
	state := r.take(fmt.Sprintf(base, "second", "limits: {max_body_bytes: 1000, max_connections: 7}\n"+
		"timeouts: {header: 10ms, body: 4s, write: 6s, keep_alive: 9s, drain: 1s}\ntelemetry: {sample: 0.5}\n"))
	if state.Degraded["configuration"] != "" || strings.Join(state.Restart, " ") != "timeouts.keep_alive" {
		t.Errorf("%+v", state)
	}
	if first, second := metrics("first"), metrics("second"); first != http.StatusUnauthorized || second != http.StatusOK {
		t.Errorf("the old token gets %d, the new one %d", first, second)
	}
	if got := status(); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body above the new limit gets %d", got)
	}
	silent, err := net.Dial("tcp", r.current.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a silent connection: %v, want it closed by timeouts.header", err)
	}
	if state = r.take(fmt.Sprintf(base, "second", "timeouts: {keep_alive: 75s}\n")); len(state.Restart) != 0 {
		t.Errorf("%+v", state)
	}
}

// TestReloadNames names each key that it cannot apply, keeps the old value in all that is
// read of the configuration, and applies the rest of the file. U19
func TestReloadNames(t *testing.T) {
	base := fmt.Sprintf("admin: {listen: %q}\nlisten: %s\n", harness.FreeAddr(t), harness.FreeAddr(t))
	more := "upstream: {endpoint: sandbox}\nunpriced: %s\n"
	r := run(t, base+fmt.Sprintf(more, "allow"))
	dir := r.current.DataDir
	state := r.take("listen: 127.0.0.1:1\nadmin: {listen: 127.0.0.1:2}\ndata_dir: elsewhere\njournal: {fsync: os}\n" +
		"ledger: {redis: 'redis://127.0.0.1:1'}\ntelemetry: {otlp: 'http://127.0.0.1:1', access_log: stdout}\n" +
		fmt.Sprintf(more, "refuse"))
	want := "listen admin.listen data_dir journal ledger telemetry.otlp telemetry.access_log"
	if strings.Join(state.Restart, " ") != want {
		t.Errorf("%q", state.Restart)
	}
	if r.current.DataDir != dir || r.current.Ledger.Redis != "" || r.current.Unpriced != config.UnpricedRefuse {
		t.Errorf("%+v", r.current)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(r.file), "elsewhere")); err == nil {
		t.Error("another data_dir was made")
	}
	if text, err := json.Marshal(state); err != nil || !strings.Contains(string(text), `"restart_needed":["listen"`) {
		t.Errorf("%s", text)
	}
}

// TestReloadOfCertificates takes another pair of files, and refuses one that is not there,
// or of which there is none. U19
func TestReloadOfCertificates(t *testing.T) {
	dir := t.TempDir()
	ends := time.Now().AddDate(0, 1, 0)
	one, two := harness.Certificate(t, dir, "one", ends), harness.Certificate(t, dir, "two", ends)
	text := func(cert string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\nupstream: {endpoint: sandbox}\n"+
			"tls: {cert: %q, key: %q}\n", cert+".pem", cert+".key")
	}
	r := run(t, text(one))
	go r.app.edge.Serve(t.Context())
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", r.app.edge.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "one" {
		t.Fatal(got)
	}
	if state := r.take(text(two)); state.Degraded["configuration"] != "" || shown() != "two" {
		t.Errorf("%+v, %s", state, shown())
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"none", "broken"} {
		state := r.take(text(filepath.Join(dir, bad)))
		if !strings.HasPrefix(state.Degraded["configuration"], "refused at") || shown() != "two" {
			t.Errorf("%s: %+v, %s", bad, state, shown())
		}
	}
	if state := r.take(strings.Replace(text(two), "tls:", "#", 1)); strings.Join(state.Restart, " ") != "tls" {
		t.Errorf("%+v", state)
	}
}

// TestReloadShortened takes a file that ends where it had more, says so, and takes the same
// once more as a confirmation. U20
func TestReloadShortened(t *testing.T) {
	base := "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\nupstream: {endpoint: sandbox}\ntenants:\n  - id: a\n"
	r := run(t, base+"aliases: {auto: amazon.nova-lite-v1:0}\n")
	if state := r.take(base); !strings.Contains(state.Degraded["configuration"], "may be cut off") {
		t.Errorf("%+v", state)
	}
	if state := r.take(base); state.Degraded["configuration"] != "" {
		t.Errorf("%+v", state)
	}
	state := r.take(base[:strings.Index(base, "tenants:")])
	if !strings.HasPrefix(state.Degraded["configuration"], "refused at") || len(r.current.Tenants) != 1 {
		t.Errorf("%+v", state)
	}
}
