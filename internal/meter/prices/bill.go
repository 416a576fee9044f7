package prices

import (
	"strings"
)

// Bill reads what lines of a bill count: usage types are spelt as those of offers.
type Bill struct{ names nameIndex }

// NewBill returns a reader that knows these models.
func NewBill(ids []string) *Bill { return &Bill{names: newNameIndex(ids)} }

// Billed is what a line of a bill counts.
type Billed struct {
	Model  string // id, "" when its name is not known
	Name   string // what the bill calls the model
	Class  string // as in price files
	Tier   string // "", flex, priority, batch
	Global bool
	Long   bool
	// PerMillion is how many of the line's units are in a million of what it counts.
	PerMillion int64
}

// Usage reads a usage type with its unit. names are what the line calls its product, which
// has the model where the usage type does not. other says why it is no use of a model, and
// wrong what cannot be right in it.
func (b *Bill) Usage(usageType, unit string, names ...string) (u Billed, other, wrong string) {
	p := &product{}
	p.Attributes.UsageType, p.Attributes.RegionCode = usageType, "us-east-1" // any that is one
	if other = skipped(p); other != "" {
		return u, other, ""
	}
	is, unknown := parseUsage(p)
	if unknown != "" {
		return u, "its usage type is not known: " + unknown, ""
	}
	u = Billed{Class: is.class, Tier: is.tier, Global: is.scope == "global", Long: is.long}
	for _, name := range names {
		name = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(name), edition))
		if u.Model = b.names.find(name); u.Model != "" {
			u.Name = name
			break
		}
	}
	if u.Model == "" {
		u.Name = modelName(p)
		u.Model = b.names.find(u.Name)
	}
	if u.Name == "" && len(names) > 0 {
		u.Name = names[0]
	}
	u.PerMillion, wrong = is.units(unit, p.marketplace())
	return u, "", wrong
}
