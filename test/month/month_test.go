// Package month has a month of traffic on a simulated clock: the gateway's line with its books, and the stand-in for
// Bedrock, within one process. What each lever of cost saves is compared with what a model in Python wrote down before.
//
// Both sides are in a bubble of testing/synctest, so they have one clock without a line of code for it: time goes on
// when everybody waits, and a month passes in the time that its requests take. Connections are those of net.Pipe,
// because a bubble does not know when a socket waits. The edge is left out: it has no part in what is charged.
package month

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

var (
	// begins is a Tuesday, when the shipped prices hold.
	begins  = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	tenants = []string{"chat", "agents", "bursts", "nightly", "steady", "mixed"}
	outputs = []int64{60, 150, 300, 600, 1200}
)

// The runs, by the levers that are pulled. In those of same no answer may be another one.
var runs = []struct {
	name   string
	levers []string
	same   bool
}{
	{"off", nil, true},
	{"cascade", []string{"cascade"}, false},
	{"cap", []string{"cap"}, false},
	{"cache", []string{"cache"}, true},
	{"tier", []string{"tier"}, true},
	{"residency", []string{"residency"}, true},
	{"capacity", []string{"capacity"}, true},
	{"batch", []string{"batch"}, true},
	{"pools", []string{"pools"}, true},
	{"same answers", []string{"cache", "tier", "residency", "capacity", "batch", "pools"}, true},
	{"all", []string{"cascade", "cap", "cache", "tier", "residency", "capacity", "batch", "pools"}, false},
}

// outcome is what a run came to.
type outcome struct {
	cost    map[string]int64 // pico-dollars, by tenant
	answers []uint64         // a hash of what each request was answered
	refused int
}

// TestMonth has the traffic of some days answered with each lever alone, with all, and with none. SLUICE_MONTH is the
// number of days, one without it. It compares what the books have with what the model wrote down before: within a
// hundredth, for each tenant and for what each lever saves.
func TestMonth(t *testing.T) {
	days := 1
	if text := os.Getenv("SLUICE_MONTH"); text != "" {
		var err error
		days, err = strconv.Atoi(text)
		must(t, err)
	}
	requests, expected := drawn(t, days)
	got := make([]outcome, len(runs))
	t.Run("runs", func(t *testing.T) {
		for i, run := range runs {
			t.Run(run.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { got[i] = month(t, dir, run.levers, requests, days) })
			})
		}
	})
	if t.Failed() {
		return
	}
	for i, run := range runs {
		if got[i].refused > 0 {
			t.Errorf("%s: %d requests were refused", run.name, got[i].refused)
		}
		if run.same && !slices.Equal(got[i].answers, got[0].answers) {
			t.Errorf("%s: answers are others than with no lever", run.name)
		}
		compare(t, run.name, got[i].cost, expected[run.name], got[0].cost, expected["off"])
	}
	show(t, days, len(requests), got, expected)
}

// month sends the requests at their times.
func month(t *testing.T, dir string, levers []string, requests []request, days int) outcome {
	t.Helper()
	time.Sleep(time.Until(begins))
	w := build(t, dir, levers)
	out := outcome{answers: make([]uint64, len(requests))}
	var under sync.WaitGroup
	var mu sync.Mutex // guards out.refused
	truth := newTruth(levers)
	for i := range requests {
		r := &requests[i]
		time.Sleep(time.Until(r.at()))
		truth.take(t, w)
		under.Go(func() {
			ask := w.ask
			if r.Tenant == jobsOf && slices.Contains(levers, "batch") {
				ask = w.jobs.ask
			}
			answer, ok := ask(t, r)
			out.answers[i] = answer
			if !ok {
				mu.Lock()
				out.refused++
				mu.Unlock()
			}
		})
	}
	under.Wait()
	time.Sleep(time.Hour) // what nobody waits for ends, too
	truth.add(t, w, time.Now())
	w.close(t)
	out.cost = truth.compare(t, w)
	for tenant, usd := range w.fixed(t, begins.AddDate(0, 0, days)) {
		out.cost[tenant] += int64(usd)
	}
	if slices.Contains(levers, "pools") && truth.west == 0 {
		t.Error("no call went to the second member")
	}
	return out
}

type body string

func (b body) ReadAll() ([]byte, *wire.Error) { return []byte(b), nil }
func (b body) Release()                       {}

// ask sends a request down the line, and returns a hash of the answer but for its usage.
func (w *world) ask(t *testing.T, r *request) (hash uint64, ok bool) {
	op, text := r.call()
	target := wire.Target{Op: op, Model: r.Model}
	res := w.line.Serve(&gateway.Request{
		ID: w.ids.Next(time.Now()), Method: "POST", Target: target.String(), Authority: "gateway",
		Caller: context.Background(),
		Header: wire.Header{{Name: "Authorization", Value: "Bearer " + w.bearers[r.Tenant]},
			{Name: "Content-Type", Value: "application/json"}},
		ContentLength: int64(len(text)), Body: body(text), Received: time.Now(),
	})
	if res.Stream == nil {
		return hashOf(answerOf(t, res.Body)), res.Status == 200
	}
	h := fnv.New64a()
	all, err := io.ReadAll(res.Stream)
	if err == nil {
		err = res.Stream.Close()
	}
	if err != nil {
		t.Error(err)
	}
	for len(all) > 0 {
		n := binary.BigEndian.Uint32(all)
		frame, err := wire.ParseFrame(all[:n])
		if err != nil {
			t.Error(err)
			return 0, false
		}
		if kind, _ := frame.Header(":event-type"); kind != "metadata" {
			h.Write(frame.Raw)
		}
		all = all[n:]
	}
	return h.Sum64(), res.Status == 200
}

func hashOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// answerOf are the bytes of an answer without its usage, its id, and the profile that served it.
func answerOf(t *testing.T, body []byte) []byte {
	var of struct {
		Output, Content  json.RawMessage
		StopReason       string
		ClaudeStopReason string `json:"stop_reason"`
	}
	if err := json.Unmarshal(body, &of); err != nil || len(of.Output)+len(of.Content) == 0 {
		t.Errorf("%v: %s", err, body)
	}
	return slices.Concat(of.Output, of.Content, []byte(of.StopReason+of.ClaudeStopReason))
}

// truth is what the stand-in has billed, by tenant, and which models were asked.
type truth struct {
	anywhere bool // whether global profiles may be asked
	taken    time.Time
	due      time.Time
	tokens   map[string][5]int64
	west     int // calls that the second member of the pool served
}

func newTruth(levers []string) *truth {
	return &truth{
		anywhere: slices.Contains(levers, "residency"), taken: begins, due: begins.Add(24 * time.Hour),
		tokens: map[string][5]int64{},
	}
}

// take sums up what was billed up to a minute ago, once a day: the stand-in keeps so many lines.
func (b *truth) take(t *testing.T, w *world) {
	if now := time.Now(); now.After(b.due) {
		b.add(t, w, now.Add(-time.Minute))
		b.due = b.due.Add(24 * time.Hour)
	}
}

func (b *truth) add(t *testing.T, w *world, until time.Time) {
	b.of(t, w.sites[east].standIn, until)
	b.west += b.of(t, w.sites[west].standIn, until)
	b.taken = until
}

// of sums up what one of them has billed, and returns how many calls of the gateway it has served.
func (b *truth) of(t *testing.T, s *sandbox.Server, until time.Time) (served int) {
	for _, e := range s.Log() {
		if e.Time.Before(b.taken) || !e.Time.Before(until) || e.Status == http.StatusTooManyRequests {
			continue
		}
		who, ok := record.ParseOwner(e.Metadata[record.OwnerKey])
		switch inJob := e.Metadata[jobsOf] != ""; {
		case inJob:
			who.Tenant = jobsOf
		case !ok:
			t.Errorf("a call of nobody: %+v", e)
		default:
			served++
		}
		global := strings.HasPrefix(e.Model, "global.")
		if global && (!b.anywhere || who.Tenant == "bursts" || who.Tenant == "nightly") {
			t.Errorf("a call of %s went to %s", who.Tenant, e.Model)
		}
		sum := b.tokens[who.Tenant]
		for class, n := range [...]int64{e.Input, e.Output, e.CacheRead, e.CacheWrite5m, e.CacheWrite1h} {
			sum[class] += n
		}
		b.tokens[who.Tenant] = sum
	}
	return served
}

// compare holds the tokens of the books against those that were billed, and returns what the books have as cost.
func (b *truth) compare(t *testing.T, w *world) map[string]int64 {
	t.Helper()
	cost, tokens := map[string]int64{}, map[string][5]int64{}
	add := func(k record.RowKey, c record.Counters) error {
		n, ok := c.Cost().Pico()
		if !ok || c.Unknown+c.Unpriced > 0 {
			t.Errorf("%s of %s: %d unknown, %d without a price", k.Model, k.Tenant, c.Unknown, c.Unpriced)
		}
		cost[k.Tenant] += int64(n)
		sum := tokens[k.Tenant]
		for class, n := range [...]int64{c.Input, c.Output, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h} {
			sum[class] += n
		}
		tokens[k.Tenant] = sum
		return nil
	}
	must(t, w.books.Rows(t.Context(), begins, begins.AddDate(1, 0, 0), add))
	for _, row := range w.jobs.metered(t) {
		must(t, add(row.Key, row.Add))
	}
	for _, name := range tenants {
		if tokens[name] != b.tokens[name] {
			t.Errorf("%s: the books have %v, billed were %v", name, tokens[name], b.tokens[name])
		}
	}
	return cost
}

// compare holds a run against what the model has written down: the costs, and what was saved.
func compare(t *testing.T, run string, got, want, gotOff, wantOff map[string]int64) {
	t.Helper()
	near := func(what string, got, want int64) {
		if math.Abs(float64(got-want)) > math.Abs(float64(want))/100 {
			t.Errorf("%s, %s: %s, the model has %s", run, what, dollars(got), dollars(want))
		}
	}
	for _, name := range tenants {
		near(name, got[name], want[name])
	}
	near("saved", sum(gotOff)-sum(got), sum(wantOff)-sum(want))
}

func sum(of map[string]int64) (all int64) {
	for _, n := range of {
		all += n
	}
	return all
}

func dollars(pico int64) string { return fmt.Sprintf("%.4f", float64(pico)/1e12) }

// show prints the table of docs/month.md, and writes it to bin/month.md.
func show(t *testing.T, days, requests int, got []outcome, expected map[string]map[string]int64) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d days, %d requests.\n\n| levers | %s | all | the model | saved |\n|---|%s---|---|---|\n", days,
		requests, strings.Join(tenants, " | "), strings.Repeat("---|", len(tenants)))
	for i, run := range runs {
		fmt.Fprintf(&b, "| %s ", run.name)
		for _, name := range tenants {
			fmt.Fprintf(&b, "| %.2f ", float64(got[i].cost[name])/1e12)
		}
		all, off := sum(got[i].cost), sum(got[0].cost)
		fmt.Fprintf(&b, "| %.2f | %.2f | %.2f |\n", float64(all)/1e12, float64(sum(expected[run.name]))/1e12,
			float64(off-all)/1e12)
	}
	t.Log("\n" + b.String())
	if days > 1 {
		must(t, os.MkdirAll(filepath.Join(harness.Root(t), "bin"), 0o755))
		must(t, os.WriteFile(filepath.Join(harness.Root(t), "bin", "month.md"), []byte(b.String()), 0o600))
	}
}
