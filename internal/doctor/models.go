package doctor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// Named are the models that a configuration names: behind aliases, in cascades, in
// model_map and, without a pattern, in what tenants may use. Sorted, as calls have them.
func Named(s *snapshot.Snapshot) []string {
	found := map[string]bool{}
	note := func(model string) {
		if model = s.Router.Resolve(model); model != "" && model != config.JudgeKeys && !strings.Contains(model, "*") {
			found[model] = true
		}
	}
	for _, target := range s.Config.Aliases {
		note(target)
	}
	for arn := range s.Config.Behind {
		note(arn)
	}
	for i := range s.Config.Cascades {
		c := &s.Config.Cascades[i]
		for _, model := range []string{c.Light, c.Partner, c.Escalation, c.Shadow.Judge} {
			note(model)
		}
	}
	for i := range s.Config.Tenants {
		for _, model := range s.Config.Tenants[i].Models {
			note(model)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Prices checks that the models that are named have prices: without one, a tenant with a
// budget cannot use a model, and reports do not have its cost.
func Prices(s *snapshot.Snapshot, models []string, now time.Time) []Finding {
	budgets := slices.ContainsFunc(s.Config.Tenants, func(t config.Tenant) bool {
		return slices.ContainsFunc(t.Budgets, func(b config.Budget) bool { return b.OnExceed != "notify" })
	})
	const way = "add its price to a file of prices (gateway prices list shows what there is), or name its model in " +
		"model_map"
	var all []Finding
	priced := 0
	for _, model := range models {
		a := about{"price", model}
		upstream, refused := s.Router.Upstream(model, "")
		if refused != nil {
			continue // the configuration says so
		}
		switch {
		case s.Prices.Find(s.SKU(model, "", "", upstream), now) != nil:
			priced++
		case budgets:
			all = append(all, a.fail(way, "it has no price: tenants with a budget get 403"))
		default:
			all = append(all, a.warn(way, "it has no price: reports show its calls as unpriced"))
		}
	}
	return append(all, about{"price", ""}.ok("%d of %d models that are named have a price", priced, len(models)))
}

// Lifecycles checks that the models that are named are served, and for how long.
func Lifecycles(s *snapshot.Snapshot, models []string, now time.Time) []Finding {
	var all []Finding
	for _, model := range models {
		foundation := s.Router.Priced(model).Foundation
		life := s.Lifecycle(foundation)
		if life == nil {
			continue
		}
		a, ends := about{"lifecycle", model}, life.Ends.Format(time.DateOnly)
		way := "name another model"
		if life.Successor != "" {
			way = "name its successor, " + life.Successor
		}
		switch left := life.Ends.Sub(now); {
		case left <= 0:
			all = append(all, a.fail(way, "AWS ended it on %s", ends))
		case left < endsSoon:
			all = append(all, a.warn(way, "AWS ends it on %s", ends))
		}
	}
	if len(all) == 0 {
		all = append(all, about{"lifecycle", ""}.ok("no model that is named ends within %d days", endsSoon/(24*time.Hour)))
	}
	return all
}

// endsSoon is how long before a model ends that is a warning.
const endsSoon = 90 * 24 * time.Hour
