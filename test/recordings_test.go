package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestRecordings plays real exchanges behind the gateway: the caller must get
// every byte, and the report must come to the recorded tokens.
func TestRecordings(t *testing.T) {
	recordings := harness.Recordings(t)
	ledgers := map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return "ledger: {redis: \"redis://" + redistest.NewServer(t).Addr + "/0\"}\n"
		},
	}
	for ledger, config := range ledgers {
		t.Run(ledger, func(t *testing.T) { testRecordings(t, recordings, config(t)) })
	}
}

func testRecordings(t *testing.T, recordings []*harness.Recording, ledger string) {
	upstream := harness.NewReplay(t)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
allowed_accounts: ["*"]
allowed_kinds: [inference-profile, endpoint]
%s`, upstream.URL, key.KeyID, ledger)})
	p := &player{t: t, upstream: upstream, gw: gw}

	for _, cred := range []harness.Credential{key.BearerCredential, key.SigV4Credential} {
		for _, rec := range recordings {
			p.play(rec, cred)
		}
	}
	p.playTogether(recordings, key.BearerCredential, 16)
	for _, rec := range recordings {
		if strings.HasSuffix(rec.Path, "stream") && rec.Status == http.StatusOK {
			p.playLockstep(rec, key.BearerCredential)
		}
	}
	for _, fault := range upstream.Faults() {
		t.Error(fault)
	}
	p.checkReport()
	gw.Stop()
	p.checkReport()
}

// player plays recordings and remembers what was used.
type player struct {
	t        *testing.T
	upstream *harness.Replay
	gw       *harness.Gateway

	mu   sync.Mutex
	n    int
	used map[string]*use
}

type use struct {
	requests int64
	tokens   harness.Tokens
}

func (p *player) note(rec *harness.Recording) (trace string) {
	model, err := url.PathUnescape(strings.TrimPrefix(rec.Path[:strings.LastIndex(rec.Path, "/")], "/model/"))
	if err != nil {
		p.t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[string]*use{}
	}
	if p.used[model] == nil {
		p.used[model] = new(use)
	}
	p.used[model].requests++
	p.used[model].tokens.Add(harness.RecordedTokens(p.t, rec))
	p.n++
	return fmt.Sprintf("Root=1-%08x-play;Sampled=1", p.n)
}

func (p *player) play(rec *harness.Recording, cred harness.Credential) {
	trace := p.note(rec)
	p.upstream.Expect(trace, rec)
	res := p.send(rec, cred, trace)
	if res == nil {
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Errorf("%s: %v", rec.ID, err)
	}
	p.compare(rec, res, body)
}

func (p *player) compare(rec *harness.Recording, res *http.Response, body []byte) {
	if res.StatusCode != rec.Status {
		p.t.Errorf("%s: status %d, want %d: %s", rec.ID, res.StatusCode, rec.Status, body)
	}
	if !bytes.Equal(body, rec.ResponseBody) {
		p.t.Errorf("%s: the body differs:\n got %q\nwant %q", rec.ID, body, rec.ResponseBody)
	}
	for name, want := range rec.ResponseHeaders {
		if got := res.Header.Get(name); got != want && name != "transfer-encoding" {
			p.t.Errorf("%s: header %s is %q, want %q", rec.ID, name, got, want)
		}
	}
	if got := res.Header.Get("x-sluice-path"); got != "passthrough" {
		p.t.Errorf("%s: x-sluice-path is %q", rec.ID, got)
	}
	if res.Header.Get("x-sluice-request-id") == "" {
		p.t.Errorf("%s: no x-sluice-request-id", rec.ID)
	}
}

// playTogether plays each recording once, so many at a time, over kept connections.
func (p *player) playTogether(recordings []*harness.Recording, cred harness.Credential, workers int) {
	work := make(chan *harness.Recording)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for rec := range work {
				p.play(rec, cred)
			}
		})
	}
	for _, rec := range recordings {
		work <- rec
	}
	close(work)
	wg.Wait()
}

// playLockstep holds each frame back until the caller has the one before it.
func (p *player) playLockstep(rec *harness.Recording, cred harness.Credential) {
	trace := p.note(rec)
	received := p.upstream.ExpectLockstep(trace, rec)
	res := p.send(rec, cred, trace)
	if res == nil {
		return
	}
	defer res.Body.Close()
	var body []byte
	for i, frame := range harness.SplitFrames(rec.ResponseBody) {
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(res.Body, got); err != nil {
			p.t.Errorf("%s: frame %d: %v", rec.ID, i, err)
			return
		}
		body = append(body, got...)
		received <- i
	}
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Errorf("%s: %v", rec.ID, err)
	}
	p.compare(rec, res, append(body, rest...))
}

// pool keeps one connection per worker, so kept connections are used.
var pool = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true},
	Timeout:   30 * time.Second,
}

func (p *player) send(rec *harness.Recording, cred harness.Credential, trace string) *http.Response {
	req, err := http.NewRequest(rec.Method, p.gw.URL()+rec.Path, bytes.NewReader(rec.RequestBody))
	if err != nil {
		p.t.Error(err)
		return nil
	}
	for name, value := range rec.RequestHeaders {
		req.Header.Set(name, value)
	}
	req.Header.Set("x-amzn-trace-id", trace)
	if err := cred(req, rec.RequestBody); err != nil {
		p.t.Error(err)
		return nil
	}
	res, err := pool.Do(req)
	if err != nil {
		p.t.Errorf("%s: %v", rec.ID, err)
		return nil
	}
	return res
}

func (p *player) checkReport() {
	p.t.Helper()
	harness.Eventually(p.t, time.Minute, func() (bool, string) {
		rows := p.gw.Report("tenant,model")
		if len(rows) != len(p.used) {
			return false, fmt.Sprintf("%d rows, want %d", len(rows), len(p.used))
		}
		for _, row := range rows {
			want := p.used[row.Model]
			if want == nil {
				return false, "a row for " + row.Model
			}
			got := use{row.Requests, harness.Tokens{Input: row.Input, Output: row.Output, CacheRead: row.CacheRead,
				CacheWrite: row.CacheWrite}}
			if row.Tenant != "acme" || got != *want || row.Legs != want.requests || row.Unknown != 0 {
				return false, fmt.Sprintf("%+v, want %+v", row, *want)
			}
		}
		return true, ""
	})
}
