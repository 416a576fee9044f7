package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// protocol is a way to speak to the gateway.
type protocol struct {
	name   string
	url    string
	client *http.Client
}

// protocols are HTTP/1.1 and HTTP/2, cleartext and over TLS.
func protocols(plain, secure *harness.Gateway, roots *x509.CertPool) []protocol {
	over := func(name, url string, set func(p *http.Protocols)) protocol {
		p := new(http.Protocols)
		set(p)
		transport := &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
		return protocol{name, url, &http.Client{Transport: transport}}
	}
	return []protocol{
		over("http1", plain.URL(), func(p *http.Protocols) { p.SetHTTP1(true) }),
		over("http2", plain.URL(), func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
		over("tls-http1", "https://"+secure.Addr, func(p *http.Protocols) { p.SetHTTP1(true) }),
		over("tls-http2", "https://"+secure.Addr, func(p *http.Protocols) { p.SetHTTP2(true) }),
	}
}

// begin sends a request and returns its answer, of which only the head has come.
func (p protocol) begin(ctx context.Context, key harness.Key, target string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+target, strings.NewReader(ask))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	return p.client.Do(req)
}

// leave makes a request and goes away: from a stream after its first bytes, from
// a plain call before any, but when it is under way.
func (p protocol) leave(t *testing.T, key harness.Key, model, operation string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if operation == "converse" {
		time.AfterFunc(slowly/3, cancel)
	}
	res, err := p.begin(ctx, key, "/model/"+model+"/"+operation)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", model, err)
		}
		return
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 20)); err != nil {
		t.Errorf("%s: %d, %v", model, res.StatusCode, err)
	}
}

// slowly is how long an answer of the script slow takes, or more.
const slowly = 3 * time.Second

const slow = `rules:
  - {match: {operation: converse}, delay: {first_byte: 3s}, answer: {text: "a long story in some more words", input_tokens: 11, output_tokens: 7}}
  - {delay: {frame: 400ms}, answer: {text: "a long story in some more words", input_tokens: 11, output_tokens: 7}}
`

// pair starts a cleartext gateway and one with TLS on the same configuration.
func pair(t *testing.T, yaml string) (plain, secure *harness.Gateway, roots *x509.CertPool) {
	cert, roots := certificate(t)
	plain = harness.Start(t, harness.Config{YAML: yaml})
	secure = harness.Start(t, harness.Config{YAML: yaml +
		fmt.Sprintf("tls: {cert: %q, key: %q}\n", cert+".pem", cert+".key")})
	return plain, secure, roots
}

// TestCallerLeaves leaves answers over every protocol: the upstream is read to
// its end and what it billed is counted.
func TestCallerLeaves(t *testing.T) {
	t.Parallel() // it mostly waits
	sandbox := harness.StartSandbox(t, slow)
	key := harness.NewKey(t, "acme")
	plain, secure, roots := pair(t, fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID))
	const each = 3
	var all sync.WaitGroup
	for _, p := range protocols(plain, secure, roots) {
		for _, operation := range []string{"converse", "converse-stream"} {
			for range each {
				all.Go(func() { p.leave(t, key, "test."+p.name+"."+operation, operation) })
			}
		}
	}
	all.Wait()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		served := map[string]harness.Row{}
		for _, s := range sandbox.Log() {
			row := served[s.Model]
			row.Requests, row.Input, row.Output = row.Requests+1, row.Input+s.Input, row.Output+s.Output
			served[s.Model] = row
		}
		rows := append(plain.Report("model"), secure.Report("model")...)
		for _, row := range rows {
			got := harness.Row{Requests: row.Requests, Input: row.Input, Output: row.Output}
			if got != served[row.Model] || row.Requests != each || row.Input != each*11 || row.Unknown != 0 {
				return false, fmt.Sprintf("%+v, the stand-in served %+v", row, served[row.Model])
			}
		}
		return len(rows) == 8, fmt.Sprintf("%d rows", len(rows))
	})
	for _, gw := range []*harness.Gateway{plain, secure} {
		sums := journalled(t, gw)
		if len(sums) != 4 {
			t.Errorf("%d models in the journal, want 4", len(sums))
		}
		for model, sum := range sums {
			if sum.Drained != each {
				t.Errorf("%s: %d of %d records are marked as drained", model, sum.Drained, each)
			}
		}
	}
}

// journalled adds up a gateway's journal by model, as a second process reads it.
func journalled(t *testing.T, gw *harness.Gateway) map[string]record.Counters {
	t.Helper()
	sums := map[string]record.Counters{}
	dir := journal.Dir(filepath.Join(gw.Dir, "data", "journal"))
	damage, err := meter.Replay(dir, func(_ string, p record.Posting) error {
		sum, ok := sums[p.Row.Model].Plus(p.Add)
		if !ok {
			t.Error("the counters overflow")
		}
		sums[p.Row.Model] = sum
		return nil
	})
	if err != nil || len(damage) > 0 {
		t.Errorf("journal: %v %v", err, damage)
	}
	return sums
}

// TestDrainBound leaves answers that take longer than the drain bound: they are
// cut off and counted as unknown.
func TestDrainBound(t *testing.T) {
	upstream := harness.StartScripted(t, map[string]harness.Play{
		"test.converse": func(c *net.TCPConn, _ int) bool { io.Copy(io.Discard, c); return false },
		"test.converse-stream": func(c *net.TCPConn, _ int) bool {
			c.Write(streamHead)
			c.Write(chunk(harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)))
			io.Copy(io.Discard, c)
			return false
		},
	})
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
timeouts: {drain: 1s}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	p := protocols(gw, gw, nil)[0]
	p.leave(t, key, "test.converse", "converse")
	p.leave(t, key, "test.converse-stream", "converse-stream")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		for _, row := range rows {
			if row.Unknown != 1 || row.Legs != 1 || row.Input != 0 {
				return false, fmt.Sprintf("%+v", row)
			}
		}
		return len(rows) == 2, fmt.Sprintf("%d rows", len(rows))
	})
}

// TestTerminate ends the gateway while it answers: what is in flight is
// finished, nothing new is taken, and the exit code is 0.
func TestTerminate(t *testing.T) {
	t.Parallel() // it mostly waits
	sandbox := harness.StartSandbox(t, slow)
	key := harness.NewKey(t, "acme")
	plain, secure, roots := pair(t, fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID))
	var begun, all sync.WaitGroup
	for _, p := range protocols(plain, secure, roots) {
		begun.Add(1)
		all.Go(func() {
			res, err := p.begin(context.Background(), key, "/model/test.model/converse-stream")
			begun.Done()
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if frames := harness.SplitFrames(body); err != nil || len(frames) < 4 || len(harness.Exceptions(t, body)) > 0 {
				t.Errorf("%s: a stream in flight was broken: %v after %d frames", p.name, err, len(frames))
			}
		})
		all.Go(func() {
			res, err := p.begin(context.Background(), key, "/model/test.model/converse")
			if err != nil {
				t.Errorf("%s: a request in flight was broken: %v", p.name, err)
				return
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%s: a request in flight was broken: %d, %v", p.name, res.StatusCode, err)
			}
		})
	}
	begun.Wait()
	for _, gw := range []*harness.Gateway{plain, secure} {
		harness.Eventually(t, time.Minute, func() (bool, string) {
			n := gw.Metric("sluice_requests_in_flight")
			return n == 4, fmt.Sprintf("%v requests in flight", n)
		})
		gw.Signal(syscall.SIGTERM)
	}
	for _, gw := range []*harness.Gateway{plain, secure} {
		harness.Eventually(t, time.Minute, func() (bool, string) {
			conn, err := net.Dial("tcp", gw.Addr)
			if err == nil {
				conn.Close()
			}
			return err != nil, "the gateway still takes connections"
		})
	}
	all.Wait()
	var legs int64
	for _, gw := range []*harness.Gateway{plain, secure} {
		gw.Stop()
		for _, row := range gw.Report("model") {
			legs += row.Legs
			if row.Unknown != 0 || row.Input != 11*row.Legs {
				t.Errorf("%+v", row)
			}
		}
	}
	if legs != 8 {
		t.Errorf("%d attempts are counted, want 8", legs)
	}
}

// TestKilled kills the gateway in the middle of calls. After the restart the
// calls that had ended count as they did, and the others are unknown.
func TestKilled(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) { testKilled(t, ledger) })
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}

func testKilled(t *testing.T, ledger string) {
	const ended, open = 20, 5
	upstream := harness.StartScripted(t, map[string]harness.Play{
		"test.good": writes(answerWith(200, jsonHeader, okBody)),
		"test.hang": func(c *net.TCPConn, _ int) bool { io.Copy(io.Discard, c); return false },
	})
	key := harness.NewKey(t, "acme")
	c := harness.Config{Dir: t.TempDir(), YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
%s`, upstream.URL(), key.KeyID, ledger)}
	gw := harness.Start(t, c)
	for range ended {
		if err := post(gw, key, "/model/test.good/converse", ask); err != nil {
			t.Fatal(err)
		}
	}
	var calls sync.WaitGroup
	for range open {
		calls.Go(func() { _ = post(gw, key, "/model/test.hang/converse", ask) }) // broken by the kill
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		n := upstream.Calls("test.hang")
		return n == open, fmt.Sprintf("%d calls at the upstream", n)
	})
	gw.Kill()
	calls.Wait()
	want := map[string]harness.Row{
		"test.good": {Requests: ended, Legs: ended, Input: 3 * ended, Output: 2 * ended},
		"test.hang": {Legs: open, Unknown: open},
	}
	for range 2 { // a second restart must not count them again
		gw = harness.Start(t, c)
		harness.Eventually(t, time.Minute, func() (bool, string) {
			rows := gw.Report("model")
			for _, row := range rows {
				got := harness.Row{Requests: row.Requests, Legs: row.Legs, Input: row.Input, Output: row.Output,
					Unknown: row.Unknown}
				if got != want[row.Model] {
					return false, fmt.Sprintf("%s: %+v, want %+v", row.Model, got, want[row.Model])
				}
			}
			return len(rows) == len(want), fmt.Sprintf("%d rows", len(rows))
		})
		gw.Kill()
	}
}

// TestManyCallersLeave lets callers go away at any moment of their requests. The
// report must equal what the upstream billed, and nothing may be left behind.
func TestManyCallersLeave(t *testing.T) {
	const requests, workers = 1000, 32
	sandbox := harness.StartSandbox(t, "rules: [{delay: {first_byte: 10ms, frame: 3ms}}]\n")
	key := harness.NewKey(t, "acme")
	plain, secure, roots := pair(t, fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID))
	ways := protocols(plain, secure, roots)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	type leaving struct {
		p         protocol
		operation string
		after     time.Duration
	}
	work := make(chan leaving)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for w := range work {
				ctx, cancel := context.WithTimeout(context.Background(), w.after)
				if res, err := w.p.begin(ctx, key, "/model/test.model/"+w.operation); err == nil {
					_, _ = io.Copy(io.Discard, res.Body) // cut off, mostly
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	for i := range requests {
		work <- leaving{ways[i%len(ways)], [...]string{"converse", "converse-stream"}[random.IntN(2)],
			time.Duration(1+random.IntN(60)) * time.Millisecond}
	}
	close(work)
	all.Wait()
	gateways := []*harness.Gateway{plain, secure}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var want, got harness.Row
		for _, s := range sandbox.Log() {
			want.Legs, want.Input, want.Output = want.Legs+1, want.Input+s.Input, want.Output+s.Output
		}
		for _, gw := range gateways {
			if n := gw.Metric("sluice_requests_in_flight"); n != 0 {
				return false, fmt.Sprintf("%v requests in flight", n)
			}
			for _, row := range gw.Report("model") {
				got.Legs, got.Unknown = got.Legs+row.Legs, got.Unknown+row.Unknown
				got.Input, got.Output = got.Input+row.Input, got.Output+row.Output
			}
		}
		return got == want && want.Legs > requests/2, fmt.Sprintf("%+v, the stand-in served %+v", got, want)
	})
	for _, p := range ways {
		p.client.CloseIdleConnections()
	}
	for _, gw := range gateways {
		harness.Eventually(t, time.Minute, func() (bool, string) {
			n, open := gw.Metric("go_goroutines"), gw.Metric("sluice_connections")
			return n < 150 && open == 0, fmt.Sprintf("%v goroutines, %v connections", n, open)
		})
		gw.Stop()
	}
}
