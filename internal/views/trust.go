package views

import (
	"cmp"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/decision"
)

// trust is how many legs are priced from reported usage, and what the others may come to.
func (a *ask) trust() error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	a.Tables = []*Table{legStates(a, whole(rows)), a.doubts(rows)}
	if a.who.Sees("") && a.query.Tenant == "" {
		a.Tables = append(a.Tables, a.reconciled(), posted(a))
	}
	return nil
}

// reconciled is how much of each month's bill is what was metered.
func (a *ask) reconciled() *Table {
	t := &Table{Name: "reconciled", Title: "Compared with the bill of AWS", Source: "comparisons on this machine",
		Empty: "No bill of these months was compared here: gateway reconcile cur --keep does it.", Columns: []Column{
			{Name: "month", Title: "month (UTC)", Kind: Time}, {Name: "billed_tokens", Title: "tokens billed", Kind: Count},
			{Name: "metered_tokens", Title: "tokens metered", Kind: Count},
			{Name: "agreed_tokens", Title: "of them the same", Kind: Count},
			{Name: "reconciled_percent", Title: "of the bill reconciled", Kind: Percent},
			{Name: "differences", Title: "differences", Kind: Count}, {Name: "compared_at", Title: "compared at", Kind: Time},
		}}
	if a.shelf.from.Reconciled == nil {
		return t
	}
	for at := monthStart(a.From); at.Before(a.To); at = at.AddDate(0, 1, 0) {
		k, err := a.shelf.from.Reconciled(at.Format("2006-01"))
		switch {
		case err != nil:
			a.Notes = append(a.Notes, err.Error()+".")
		case k != nil:
			t.Add(k.Month, count(k.Billed), count(k.Metered), count(k.Agreed), shareOf(k.Agreed, k.Billed),
				count(int64(k.Differences)), Stamp(k.At))
		}
	}
	return t
}

// legStates is how many of the legs of a sum are in which state.
func legStates(a *ask, s *sum) *Table {
	t := &Table{Name: "states", Title: "Legs by what is known of them", Empty: noTraffic, Columns: []Column{
		{Name: "state", Title: "state", Kind: Text}, {Name: "legs", Title: "legs", Kind: Count},
		{Name: "share_percent", Title: "share", Kind: Percent}, {Name: "usd", Title: "amount", Kind: Money},
		{Name: "meaning", Title: "what that means", Kind: Text},
	}}
	if s.Legs+s.Unknown == 0 {
		return t
	}
	settled := max(0, s.Legs-s.Unknown-s.Unpriced)
	of := settled + s.Unknown + s.Unpriced
	t.Add("settled", count(settled), shareOf(settled, of), s.cost.String(),
		"usage as Bedrock reported it, at a known price")
	t.Add("suspense", count(s.Unknown), shareOf(s.Unknown, of), s.suspense.String(),
		"ended without known usage, may have been billed up to this; in no other number")
	t.Add("unpriced", count(s.Unpriced), shareOf(s.Unpriced, of), "", "usage is known, the model has no price")
	t.Totals = []string{"total", count(of), shareOf(of, of), "", ""}
	part := func(n int64) float64 { f, _ := big.NewRat(n, of).Float64(); return f }
	t.Figure = &chart.Strip{Parts: []chart.Share{
		{Name: "settled", Of: part(settled)}, {Name: "suspense", Of: part(s.Unknown)},
		{Name: "unpriced", Of: part(s.Unpriced)},
	}}
	a.Notes = append(a.Notes,
		"Settled is not reconciled: gateway reconcile cur compares these numbers with the AWS bill.")
	return t
}

// doubts are whose legs are not settled.
func (a *ask) doubts(rows counted) *Table {
	t := &Table{Name: "doubts", Title: "Whose are not settled", Empty: "Everything in this period is settled.",
		Columns: []Column{
			tenantColumn(), {Name: "model", Title: "model", Kind: Text},
			{Name: "unknown", Title: "unknown attempts", Kind: Count},
			{Name: "suspense_usd", Title: "in suspense", Kind: Money},
			{Name: "suspense_tokens", Title: "tokens in suspense", Kind: Count},
			{Name: "unpriced", Title: "unpriced legs", Kind: Count},
		}}
	for _, e := range ranked(group(rows.each, func(r *row) string { return r.key.Tenant + "\x00" + r.key.Model })) {
		if e.Unknown != 0 || e.Unpriced != 0 || e.suspense.Sign() != 0 {
			who, model, _ := strings.Cut(e.key, "\x00")
			t.Add(who, model, count(e.Unknown), e.suspense.String(), count(e.SuspenseTokens), count(e.Unpriced))
		}
	}
	return t
}

// healthOf is what the gateway says of itself.
func healthOf(a *ask) error {
	t := &Table{Name: "facts", Title: "This gateway", Empty: "This program does not tell.", Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "state", Title: "state", Kind: Text},
		{Name: "detail", Title: "detail", Kind: Text},
	}}
	a.Tables, a.Source = []*Table{t}, "this gateway"
	if a.shelf.from.Health == nil {
		return nil
	}
	ready, facts := a.shelf.from.Health()
	state := map[bool]string{true: "ready", false: "not ready"}[ready]
	t.Add("requests", state, "whether new requests are served")
	for _, f := range facts {
		t.Add(f.What, f.State, f.Detail)
	}
	of, err := lately(a, "")
	if err != nil {
		return err
	}
	a.Tables = append(a.Tables, timesOf(a, of), upstreamsOf(a, of))
	return nil
}

// timesOf is how long requests took, and how much of it was the gateway's own.
func timesOf(a *ask, of []decision.Decision) *Table {
	t := sampled(a, "times", "How long requests took", of,
		Column{Name: "what", Title: "what", Kind: Text}, Column{Name: "p50_ms", Title: "half, ms at most", Kind: Number},
		Column{Name: "p99_ms", Title: "99 of 100, ms at most", Kind: Number},
		Column{Name: "requests", Title: "requests", Kind: Count})
	var whole, first, own []decision.Microseconds
	for i := range of {
		d := &of[i]
		whole = append(whole, d.Duration)
		if d.FirstByte > 0 {
			first = append(first, d.FirstByte)
		}
		if len(d.Legs) == 1 && d.Legs[0].Took > 0 {
			own = append(own, max(0, d.Duration-d.Legs[0].Took))
		}
	}
	for _, x := range []struct {
		what string
		all  []decision.Microseconds
	}{{"the whole request", whole}, {"until the first byte", first}, {"of it not the model, with one call", own}} {
		if slices.Sort(x.all); len(x.all) > 0 {
			t.Add(x.what, millis(quantile(x.all, 0.5)), millis(quantile(x.all, 0.99)), count(int64(len(x.all))))
		}
	}
	return t
}

// upstreamsOf is what calls of models came to, by model and region.
func upstreamsOf(a *ask, of []decision.Decision) *Table {
	t := sampled(a, "upstreams", "Calls of models", of,
		Column{Name: "model", Title: "model", Kind: Text}, Column{Name: "region", Title: "region", Kind: Text},
		Column{Name: "calls", Title: "calls", Kind: Count}, Column{Name: "failed", Title: "not completed", Kind: Count},
		Column{Name: "throttled", Title: "throttled", Kind: Count},
		Column{Name: "failed_percent", Title: "share", Kind: Percent},
		Column{Name: "p50_ms", Title: "half, ms at most", Kind: Number},
		Column{Name: "p99_ms", Title: "99 of 100, ms at most", Kind: Number})
	type at struct{ model, region string }
	type calls struct {
		took              []decision.Microseconds
		failed, throttled int64
	}
	by := map[at]*calls{}
	for i := range of {
		for j := range of[i].Legs {
			l := &of[i].Legs[j]
			k := at{l.Model, l.Region}
			if by[k] == nil {
				by[k] = &calls{}
			}
			c := by[k]
			c.took = append(c.took, l.Took)
			if l.Outcome != "completed" {
				c.failed++
			}
			if l.Status == http.StatusTooManyRequests {
				c.throttled++
			}
		}
	}
	for _, k := range inOrder(by, func(a, b *at) int {
		return cmp.Or(cmp.Compare(by[*b].failed, by[*a].failed), strings.Compare(a.model+a.region, b.model+b.region))
	}) {
		c, n := by[*k], int64(len(by[*k].took))
		slices.Sort(c.took)
		t.Add(k.model, k.region, count(n), count(c.failed), count(c.throttled), shareOf(c.failed, n),
			millis(quantile(c.took, 0.5)), millis(quantile(c.took, 0.99)))
	}
	return t
}

// posted is up to when each gateway has posted.
func posted(a *ask) *Table {
	t := &Table{Name: "gateways", Title: "Up to when gateways have posted", Columns: []Column{
		{Name: "gateway", Title: "gateway", Kind: Text}, {Name: "complete_up_to", Title: "complete up to", Kind: Time},
		{Name: "state", Title: "state", Kind: Text},
	}, Empty: "It is not known which gateways post to this ledger.", AsOf: a.shelf.from.Now().UTC()}
	if a.shelf.from.Gateways == nil {
		return t
	}
	all, err := a.gateways()
	if err != nil {
		return t // a note of the view says why
	}
	for _, g := range all {
		t.Add(g.Name, stampOrNone(g.UpTo), map[bool]string{true: "behind", false: "up to date"}[g.Behind])
	}
	return t
}
