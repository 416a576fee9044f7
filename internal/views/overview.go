package views

// overview is what to look at first: a few numbers, the days, and how far they can be trusted.
func (a *ask) overview() error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	from, to := a.before()
	old, err := a.daysOf(from, to)
	if err != nil {
		return err
	}
	t := &Table{Name: "numbers", Title: "In this period", Empty: noTraffic, Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "now", Title: "now", Kind: Number},
		{Name: "before", Title: "period before", Kind: Number},
	}}
	now, before := whole(rows), whole(old)
	if rows.some() {
		pair := func(what string, of func(*sum) string) { t.Add(what, of(now), of(before)) }
		pair("cost, USD", func(s *sum) string { return priced(&s.cost, s.Unpriced) })
		pair("requests", func(s *sum) string { return count(s.Requests) })
		pair("USD per 1,000 requests", func(s *sum) string { return perThousand(&s.cost, s.Requests, s.Unpriced) })
		pair("escalated, %", func(s *sum) string { return shareOf(s.Escalated, s.Requests) })
		pair("light answers thrown away, USD", func(s *sum) string { return s.wasted.String() })
		pair("in suspense, USD", func(s *sum) string { return s.suspense.String() })
	}
	a.Notes = append(a.Notes, periodBefore(from, to))
	if err := a.spend(); err != nil {
		return err
	}
	days, spenders := a.Tables[0], a.Tables[1]
	const first = 10
	if len(spenders.Rows) > first {
		spenders.Title, spenders.Rows = "The ten that spend most", spenders.Rows[:first]
	}
	if err := a.trust(); err != nil {
		return err
	}
	a.Tables = []*Table{t, days, spenders, a.Tables[0]}
	return nil
}
