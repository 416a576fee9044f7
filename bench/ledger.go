//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
)

// cluster is a Redis Cluster of three masters, and what simulated writers make of
// it: each is a gateway's part towards the ledger, without the gateway.
type cluster struct {
	*rig
	nodes []*running
}

// books is a kind of work for the ledger.
type books struct {
	name           string
	writers, roots int
	postings, rows int  // of each batch
	windows        int  // of each root; every posting charges all
	renew          bool // in place of posting
}

// works are the rows of the load "ledger". Their differences are the constants of
// docs/capacity.md: what a call costs, what a row adds, a window, a writer.
func works() []books {
	all := []books{
		{name: "call", writers: 8, roots: 48, postings: 1, rows: 1},
		{name: "windows", writers: 8, roots: 48, postings: 1, rows: 1, windows: 3},
		{name: "postings", writers: 8, roots: 48, postings: 100, rows: 1, windows: 3},
		{name: "rows", writers: 8, roots: 48, postings: 100, rows: 20, windows: 3},
		{name: "one-root", writers: 64, roots: 1, postings: 20, rows: 5, windows: 3},
	}
	for _, writers := range []int{1, 8, 64} {
		all = append(all,
			books{name: fmt.Sprintf("apply-%d", writers), writers: writers, roots: 48, postings: 20, rows: 5, windows: 3},
			books{name: fmt.Sprintf("renew-%d", writers), writers: writers, roots: 48, windows: 3, renew: true})
	}
	return all
}

// measureLedger lets writers work on the cluster, one kind of work after the
// other, each on roots of its own.
func (b growth) measureLedger(ctx context.Context) error {
	c := cluster{rig: b.rig}
	if err := c.startNodes(ctx); err != nil {
		return err
	}
	for _, w := range works() {
		for round := range b.rounds {
			b.lookAtLoad()
			s, err := c.round(ctx, w, round)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			b.note(w.name+"/ledger", round+1, s)
			log.Printf("%-16s round %2d  %6.1f µs of Redis a call, %.0f calls/s, %.0f bytes a root", w.name+"/ledger",
				round+1, s[report.RedisCPU], s[report.Rate], s[report.RedisBytes])
		}
	}
	return nil
}

func (c *cluster) startNodes(ctx context.Context) error {
	if _, err := exec.LookPath("redis-cli"); err != nil {
		return fmt.Errorf("%w: redis-cli", errMissing)
	}
	create := []string{"--cluster", "create"}
	for i := range 3 {
		addr, err := proc.FreeAddr()
		if err != nil {
			return err
		}
		dir := filepath.Join(c.dir, fmt.Sprintf("node%d", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		_, port, _ := strings.Cut(addr, ":")
		p, err := c.start(ctx, exec.Command("redis-server", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir,
			"--cluster-enabled", "yes", "--maxmemory-policy", "noeviction"), c.subjectCPU, addr)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, &running{Process: p, addr: addr})
		create = append(create, addr)
	}
	if out, err := exec.CommandContext(ctx, "redis-cli", append(create, "--cluster-yes")...).CombinedOutput(); err != nil {
		return fmt.Errorf("redis-cli --cluster create: %w\n%s", err, out)
	}
	for !strings.Contains(c.ask(ctx, 0, "cluster", "info"), "cluster_state:ok") {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// ask asks a node by redis-cli. What it says when it does not answer, nobody looks
// for.
func (c *cluster) ask(ctx context.Context, node int, command ...string) string {
	host, port, _ := strings.Cut(c.nodes[node].addr, ":")
	out, _ := exec.CommandContext(ctx, "redis-cli", append([]string{"-h", host, "-p", port}, command...)...).Output()
	return string(out)
}

// used is the CPU of all nodes.
func (c *cluster) used() (cpu time.Duration, err error) {
	for _, n := range c.nodes {
		u, failed := n.Usage()
		err = errors.Join(err, failed)
		cpu += u.CPU
	}
	return cpu, err
}

// kept is how many bytes the keys of a root take.
func (c *cluster) kept(ctx context.Context, root string) (sum int64) {
	for i := range c.nodes {
		for key := range strings.FieldsSeq(c.ask(ctx, i, "--scan", "--pattern", "sl:{"+root+"}:*")) {
			n, _ := strconv.ParseInt(strings.TrimSpace(c.ask(ctx, i, "memory", "usage", key, "samples", "0")), 10, 64)
			sum += n // 0 of a key that has gone meanwhile
		}
	}
	return sum
}

// round lets all writers work at once for as long as a round lasts.
func (c *cluster) round(ctx context.Context, w books, n int) (sample, error) {
	writers, err := c.writers(ctx, w, n)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, one := range writers {
			one.ledger.Close() // the cluster goes away anyway
		}
	}()
	// The first time around makes the rows, windows and accounts.
	if _, err := c.work(ctx, writers, 0); err != nil {
		return nil, err
	}
	before, err := c.used()
	if err != nil {
		return nil, err
	}
	calls, err := c.work(ctx, writers, c.lasting)
	if err != nil {
		return nil, err
	}
	after, err := c.used()
	return sample{
		report.RedisCPU:   (after - before).Seconds() * 1e6 / float64(calls),
		report.Rate:       float64(calls) / c.lasting.Seconds(),
		report.RedisBytes: float64(c.kept(ctx, writers[0].batches[0].Root)),
	}, err
}

func (c *cluster) writers(ctx context.Context, w books, n int) ([]*writer, error) {
	addrs := make([]string, len(c.nodes))
	for i, node := range c.nodes {
		addrs[i] = node.addr
	}
	var out []*writer
	for i := range w.writers {
		l, err := redis.New(redis.Options{
			URL: "redis-cluster://" + strings.Join(addrs, ","), Log: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		if err != nil {
			return nil, err
		}
		if err := l.Check(ctx); err != nil {
			return nil, err
		}
		out = append(out, newWriter(l, fmt.Sprintf("01JD000000000000000000%04d", i), w, n))
	}
	return out, nil
}

// work lets all writers go around their roots until the time is up, once at least.
// It returns how many calls they made.
func (c *cluster) work(ctx context.Context, writers []*writer, lasting time.Duration) (int64, error) {
	var all sync.WaitGroup
	var calls atomic.Int64
	failed := make(chan error, len(writers))
	end := time.Now().Add(lasting)
	for _, one := range writers {
		all.Go(func() {
			for first := true; first || time.Now().Before(end); first = false {
				for root := range one.work.roots {
					if err := one.call(ctx, root); err != nil {
						failed <- err
						return
					}
					calls.Add(1)
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return calls.Load(), nil
	}
}

// writer is a simulated gateway.
type writer struct {
	ledger  *redis.Ledger
	work    books
	batches []*ledger.Batch // by root
	renewal []*ledger.RenewRequest
}

func newWriter(l *redis.Ledger, name string, w books, round int) *writer {
	out := &writer{ledger: l, work: w}
	now := time.Now().UTC()
	for i := range w.roots {
		root := fmt.Sprintf("%s-%d-%d", w.name, round, i)
		b := &ledger.Batch{Writer: name, Epoch: 1, Root: root}
		windows := windowsOf(root, now, w.windows)
		for p := range w.postings {
			b.Postings = append(b.Postings, posting(root, now, p%w.rows, windows))
		}
		renewal := &ledger.RenewRequest{Writer: name, Epoch: 1, Root: root, TTL: time.Minute}
		for _, window := range windows {
			renewal.Accounts = append(renewal.Accounts, ledger.Account{Window: window})
		}
		out.batches, out.renewal = append(out.batches, b), append(out.renewal, renewal)
	}
	return out
}

// call posts a batch to a root, or renews the leases in it.
func (w *writer) call(ctx context.Context, root int) error {
	if w.work.renew {
		return w.renew(ctx, root)
	}
	b := w.batches[root]
	b.From, b.To = b.To+1, b.To+uint64(len(b.Postings))
	for i := range b.Postings {
		b.Postings[i].Seq = b.From + uint64(i)
	}
	_, err := w.ledger.Apply(ctx, b)
	return err
}

// renew asks for leases the first time.
func (w *writer) renew(ctx context.Context, root int) error {
	r := w.renewal[root]
	if r.Accounts[0].Granted > 0 {
		_, err := w.ledger.Renew(ctx, r)
		return err
	}
	g := &ledger.GrantRequest{Writer: r.Writer, Epoch: r.Epoch, Root: r.Root, TTL: r.TTL}
	for _, a := range r.Accounts {
		g.Wants = append(g.Wants, ledger.Want{Account: a, Limit: 5e12, Min: 1, Ask: 1000})
	}
	reply, err := w.ledger.Grant(ctx, g)
	if err != nil {
		return err
	}
	for i, n := range reply.Amounts {
		r.Accounts[i].Granted = n
	}
	return nil
}

// windowsOf are up to three windows as a tenant has them: a budget of the root's
// month, one of its own, and tokens per minute.
func windowsOf(root string, now time.Time, n int) []record.Window {
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	minute := now.Truncate(time.Minute)
	return []record.Window{
		{Tenant: root, Unit: record.UnitUSD, Period: "month", Start: month, End: month.AddDate(0, 1, 0)},
		{Tenant: root + "/team", Unit: record.UnitUSD, Period: "month", Start: month, End: month.AddDate(0, 1, 0)},
		{Tenant: root + "/team", Unit: record.UnitTokens, Period: "minute", Start: minute, End: minute.Add(time.Minute)},
	}[:n]
}

// posting is what a request of 2 KB leaves in a row, and takes out of the windows.
func posting(root string, now time.Time, row int, windows []record.Window) record.Posting {
	p := record.Posting{
		Root: root,
		Row: record.RowKey{
			Hour: now.Truncate(time.Hour), Tenant: root + "/team", Key: "SLKABCDEFGHIJKLMNOPQRSTU",
			Model: fmt.Sprintf("us.anthropic.claude-model-%d-20250929-v1:0", row), Scope: "us", Path: "direct",
			PriceVersion: "2026-10-01",
		},
		Add: record.Counters{
			Requests: 1, Legs: 1, Input: 600, Output: 300, CacheRead: 200,
			CostInput: 1_800_000_000, CostOutput: 4_500_000_123, CostCacheRead: 60_000_000,
		},
	}
	for _, w := range windows {
		p.Charges = append(p.Charges, record.Charge{Window: w, Amount: 1})
	}
	return p
}
