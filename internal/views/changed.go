package views

import (
	"fmt"
	"math/big"
	"time"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// changesOf takes the difference to the period before apart. It changes one thing after the
// other from what it was to what it is: how many requests, which legs they took, on which
// models, with how many tokens, at which prices. What each step adds is its part; the parts
// are rounded so that they add up to the cent.
func changesOf(a *ask) error {
	from, to := a.before()
	a.To = a.end()
	now, err := a.daysOf(a.From, a.To)
	if err != nil {
		return err
	}
	old, err := a.daysOf(from, to)
	if err != nil {
		return err
	}
	a.Notes = append(a.Notes, fmt.Sprintf("Compared with %s to %s (not included).", from.Format(time.DateOnly),
		to.Format(time.DateOnly)),
		"Each step changes one thing and keeps what was changed before it; another order would give other parts.")
	if a.To.After(a.shelf.from.Now()) {
		a.Notes = append(a.Notes, "Today is not over yet, and is compared with a whole day.")
	}
	a.Tables = []*Table{changeTable(mixOf(old), mixOf(now))}
	return nil
}

// end is where the period ends, or today does if that is in it and sooner.
func (a *ask) end() time.Time {
	tomorrow := a.shelf.from.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	if a.To.After(tomorrow) && a.From.Before(tomorrow) {
		return tomorrow
	}
	return a.To
}

// before is the period before: the days of the month before for the first days of a month,
// else as many days as there are.
func (a *ask) before() (from, to time.Time) {
	end := a.end()
	if a.From.Day() == 1 && a.From.Equal(a.From.Truncate(24*time.Hour)) && !end.After(a.From.AddDate(0, 1, 0)) {
		from = a.From.AddDate(0, -1, 0)
		if to = from.Add(end.Sub(a.From)); to.After(a.From) || end.Equal(a.From.AddDate(0, 1, 0)) {
			to = a.From
		}
		return from, to
	}
	return a.From.Add(-end.Sub(a.From)), a.From
}

// periodBefore says which period that is.
func periodBefore(from, to time.Time) string {
	return "The period before is " + from.Format(time.DateOnly) + " to " + to.Format(time.DateOnly) + " (not included)."
}

// cell is the legs of one path on one model.
type cell struct{ path, model string }

const classCount = 10

// amounts are what was used and what it cost, in each class of cost.
type amounts struct {
	legs  int64
	units [classCount]big.Int
	cost  [classCount]money.Total
}

// mix is how a period's requests were answered.
type mix struct {
	requests int64
	legs     int64
	cost     money.Total
	paths    map[string]int64
	cells    map[cell]*amounts
}

func mixOf(rows counted) *mix {
	m := &mix{paths: map[string]int64{}, cells: map[cell]*amounts{}}
	unit := new(big.Int)
	for r := range rows.each {
		k, c := &r.key, &r.add
		at := cell{k.Path, k.Model}
		x := m.cells[at]
		if x == nil {
			x = &amounts{}
			m.cells[at] = x
		}
		m.requests += c.Requests
		m.legs += c.Legs
		m.paths[k.Path] += c.Legs
		m.cost.AddTotal(c.Cost())
		x.legs += c.Legs
		for j, class := range c.CostClasses() {
			x.cost[j].Add(class)
		}
		for j, n := range unitsOf(c) {
			x.units[j].Add(&x.units[j], unit.SetInt64(n))
		}
	}
	return m
}

// unitsOf are what CostClasses are the costs of, in the same order.
func unitsOf(c *record.Counters) [classCount]int64 {
	return [...]int64{
		c.Input, c.Output, c.CacheRead, 0, c.CacheWrite5m, c.CacheWrite1h, c.GuardrailUnits, c.Queries, c.Images,
		c.Milliseconds,
	}
}

// step says which things are those of the new period.
type step struct{ requests, paths, models, tokens bool }

// worth is what a period would have cost with the things of old and now that step names, at
// old prices. What old does not know of is taken from now.
func worth(old, now *mix, s step) *big.Rat {
	pick := func(new bool) *mix {
		if new {
			return now
		}
		return old
	}
	all := new(big.Rat)
	of := pick(s.paths)
	if of.requests == 0 {
		return all
	}
	for path, legs := range of.paths {
		models := pick(s.models)
		if models.paths[path] == 0 {
			models = now
		}
		perRequest := new(big.Rat).Quo(big.NewRat(legs, 1), big.NewRat(of.requests, 1))
		for at, x := range models.cells {
			if at.path != path || models.paths[path] == 0 || x.legs == 0 { // a correction alone: see the last step
				continue
			}
			one := new(big.Rat).Quo(big.NewRat(x.legs, 1), big.NewRat(models.paths[path], 1))
			one.Mul(one, perRequest)
			all.Add(all, one.Mul(one, perLeg(at, old, now, s.tokens)))
		}
	}
	return all.Mul(all, big.NewRat(pick(s.requests).requests, 1))
}

// perLeg is what one leg of a cell costs, at old prices where there are.
func perLeg(at cell, old, now *mix, tokens bool) *big.Rat {
	prices := old.cells[at]
	if prices == nil || prices.legs == 0 {
		prices = now.cells[at]
	}
	amount := prices
	if tokens && now.cells[at] != nil && now.cells[at].legs != 0 {
		amount = now.cells[at]
	}
	sum := new(big.Rat)
	for j := range prices.cost {
		cost := prices.cost[j].Rat()
		if amount != prices && prices.units[j].Sign() != 0 {
			cost.Quo(cost, new(big.Rat).SetInt(&prices.units[j]))
			cost.Mul(cost, new(big.Rat).SetFrac(&amount.units[j], big.NewInt(amount.legs)))
		} else {
			cost.Quo(cost, big.NewRat(prices.legs, 1))
		}
		sum.Add(sum, cost)
	}
	return sum
}

// changeTable is the steps from old to now, each with what it adds, in cents.
func changeTable(old, now *mix) *Table {
	t := &Table{Name: "steps", Title: "From the period before to this one", Empty: "No traffic in either period.",
		Columns: []Column{
			{Name: "step", Title: "what changed", Kind: Text}, {Name: "usd", Title: "adds", Kind: Money},
			{Name: "before", Title: "before", Kind: Text}, {Name: "now", Title: "now", Kind: Text},
		}}
	if len(old.cells) == 0 && len(now.cells) == 0 {
		return t
	}
	steps := []struct {
		name, before, now string
		worth             *big.Rat
	}{
		{"requests", count(old.requests), count(now.requests), worth(old, now, step{requests: true})},
		{"escalation and other legs", escalated(old), escalated(now), worth(old, now, step{requests: true,
			paths: true})},
		{"model mix", plural(int64(len(old.cells)), "model and path"), plural(int64(len(now.cells)),
			"model and path"),
			worth(old, now, step{requests: true, paths: true, models: true})},
		{"tokens per request", perRequest(old), perRequest(now), worth(old, now, step{true, true, true, true})},
		{"prices and corrections", "", "", now.cost.Rat()},
	}
	if old.requests == 0 || now.requests == 0 { // nothing to compare: all of it is requests
		for i := range steps[:4] {
			steps[i].worth = now.cost.Rat()
		}
	}
	at := cents(old.cost.Rat())
	figure := &chart.Steps{Unit: "$", Labels: []string{"before"}, Values: []float64{inCents(at)}}
	t.Add("before", decimal(at), "", "")
	for _, s := range steps {
		next := cents(s.worth)
		add := new(big.Int).Sub(next, at)
		t.Add(s.name, decimal(add), s.before, s.now)
		figure.Labels, figure.Values = append(figure.Labels, s.name), append(figure.Values, inCents(add))
		at = next
	}
	t.Totals = []string{"now", decimal(at), "", ""}
	figure.Labels, figure.Values = append(figure.Labels, "now"), append(figure.Values, inCents(at))
	t.Figure = figure
	return t
}

func escalated(m *mix) string {
	n := m.paths["escalated"]
	return shareOf(n, max(m.requests, 1)) + " % escalated, " + new(big.Rat).SetFrac64(m.legs, max(m.requests,
		1)).FloatString(2) + " legs each"
}

func perRequest(m *mix) string {
	tokens := new(big.Int)
	for _, x := range m.cells {
		for j := range 6 {
			tokens.Add(tokens, &x.units[j])
		}
	}
	return new(big.Rat).SetFrac(tokens, big.NewInt(max(m.requests, 1))).FloatString(0) + " tokens"
}

// cents rounds pico-dollars to cents, half away from zero.
func cents(pico *big.Rat) *big.Int {
	x := new(big.Rat).Quo(pico, big.NewRat(10_000_000_000, 1))
	half := big.NewRat(int64(x.Sign()), 2)
	x.Add(x, half)
	return new(big.Int).Quo(x.Num(), x.Denom())
}

func decimal(cents *big.Int) string {
	return new(big.Rat).SetFrac(cents, big.NewInt(100)).FloatString(2)
}

func inCents(n *big.Int) float64 {
	f, _ := new(big.Rat).SetFrac(n, big.NewInt(100)).Float64()
	return f
}
