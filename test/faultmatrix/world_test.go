package faultmatrix

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// tenants are who calls. Each has models of its own, so that the stand-in's log
// tells them apart without asking the gateway.
var tenants = [...]string{"acme/a", "acme/b", "beta/x"}

// families are the forms of models, by the word that their ids begin with.
var families = [...]string{"anthropic.claude", "amazon.nova"}

func modelOf(tenant, family int) string { return fmt.Sprintf("%s-f%d-v1:0", families[family], tenant) }

// tenantOf is the tenant that a model belongs to, or capacity of one.
func tenantOf(model string) string {
	for i, name := range tenants {
		if strings.HasSuffix(strings.TrimSuffix(model, "-v1:0"), fmt.Sprintf("-f%d", i)) {
			return name
		}
	}
	return "?"
}

// The prices of all models, in pico-dollars per token or unit, and the same as a
// book. Units cost what the shipped price book says.
var pico = tokens{Input: 3_000_000, Output: 15_000_000, Read: 300_000, Write5m: 3_750_000, Write1h: 6_000_000,
	Units: 750_000_000}

const priceBook = `per: thousand
effective: 2026-01-01
prices:
  - models: ["anthropic.claude-f*-v1:0", "amazon.nova-f*-v1:0"]
    input: 0.003
    output: 0.015
    cache_read: 0.0003
    cache_write_5m: 0.00375
    cache_write_1h: 0.006
`

// issued are the tenants' keys, the same in every case.
var issued struct {
	sync.Once
	keys []harness.Key
}

func tenantKeys(t testing.TB) []harness.Key {
	issued.Do(func() {
		for _, name := range tenants {
			issued.keys = append(issued.keys, harness.NewKey(t, name))
		}
	})
	return issued.keys
}

// world is one case: a stand-in, a ledger, and gateways that come and go.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	dir     string
	standIn *standIn
	redis   string            // URL; "" for the embedded ledger
	limits  map[string]string // further settings of a tenant, YAML
	caps    []limit           // what the budgets among them allow
	watched int               // the tenant whose recovery is measured
	journal string            // YAML of the journal's settings
	damaged bool              // the case spoils a journal
	mayLose int               // how many calls may be in no journal
	around  time.Time         // where the gateways' clocks are; zero: now
	gates   []*gate

	mu       sync.Mutex
	answered map[string]bool // requests whose whole answer reached the caller
	broken   int             // requests that did not
	session  string          // of all requests, "" for none
}

// newWorld begins a case on a stand-in and a ledger whose counters are empty.
func newWorld(t testing.TB, seed uint64, s *standIn, redis string) *world {
	s.begin(t)
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), standIn: s, redis: redis,
		journal: "{fsync: group, every: 2ms}", answered: map[string]bool{},
	}
}

// fork begins a case on the same stand-in whose truth begins where w's did.
func (w *world) fork(t testing.TB) *world {
	f := newWorld(t, 1, &standIn{url: w.standIn.url, served: w.standIn.served, invocations: w.standIn.invocations},
		w.redis)
	f.standIn.offset, f.standIn.invocationsFrom = w.standIn.offset, w.standIn.invocationsFrom
	return f
}

// span is the time in which the case's rows are.
func (w *world) span() (from, to time.Time) {
	middle := w.around
	if middle.IsZero() {
		middle = time.Now().UTC()
	}
	return middle.AddDate(0, 0, -3), middle.AddDate(0, 0, 3)
}

// gate is one gateway: its directory, and its process while it runs.
type gate struct {
	*process
	w       *world
	dir     string
	program string // runs instead of the program under test; "" does not
	client  *http.Client
}

// copied makes a gateway whose data directory is a copy of this one's.
func (g *gate) copied() *gate {
	g.w.t.Helper()
	to := g.w.gate()
	if out, err := exec.Command("cp", "-a", g.data(), to.dir).CombinedOutput(); err != nil {
		g.w.t.Fatalf("cp: %v %s", err, out)
	}
	return to
}

// gate makes a directory for a gateway that is not started yet.
func (w *world) gate() *gate {
	w.t.Helper()
	g := &gate{w: w, dir: filepath.Join(w.dir, fmt.Sprintf("gate%d", len(w.gates))), client: newClient()}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	g.configure(w.yaml())
	w.write(filepath.Join(g.dir, "prices.yaml"), priceBook)
	w.gates = append(w.gates, g)
	return g
}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (g *gate) configure(yaml string) { g.w.write(g.config(), yaml) }

func (w *world) yaml() string {
	text := "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: ./data\n" +
		"journal: " + w.journal + "\nprices: [prices.yaml]\n" +
		"upstream: {region: us-east-1, endpoint: \"" + w.standIn.url +
		"\", tag_requests: true, retry: {max_attempts: 3, base_delay: 5ms, max_delay: 20ms, budget_percent: 100}, " +
		"breaker: {failures: 1000}}\n"
	if w.redis != "" {
		text += "ledger: {redis: \"" + w.redis + "\"}\n"
	}
	text += "tenants:\n"
	for i, key := range tenantKeys(w.t) {
		text += fmt.Sprintf("  - {id: %s, keys: [%s], %s}\n", tenants[i], key.KeyID, w.limits[tenants[i]])
	}
	for _, parent := range [...]string{"acme", "beta"} {
		if w.limits[parent] != "" {
			text += fmt.Sprintf("  - {id: %s, %s}\n", parent, w.limits[parent])
		}
	}
	return text
}

func (g *gate) config() string { return filepath.Join(g.dir, "sluice.yaml") }

func (g *gate) data(elem ...string) string {
	return filepath.Join(append([]string{g.dir, "data"}, elem...)...)
}

// start starts the process, to be killed at a point ("" for none), and reports
// whether it lived to serve. It is the shipped program unless it has to kill
// itself or has a clock of its own.
func (g *gate) start(crashAt string) bool {
	g.w.t.Helper()
	g.client.CloseIdleConnections()
	program, env := harness.Binary(g.w.t), []string(nil)
	if crashAt != "" {
		env = append(env, "SLUICE_CRASH_AT="+crashAt)
	}
	if !g.w.around.IsZero() {
		env = append(env, "SLUICE_CLOCK="+g.clock())
	}
	switch {
	case g.program != "":
		program = g.program
	case env != nil:
		program = harness.FaultsBinary(g.w.t)
	}
	g.process = spawn(g.w.t, program, env, "serve", "--config", g.config())
	g.w.t.Cleanup(g.kill)
	select {
	case <-g.ready:
		return true
	case <-g.done:
		if !g.killed() {
			g.w.t.Fatalf("the gateway stopped by itself:\n%s", g.log())
		}
		return false
	case <-time.After(20 * time.Second):
		g.w.t.Fatalf("the gateway does not serve:\n%s", g.log())
		return false
	}
}

// killed reports whether the process ended by a signal.
func (g *gate) killed() bool { return !g.alive() && g.cmd.ProcessState.ExitCode() == -1 }

// stop ends the process in order.
func (g *gate) stop() {
	g.w.t.Helper()
	if !g.alive() {
		g.w.t.Fatalf("the gateway is gone:\n%s", g.log())
	}
	if code := g.terminate(); code != 0 {
		g.w.t.Fatalf("exit code %d after SIGTERM:\n%s", code, g.log())
	}
}

// ask is one request.
type ask struct {
	tenant, family int
	op             string
	text           string
	// leave is how many bytes of the answer the caller reads before it leaves; -1
	// is all, -2 leaves before the head.
	leave int
	// guarded is whether a guardrail looks at it; for Converse only.
	guarded bool
	most    int    // output tokens, for Converse only; 0 is 200
	model   string // "" for that of the tenant and family
}

// asked is the model that it asks for.
func (a *ask) asked() string { return cmp.Or(a.model, modelOf(a.tenant, a.family)) }

var operations = [...]string{"converse", "converse-stream", "invoke", "invoke-with-response-stream"}

// anything is a request like any other.
func anything(rng *rand.Rand) ask {
	a := ask{tenant: rng.IntN(len(tenants)), family: rng.IntN(len(families)), op: operations[rng.IntN(len(operations))],
		leave: -1}
	a.text = strings.Repeat("word ", 1+rng.IntN(100))
	switch rng.IntN(6) {
	case 0:
		if a.family == 0 && !strings.HasPrefix(a.op, "invoke") {
			a.text += "#cached"
		}
	case 1:
		a.text += "#slow"
	}
	return a
}

// saying makes requests with a word of the script in them.
func saying(words ...string) func(*rand.Rand) ask {
	return func(rng *rand.Rand) ask {
		a := anything(rng)
		a.text = "plain text of some length " + words[rng.IntN(len(words))]
		return a
	}
}

func (a *ask) body() string {
	switch {
	case a.guarded:
		return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":200},`+
			`"guardrailConfig":{"guardrailIdentifier":"abcdefgh","guardrailVersion":"1","trace":"enabled"}}`, a.text)
	case !strings.HasPrefix(a.op, "invoke"):
		return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":%d}}`,
			a.text, cmp.Or(a.most, 200))
	case a.family == 0:
		return fmt.Sprintf(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"messages":[{"role":"user","content":[{"type":"text","text":%q}]}]}`,
			a.text)
	default:
		return fmt.Sprintf(`{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":200}}`,
			a.text)
	}
}

// load is requests drawn from the case's seed.
func (w *world) load(n int, next func(*rand.Rand) ask) []ask {
	all := make([]ask, n)
	for i := range all {
		all[i] = next(w.rng)
	}
	return all
}

// traffic sends n requests from so many callers at once and returns how many of
// each status came; 0 is for those without a whole answer.
func (g *gate) traffic(n, callers int, next func(*rand.Rand) ask) map[int]int {
	return g.sendAll(g.w.load(n, next), callers)
}

// sendAll sends until all are sent or the gateway is gone.
func (g *gate) sendAll(all []ask, callers int) map[int]int {
	asks := make(chan ask, len(all))
	for _, a := range all {
		asks <- a
	}
	close(asks)
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for a := range asks {
				if !g.alive() {
					return
				}
				status := g.send(&a)
				mu.Lock()
				got[status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return got
}

// send sends one request, and notes whether its whole answer came.
func (g *gate) send(a *ask) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+g.listen+"/model/"+url.PathEscape(a.asked())+"/"+a.op, bytes.NewReader([]byte(a.body())))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+tenantKeys(g.w.t)[a.tenant].Bearer)
	if g.w.session != "" {
		req.Header.Set("x-sluice-session", g.w.session)
	}
	if a.leave == -2 {
		time.AfterFunc(30*time.Millisecond, cancel)
	}
	res, err := g.client.Do(req)
	if err != nil {
		g.w.note("", false)
		return 0
	}
	defer res.Body.Close()
	id := res.Header.Get("x-sluice-request-id")
	if a.leave >= 0 {
		io.CopyN(io.Discard, res.Body, int64(a.leave))
		g.w.note(id, false)
		return 0
	}
	_, err = io.Copy(io.Discard, res.Body)
	g.w.note(id, err == nil)
	if err != nil {
		return 0
	}
	return res.StatusCode
}

func (w *world) note(request string, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if whole {
		w.answered[request] = true
	} else {
		w.broken++
	}
}
