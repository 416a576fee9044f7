//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/report"
)

// growth measures how costs grow with sizes: the constants of docs/capacity.md.
type growth struct{ *bench }

const (
	perFile = 100 // tenants in one included file
	perRoot = 10  // tenants below one root
)

// writeTenants writes n tenants in included files, each with a key, a cap and a
// budget, and the credentials of one tenant of each file for the load.
func (g *rig) writeTenants(r *running, n int) error {
	if n == 0 {
		return nil
	}
	if err := os.Mkdir(filepath.Join(r.dir, "tenants.d"), 0o700); err != nil {
		return err
	}
	var bearers strings.Builder
	for file := range n / perFile {
		if err := os.WriteFile(r.tenantFile(file), []byte(g.tenantsOf(file)), 0o600); err != nil {
			return err
		}
		c, err := g.secrets.Credentials(g.keyID(file*perFile + 1))
		if err != nil {
			return err
		}
		bearers.WriteString(c.Bearer + "\n")
	}
	r.keys = filepath.Join(r.dir, "bearers")
	return os.WriteFile(r.keys, []byte(bearers.String()), 0o600)
}

func (r *running) tenantFile(n int) string {
	return filepath.Join(r.dir, "tenants.d", fmt.Sprintf("%04d.yaml", n))
}

func (g *rig) tenantsOf(file int) string {
	var y strings.Builder
	y.WriteString("tenants:\n")
	for i := range perFile {
		n := file*perFile + i
		fmt.Fprintf(&y, "  - id: org%d/team%d\n    keys: [%s]\n    output_tokens: {default: 500, max: 1000}\n"+
			"    budgets: [{period: month, usd: 9000}]\n", n/perRoot, n%perRoot, g.keyID(n+1))
	}
	return y.String()
}

// keyID is the n-th key id of the benchmark's root secret.
func (g *rig) keyID(n int) string {
	var random [10]byte
	binary.BigEndian.PutUint64(random[2:], uint64(n))
	id, err := g.secrets.NewKeyID(bytes.NewReader(random[:]))
	if err != nil {
		panic("BUG: ten bytes were given: " + err.Error())
	}
	return id
}

// manyTenants is how many tenants the largest configuration has.
const manyTenants = 100_000

// measureTenants starts Sluice with very many tenants, changes one file, and
// sends requests.
func (b growth) measureTenants(ctx context.Context) error {
	many := full(b.program("gateway"))
	many.tenants = manyTenants
	log.Printf("starting with %d tenants", manyTenants)
	r, err := b.startGateway(ctx, many)
	if err != nil {
		return err
	}
	defer r.Stop()
	started, err := r.Usage()
	if err != nil {
		return err
	}
	for round := range b.rounds {
		cpu, err := b.reload(ctx, r, round)
		if err != nil {
			return err
		}
		b.note("many/tenants", round+1, sample{report.ReloadCPU: cpu})
		log.Printf("reload %d: %.2f s of CPU", round+1, cpu)
	}
	_, most, err := r.Resident()
	if err != nil {
		return err
	}
	b.note("many/tenants", 1, sample{report.StartCPU: started.CPU.Seconds(), report.Memory: float64(most) / 1e6})
	log.Printf("%.1f s of CPU to start, %d MB at most", started.CPU.Seconds(), most/1e6)
	return b.tenantRounds(ctx, r)
}

// reload changes one included file and waits until the gateway has taken it. It
// returns the seconds of CPU that took, less what an idle gateway takes in that
// time.
func (b growth) reload(ctx context.Context, r *running, round int) (float64, error) {
	const idle = 4 * time.Second // at least two looks at the files
	before := r.look(ctx)
	time.Sleep(idle)
	began, middle, reloads := time.Now(), r.look(ctx), r.reloads(ctx)
	changed := strings.Replace(b.tenantsOf(7), "usd: 9000", fmt.Sprintf("usd: %d", 8000+round), 1)
	if err := os.WriteFile(r.tenantFile(7), []byte(changed), 0o600); err != nil {
		return 0, err
	}
	for r.reloads(ctx) == reloads {
		if time.Since(began) > 3*time.Minute {
			return 0, errors.New("the changed file was not taken")
		}
		time.Sleep(200 * time.Millisecond)
	}
	after := r.look(ctx)
	idleCPU := middle.used.Minus(before.used).CPU.Seconds() / idle.Seconds() * time.Since(began).Seconds()
	return max(0, after.used.Minus(middle.used).CPU.Seconds()-idleCPU), errors.Join(before.err, middle.err, after.err)
}

var taken = regexp.MustCompile(`(?m)^sluice_config_reloads_total\{result="taken"\} (\d+)`)

// reloads is how many configurations the gateway has taken.
func (r *running) reloads(ctx context.Context) int64 {
	return firstNumber(taken, fetch(ctx, "http://"+r.admin+"/metrics"))
}

// tenantRounds measures the same requests in a small configuration ("one") and
// in the large one ("many"), and after that there requests of a thousand tenants
// in turn ("spread"), whose leases are looked after in the background.
func (b growth) tenantRounds(ctx context.Context, many *running) error {
	l := load{name: "tenants", body: "2k", path: "/model/auto/converse", connections: 64}
	one, err := b.get(ctx, "full")
	if err != nil {
		return err
	}
	alike := *many
	alike.keys = ""
	b.subjects["one"], b.subjects["many"], b.subjects["spread"] = one, &alike, many
	for _, names := range [][]string{{"one", "many"}, {"spread"}} {
		answering, err := b.warmUp(ctx, names, l)
		if err != nil {
			return err
		}
		if err := b.repeat(ctx, l, answering); err != nil {
			return err
		}
	}
	return nil
}

// sized is a gateway with everything on and more of one thing.
type sized struct {
	name string
	setting
}

// sizes are the rows of the load "capacity", beside "one", which is "full".
func sizes(binary string) []sized {
	var out []sized
	for _, n := range []int{10, 100, 1000} {
		s := full(binary)
		s.rules, s.rule = n, `request.text.contains("words that nobody says %d")`
		out = append(out, sized{fmt.Sprintf("texts-%d", n), s})
		s.rule = "request.input_tokens > 500000 + %d"
		out = append(out, sized{fmt.Sprintf("numbers-%d", n), s})
	}
	for _, n := range []int{100, 10_000, 100_000} {
		s := full(binary)
		s.tenants = n
		out = append(out, sized{fmt.Sprintf("tenants-%d", n), s})
	}
	models, keys := full(binary), full(binary)
	models.aliases, keys.keys = 1000, 10_000
	return append(out, sized{"models-1000", models}, sized{"keys-10000", keys})
}

// measureSizes measures the same requests in configurations of several sizes.
func (b growth) measureSizes(ctx context.Context) error {
	l := load{name: "capacity", body: "2k", path: "/model/auto/converse", connections: 64}
	one, err := b.get(ctx, "full")
	if err != nil {
		return err
	}
	b.subjects["one"] = one
	names := []string{"one"}
	for _, s := range sizes(b.program("gateway")) {
		r, err := b.startGateway(ctx, s.setting)
		if err != nil {
			b.miss(s.name+"/"+l.name, err)
			continue
		}
		r.keys = "" // one tenant asks
		b.subjects[s.name] = r
		started := r.look(ctx)
		b.note(s.name+"/"+l.name, 1, sample{
			report.StartCPU: started.used.CPU.Seconds(), report.Memory: float64(started.resident) / 1e6,
		})
		names = append(names, s.name)
	}
	if names, err = b.warmUp(ctx, names, l); err != nil {
		return err
	}
	return b.repeat(ctx, l, names)
}

// moreRules are n rules that never apply.
func moreRules(n int, rule string) string {
	var y strings.Builder
	for i := range n {
		fmt.Fprintf(&y, "      - {id: more%d, if: '"+rule+"'}\n", i, i)
	}
	return y.String()
}
