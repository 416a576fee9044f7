package views

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
)

// Viewer is who asks.
type Viewer interface {
	// Sees reports whether figures of a tenant may be seen; "" is all tenants together.
	Sees(tenant string) bool
	// Home is whose figures are shown when no tenant is asked for; "" is all together.
	Home() string
}

// Query is what to show.
type Query struct {
	From, To time.Time
	Tenant   string // of its subtree, "" for all
	By       string
	// Given are the parameters as they came, but for empty ones.
	Given map[string]string
}

// shared are the parameters that each view has. The last two say what to write of it.
var shared = []string{"from", "to", "tenant", "table", "format"}

// read reads parameters and the period.
func (s *Shelf) read(who Viewer, more []string, given map[string][]string) (*Query, error) {
	q, err := s.params(who, more, given)
	if err != nil {
		return nil, err
	}
	span, err := q.period(s.from.Now(), nil)
	q.From, q.To = span.From, span.To
	return q, err
}

// period is the one that was asked for, of a ledger that has single records since a time.
func (q *Query) period(now time.Time, since *time.Time) (of report.Query, err error) {
	asked := report.Asked{From: q.Given["from"], To: q.Given["to"], Since: since}
	if asked.Zone, err = report.Zone(q.Given["zone"]); err == nil {
		of, err = asked.Query(now)
	}
	if err != nil {
		return of, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return of, nil
}

// params reads parameters strictly. Nobody gets to know of tenants that are not theirs.
func (s *Shelf) params(who Viewer, more []string, given map[string][]string) (*Query, error) {
	q := &Query{Given: map[string]string{}}
	for name, values := range given {
		if !slices.Contains(shared, name) && !slices.Contains(more, name) {
			return nil, fmt.Errorf("%w: there is no parameter %q; there are %s",
				ErrQuery, name, strings.Join(slices.Concat(shared, more), ", "))
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: %s is given %d times", ErrQuery, name, len(values))
		}
		if values[0] != "" {
			q.Given[name] = values[0]
		}
	}
	q.By = q.Given["by"]
	if q.Tenant = q.Given["tenant"]; q.Tenant == "" {
		q.Tenant = who.Home()
	}
	if !who.Sees(q.Tenant) {
		return nil, ErrForbidden
	}
	return q, nil
}

// within reports whether a row's tenant is in the subtree that was asked for, by its name of
// now.
func (a *ask) within(of string) bool {
	return a.query.Tenant == "" || record.Within(a.shelf.from.Tenants().Current(of), a.query.Tenant)
}

// by is one of the words to group by, the first when none was given.
func (a *ask) by(words ...string) (string, error) {
	if a.query.By == "" {
		return words[0], nil
	}
	if !slices.Contains(words, a.query.By) {
		return "", fmt.Errorf("%w: by must be one of %s, not %q", ErrQuery, strings.Join(words, ", "), a.query.By)
	}
	return a.query.By, nil
}
