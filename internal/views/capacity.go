package views

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/commitment"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/standing"
)

// mostStanding is how many members, quotas or capacities a table has.
const mostStanding = 200

// capacityOf is how pools, quotas and what was bought stand, for who sees all tenants, and what of it each tenant pays.
func capacityOf(a *ask) error {
	state := &standing.State{}
	if a.shelf.from.Standing != nil {
		state = a.shelf.from.Standing()
	}
	sums, err := a.paid(state)
	if err != nil {
		return err
	}
	if a.who.Sees("") && a.query.Tenant == "" {
		a.Tables = []*Table{membersOf(a, state), quotasOf(a, state), boughtOf(a, state, sums), importedOf(a, state, sums)}
		a.Notes = append(a.Notes, "Pools, quotas and calls are those of this gateway, since it started, whatever period "+
			"is chosen above. Costs are those of the ledger in the period.")
	} else {
		a.Notes = append(a.Notes, "How pools, quotas and capacity stand is shown for all tenants together.")
	}
	a.Tables = append(a.Tables, a.fixed(sums))
	return nil
}

// paid is what capacity came to in the period. It needs the hours: what it was a moment ago is shown again, as savings
// are.
func (a *ask) paid(state *standing.State) ([]*commitment.Sum, error) {
	if len(state.Capacity) == 0 {
		return nil, nil
	}
	a.counted = true
	c := &a.shelf.cache
	c.paying.Lock()
	defer c.paying.Unlock()
	now := c.now()
	c.paid = slices.DeleteFunc(c.paid, func(p paid) bool { return !now.Before(p.until) || now.Before(p.at) })
	for _, p := range c.paid {
		if p.of == (span{a.From, a.To}) && &p.capacity[0] == &state.Capacity[0] {
			a.asOf(p.at)
			return p.sums, nil
		}
	}
	sums, err := commitment.Sums(a.ctx, a.shelf.from.Ledger, state.Capacity, commitment.Query{
		From: a.From, To: a.To, Now: now.UTC(), Models: state.Models,
	})
	if err != nil {
		return nil, err
	}
	good := max(fresh, rest*c.now().Sub(now))
	c.paid = append(c.paid[max(0, len(c.paid)-mostPaid+1):],
		paid{span{a.From, a.To}, state.Capacity, now, now.Add(good), sums})
	return sums, nil
}

// paid is what capacity came to in a period, as of a time, and how long it is good for.
type paid struct {
	of        span
	capacity  []config.Capacity
	at, until time.Time
	sums      []*commitment.Sum
}

// mostPaid is how many of them are kept.
const mostPaid = 8

// membersOf are the members of pools, each once for every model that it is out for.
func membersOf(a *ask, state *standing.State) *Table {
	t := &Table{Name: "pools", Title: "Members of pools", Empty: "The configuration has no pools.", Columns: []Column{
		{Name: "pool", Title: "pool", Kind: Text}, {Name: "upstream", Title: "member", Kind: Text},
		{Name: "region", Title: "region", Kind: Text}, {Name: "account", Title: "account", Kind: Text},
		{Name: "role", Title: "role", Kind: Text}, {Name: "order", Title: "order", Kind: Text},
		{Name: "weight", Title: "weight", Kind: Count}, {Name: "state", Title: "state", Kind: Text},
		{Name: "model", Title: "out for", Kind: Text}, {Name: "reason", Title: "because of", Kind: Text},
		{Name: "since", Title: "since", Kind: Time}, {Name: "returns", Title: "asked again", Kind: Time},
	}, Source: "this gateway", AsOf: a.shelf.from.Now().UTC()}
	for i := range state.Members {
		m := &state.Members[i]
		cells := []string{m.Pool, m.Upstream, m.Region, m.Account, m.Role, m.Order, count(int64(m.Weight))}
		if len(m.Out) == 0 {
			t.Add(append(cells, "in", "", "", "", "")...)
		}
		for _, o := range m.Out {
			t.Add(append(slices.Clip(cells), "out", cmp.Or(o.Model, "all models"), string(o.Why), Stamp(o.Since),
				Stamp(o.Until))...)
		}
	}
	if len(t.Rows) > mostStanding { // those that are out are what somebody looks for
		slices.SortStableFunc(t.Rows, func(x, y []string) int { return strings.Compare(y[7], x[7]) })
	}
	bound(a, t, "row of pools")
	return t
}

// bound leaves out what a page has no room for.
func bound(a *ask, t *Table, what string) {
	if n := len(t.Rows) - mostStanding; n > 0 {
		t.Rows = t.Rows[:mostStanding]
		a.Notes = append(a.Notes, plural(int64(n), what)+" more are not shown.")
	}
}

// quotasOf is how the quotas of accounts stand.
func quotasOf(a *ask, state *standing.State) *Table {
	t := &Table{Name: "quotas", Title: "Quotas, in the last minute", Empty: "The configuration has no quotas.",
		Columns: []Column{
			{Name: "upstream", Title: "upstream", Kind: Text}, {Name: "models", Title: "models", Kind: Text},
			{Name: "role", Title: "role", Kind: Text}, {Name: "tokens_per_minute", Title: "tokens a minute", Kind: Count},
			{Name: "used_tokens", Title: "used", Kind: Count},
			{Name: "reserved_tokens", Title: "reserved by running calls", Kind: Count},
			{Name: "room_tokens", Title: "room", Kind: Count},
			{Name: "requests_per_minute", Title: "requests a minute", Kind: Count},
			{Name: "requests", Title: "requests", Kind: Count},
			{Name: "burndown", Title: "quota for a token of an answer", Kind: Text},
			{Name: "waiting", Title: "calls that wait", Kind: Count}, {Name: "waited", Title: "had to wait", Kind: Count},
			{Name: "refused", Title: "refused", Kind: Count},
			{Name: "cap_tokens", Title: "99 of 100 answers keep to", Kind: Count},
			{Name: "freed_tokens", Title: "quota that this as a cap would have freed", Kind: Count},
		}, Source: "this gateway", AsOf: a.shelf.from.Now().UTC()}
	for i := range state.Quotas {
		t.Add(quotaCells(&state.Quotas[i])...)
	}
	bound(a, t, "quota")
	return t
}

func quotaCells(s *quota.State) []string {
	room, burndown := "", ""
	if s.Limits.Tokens > 0 {
		room = count(max(0, s.Limits.Tokens-s.Tokens))
	}
	switch {
	case s.Most == 0:
	case s.Least == s.Most:
		burndown = count(s.Most)
	default:
		burndown = count(s.Least) + " to " + count(s.Most)
	}
	return []string{
		s.Upstream, s.Models, s.Role, limit(s.Limits.Tokens), count(s.Tokens - s.Running), count(s.Running), room,
		limit(s.Limits.Requests), count(s.Requests), burndown, count(int64(s.Waiting)), count(s.Waited), count(s.Refused),
		limit(s.Cap), count(s.Freed),
	}
}

// limit writes a limit, "" for none.
func limit(n int64) string {
	if n == 0 {
		return ""
	}
	return count(n)
}

// boughtOf is what is paid by the hour or the month, used or not.
func boughtOf(a *ask, state *standing.State, sums []*commitment.Sum) *Table {
	t := &Table{Name: "bought", Title: "Capacity that was bought",
		Empty: "The configuration has no capacity that is paid by the hour or the month.", Columns: append([]Column{
			{Name: "capacity", Title: "capacity", Kind: Text}, {Name: "kind", Title: "kind", Kind: Text},
			{Name: "model", Title: "model", Kind: Text}, {Name: "units", Title: "units", Kind: Count},
			{Name: "price_usd", Title: "price of a unit", Kind: Money}, {Name: "per", Title: "for", Kind: Text},
			{Name: "bound_to", Title: "bound until", Kind: Time}, {Name: "hours", Title: "hours paid", Kind: Number},
			{Name: "cost_usd", Title: "paid", Kind: Money}, {Name: "used_percent", Title: "of it used", Kind: Percent},
			{Name: "idle_usd", Title: "idle", Kind: Money},
		}, callColumns()...)}
	for _, s := range sums {
		if s.Kind == config.CapacityImported {
			continue
		}
		price, per := s.Hour, "hour"
		if s.Month > 0 {
			price, per = s.Month, "month"
		}
		t.Add(append([]string{s.Name, s.Kind, s.Models[0], count(s.Units), price.String(), per,
			s.Bound().Format(time.DateOnly), hours(s.Long), s.Cost.String(), used(s), s.Idle.String()},
			callCells(s, state)...)...)
	}
	bound(a, t, "capacity")
	return t
}

// callColumns are what became of the calls for a capacity.
func callColumns() []Column {
	return []Column{
		{Name: "input_tokens", Title: "input served", Kind: Count},
		{Name: "output_tokens", Title: "output served", Kind: Count},
		{Name: "calls", Title: "calls here that it served", Kind: Count},
		{Name: "not_served", Title: "that it did not", Kind: Count},
		{Name: "reasons", Title: "because of", Kind: Text},
	}
}

// callCells are the cells of callColumns.
func callCells(s *commitment.Sum, state *standing.State) []string {
	calls, left, why := state.Spills[s.Name], int64(0), []string(nil)
	for _, reason := range inOrder(calls.Left, func(x, y *string) int {
		return cmp.Or(cmp.Compare(calls.Left[*y], calls.Left[*x]), strings.Compare(*x, *y))
	}) {
		left += calls.Left[*reason]
		why = append(why, fmt.Sprintf("%s %d", *reason, calls.Left[*reason]))
	}
	return []string{
		count(s.Served.Input), count(s.Served.Output), count(calls.Served), count(left), strings.Join(why, ", "),
	}
}

// hours writes a time in hours.
func hours(d time.Duration) string { return big.NewRat(int64(d), int64(time.Hour)).FloatString(2) }

// used is the share of what was paid that was not idle, "" when nothing was.
func used(s *commitment.Sum) string {
	part := s.Cost
	part.SubTotal(&s.Idle)
	return share(part.Rat(), s.Cost.Rat())
}

// importedOf is what imported models cost awake and in storage.
func importedOf(a *ask, state *standing.State, sums []*commitment.Sum) *Table {
	t := &Table{Name: "imported", Title: "Imported models", Empty: "The configuration has no imported models.",
		Columns: append([]Column{
			{Name: "capacity", Title: "capacity", Kind: Text}, {Name: "model", Title: "model", Kind: Text},
			{Name: "units", Title: "units of a copy", Kind: Count}, {Name: "copies", Title: "copies", Kind: Count},
			{Name: "minute_usd", Title: "price of a unit and minute", Kind: Money},
			{Name: "windows", Title: "windows of five minutes awake", Kind: Count},
			{Name: "cost_usd", Title: "paid for them", Kind: Money},
			{Name: "used_percent", Title: "of it used", Kind: Percent},
			{Name: "idle_usd", Title: "idle", Kind: Money}, {Name: "storage_usd", Title: "storage", Kind: Money},
			{Name: "spill_to", Title: "spills to", Kind: Text},
		}, callColumns()...)}
	for i, s := range sums {
		if s.Kind != config.CapacityImported || s.Storage() {
			continue
		}
		stored := ""
		if i+1 < len(sums) && sums[i+1].Storage() && sums[i+1].ARN == s.ARN { // its storage is the line behind it
			stored = sums[i+1].Cost.String()
		}
		t.Add(append([]string{s.Name, s.Models[0], count(s.Units), count(s.Copies), s.Minute.String(), count(s.Windows),
			s.Cost.String(), used(s), s.Idle.String(), stored, s.SpillTo}, callCells(s, state)...)...)
	}
	bound(a, t, "imported model")
	return t
}

// fixed is what tenants pay of capacity, the greatest first. What is idle is a line of its own.
func (a *ask) fixed(sums []*commitment.Sum) *Table {
	t := &Table{Name: "fixed", Title: "Who pays what of it", Columns: []Column{
		tenantColumn(), {Name: "capacity", Title: "line", Kind: Text}, {Name: "cost_usd", Title: "cost", Kind: Money},
		{Name: "share_percent", Title: "of the line", Kind: Percent},
	}, Empty: "No capacity was used, or nothing was paid for any."}
	type line struct {
		tenant, name string
		cost, of     *money.Total
	}
	var lines []*line
	for _, s := range sums {
		for id, usd := range s.Shares {
			if a.within(id) {
				lines = append(lines, &line{id, s.Name, usd, &s.Cost})
			}
		}
		if s.Idle.Sign() != 0 && (a.query.Tenant == "" || s.IdleTo != "" && a.within(s.IdleTo)) {
			lines = append(lines, &line{s.IdleTo, s.Name + " (idle)", &s.Idle, &s.Cost})
		}
	}
	slices.SortFunc(lines, func(x, y *line) int {
		return cmp.Or(y.cost.Rat().Cmp(x.cost.Rat()), strings.Compare(x.tenant, y.tenant),
			strings.Compare(x.name, y.name))
	})
	var all money.Total
	for i, l := range lines {
		if all.AddTotal(l.cost); i < mostRanked {
			part := "" // says what others pay, too
			if a.query.Tenant == "" {
				part = share(l.cost.Rat(), l.of.Rat())
			}
			t.Add(l.tenant, l.name, l.cost.String(), part)
		}
	}
	if len(lines) > 0 {
		t.Totals = []string{"total", "", all.String(), ""}
	}
	if n := len(lines) - mostRanked; n > 0 {
		a.Notes = append(a.Notes, plural(int64(n), "row")+" of who pays less are not shown; gateway report has all.")
	}
	return t
}
