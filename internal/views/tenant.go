package views

// tenant is all about one tenant and those below it.
func (a *ask) tenant() error {
	if err := a.overview(); err != nil {
		return err
	}
	tables := []*Table{a.Tables[0], a.Tables[1]}
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
	a.Tables = append(tables, a.policy(), a.Tables[3])
	return nil
}

// policy is what the configuration says of the tenant.
func (a *ask) policy() *Table {
	t := &Table{Name: "policy", Title: "What the configuration allows", Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "value", Title: "value", Kind: Text},
	}, Empty: "The configuration has no tenant of this name; figures are of those below it."}
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
