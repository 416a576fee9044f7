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
	return l.eachRoot(ctx, func(of rootRows) error {
		r := reader{rootRows: of, from: from, to: to, yield: yield}
		return r.root(ctx)
	})
}

// eachRoot calls do with each root tenant that the ledger knows, in order.
func (l *Ledger) eachRoot(ctx context.Context, do func(rootRows) error) error {
	client, err := l.server.connected(ctx)
	if err != nil {
		return err
	}
	roots, err := client.SMembers(ctx, rootsKey).Result()
	if err != nil {
		return failed(err)
	}
	slices.Sort(roots)
	for _, root := range roots {
		if err := do(rootRows{client, keysOf(root), root}); err != nil {
			return fmt.Errorf("root %q: %w", root, err)
		}
	}
	return nil
}

// rootRows are the rows of one root.
type rootRows struct {
	client goredis.UniversalClient
	keys   keys
	root   string
}

// listDays returns the days of which there are rows, in order.
func (r *rootRows) listDays(ctx context.Context) ([]time.Time, error) {
	names, err := r.client.SMembers(ctx, r.keys.days()).Result()
	if err != nil {
		return nil, failed(err)
	}
	slices.Sort(names)
	days := make([]time.Time, len(names))
	for i, name := range names {
		if days[i], err = time.Parse(dayLayout, name); err != nil {
			return nil, fmt.Errorf("%w: day %q", ErrDamaged, name)
		}
	}
	return days, nil
}

// members reads the index of a day.
func (r *rootRows) members(ctx context.Context, day string) ([]member, error) {
	texts, err := r.client.SMembers(ctx, r.keys.index(day)).Result()
	if err != nil {
		return nil, failed(err)
	}
	members := make([]member, len(texts))
	for i, text := range texts {
		if members[i], err = parseMember(text); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// reader yields the rows of one root in a range of time.
type reader struct {
	rootRows
	from, to time.Time
	yield    func(record.RowKey, record.Counters) error
	shapes   map[int]record.RowKey // by id
}

func (r *reader) root(ctx context.Context) error {
	if err := r.readShapes(ctx); err != nil {
		return err
	}
	days, err := r.listDays(ctx)
	if err != nil {
		return err
	}
	for _, day := range days {
		if !day.Before(r.to) || !day.Add(24*time.Hour).After(r.from) {
			continue
		}
		if err := r.day(ctx, day); err != nil {
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
func (r *reader) day(ctx context.Context, day time.Time) error {
	for range 10 {
		members, hashes, err := r.readDay(ctx, dayOf(day))
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return err
		}
		for i, m := range members {
			if err := r.group(ctx, day, m, hashes[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("day %s: %w", dayOf(day), errMoved)
}

var errMoved = errors.New("rows moved while they were read")

func (r *reader) readDay(ctx context.Context, name string) ([]member, []map[string]string, error) {
	members, err := r.members(ctx, name)
	if err != nil {
		return nil, nil, err
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
	for i, m := range members {
		if _, still := after.Val()[m.String()]; !still {
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
	key, known := r.shapes[id]
	if known {
		return key, nil
	}
	if err := r.readShapes(ctx); err != nil {
		return key, err
	}
	if key, known = r.shapes[id]; !known {
		return key, fmt.Errorf("%w: no shape has id %d", ErrDamaged, id)
	}
	return key, nil
}

// Fold turns the hours of every root that are older than record.KeepHours into
// days and forgets days older than record.KeepDays. It may be repeated, stopped,
// and run by several gateways at once. Hours whose day would be out of range
// stay hours, and so do those of days that hours, if not nil, wants as hours.
func (l *Ledger) Fold(ctx context.Context, now time.Time, hours func(root string, day time.Time) bool) error {
	oldestHours, oldestDay := dayOf(now.Add(-record.KeepHours)), dayOf(now.Add(-record.KeepDays-24*time.Hour))
	return l.eachRoot(ctx, func(of rootRows) error {
		days, err := of.listDays(ctx)
		if err != nil {
			return err
		}
		for _, day := range days {
			switch name := dayOf(day); {
			case name < oldestDay: // its rows have expired
				err = failed(of.client.SRem(ctx, of.keys.days(), name).Err())
			case name < oldestHours && (hours == nil || !hours(of.root, day)):
				err = l.foldDay(ctx, of, day)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) foldDay(ctx context.Context, of rootRows, day time.Time) error {
	name := dayOf(day)
	members, err := of.members(ctx, name)
	if err != nil {
		return err
	}
	index, hours := of.keys.index(name), make(map[int]*call)
	for _, m := range members {
		if m.hour == hourOfDay {
			continue
		}
		c := hours[m.hour]
		if c == nil {
			c = &call{keys: []string{index}, args: []any{expiry(day)}}
			hours[m.hour] = c
		}
		whole := member{m.group, hourOfDay}
		c.keys = append(c.keys, of.keys.group(name, m), of.keys.group(name, whole))
		c.add(m.String(), whole.String())
	}
	for hour, c := range hours {
		moved, err := l.fold.Run(ctx, of.client, c.keys, c.args...).Int()
		if err != nil {
			return failed(err)
		}
		if moved == 0 {
			l.server.log.WarnContext(ctx, "hour stays: its day would be out of range", "key", index, "hour", hour)
		}
	}
	return nil
}
