package focus

import (
	"cmp"
	"maps"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/report"
)

// columnsOf are the columns of a version, nil for one that there is not.
func columnsOf(v Version) map[string]func(*row) string {
	all := common()
	aws := func(*row) string { return "Amazon Web Services" }
	switch v {
	case V12:
		maps.Copy(all, map[string]func(*row) string{"ProviderName": aws, "PublisherName": aws})
	case V14:
		maps.Copy(all, map[string]func(*row) string{"ServiceProviderName": aws, "HostProviderName": aws})
	default:
		return nil
	}
	return all
}

// common are the columns that both versions have.
func common() map[string]func(*row) string {
	all := map[string]func(*row) string{}
	for _, part := range []map[string]func(*row) string{who(), when(), what(), costs(), sku()} {
		maps.Copy(all, part)
	}
	return all
}

func who() map[string]func(*row) string {
	return map[string]func(*row) string{
		"BillingAccountId":   func(r *row) string { return cmp.Or(r.o.Account, r.by["root"]) },
		"BillingAccountName": func(r *row) string { return cmp.Or(r.o.Account, r.by["root"]) },
		"InvoiceIssuerName":  func(r *row) string { return cmp.Or(r.o.Issuer, "Sluice") },
		"InvoiceId":          func(*row) string { return "" },
		"SubAccountId":       func(r *row) string { return r.by["tenant"] },
		"SubAccountName":     func(r *row) string { return cmp.Or(r.Tenant.Name, r.by["tenant"]) },
		"Tags":               func(r *row) string { return object(r.TagMap()) },
	}
}

func when() map[string]func(*row) string {
	month := func(r *row) time.Time { return time.Date(r.day().Year(), r.day().Month(), 1, 0, 0, 0, 0, time.UTC) }
	return map[string]func(*row) string{
		"BillingPeriodStart": func(r *row) string { return month(r).Format(layout) },
		"BillingPeriodEnd":   func(r *row) string { return month(r).AddDate(0, 1, 0).Format(layout) },
		"ChargePeriodStart":  func(r *row) string { return r.day().Format(layout) },
		"ChargePeriodEnd":    func(r *row) string { return r.day().AddDate(0, 0, 1).Format(layout) },
	}
}

func what() map[string]func(*row) string {
	return map[string]func(*row) string{
		"ChargeCategory":     func(r *row) string { return r.category },
		"ChargeClass":        func(*row) string { return "" },
		"ChargeDescription":  (*row).description,
		"ChargeFrequency":    func(r *row) string { return r.only("Usage-Based", "One-Time") },
		"ServiceName":        func(*row) string { return "Amazon Bedrock" },
		"ServiceCategory":    func(*row) string { return "AI and Machine Learning" },
		"ServiceSubcategory": func(*row) string { return "Generative AI" },
		"RegionId":           func(r *row) string { return r.by["region"] },
		"RegionName":         func(r *row) string { return r.by["region"] },
		"ResourceId":         (*row).resource,
		"ResourceName":       func(*row) string { return "" },
		"ResourceType": func(r *row) string {
			if r.resource() == "" {
				return ""
			}
			return "Model"
		},
	}
}

func costs() map[string]func(*row) string {
	return map[string]func(*row) string{
		"BillingCurrency": func(*row) string { return report.Currency },
		"BilledCost": func(r *row) string {
			if r.o.Billed {
				return number(r.amount)
			}
			return "0"
		},
		"EffectiveCost":       func(r *row) string { return number(r.amount) },
		"ContractedCost":      func(r *row) string { return number(r.amount) },
		"ListCost":            func(r *row) string { return number(r.list) },
		"ContractedUnitPrice": func(r *row) string { return number(r.price) },
		"ListUnitPrice":       func(r *row) string { return number(r.listed) },
		"PricingCategory":     func(r *row) string { return r.only("Standard", "") },
		"PricingQuantity":     func(r *row) string { return number(r.quantity) },
		"PricingUnit":         func(r *row) string { return r.unit },
		"ConsumedQuantity":    func(r *row) string { return r.consumed },
		"ConsumedUnit":        func(r *row) string { return r.only(r.Unit.Name, "") },
	}
}

func sku() map[string]func(*row) string {
	return map[string]func(*row) string{
		"SkuId":      func(r *row) string { return r.only(r.sku(), "") },
		"SkuPriceId": func(r *row) string { return r.only(r.sku()+"@"+r.by["price_version"], "") },
		"SkuMeter":   func(r *row) string { return r.only(meter(r.by["class"]), "") },
		"SkuPriceDetails": func(r *row) string {
			details := map[string]string{}
			for name, of := range map[string]string{
				"x_Tier": "tier", "x_Scope": "scope", "x_Latency": "latency", "x_Context": "context",
			} {
				if r.by[of] != "" {
					details[name] = r.by[of]
				}
			}
			return r.only(object(details), "")
		},
	}
}

// only is the first of two texts for usage, and the second for an adjustment.
func (r *row) only(used, adjusted string) string {
	if r.category == usage {
		return used
	}
	return adjusted
}

// sku names what has a price, whatever the price is.
func (r *row) sku() string {
	scope, tier := cmp.Or(r.by["scope"], "regional"), cmp.Or(r.by["tier"], "default")
	parts := []string{r.by["base_model"], r.by["class"], scope, tier}
	for _, further := range []string{"latency", "context", "region"} {
		if r.by[further] != "" {
			parts = append(parts, r.by[further])
		}
	}
	return strings.Join(parts, "/")
}

// meter is a class in words: cache_write_5m is Cache Write 5m Tokens.
func meter(class string) string {
	words := strings.Split(class, "_")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	name := strings.Join(words, " ")
	switch class {
	case "guardrail", "query", "image", "second":
		return name
	}
	return name + " Tokens"
}

// resource is the profile or other resource that was asked; a foundation model is none.
func (r *row) resource() string {
	if strings.HasPrefix(r.by["model"], "arn:") {
		return r.by["model"]
	}
	return ""
}

func (r *row) description() string {
	switch {
	case r.Correction != "":
		return "Correction: " + r.Correction
	case r.category == adjustment:
		return "Rounding and amounts without a quantity, " + r.by["base_model"]
	}
	return meter(r.by["class"]) + " of " + r.by["base_model"]
}
