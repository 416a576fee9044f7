package views

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/statement"
)

// Statements are those of closed months. statement.Dir is one.
type Statements interface {
	Months(root string) []string
	Load(root, month string) (*statement.Statement, error)
	Hash(root, month string) string
	Read(root, month, kind string) ([]byte, error)
}

// mostRoots is of how many root tenants the closed months are shown at once.
const mostRoots = 200

// statementsOf are the closed months: all of one root tenant, or the last one of each.
func statementsOf(a *ask) error {
	t := &Table{Name: "months", Title: "Closed months", Empty: "No month of it is closed: gateway close does that.",
		Columns: []Column{
			{Name: "root", Title: "root", Kind: Text},
			{Name: "month", Title: "month", Kind: Text, Opens: "api/v1/statement", Param: "month", With: "root", As: "tenant"},
			{Name: "time_zone", Title: "of", Kind: Text}, {Name: "closed", Title: "closed", Kind: Time},
			{Name: "metered_usd", Title: "metered", Kind: Money},
			{Name: "corrections_usd", Title: "of it corrections", Kind: Money},
			{Name: "shared_usd", Title: "shared costs", Kind: Money}, {Name: "total_usd", Title: "total", Kind: Money},
			{Name: "suspense_usd", Title: "in suspense", Kind: Money}, {Name: "state", Title: "state", Kind: Text},
			{Name: "sha256", Title: "SHA-256", Kind: Text},
		}}
	parts := &Table{Name: "tenants", Title: "By tenant", Empty: "No statement of it is here.", Columns: []Column{
		tenantColumn(), {Name: "month", Title: "month", Kind: Text},
		{Name: "metered_usd", Title: "metered", Kind: Money}, {Name: "shared_usd", Title: "shared costs", Kind: Money},
		{Name: "total_usd", Title: "total", Kind: Money},
	}}
	a.Source, a.Tables = "statements on this machine, and the ledger's marks", []*Table{parts}
	a.Notes = append(a.Notes, "Statements never change, whatever period is chosen above.")
	roots := rootsOf(a)
	if len(roots) > mostRoots {
		a.Notes = append(a.Notes, plural(int64(len(roots)-mostRoots), "root")+" more: choose a tenant.")
		roots = roots[:mostRoots]
	}
	for _, root := range roots {
		if err := closed(a, root, len(roots) > 1, t, parts); err != nil {
			return err
		}
	}
	if !strings.Contains(a.query.Tenant, "/") {
		a.Tables = []*Table{t, parts}
	}
	return nil
}

// rootsOf are the root tenants that were asked for.
func rootsOf(a *ask) []string {
	if a.query.Tenant != "" {
		return []string{record.RootOf(a.query.Tenant)}
	}
	seen := map[string]bool{}
	a.shelf.from.Tenants().Each(func(id string) bool {
		seen[record.RootOf(id)] = true
		return true
	})
	return slices.Sorted(maps.Keys(seen))
}

// closed adds the closed months of a root: those that have a statement here, and those of which the
// ledger alone knows. newest is whether only the last one is wanted.
func closed(a *ask, root string, newest bool, months, parts *Table) error {
	state := map[string]string{}
	if a.shelf.from.Closings != nil {
		all, err := a.shelf.from.Closings(a.ctx, root)
		if err != nil {
			return err
		}
		for i := range all {
			state[all[i].Month] = "closed; its statement is where gateway close ran"
		}
	}
	if a.shelf.from.Statements != nil {
		for _, month := range a.shelf.from.Statements.Months(root) {
			state[month] = ""
		}
	}
	all := slices.SortedFunc(maps.Keys(state), func(a, b string) int { return cmp.Compare(b, a) })
	if newest {
		all = all[:min(len(all), 1)]
	}
	for _, month := range all {
		cells := []string{root, month, "", "", "", "", "", "", "", state[month], ""}
		if state[month] == "" {
			st, err := a.shelf.from.Statements.Load(root, month)
			if err != nil {
				cells[9] = "damaged: its checksums differ, or it cannot be read"
				months.Add(cells...)
				continue
			}
			sum := &st.Totals
			copy(cells[2:], []string{
				st.Zone, Stamp(st.ClosedAt), sum.MeteredUSD, sum.CorrectionsUSD, sum.SharedUSD, sum.TotalUSD, sum.SuspenseUSD,
				"as it was written", a.shelf.from.Statements.Hash(root, month),
			})
			for _, x := range st.Tenants {
				if a.within(x.Tenant) && a.sees(x.Tenant) {
					parts.Add(x.Tenant, month, x.MeteredUSD, x.SharedUSD, x.TotalUSD)
				}
			}
		}
		months.Add(cells...)
	}
	return nil
}

// Statement returns the file of a closed month, and json or csv. It is of a whole root: who does
// not see that does not see it.
func (s *Shelf) Statement(who Viewer, given map[string][]string) (file []byte, name, kind string, err error) {
	q, err := s.read(who, []string{"month"}, given)
	if err != nil {
		return nil, "", "", err
	}
	root, month, kind := q.Tenant, q.Given["month"], cmp.Or(q.Given["format"], "json")
	_, bad := time.Parse("2006-01", month)
	switch {
	case kind != "json" && kind != "csv":
		return nil, "", "", BadFormat(kind)
	case bad != nil:
		return nil, "", "", fmt.Errorf("%w: month is one such as 2026-11, not %q", ErrQuery, month)
	case strings.Trim(root, ".") == "" || record.RootOf(root) != root:
		return nil, "", "", fmt.Errorf("%w: a statement is of one root tenant", ErrQuery)
	case s.from.Statements == nil || !slices.Contains(s.from.Statements.Months(root), month):
		return nil, "", "", fmt.Errorf("%w: there is no statement of %s %s here", ErrUnknown, root, month)
	}
	file, err = s.from.Statements.Read(root, month, kind)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return file, "sluice-statement-" + root + "-" + month, kind, err
}
