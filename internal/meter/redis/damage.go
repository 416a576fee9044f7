package redis

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

//go:embed scripts/damage.lua
var damageLua string

//go:embed scripts/inspect.lua
var inspectLua string

//go:embed scripts/missing.lua
var missingLua string

//go:embed scripts/refill.lua
var refillLua string

//go:embed scripts/heal.lua
var healLua string

// Damage is a key of a root that is gone although an index names it: rows of an hour
// or a day, or a budget's window. Every writer has a part in it.
type Damage struct {
	Root string
	// Hour is that of the rows, the beginning of the day for a folded one; zero for a
	// window, which Window is.
	Hour   time.Time
	Window record.Window
	// UpTo is by writer the number up to which it had posted, and whose part is
	// missing; writers that have added theirs are not in it.
	UpTo map[string]uint64

	what   string // the key, without the root's prefix
	member member // of the rows
}

// Mender looks for keys that a ledger has lost, and restores them.
type Mender struct {
	ledger *Ledger

	inspect, missing, refill, heal *goredis.Script
}

// NewMender returns the mender of a ledger, which has to stay open.
func NewMender(l *Ledger) *Mender {
	return &Mender{
		ledger:  l,
		inspect: goredis.NewScript(copyLua + inspectLua),
		missing: goredis.NewScript(damageLua + missingLua),
		refill:  goredis.NewScript(refillLua),
		heal:    goredis.NewScript(exactLua + windowLua + healLua),
	}
}

// Key names the key.
func (d *Damage) Key() string { return keysOf(d.Root).prefix + d.what }

// Found is what is wrong with the keys of a ledger.
type Found struct {
	Lost []Damage // what only journals can give back
	// Restored are keys that were gone, and that are there again by other keys.
	Restored []string
	Frozen   int       // root tenants of which nothing is leased
	Until    time.Time // at most, when Frozen
}

// Inspect looks for rows of today and yesterday that are gone, or of all days when
// everywhere, and for what lists them, which it restores. It returns all damage that is
// known.
func (m *Mender) Inspect(ctx context.Context, now time.Time, everywhere bool) (*Found, error) {
	found := &Found{}
	return found, m.ledger.eachRoot(ctx, func(of rootRows) error {
		days := []time.Time{now.Add(-24 * time.Hour), now}
		if everywhere {
			listed, err := of.listDays(ctx)
			if err != nil {
				return err
			}
			days = append(days, listed...)
		}
		for i, day := range days {
			seen, err := m.inspectDay(ctx, of, dayOf(day))
			if err == nil && i == len(days)-1 {
				err = m.take(ctx, of, seen, now, found)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// inspection is what the script says of a root.
type inspection struct {
	frozen  time.Time
	missing []string // keys of rows, and their entries in the index, in turn
	noted   []string // damage: names and values in turn
}

// inspectDay runs the script on a day of a root, and once more when rows turned out to
// be gone, for what is noted then.
func (m *Mender) inspectDay(ctx context.Context, of rootRows, day string) (*inspection, error) {
	seen, err := m.inspectOnce(ctx, of, day)
	if err != nil || len(seen.missing) == 0 {
		return seen, err
	}
	k := of.keys
	for row := range slices.Chunk(seen.missing, 2) {
		keys := []string{k.damage(), k.marks(), k.index(day), row[0]}
		if err := m.missing.Run(ctx, of.client, keys, row[1]).Err(); err != nil {
			return nil, failed(err)
		}
	}
	return m.inspectOnce(ctx, of, day)
}

func (m *Mender) inspectOnce(ctx context.Context, of rootRows, day string) (*inspection, error) {
	k := of.keys
	words, err := m.inspect.Run(ctx, of.client, []string{
		k.damage(), k.marks(), k.shapes(), k.windows(), k.copyOf(k.marks()), k.copyOf(k.shapes()), k.copyOf(k.windows()),
		k.state(), k.days(), k.index(day),
	}, k.prefix, day).StringSlice()
	if err != nil {
		return nil, failed(err)
	}
	var frozen int64
	n := -1
	if len(words) >= 2 {
		if frozen, err = strconv.ParseInt(words[0], 10, 64); err == nil {
			n, err = strconv.Atoi(words[1])
		}
	}
	if err != nil || n < 0 || n > len(words)-2 || n%2 != 0 || len(words)%2 != 0 {
		return nil, fmt.Errorf("%w: the script answered %q", ErrDamaged, words)
	}
	seen := &inspection{missing: words[2 : 2+n], noted: words[2+n:]}
	if frozen > 0 {
		seen.frozen = time.UnixMilli(frozen).UTC()
	}
	return seen, nil
}

// take adds what the script says of a root to what was found, and fills again what lists
// its rows.
func (m *Mender) take(ctx context.Context, of rootRows, seen *inspection, now time.Time, found *Found) error {
	if !seen.frozen.IsZero() {
		found.Frozen++
		if seen.frozen.After(found.Until) {
			found.Until = seen.frozen
		}
	}
	lost, err := parseDamage(of.root, seen.noted)
	found.Lost = append(found.Lost, lost...)
	if err != nil {
		return err
	}
	for pair := range slices.Chunk(seen.noted, 2) {
		what, gone := strings.CutPrefix(pair[0], "c:gone|")
		if !gone {
			continue
		}
		if err := m.refillKey(ctx, of, what, now); err != nil {
			return err
		}
		if err := of.client.HDel(ctx, of.keys.damage(), pair[0]).Err(); err != nil {
			return failed(err)
		}
		found.Restored = append(found.Restored, of.keys.prefix+what)
	}
	return nil
}

// refillKey fills the set of days, or the index of a day, from the keys that are there.
// Registers have come back from their copies already.
func (m *Mender) refillKey(ctx context.Context, of rootRows, what string, now time.Time) error {
	k := of.keys
	if what == "d" {
		const days = int(record.KeepDays/(24*time.Hour)) + 2
		c := &call{}
		for i := range days {
			day := dayOf(now.Add(time.Duration(1-i) * 24 * time.Hour))
			c.keys = append(c.keys, k.index(day))
			c.add(day)
		}
		return m.refillSet(ctx, of, k.days(), "0", c)
	}
	day, isIndex := strings.CutPrefix(what, "i:")
	if !isIndex {
		return nil
	}
	date, err := time.Parse(dayLayout, day)
	if err != nil {
		return fmt.Errorf("%w: %q is noted as lost", ErrDamaged, what)
	}
	last, err := of.client.HGet(ctx, k.marks(), "ids").Int()
	if err != nil {
		return failed(err)
	}
	c := &call{}
	for group := range last/groupRows + 1 {
		for hour := range hourOfDay + 1 {
			m := member{group, hour}
			c.keys = append(c.keys, k.group(day, m))
			c.add(m.String())
		}
	}
	return m.refillSet(ctx, of, k.index(day), expiry(date), c)
}

// refillAtOnce bounds how many keys one call looks at.
const refillAtOnce = 500

// refillSet puts those keys that are there into a set, under the names of the call.
func (m *Mender) refillSet(ctx context.Context, of rootRows, set, expires string, c *call) error {
	for i := 0; i < len(c.keys); i += refillAtOnce {
		end := min(i+refillAtOnce, len(c.keys))
		keys, args := append([]string{set}, c.keys[i:end]...), append([]any{expires}, c.args[i:end]...)
		if err := m.refill.Run(ctx, of.client, keys, args...).Err(); err != nil {
			return failed(err)
		}
	}
	return nil
}

// parseDamage reads fields and values: a key and "WRITER=NUMBER|…", or c:WRITER|KEY
// of a writer that has added its part.
func parseDamage(root string, noted []string) (all []Damage, err error) {
	given := make(map[string]bool)
	for pair := range slices.Chunk(noted, 2) {
		given[pair[0]] = true
	}
	for pair := range slices.Chunk(noted, 2) {
		if strings.HasPrefix(pair[0], "c:") {
			continue
		}
		d := Damage{Root: root, what: pair[0], UpTo: make(map[string]uint64)}
		for _, part := range strings.Split(pair[1], "|") {
			writer, number, _ := cutLast(part, "=")
			if writer == "" || given["c:"+writer+"|"+d.what] {
				continue
			}
			if d.UpTo[writer], err = parseMark(number); err != nil {
				return nil, err
			}
		}
		if err := d.parseKey(); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

func (d *Damage) parseKey() (err error) {
	if name, is := strings.CutPrefix(d.what, "b:"); is {
		d.Window, err = parseWindow(name)
		return err
	}
	when, group, _ := strings.Cut(strings.TrimPrefix(d.what, "r:"), ":")
	layout := dayLayout + "15"
	if len(when) == len(dayLayout) {
		layout = dayLayout
	}
	if d.Hour, err = time.Parse(layout, when); err == nil {
		d.member.group, err = strconv.Atoi(group)
	}
	if d.member.hour = d.Hour.Hour(); layout == dayLayout {
		d.member.hour = hourOfDay
	}
	if err != nil {
		err = fmt.Errorf("%w: %q is noted as lost", ErrDamaged, d.what)
	}
	return err
}

// Heal adds a writer's part again: its sums of rows and windows up to the number that
// the damage names. Repeating it changes nothing.
func (m *Mender) Heal(
	ctx context.Context, d *Damage, writer string,
	rows map[record.RowKey]record.Counters, windows map[record.Window]ledger.WindowSum,
) error {
	client, k, err := m.ledger.server.of(ctx, d.Root)
	if err != nil {
		return err
	}
	c := &call{keys: []string{k.damage(), k.prefix + d.what}}
	if d.Hour.IsZero() {
		sum := windows[d.Window]
		c.keys = append(c.keys, k.windows(), k.copyOf(k.windows()))
		c.add(d.what, writer, unix(d.Window.Expiry()), windowName(d.Window), "p")
		c.addChanges([]change{{"p", sum.Posted}, {"s", sum.Suspense}})
		return failed(m.heal.Run(ctx, client, c.keys, c.args...).Err())
	}
	some := make(map[record.RowKey]record.Counters)
	for key, sum := range rows {
		if key.Hour.Equal(d.Hour) {
			some[key] = sum
		}
	}
	ids, err := m.ledger.shapes.of(ctx, client, d.Root, some)
	if err != nil {
		return err
	}
	var changes []change
	for key, sum := range some {
		if id, err := strconv.Atoi(ids[shapeOf(key)]); err == nil && id/groupRows == d.member.group {
			changes = append(changes, changesOf(id%groupRows, sum)...)
		}
	}
	c.keys = append(c.keys, k.index(dayOf(d.Hour)))
	c.add(d.what, writer, expiry(d.Hour), d.member.String(), "0leg")
	c.addChanges(changes)
	return failed(m.heal.Run(ctx, client, c.keys, c.args...).Err())
}
