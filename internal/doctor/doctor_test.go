package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// has requires a finding with this state whose check, subject and message have the text,
// and a way out where it is not well.
func has(t *testing.T, found []Finding, want State, text string) {
	t.Helper()
	for _, f := range found {
		if f.State == want && strings.Contains(f.Check+" "+f.Subject+": "+f.Message, text) {
			if (f.WayOut == "") != (f.State == OK) {
				t.Errorf("way out: %+v", f)
			}
			return
		}
	}
	t.Errorf("no %s with %q in %+v", want, text, found)
}

func TestMemory(t *testing.T) {
	f := func(memory, bodies, largest int64, want State, way string) {
		t.Helper()
		got := Memory(&config.EdgeLimits{BufferedBytes: bodies, MaxBodyBytes: largest, MaxConnections: 1000}, memory)
		if got.State != want || !strings.Contains(got.WayOut, way) {
			t.Errorf("%+v", got)
		}
	}
	f(0, 1<<30, 25*mib, OK, "")
	f(8<<30, 1<<30, 25*mib, OK, "")
	f(512*mib, 1<<30, 25*mib, Warn, "limits.buffered_bytes: 240MiB") // E4: the default limits in a small container
	f(512*mib, 240*mib, 25*mib, OK, "")
	f(128*mib, 1<<30, 25*mib, Fail, "more memory")
	f(512*mib, 187*mib, 25*mib, OK, "")
}

func TestFiles(t *testing.T) {
	f := func(most uint64, want State) {
		t.Helper()
		if got := Files(&config.EdgeLimits{MaxConnections: 10_000}, most); got.State != want {
			t.Errorf("%+v", got)
		}
	}
	f(1<<20, OK)
	f(20_200, OK)
	f(10_000, Warn)
	f(1024, Fail)
	if FileLimit() == 0 {
		t.Error("no file may be open")
	}
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if found := Disk(dir, "group", time.Now); len(found) != 2 || found[0].Check != "disk" || found[0].Subject != dir {
		t.Errorf("of a disk that can be written: %+v", found)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left there: %v %v", left, err)
	}
	for _, below := range []string{"data", "several/levels/data"} {
		found := Disk(filepath.Join(dir, below), "group", time.Now)
		if room := free(about{}, dir); len(found) != 1 || found[0].State != room.State {
			t.Errorf("%s: %+v", below, found)
		}
		has(t, found, found[0].State, "the first start makes it")
	}
	file := harness.File(t, "file", "")
	has(t, Disk(file, "group", time.Now), Fail, "cannot be written")
	has(t, Disk(filepath.Join(file, "data"), "group", time.Now), Fail, "cannot be written")
	has(t, Disk("/proc/self/fd", "group", time.Now), Fail, "cannot be written")
	at := time.Now()
	slow := func() time.Time { at = at.Add(20 * time.Millisecond); return at }
	has(t, Disk(dir, "group", slow), Warn, "requests do not wait")
	has(t, Disk(dir, "always", slow), Warn, "each request waits")
}

// TestRoom: how much room the machine of a test has does not matter.
func TestRoom(t *testing.T) {
	a := about{"disk", "data"}
	for left, want := range map[uint64]State{
		0: Fail, leastFree - 1: Fail, leastFree: Warn, warnFree - 1: Warn, warnFree: OK, 1 << 60: OK,
	} {
		if got := judgeRoom(a, left, leastInodes); got.State != want {
			t.Errorf("%d bytes: %+v, want %v", left, got, want)
		}
	}
	if got := judgeRoom(a, 1<<60, leastInodes-1); got.State != Fail || !strings.Contains(got.Message, "inodes") {
		t.Errorf("%+v", got)
	}
}

// newCertificate writes a certificate and its key.
func newCertificate(t *testing.T, from, until time.Time) *config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gw.example"}, NotBefore: from, NotAfter: until,
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return &config.TLS{
		Cert: harness.File(t, "cert.pem", encode("CERTIFICATE", raw)),
		Key:  harness.File(t, "key.pem", encode("PRIVATE KEY", secret)),
	}
}

func TestCertificate(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	good := newCertificate(t, now.Add(-day), now.Add(90*day))
	has(t, Certificate(good, now), OK, `"gw.example" is valid until`)
	has(t, Certificate(newCertificate(t, now.Add(-day), now.Add(5*day)), now), Warn, "expires at")
	expired := newCertificate(t, now.Add(-2*day), now.Add(-day))
	has(t, Certificate(expired, now), Fail, "expired at")
	has(t, Certificate(newCertificate(t, now.Add(day), now.Add(2*day)), now), Fail, "not valid before")
	has(t, Certificate(&config.TLS{Cert: good.Cert, Key: expired.Key}, now), Fail, "private key does not match")
	has(t, Certificate(&config.TLS{Cert: "none", Key: "none"}, now), Fail, "no such file")
	has(t, Authorities(good.Cert, now), OK, "valid until")
	has(t, Authorities(expired.Cert, now), Fail, "expired at")
	has(t, Authorities(good.Key, now), Fail, "no certificate")
	has(t, Authorities("none", now), Fail, "no such file")
	pipe := filepath.Join(t.TempDir(), "pipe") // reading one may never end
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, Authorities(pipe, now), Fail, "is a pipe")
	has(t, Certificate(&config.TLS{Cert: good.Cert, Key: pipe}, now), Fail, "is a pipe")
}

// ledger examines a real server.
func ledger(t *testing.T, url, fingerprint string, now func() time.Time) []Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	survey := func(ctx context.Context) ([]redis.Server, error) { return redis.Survey(ctx, url, now) }
	return Ledger(ctx, survey, "there", fingerprint)
}

func TestLedger(t *testing.T) {
	good := redistest.NewServer(t, "--appendonly", "yes", "--appendfsync", "everysec")
	found := ledger(t, good.URL(), "abc", time.Now)
	for _, text := range []string{"ledger version", "ledger memory", "file, appendfsync everysec", "clock differs"} {
		has(t, found, OK, text)
	}
	if keys := good.Keys("*"); len(keys) > 0 {
		t.Errorf("the examination wrote %q", keys)
	}
	good.CLI("HSET", "sl:meta", "fingerprint", "abc")
	if found := ledger(t, good.URL(), "abc", time.Now); Worst(found) == Fail {
		t.Errorf("%+v", found)
	}
	has(t, ledger(t, good.URL(), "def", time.Now), Fail, "another root secret")
	late := func() time.Time { return time.Now().Add(-time.Minute) }
	has(t, ledger(t, good.URL(), "", late), Warn, "differs by 1m0s")
	has(t, ledger(t, good.URL(), "", func() time.Time { return time.Now().Add(3 * time.Hour) }), Fail, "too much")

	bad := redistest.NewServer(t, "--maxmemory-policy", "allkeys-lru", "--appendonly", "no", "--save", "")
	found = ledger(t, bad.URL(), "", time.Now)
	has(t, found, Fail, "maxmemory-policy is allkeys-lru")
	has(t, found, Warn, "a restart loses everything")
	bad.CLI("CONFIG", "SET", "save", "900 1")
	has(t, ledger(t, bad.URL(), "", time.Now), Warn, "snapshots only (save 900 1)")
	bad.CLI("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1mb")
	has(t, ledger(t, bad.URL(), "", time.Now), Warn, "MiB are used")

	slow := redistest.NewProxy(t, good.Addr)
	slow.Delay(20 * time.Millisecond)
	has(t, ledger(t, slow.URL(), "", time.Now), Warn, "a round trip takes")
	has(t, ledger(t, "redis://127.0.0.1:1/0", "", time.Now), Fail, "connection refused")
	has(t, ledger(t, "http://nothing", "", time.Now), Fail, "ledger there")
	without := redistest.NewServer(t, "--rename-command", "INFO", "", "--rename-command", "CONFIG", "") // as some hosts do
	has(t, ledger(t, without.URL(), "", time.Now), Warn, "INFO is denied")
	locked := redistest.NewServer(t)
	locked.CLI("CONFIG", "SET", "requirepass", "secret")
	has(t, ledger(t, locked.URL(), "", time.Now), Fail, "wants a password")
}

// TestLedgerSays has what no server here can be made to say.
func TestLedgerSays(t *testing.T) {
	f := func(info map[string]string, want State, text string) {
		t.Helper()
		has(t, server(&redis.Server{Addr: "r", Info: info}, ""), want, text)
	}
	f(map[string]string{"redis_version": "6.2.1"}, Fail, "Redis 6.2.1")
	f(map[string]string{"redis_version": "7.2.4", "valkey_version": "8.1.0"}, OK, "Valkey 8.1.0")
	f(map[string]string{"aof_enabled": "1", "aof_last_write_status": "err"}, Fail, "last write")
	f(map[string]string{"rdb_last_bgsave_status": "err"}, Fail, "last snapshot failed")
	f(map[string]string{"redis_version": "7.0.0"}, Warn, "does not say what it does when it is full")
	f(nil, Warn, "INFO is denied")
	has(t, server(&redis.Server{Addr: "r", RoundTrip: time.Second}, ""), Fail, "a round trip takes 1s")
}

func TestRunning(t *testing.T) {
	state, status := `{"ready":true,"ledger_backlog":0}`, http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(state))
	}))
	defer s.Close()
	admin := strings.TrimPrefix(s.URL, "http://")
	f := func(want State, text string) {
		t.Helper()
		has(t, Running(t.Context(), "127.0.0.1:0", admin), want, text)
	}
	f(OK, "takes requests")
	state = `{"ready":true,"degraded":{"clock":"one minute behind"}}`
	f(Warn, "one minute behind")
	status, state = http.StatusServiceUnavailable, `{"ready":false,"degraded":{"journal":"no space left"}}`
	f(Fail, "refuses new requests")
	f(Warn, "no space left")
	state = `{"ready":false,"draining":true}`
	f(Warn, "draining")
	status = http.StatusTeapot
	f(Fail, "another program listens there")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	free := harness.FreeAddr(t)
	found := Running(ctx, ln.Addr().String(), free)
	has(t, found, OK, "none runs here")
	has(t, found, Fail, "port "+ln.Addr().String())
	has(t, found, OK, "port "+free)
	has(t, Running(t.Context(), "192.0.2.1:80", free), Fail, "192.0.2.1")
}

func TestReachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := func(where string, want State, text string) {
		t.Helper()
		has(t, []Finding{Reachable(t.Context(), "telemetry", where)}, want, text)
	}
	f("http://"+ln.Addr().String()+"/v1/traces", OK, "listens")
	f("http://user:hidden@"+harness.FreeAddr(t), Warn, "telemetry http://user:xxxxx@127.0.0.1")
	f("http://[", Fail, "no URL")
}

// TestLedgerOfManyServers asks each master of a cluster.
func TestLedgerOfManyServers(t *testing.T) {
	c := redistest.NewCluster(t, 3)
	found := ledger(t, c.URL(), "abc", time.Now)
	if n := len(found); n != 15 || Worst(found) == Fail {
		t.Errorf("%d findings: %+v", n, found)
	}
}

func TestWorst(t *testing.T) {
	if got := Worst([]Finding{{State: Fail}, {State: Warn}, {State: OK}}); got != Fail {
		t.Error(got)
	}
	if got := Worst([]Finding{{State: OK}, {State: Warn}}); got != Warn {
		t.Error(got)
	}
	if Worst(nil) != OK || FileLimit() == math.MaxUint64 {
		t.Error("limits")
	}
	has(t, RootSecret("d", errors.New("too short")), Fail, "too short")
	has(t, RootSecret("d", nil), OK, "can be read")
	has(t, BadUpstreams(errors.New("no such profile")), Fail, "no such profile")
}
