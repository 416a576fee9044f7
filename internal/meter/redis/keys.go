package redis

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/closed"
)

// The keys outside any root. docs/format/redis.md describes all keys.
const (
	metaKey  = "sl:meta"
	rootsKey = "sl:roots"
)

// groupRows is how many rows share a hash. All of its fields then still fit
// Redis's compact encoding of up to 128 fields, and the cost of a key is shared.
const groupRows = 4

// hourOfDay is in place of the hour of a folded row.
const hourOfDay = 24

// keys names the keys of one root. The braces keep them in one cluster slot.
type keys struct{ prefix string }

func keysOf(root string) keys { return keys{"sl:{" + root + "}:"} }

func (k keys) marks() string  { return k.prefix + "w" }
func (k keys) shapes() string { return k.prefix + "s" }
func (k keys) days() string   { return k.prefix + "d" }

func (k keys) state() string             { return k.prefix + "l" }
func (k keys) windows() string           { return k.prefix + "b" }
func (k keys) window(name string) string { return k.prefix + "b:" + name }

func (k keys) damage() string   { return k.prefix + "x" }
func (k keys) closings() string { return k.prefix + "c" }

// closing are the keys that the closing of a month needs.
func (k keys) closing() closed.Keys {
	return closed.Keys{Closings: k.closings(), Marks: k.marks(), MarksCopy: k.copyOf(k.marks())}
}

// copyOf names the copy of a register, which brings it back when it is lost alone.
func (k keys) copyOf(register string) string {
	return k.prefix + "k:" + strings.TrimPrefix(register, k.prefix)
}

func (k keys) index(day string) string { return k.prefix + "i:" + day }

// group names the hash of a group of rows in an hour of the day, or in the
// whole day for hourOfDay.
func (k keys) group(day string, m member) string {
	if m.hour != hourOfDay {
		day += fmt.Sprintf("%02d", m.hour)
	}
	return k.prefix + "r:" + day + ":" + strconv.Itoa(m.group)
}

// member is an entry of a day's index: which group has rows in which hour. As
// text it is a small integer, for which Redis has a compact set.
type member struct{ group, hour int }

func (m member) String() string { return strconv.Itoa(m.group*100 + m.hour) }

// compare orders members by group, then hour.
func (m member) compare(n member) int {
	return cmp.Or(cmp.Compare(m.group, n.group), cmp.Compare(m.hour, n.hour))
}

func parseMember(s string) (member, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n%100 > hourOfDay {
		return member{}, fmt.Errorf("%w: %q in an index", ErrDamaged, s)
	}
	return member{n / 100, n % 100}, nil
}

const dayLayout = "20060102"

func dayOf(hour time.Time) string { return hour.UTC().Format(dayLayout) }

// expiry is when the rows of a day go, in Unix seconds. It depends on the day
// alone, so that adding again does not make a row live longer.
func expiry(day time.Time) string {
	end := day.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + record.KeepDays)
	return strconv.FormatInt(end.Unix(), 10)
}

// validRoot refuses names that would break the hash tag.
func validRoot(root string) error {
	if root == "" || strings.ContainsAny(root, "{}") {
		return fmt.Errorf("%w: root %q cannot be a key", ledger.ErrBadBatch, root)
	}
	return nil
}

// shapeParts are what a shape is made of, in its order. Shapes of before version 3
// of usage records have the first oldParts of them.
func shapeParts(k *record.RowKey) [14]*string {
	return [...]*string{
		&k.Tenant, &k.Key, &k.Model, &k.Scope, &k.Tier, &k.Cascade, &k.Path, &k.PriceVersion,
		&k.Region, &k.Latency, &k.Context, &k.User, &k.Held, &k.Corrects,
	}
}

const oldParts = 8

// shapeOf writes what a row is about, all but its time, as one readable line.
// Empty parts at the end are left out, so that a row of an older record keeps its
// shape.
func shapeOf(k record.RowKey) string {
	parts := shapeParts(&k)
	n := len(parts)
	for n > oldParts && *parts[n-1] == "" {
		n--
	}
	var b []byte
	for i, part := range parts[:n] {
		if i > 0 {
			b = append(b, '|')
		}
		b = appendEscaped(b, *part)
	}
	return string(b)
}

// appendEscaped writes bytes that would not be readable, or would read as a
// separator, as %XX. Model ids come from callers and hold any byte.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '|' || c == '%' {
			b = append(b, '%', hex[c>>4], hex[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}

// parseShape is the inverse of shapeOf.
func parseShape(s string) (k record.RowKey, err error) {
	texts, parts := strings.Split(s, "|"), shapeParts(&k)
	if len(texts) < oldParts || len(texts) > len(parts) {
		return record.RowKey{}, fmt.Errorf("%w: shape %q", ErrDamaged, s)
	}
	for i, text := range texts {
		if *parts[i], err = url.PathUnescape(text); err != nil {
			return record.RowKey{}, fmt.Errorf("%w: shape %q", ErrDamaged, s)
		}
	}
	return k, nil
}
