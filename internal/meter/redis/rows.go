package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

//go:embed scripts/fold.lua
var foldLua string

// Rows yields every row of an hour at or after from and before to, of
// all roots, in no order. It stops at the first error of yield and returns it.
// Rows that were folded into days are of hour 0.
func (l *Ledger) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	client, roots, err := l.knownRoots(ctx)
	if err != nil {
		return err
	}
	for _, root := range roots {
		r := reader{client: client, keys: keysOf(root), from: from, to: to, yield: yield}
		if err := r.root(ctx); err != nil {
			return fmt.Errorf("root %q: %w", root, err)
		}
	}
	return nil
}

// knownRoots returns the root tenants that the ledger knows, in order, and the client
// that was asked.
func (l *Ledger) knownRoots(ctx context.Context) (goredis.UniversalClient, []string, error) {
	client, err := l.server.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	roots, err := client.SMembers(ctx, rootsKey).Result()
	if err != nil {
		return nil, nil, failed(err)
	}
	slices.Sort(roots)
	return client, roots, nil
}

// reader reads the rows of one root.
type reader struct {
	client   goredis.UniversalClient
	keys     keys
	from, to time.Time
	yield    func(record.RowKey, record.Counters) error
	shapes   map[int]record.RowKey // by id
}

func (r *reader) root(ctx context.Context) error {
	if err := r.readShapes(ctx); err != nil {
		return err
	}
	days, err := r.client.SMembers(ctx, r.keys.days()).Result()
	if err != nil {
		return failed(err)
	}
	slices.Sort(days)
	for _, name := range days {
		start, err := time.Parse(dayLayout, name)
		if err != nil {
			return fmt.Errorf("%w: day %q", ErrDamaged, name)
		}
		if !start.Before(r.to) || !start.Add(24*time.Hour).After(r.from) {
			continue
		}
		if err := r.day(ctx, name, start); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readShapes(ctx context.Context) error {
	all, err := r.client.HGetAll(ctx, r.keys.shapes()).Result()
	if err != nil {
		return failed(err)
	}
	r.shapes = make(map[int]record.RowKey, len(all))
	for text, id := range all {
		n, err := strconv.Atoi(id)
		if err != nil {
			return fmt.Errorf("%w: shape id %q", ErrDamaged, id)
		}
		if r.shapes[n], err = parseShape(text); err != nil {
			return err
		}
	}
	return nil
}

// day yields the rows of one day. A fold at the same time moves rows while they
// are read: then the index has lost an entry at the end, and all is read again.
func (r *reader) day(ctx context.Context, name string, start time.Time) error {
	for range 10 {
		members, hashes, err := r.readDay(ctx, name)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return err
		}
		for i, m := range members {
			if err := r.group(ctx, start, m, hashes[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("day %s: %w", name, errMoved)
}

var errMoved = errors.New("rows moved while they were read")

func (r *reader) readDay(ctx context.Context, name string) ([]member, []map[string]string, error) {
	texts, err := r.client.SMembers(ctx, r.keys.index(name)).Result()
	if err != nil {
		return nil, nil, failed(err)
	}
	members := make([]member, len(texts))
	for i, text := range texts {
		if members[i], err = parseMember(text); err != nil {
			return nil, nil, err
		}
	}
	pipe := r.client.Pipeline()
	replies := make([]*goredis.MapStringStringCmd, len(members))
	for i, m := range members {
		replies[i] = pipe.HGetAll(ctx, r.keys.group(name, m))
	}
	after := pipe.SMembersMap(ctx, r.keys.index(name))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, failed(err)
	}
	hashes := make([]map[string]string, len(members))
	for i := range members {
		if _, still := after.Val()[texts[i]]; !still {
			return nil, nil, errMoved
		}
		hashes[i] = replies[i].Val()
	}
	return members, hashes, nil
}

// group yields the rows of one hash that are in the range.
func (r *reader) group(ctx context.Context, start time.Time, m member, hash map[string]string) error {
	hour := start
	if m.hour != hourOfDay {
		hour = start.Add(time.Duration(m.hour) * time.Hour)
	}
	if hour.Before(r.from) || !hour.Before(r.to) {
		return nil
	}
	rows, err := decodeGroup(hash)
	if err != nil {
		return err
	}
	for place, c := range rows {
		if c == (record.Counters{}) {
			continue
		}
		key, err := r.shape(ctx, m.group*groupRows+place)
		if err != nil {
			return err
		}
		key.Hour = hour
		if err := r.yield(key, c); err != nil {
			return err
		}
	}
	return nil
}

// shape returns what the rows with this id are about, reading the shapes once
// more when the id is newer than they are.
func (r *reader) shape(ctx context.Context, id int) (record.RowKey, error) {
	if key, ok := r.shapes[id]; ok {
		return key, nil
	}
	if err := r.readShapes(ctx); err != nil {
		return record.RowKey{}, err
	}
	if key, ok := r.shapes[id]; ok {
		return key, nil
	}
	return record.RowKey{}, fmt.Errorf("%w: no shape has id %d", ErrDamaged, id)
}

// Fold turns the hours of every root that are older than record.KeepHours into
// days and forgets days older than record.KeepDays. It may be repeated, stopped,
// and run by several gateways at once. Hours whose day would be out of range
// stay hours.
func (l *Ledger) Fold(ctx context.Context, now time.Time) error {
	client, roots, err := l.knownRoots(ctx)
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := l.foldRoot(ctx, client, keysOf(root), now); err != nil {
			return fmt.Errorf("fold of root %q: %w", root, err)
		}
	}
	return nil
}

func (l *Ledger) foldRoot(ctx context.Context, client goredis.UniversalClient, k keys, now time.Time) error {
	oldestHours, oldestDay := dayOf(now.Add(-record.KeepHours)), dayOf(now.Add(-record.KeepDays-24*time.Hour))
	days, err := client.SMembers(ctx, k.days()).Result()
	if err != nil {
		return failed(err)
	}
	for _, name := range days {
		if name < oldestDay { // its rows have expired
			if err := client.SRem(ctx, k.days(), name).Err(); err != nil {
				return failed(err)
			}
			continue
		}
		if name >= oldestHours {
			continue
		}
		if err := l.foldDay(ctx, client, k, name); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) foldDay(ctx context.Context, client goredis.UniversalClient, k keys, name string) error {
	start, err := time.Parse(dayLayout, name)
	if err != nil {
		return fmt.Errorf("%w: day %q", ErrDamaged, name)
	}
	texts, err := client.SMembers(ctx, k.index(name)).Result()
	if err != nil {
		return failed(err)
	}
	hours := make(map[int]*call)
	for _, text := range texts {
		m, err := parseMember(text)
		if err != nil {
			return err
		}
		if m.hour == hourOfDay {
			continue
		}
		if hours[m.hour] == nil {
			hours[m.hour] = &call{keys: []string{k.index(name)}, args: []any{expiry(start)}}
		}
		whole := member{m.group, hourOfDay}
		c := hours[m.hour]
		c.keys = append(c.keys, k.group(name, m), k.group(name, whole))
		c.add(text, whole.String())
	}
	for hour, c := range hours {
		moved, err := l.fold.Run(ctx, client, c.keys, c.args...).Int()
		if err != nil {
			return failed(err)
		}
		if moved == 0 {
			l.server.log.WarnContext(ctx, "hour stays: its day would be out of range", "key", k.index(name), "hour", hour)
		}
	}
	return nil
}
