package views

import "time"

// tenant is all about one tenant and those below it.
func (a *ask) tenant() error {
	if err := a.overview(); err != nil {
		return err
	}
	tables, states := a.Tables[:3:3], a.Tables[4]
	rows, err := a.days()
	if err != nil {
		return err
	}
	all := whole(rows)
	for _, by := range []string{"model", "key"} {
		t := &Table{Name: by + "s", Title: "By " + by, Empty: noTraffic, Columns: []Column{
			{Name: by, Title: by, Kind: Text}, {Name: "requests", Title: "requests", Kind: Count},
			{Name: "input_tokens", Title: "input tokens", Kind: Count},
			{Name: "output_tokens", Title: "output tokens", Kind: Count},
			{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "share_percent", Title: "share", Kind: Percent},
		}}
		list := ranked(group(rows.each, column(by)))
		for _, e := range list[:min(len(list), mostRanked)] {
			t.Add(e.key, count(e.Requests), count(e.Input), count(e.Output), priced(&e.cost, e.Unpriced),
				share(e.cost.Rat(), all.cost.Rat()))
		}
		tables = append(tables, t)
	}
	a.Tables = append(tables, a.policy(), states)
	return nil
}

// policy is what the configuration says of the tenant.
func (a *ask) policy() *Table {
	t := &Table{Name: "policy", Title: "What the configuration allows", Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "value", Title: "value", Kind: Text},
	}, Empty: "The configuration has no tenant of this name; figures are of those below it.",
		Source: "configuration of this gateway", AsOf: a.shelf.from.Now().UTC()}
	of := a.shelf.from.Tenants().Lookup(a.query.Tenant)
	if of == nil {
		return t
	}
	for _, b := range of.Budgets {
		t.Add("budget by the "+b.Period, b.USD.String()+" USD, then "+b.OnExceed)
	}
	if c := of.Cap; c != nil {
		t.Add("output tokens", "default "+count(c.Default)+", at most "+count(c.Max)+", then "+c.OnExceed)
	}
	for _, l := range []struct {
		what string
		n    int64
	}{
		{"requests per minute", of.Limits.RequestsPerMinute}, {"tokens per minute", of.Limits.TokensPerMinute},
		{"concurrent requests", of.Limits.ConcurrentRequests},
	} {
		if l.n != 0 {
			t.Add(l.what, count(l.n))
		}
	}
	if len(t.Rows) == 0 {
		t.Add("limits", "none of its own")
	}
	return t
}

// keysOf are all keys that may be seen. No secret is among them.
func keysOf(a *ask) error {
	t := &Table{Name: "keys", Title: "By tenant", Empty: "There are no keys here.", Columns: []Column{
		{Name: "key_id", Title: "key", Kind: Text}, tenantColumn(),
		{Name: "state", Title: "state", Kind: Text}, {Name: "name", Title: "name", Kind: Text},
		{Name: "owner", Title: "owner", Kind: Text}, {Name: "source", Title: "comes from", Kind: Text},
		{Name: "issued", Title: "issued", Kind: Time}, {Name: "issued_by", Title: "by", Kind: Text},
		{Name: "expires", Title: "expires", Kind: Time}, {Name: "ends", Title: "replaced, ends", Kind: Time},
		{Name: "last_used", Title: "last used", Kind: Time}, {Name: "note", Title: "note", Kind: Text},
	}}
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return Stamp(*t)
	}
	for _, k := range a.shelf.from.Keys(a.query.Tenant) {
		note := k.Note
		if k.Reason != "" {
			note = k.Reason + " " + note
		}
		t.Add(k.ID, k.Tenant, string(k.State), k.Name, k.Owner, k.Source, at(k.Issued), k.IssuedBy, at(k.Expires), at(k.Ends),
			at(k.LastUsed), note)
	}
	a.Source = "configuration and audit log of keys"
	a.Notes = append(a.Notes, "Keys are as they are now, whatever period is chosen above.")
	a.Tables = []*Table{t}
	return nil
}
