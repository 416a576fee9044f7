package month

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/commitment"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/server"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/test/harness"
)

// world is a gateway's line, its books, and the stand-ins that it asks, on the clock of a bubble.
type world struct {
	line    *gateway.Line
	ids     *server.IDs
	books   *embedded.State
	meter   *meter.Meter
	engine  *bedrock.Engine
	sites   [2]site
	jobs    *jobs
	bought  []config.Capacity
	bearers map[string]string // by tenant
}

// site is a stand-in in a region, at the host of its name.
type site struct {
	standIn *sandbox.Server
	pipes   *pipes
	serving *http.Server
}

// The sites, and their hosts.
const (
	east = iota
	west
)

var hosts = [...]string{"east.test:80", "west.test:80"}

// lines are what pulls each lever for a tenant.
var lines = map[string]map[string]string{
	"cap": {
		"chat": "output_tokens: {default: 300, max: 300}", "agents": "output_tokens: {default: 300, max: 300}",
	},
	"tier": {
		"nightly": flexFirst, "steady": flexFirst, "mixed": flexFirst,
	},
	"residency": {
		"chat": "residency: any", "agents": "residency: any", "steady": "residency: any", "mixed": "residency: any",
	},
	"cache": {
		"chat": inject, "agents": inject, "bursts": inject, "nightly": inject, "steady": inject, "mixed": inject,
	},
}

const (
	flexFirst = "tier: {try: flex, first_byte: 20s, then: default}"
	inject    = "prompt_cache: {inject: auto}"
	cascade   = `
cascades:
  - {name: help, match: request.model == "auto", light: "us.amazon.nova-2-lite-v1:0",
     escalation: "us.anthropic.claude-sonnet-5"}
`
	floorARN   = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/floor"
	floorModel = "us.amazon.nova-2-lite-v1:0"
	capacity   = `
capacity:
  - {name: floor, kind: provisioned, arn: "` + floorARN + `", models: ["` + floorModel + `",
     "global.amazon.nova-2-lite-v1:0"], tenants: [steady], usd_per_hour: 0.03, from: 2026-12-01, idle_to: steady}
`
	pools = `
upstreams: {west: {region: us-west-2, endpoint: "http://west.test", tag_requests: true}}
pools: {all: {order: listed, members: [{upstream: default}, {upstream: west}]}}
model_upstreams: {"*": all}
`
)

// further are the sections that pull a lever.
var further = map[string]string{"cascade": cascade, "capacity": capacity, "pools": pools}

// settings are the configuration with some levers pulled. The data of bursts may not leave its geography.
func settings(dir string, levers []string, keys map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
listen: 127.0.0.1:0
data_dir: %s
journal: {fsync: os}
upstream: {region: us-east-1, endpoint: "http://east.test", tag_requests: true}
aliases: {auto: "us.anthropic.claude-sonnet-5"}
tenants:
`, dir)
	for _, name := range tenants {
		fmt.Fprintf(&b, "  - id: %s\n    keys: [%s]\n", name, keys[name])
		if name == "bursts" {
			b.WriteString("    residency: geo\n")
		}
		for _, lever := range levers {
			if line := lines[lever][name]; line != "" {
				b.WriteString("    " + line + "\n")
			}
		}
	}
	for _, lever := range levers {
		b.WriteString(further[lever])
	}
	return b.String()
}

// pipes are connections within the process.
type pipes struct {
	made chan net.Conn
	end  chan struct{}
	once sync.Once
}

func (p *pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.made <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.end) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "stand-in.test"} }

// dial connects to the site of a host.
func (w *world) dial(ctx context.Context, network, host string) (net.Conn, error) {
	i := slices.Index(hosts[:], host)
	if i < 0 {
		return nil, fmt.Errorf("there is no %s", host)
	}
	return w.sites[i].pipes.Dial(ctx, network, host)
}

// build makes a world with some levers pulled.
func build(t *testing.T, dir string, levers []string) *world {
	t.Helper()
	w := &world{ids: server.NewIDs(), books: &embedded.State{}, bearers: map[string]string{}}
	secrets, err := tenant.LoadSecrets(dir, func(string) string { return "" }, rand.Reader)
	must(t, err)
	keys := map[string]string{}
	for _, name := range tenants {
		keys[name], err = secrets.NewKeyID(rand.Reader)
		must(t, err)
		credentials, err := secrets.Credentials(keys[name])
		must(t, err)
		w.bearers[name] = credentials.Bearer
	}
	cfg, err := config.Load(harness.File(t, "month.yaml", settings(dir, levers, keys)), func(string) string { return "" })
	must(t, err)
	s, problems := snapshot.Compile(cfg, secrets, time.Now())
	must(t, cfg.Report(problems))
	for i := range w.sites {
		w.sites[i].serve(t, script(i, levers))
	}
	w.bought = cfg.Capacity
	w.jobs = &jobs{standIn: w.sites[west].standIn, prices: s.Prices, sku: s.SKU(jobModel, batchjob.Tier, "", ""), dir: dir,
		days: map[string][]string{}}
	upstreams, credentials := map[string]config.Upstream{"": cfg.Upstream}, map[string]sigv4.Credentials{}
	maps.Copy(upstreams, cfg.Upstreams)
	for name := range upstreams {
		credentials[name] = sigv4.Credentials{
			AccessKeyID: sandbox.DefaultAccessKeyID, SecretAccessKey: sandbox.DefaultSecretAccessKey,
		}
	}
	w.engine, err = bedrock.New(t.Context(), bedrock.Options{
		Upstreams: upstreams, Timeouts: cfg.Timeouts, Now: time.Now, Dial: w.dial, Credentials: credentials,
		Getenv: func(string) string { return "" },
	})
	must(t, err)
	s.Upstream = w.engine
	w.meter, err = meter.Open(t.Context(), meter.Options{
		Disk: journal.Dir(dir), Ledger: w.books, Now: time.Now, Flush: 10 * time.Second,
		Heartbeat: time.Hour, Journal: journal.Options{Fsync: journal.FsyncOS, HealEvery: time.Hour},
	})
	must(t, err)
	w.line = gateway.New(gateway.Options{Options: leg.Options{
		Meter: w.meter, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		NewID: func() string { return w.ids.Next(time.Now()) },
	}})
	w.line.Use(s)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixed is what capacity cost each tenant until a time.
func (w *world) fixed(t *testing.T, until time.Time) map[string]money.Pico {
	t.Helper()
	bills, err := commitment.Bills(t.Context(), w.books, w.bought, commitment.Query{From: begins, To: until, Now: until})
	must(t, err)
	all := map[string]money.Pico{}
	for _, part := range commitment.Fixed(bills) {
		all[part.Row.Tenant] += part.USD
	}
	return all
}

// serve starts the stand-in.
func (w *site) serve(t *testing.T, script *sandbox.Script) {
	t.Helper()
	var err error
	w.standIn, err = sandbox.New(sandbox.Options{Script: script, Behind: map[string]string{floorARN: floorModel}})
	must(t, err)
	w.pipes = &pipes{made: make(chan net.Conn), end: make(chan struct{})}
	w.serving = &http.Server{Handler: w.standIn} //nolint:gosec // its clients are those of this test
	go func() {
		if err := w.serving.Serve(w.pipes); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}()
}

// script is what the stand-in of a site does by what the last text of a request says in brackets (traffic.py). Units
// serve a call a second. Where a pool has another member, the first one throttles what flex throttles elsewhere.
func script(at int, levers []string) *sandbox.Script {
	throttled := &sandbox.ErrorReply{
		Status: http.StatusTooManyRequests, Type: "ThrottlingException", Message: "Too many requests.",
	}
	s := &sandbox.Script{Rules: []sandbox.Rule{
		{Match: sandbox.Match{Model: "arn:*"}, Room: sandbox.Room{Requests: 1},
			Delay: sandbox.Delay{FirstByte: 1003 * time.Millisecond}},
		{Match: sandbox.Match{Tier: "flex", Text: "[busy]"}, Error: throttled},
	}}
	if at == east && slices.Contains(levers, "pools") {
		s.Rules = append(s.Rules, sandbox.Rule{Match: sandbox.Match{Text: "[busy]"}, Error: throttled})
	}
	for _, of := range []struct {
		match sandbox.Match
		delay time.Duration
		stop  string
	}{
		{sandbox.Match{Tier: "flex", Text: "[late]"}, 25_003 * time.Millisecond, ""},
		{sandbox.Match{Model: "*nova-2-lite*", Text: "[hard]"}, 1003 * time.Millisecond, "content_filtered"},
		{sandbox.Match{}, 1003 * time.Millisecond, ""},
	} {
		for _, output := range outputs {
			match := of.match
			match.Text += fmt.Sprintf("[o=%d]", output)
			s.Rules = append(s.Rules, sandbox.Rule{
				Match: match, Delay: sandbox.Delay{FirstByte: of.delay},
				Answer: sandbox.Answer{OutputTokens: &output, StopReason: of.stop},
			})
		}
	}
	return s
}

// close ends what the world runs.
func (w *world) close(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	w.line.Close(ctx)
	must(t, w.meter.Retire(ctx))
	w.engine.Close()
	for i := range w.sites {
		must(t, w.sites[i].serving.Close())
		must(t, w.sites[i].pipes.Close())
		must(t, w.sites[i].standIn.Close())
	}
}
