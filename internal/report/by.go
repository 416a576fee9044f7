package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
)

// DefaultBy is how rows are grouped when nothing was asked for.
var DefaultBy = []string{"tenant", "model"}

// column is one thing to group by.
type column struct {
	name  string
	value func(*sums, *record.RowKey) string
}

var columns = []column{
	{name: "tenant", value: func(_ *sums, k *record.RowKey) string { return k.Tenant }},
	{name: "root", value: func(_ *sums, k *record.RowKey) string { return level(k.Tenant, 1) }},
	{name: "team", value: func(_ *sums, k *record.RowKey) string { return level(k.Tenant, 2) }},
	{name: "project", value: func(_ *sums, k *record.RowKey) string { return level(k.Tenant, 3) }},
	{name: "key", value: func(_ *sums, k *record.RowKey) string { return k.Key }},
	{name: "cost_center", value: func(s *sums, k *record.RowKey) string { return s.tenant(k).CostCenter }},
	{name: "user", value: func(_ *sums, k *record.RowKey) string { return k.User }},
	{name: "model", value: func(_ *sums, k *record.RowKey) string { return k.Model }},
	{name: "base_model", value: func(s *sums, k *record.RowKey) string { return s.baseModel(k.Model) }},
	{name: "cascade", value: func(_ *sums, k *record.RowKey) string { return k.Cascade }},
	{name: "path", value: func(_ *sums, k *record.RowKey) string { return k.Path }},
	{name: "scope", value: func(_ *sums, k *record.RowKey) string { return k.Scope }},
	{name: "tier", value: func(_ *sums, k *record.RowKey) string { return awake.Plain(k.Tier) }},
	{name: "region", value: func(_ *sums, k *record.RowKey) string { return k.Region }},
	{name: "latency", value: func(_ *sums, k *record.RowKey) string { return k.Latency }},
	{name: "context", value: func(_ *sums, k *record.RowKey) string { return k.Context }},
	{name: "price_version", value: func(_ *sums, k *record.RowKey) string { return k.PriceVersion }},
	{name: SessionColumn, value: func(s *sums, _ *record.RowKey) string { return cmp.Or(s.session, Unattributed) }},
	{name: classColumn, value: func(*sums, *record.RowKey) string { return "" }},
	{name: "hour", value: func(_ *sums, k *record.RowKey) string { return k.Hour.UTC().Format(hourLayout) }},
	{name: "day", value: func(s *sums, k *record.RowKey) string { return s.local(k.Hour).Format(time.DateOnly) }},
	{name: "month", value: func(s *sums, k *record.RowKey) string { return s.local(k.Hour).Format("2006-01") }},
}

// local is a time in the zone of days.
func (s *sums) local(at time.Time) time.Time { return at.In(cmp.Or(s.query.Zone, time.UTC)) }

const hourLayout = "2006-01-02T15:00:00Z"

// tagPrefix is that of columns for a tag of tenants: tag:env.
const tagPrefix = "tag:"

// level is the path of a tenant down to so many elements of it: one that has fewer is
// on none of the deeper levels, and there for itself.
func level(tenant string, elements int) string {
	end := 0
	for range elements {
		next := strings.IndexByte(tenant[end:], '/')
		if next < 0 {
			return tenant
		}
		end += next + 1
	}
	return tenant[:end-1]
}

// Value is what a row of a source has in one of Columns, nil for another name. Nothing is
// known of models.
func Value(name string, tenants Tenants) func(*record.RowKey) string {
	c, err := columnNamed(name)
	if err != nil {
		return nil
	}
	s := &sums{query: &Query{Tenants: tenants}, bases: map[string]string{}}
	return func(k *record.RowKey) string { return c.value(s, k) }
}

// Columns are the names that Query.By takes. A tag of tenants can be one too: tag:NAME.
func Columns() []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

func resolve(names []string) ([]column, error) {
	by := make([]column, 0, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%w: column %q is named twice", ErrQuery, name)
		}
		c, err := columnNamed(name)
		if err != nil {
			return nil, err
		}
		by = append(by, c)
	}
	return by, nil
}

func columnNamed(name string) (column, error) {
	if at := slices.IndexFunc(columns, func(c column) bool { return c.name == name }); at >= 0 {
		return columns[at], nil
	}
	if tag, is := strings.CutPrefix(name, tagPrefix); is && tag != "" {
		value := func(s *sums, k *record.RowKey) string { return s.tenant(k).Tags[tag] }
		return column{name: name, value: value}, nil
	}
	return column{}, fmt.Errorf("%w: there is no column %q to group by; there are %s, and %sNAME for a tag of tenants",
		ErrQuery, name, strings.Join(Columns(), ", "), tagPrefix)
}
