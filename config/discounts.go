package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
)

func discountSection(d *decoder, v value, c *Discount) {
	var models []string
	d.section(v,
		key("services", &c.Services, list(oneOf(services...))),
		key("models", &models, list(name)),
		key("tiers", &c.Tiers, list(oneOf(discountTiers...))),
		need("percent", &c.PPM, percent),
		need("from", &c.From, day),
		key("to", &c.To, day),
	)
	if models != nil {
		c.Models = glob.CompileList(models)
	}
	if !c.To.IsZero() && c.To.Before(c.From) {
		d.fault(v, "ends before it begins: to must not be before from")
	}
}

var (
	// services are how AWS bills a model: as its own, or as a third party's by its
	// Marketplace.
	services      = []string{"bedrock", "marketplace"}
	discountTiers = append([]string{"default"}, tiers...)
)

// percent reads a percentage above 0 and up to 100, as millionths.
var percent = parsed(form{
	"a percentage such as 12.5", shape{"type": "number", "exclusiveMinimum": 0, "maximum": 100}, true,
}, func(text string) (int64, error) {
	amount, err := money.ParseDollars(text)
	switch {
	case err != nil || amount <= 0:
		return 0, errForm
	case amount > 100*money.Dollar:
		return 0, fmt.Errorf("must be at most 100 percent, not %s", text)
	case amount%(money.Dollar/10_000) != 0:
		return 0, errors.New("must have at most four decimals")
	}
	return int64(amount / (money.Dollar / 10_000)), nil
})

// Commitment is what was promised to be spent within some days, at list price.
type Commitment struct {
	USD  int64     // whole dollars
	From time.Time // the first day, UTC
	To   time.Time // the last day
}

func commitmentSection(d *decoder, v value, c *Commitment) {
	d.section(v,
		need("usd", &c.USD, whole[int64](1, 1_000_000_000_000)),
		need("from", &c.From, day),
		need("to", &c.To, day),
	)
	if !c.To.IsZero() && c.To.Before(c.From) {
		d.fault(v, "ends before it begins: to must not be before from")
	}
}

// Applies reports whether the discount is for a model in a tier, at any time. The
// tier is a word of the books, "" for the default one.
func (c *Discount) Applies(model, tier string) bool {
	if tier == "" {
		tier = "default"
	}
	return within(c.Services, serviceOf(model)) && within(c.Tiers, tier) &&
		(c.Models == nil || c.Models.Match(model))
}

// Holds reports whether at is within the discount's days.
func (c *Discount) Holds(at time.Time) bool {
	return !at.Before(c.From) && (c.To.IsZero() || at.Before(c.To.AddDate(0, 0, 1)))
}

// whole reports whether the discount could be read: what is wrong with it was said.
func (c *Discount) whole() bool { return c.PPM > 0 && (c.To.IsZero() || !c.To.Before(c.From)) }

func within(words []string, word string) bool {
	if words == nil {
		return true
	}
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// serviceOf is how AWS bills a model: its price list has Amazon's own and open
// models in the offer AmazonBedrock, those of the makers here in
// AmazonBedrockFoundationModels, which are sold by the Marketplace.
func serviceOf(model string) string {
	for _, maker := range []string{"anthropic.", "cohere.", "ai21.", "stability.", "luma.", "twelvelabs.", "writer."} {
		if strings.HasPrefix(model, maker) {
			return "marketplace"
		}
	}
	return "bedrock"
}

// discounts reports two discounts of one model, tier and day: nobody could say
// which of them is charged.
func (v *validator) discounts() {
	models := v.pricedModels()
	for i := range v.c.Discounts {
		for k := range i {
			if model, both := v.bothApply(&v.c.Discounts[i], &v.c.Discounts[k], models); both {
				v.require(false, fmt.Sprintf("discounts[%d]", i), "overlaps with discounts[%d]: both are for %s", k, model)
			}
		}
	}
}

// pricedModels are the ids and patterns that the books name.
func (v *validator) pricedModels() []string {
	var all []string
	seen := map[string]bool{}
	for i := range v.c.Prices {
		for k := range v.c.Prices[i].Prices {
			for _, m := range v.c.Prices[i].Prices[k].Models {
				if !seen[m] {
					seen[m] = true
					all = append(all, m)
				}
			}
		}
	}
	return all
}

func (v *validator) bothApply(a, b *Discount, models []string) (model string, both bool) {
	apart := !a.To.IsZero() && b.From.After(a.To) || !b.To.IsZero() && a.From.After(b.To)
	if apart || !a.whole() || !b.whole() {
		return "", false
	}
	models = slices.Clip(models)
	for _, pattern := range slices.Concat(a.Models, b.Models) {
		models = append(models, pattern.String())
	}
	for _, tier := range discountTiers {
		for _, m := range models {
			if a.Applies(m, tier) && b.Applies(m, tier) {
				return m + " in the tier " + tier, true
			}
		}
	}
	return "", false
}
