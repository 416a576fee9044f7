package faultmatrix

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

// tokens are counts of the classes that are billed. Units are those of text that
// guardrails look at.
type tokens struct{ Input, Output, Read, Write5m, Write1h, Units int64 }

func (a tokens) plus(b tokens) tokens {
	return tokens{a.Input + b.Input, a.Output + b.Output, a.Read + b.Read, a.Write5m + b.Write5m, a.Write1h + b.Write1h,
		a.Units + b.Units}
}

// billedFor is what the stand-in says that a call used.
func billedFor(s *harness.Served) tokens {
	return tokens{s.Input, s.Output, s.CacheRead, s.CacheWrite5m, s.CacheWrite1h, s.GuardrailUnits}
}

func (a tokens) total() int64 { return a.Input + a.Output + a.Read + a.Write5m + a.Write1h }

// cost is what they cost at the prices of the case, in pico-dollars. It shares
// no code with the gateway.
func (a tokens) cost() *big.Int {
	sum := new(big.Int)
	for _, part := range [][2]int64{
		{a.Input, pico.Input}, {a.Output, pico.Output}, {a.Read, pico.Read}, {a.Write5m, pico.Write5m},
		{a.Write1h, pico.Write1h}, {a.Units, pico.Units},
	} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(part[0]), big.NewInt(part[1])))
	}
	return sum
}

// costOf is what a call cost. What was bought by the hour costs nothing more.
func costOf(s *harness.Served) *big.Int { return costAt(s.Model, billedFor(s)) }

func costAt(model string, used tokens) *big.Int {
	if strings.HasPrefix(model, "arn:") {
		return new(big.Int)
	}
	return used.cost()
}

// line is what one tenant used of one model.
type line struct {
	tokens
	requests, legs, unknown int64
	cost                    *big.Int // pico-dollars; nil is zero
}

// account is lines by "tenant model".
type account map[string]line

func (a account) add(key string, l line) {
	sum := a[key]
	sum.tokens = sum.plus(l.tokens)
	sum.requests, sum.legs, sum.unknown = sum.requests+l.requests, sum.legs+l.legs, sum.unknown+l.unknown
	cost := new(big.Int)
	for _, c := range []*big.Int{sum.cost, l.cost} {
		if c != nil {
			cost.Add(cost, c)
		}
	}
	sum.cost = cost
	a[key] = sum
}

func (a account) total() tokens {
	var sum tokens
	for _, l := range a {
		sum = sum.plus(l.tokens)
	}
	return sum
}

func lineOf(c *record.Counters) line {
	var cost money.Pico
	for _, class := range c.CostClasses() {
		cost += class
	}
	return line{tokens{c.Input, c.Output, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h, c.GuardrailUnits}, c.Requests,
		c.Legs, c.Unknown, big.NewInt(int64(cost))}
}

// view is what each side has recorded, at one moment.
type view struct {
	billed   []harness.Served
	attempts map[string]*attempt
	resolved map[string]bool // by the invocation log
	entered  map[string]bool // from the invocation log, no journal having them
	suspense map[string]bool // ids of unknown outcome, not resolved
	lost     []string        // ids of calls that no journal has

	journal, ledger, report account
}

func (w *world) look(ctx context.Context) (*view, error) {
	v := &view{billed: w.standIn.billed(w.t), attempts: map[string]*attempt{}, resolved: map[string]bool{},
		entered: map[string]bool{}, suspense: map[string]bool{}}
	var err error
	if v.journal, err = w.journals(v); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if v.ledger, err = w.rows(ctx); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if v.report, err = w.reported(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return v, nil
}

// disks are the journals of a gateway: its own and that of its corrections.
func (g *gate) disks() []audit.Source {
	all := []audit.Source{{Name: g.data("journal"), Disk: journal.Dir(g.data("journal"))}}
	if _, err := os.Stat(g.data("corrections")); err == nil {
		all = append(all, audit.Source{Name: g.data("corrections"), Disk: journal.Dir(g.data("corrections"))})
	}
	return all
}

// journals adds up what the gateways' journals say, and collects attempts. What
// copies of a directory share counts once: a sequence from the journal that
// has most of it.
func (w *world) journals(v *view) (account, error) {
	lanes, heads := map[record.Partition]account{}, map[record.Partition]uint64{}
	for _, g := range w.gates {
		for _, source := range g.disks() {
			books, err := meter.ReadSums(source.Disk)
			if err != nil {
				return nil, err
			}
			if len(books.Damage) > 0 && !w.damaged {
				return nil, fmt.Errorf("%s: %d damaged places", source.Name, len(books.Damage))
			}
			for l, head := range books.Heads {
				if head > heads[l] {
					heads[l], lanes[l] = head, accountOf(books.Rows[l])
				}
			}
			if err := v.collect(source.Disk); err != nil {
				return nil, fmt.Errorf("%s: %w", source.Name, err)
			}
		}
	}
	for id, a := range v.attempts {
		if a.Posted != nil && a.Posted.Add.Unknown > 0 && !v.resolved[id] {
			v.suspense[id] = true
		}
	}
	sum := account{}
	for _, lines := range lanes {
		for key, l := range lines {
			sum.add(key, l)
		}
	}
	return sum, nil
}

func accountOf(rows map[record.RowKey]record.Counters) account {
	sum := account{}
	for key, c := range rows {
		sum.add(key.Tenant+" "+key.Model, lineOf(&c))
	}
	return sum
}

// collect takes in a journal's attempts and resolutions. Two journals may hold
// the same record, but not end one attempt in two ways.
func (v *view) collect(disk journal.Disk) error {
	attempts, err := readAttempts(disk)
	if err != nil {
		return err
	}
	for id, a := range attempts {
		before := v.attempts[id]
		if before != nil && before.End != nil && a.End != nil &&
			(before.Writer != a.Writer || before.Posted.Seq != a.Posted.Seq) {
			return fmt.Errorf("record %s is in two journals", id)
		}
		if before == nil || before.End == nil {
			v.attempts[id] = a
		}
	}
	made, err := meter.ReadCorrections(disk)
	if err != nil {
		return err
	}
	for id := range made.Resolved {
		v.resolved[id] = true
	}
	for id := range made.Adjusted {
		v.entered[id] = true
	}
	return nil
}

// rows adds up what the ledger has.
func (w *world) rows(ctx context.Context) (account, error) {
	sum := account{}
	return sum, w.each(ctx, func(key record.RowKey, c record.Counters) error {
		sum.add(key.Tenant+" "+key.Model, lineOf(&c))
		return nil
	})
}

// each yields the rows of the case's ledger. The embedded one is what the
// journals of its only gateway make.
func (w *world) each(ctx context.Context, yield func(record.RowKey, record.Counters) error) error {
	from, to := w.span()
	if w.redis == "" {
		state, err := embedded.Load(func(yield func(string, record.Posting) error) error {
			for _, source := range w.gates[0].disks() {
				if _, err := meter.Replay(source.Disk, yield); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		if err != nil {
			return err
		}
		return state.Rows(ctx, from, to, yield)
	}
	ledger, err := redis.New(redis.Options{URL: w.redis, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer ledger.Close()
	return ledger.Rows(ctx, from, to, yield)
}

// reported runs `gateway report`.
func (w *world) reported() (account, error) {
	from, to := w.span()
	out, code := w.gates[0].command("report", "--by", "tenant,model", "--format", "json", "--from",
		from.Format(time.DateOnly), "--to", to.Format(time.DateOnly))
	if code != 0 {
		return nil, fmt.Errorf("exit code %d: %s", code, out)
	}
	var rows []harness.Row
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return nil, err
	}
	sum := account{}
	for _, r := range rows {
		usd, ok := new(big.Rat).SetString(r.Cost)
		fixed, priced := new(big.Rat).SetString(cmp.Or(r.Fixed, "0"))
		if r.Cost == "unpriced" {
			usd, ok = new(big.Rat), true
		}
		if !ok || !priced {
			return nil, fmt.Errorf("cost %q, of that fixed %q", r.Cost, r.Fixed)
		}
		cost := usd.Mul(usd.Sub(usd, fixed), big.NewRat(1_000_000_000_000, 1))
		if !cost.IsInt() {
			return nil, fmt.Errorf("cost %q is not whole pico-dollars", r.Cost)
		}
		// The report has one column for cache writes of both lifetimes, and none for
		// the units of guardrails.
		sum.add(r.Tenant+" "+r.Model, line{tokens{r.Input, r.Output, r.CacheRead, r.CacheWrite, 0, 0}, r.Requests, r.Legs,
			r.Unknown, new(big.Int).Set(cost.Num())})
	}
	return sum, nil
}

// usageOf is what a record says was used. What is unknown is 0.
func usageOf(u *wire.Usage) tokens {
	return tokens{u.Input.N, u.Output.N, u.CacheRead.N, u.CacheWrite5m.N, u.CacheWrite1h.N, unitsOf(u)}
}

// unitsOf adds up the units of all policies.
func unitsOf(u *wire.Usage) (n int64) {
	for _, units := range u.GuardrailUnits {
		n += units
	}
	return n
}

// believed is the largest count that the gateway takes for true (internal/meter,
// maxCount).
const believed = 1 << 28

// problems returns what is not equal. The known attempts are compared with the
// truth one by one, by record id; the sums of all sides with each other.
func (w *world) problems(v *view) []string {
	var found []string
	differ := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	truth, whole := account{}, map[string]bool{}
	v.lost = nil
	seen := map[string]bool{}
	for _, s := range v.billed {
		id := recordOf(&s)
		used := billedFor(&s)
		a := v.attempts[id]
		whole[id] = s.Complete && max(used.Input, used.Output, used.Read) <= believed
		switch {
		case seen[id]:
			differ("record %s stands for two calls", id)
		case v.entered[id]:
			truth.add(tenantOf(s.Model)+" "+s.Model, line{tokens: used, cost: costAt(s.Model, used)})
		case a == nil || a.Start == nil:
			v.lost = append(v.lost, id)
			if len(v.lost) > w.mayLose {
				differ("call %s (record %q) reached the upstream without a START", s.RequestID, id)
			}
		case a.Released:
			differ("record %s was released and reached the upstream", id)
		case a.End == nil:
			differ("record %s has no END", id)
		case v.suspense[id]: // a known half of its usage is in the books all the same
			half := usageOf(&a.End.Usage)
			if most := max(half.Input, half.Output, half.Read); most > believed {
				half = tokens{}
			}
			if half.Input > used.Input || half.Output > used.Output || half.Read > used.Read {
				differ("record %s: END knows %+v, the upstream billed %+v", id, half, used)
			}
			truth.add(tenantOf(s.Model)+" "+s.Model, line{tokens: half, cost: costAt(s.Model, half)})
		case v.resolved[id]:
			truth.add(tenantOf(s.Model)+" "+s.Model, line{tokens: used, cost: costAt(s.Model, used)})
		default:
			if u := &a.End.Usage; usageOf(u) != used {
				differ("record %s: END says %+v, the upstream billed %+v", id, *u, used)
			}
			truth.add(tenantOf(s.Model)+" "+s.Model, line{tokens: used, cost: costAt(s.Model, used)})
		}
		seen[id] = true
	}
	for id := range v.suspense {
		if request := v.attempts[id].Start.RequestID; w.answered[request] && whole[id] {
			differ("record %s is unknown although its caller got the answer (request %s)", id, request)
		}
	}
	for id, a := range v.attempts {
		if a.End == nil && !a.Released {
			differ("record %s was never ended", id)
		}
	}
	found = append(found, differences("journal", v.journal, "upstream", truth, tokensAndCost)...)
	found = append(found, differences("ledger", v.ledger, "journal", v.journal, everything)...)
	return append(found, differences("report", v.report, "ledger", joinWrites(v.ledger), everything)...)
}

func tokensAndCost(l line) string {
	if l.cost == nil {
		l.cost = new(big.Int)
	}
	return fmt.Sprintf("%+v cost %s", l.tokens, l.cost)
}

func everything(l line) string {
	return fmt.Sprintf("%s requests %d legs %d unknown %d", tokensAndCost(l), l.requests, l.legs, l.unknown)
}

func joinWrites(a account) account {
	joined := account{}
	for key, l := range a {
		l.Write5m, l.Write1h, l.Units = l.Write5m+l.Write1h, 0, 0
		joined[key] = l
	}
	return joined
}

func differences(nameA string, a account, nameB string, b account, show func(line) string) (found []string) {
	names := map[string]bool{}
	for key := range a {
		names[key] = true
	}
	for key := range b {
		names[key] = true
	}
	for key := range names {
		if x, y := show(a[key]), show(b[key]); x != y {
			found = append(found, fmt.Sprintf("%s: %s has %s, %s has %s", key, nameA, x, nameB, y))
		}
	}
	slices.Sort(found)
	return found
}

// equal waits until all sides agree and returns what they say.
func (w *world) equal(within time.Duration) *view {
	w.t.Helper()
	deadline := time.Now().Add(within)
	for {
		v, err := w.look(context.Background())
		var found []string
		if err == nil {
			if found = w.problems(v); len(found) == 0 {
				return v
			}
		}
		if time.Now().After(deadline) {
			audited, _ := w.gates[0].audited("verify")
			w.t.Fatalf("the books are not equal after %v: %v\n%s\nverify: %s\n%s", within, err, strings.Join(found, "\n"),
				audited, w.logs())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) logs() string {
	var all strings.Builder
	for i, g := range w.gates {
		if g.process != nil {
			fmt.Fprintf(&all, "--- gate%d\n%s", i, g.log())
		}
	}
	return all.String()
}
