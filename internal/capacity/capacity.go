// Package capacity is what of models was bought by the hour or the month: which calls go there first, and by an
// estimate of this gateway how much of it is in use. What it costs is in package commitment.
package capacity

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Block is one piece of what was bought.
type Block struct {
	*config.Capacity
	region string // of its ARN, "" for that of the upstream
}

// Table is all that was bought. The zero value, and nil, is nothing. It does not change after Compile.
type Table struct{ blocks []Block }

// Compile reads what the configuration has. ARNs that no upstream can call are problems.
func Compile(c *config.Config) (*Table, []config.Problem) {
	t := &Table{blocks: make([]Block, len(c.Capacity))}
	regions := map[string]bool{c.Upstream.Region: true}
	for _, u := range c.Upstreams {
		regions[u.Region] = true
	}
	var problems []config.Problem
	for i := range c.Capacity {
		id := wire.ParseModelID(c.Capacity[i].ARN)
		t.blocks[i] = Block{&c.Capacity[i], id.Region}
		if wrong := foreign(c, regions, &id); id.ID != "" && wrong != "" {
			problems = append(problems, config.Problem{Path: fmt.Sprintf("capacity[%d].arn", i), Message: wrong})
		}
	}
	return t, problems
}

// foreign says why an ARN is out of reach, "" when it is not.
func foreign(c *config.Config, regions map[string]bool, id *wire.ModelID) string {
	own := c.AllowedAccounts
	switch {
	case !regions[id.Region]:
		return fmt.Sprintf("is in region %s, which no upstream is in", id.Region)
	case own != nil && !slices.Contains(own, id.Account) && !slices.Contains(own, config.AnyAccount):
		return fmt.Sprintf("is of account %s, which is not among allowed_accounts", id.Account)
	}
	return ""
}

// Seeker is whose call looks for capacity, and when.
type Seeker struct {
	Tenant string
	Region string // where the call would go
	At     time.Time
}

// Before is the block that a call of a model is sent to first, nil for none: the first one of the configuration.
// Imported models are asked by their own ARN alone.
func (t *Table) Before(model string, s Seeker) *Block {
	return t.find(func(b *Block) bool {
		first := b.ARN != "" && b.Kind != config.CapacityImported
		return first && slices.Contains(b.Models, model) && (s.Region == "" || b.region == s.Region) && b.serves(s)
	})
}

// Reserved is the block of the service tier reserved that a call of a model is entitled to, nil for none.
func (t *Table) Reserved(model string, s Seeker) *Block {
	return t.find(func(b *Block) bool {
		return b.Kind == config.CapacityReserved && slices.Contains(b.Models, model) && b.serves(s)
	})
}

// Behind is the block of an ARN, whoever asks for it, nil for none.
func (t *Table) Behind(arn string) *Block {
	return t.find(func(b *Block) bool { return arn != "" && b.ARN == arn })
}

func (t *Table) find(is func(*Block) bool) *Block {
	if t == nil {
		return nil
	}
	for i := range t.blocks {
		if is(&t.blocks[i]) {
			return &t.blocks[i]
		}
	}
	return nil
}

// serves reports whether the block is there, and for whose call it is.
func (b *Block) serves(s Seeker) bool {
	return !s.At.Before(b.From) && (b.To.IsZero() || s.At.Before(b.To.AddDate(0, 0, 1))) && b.Entitles(s.Tenant)
}

// Entitles reports whether a tenant may use the block.
func (b *Block) Entitles(tenant string) bool { return within(tenant, b.Tenants) }

// within reports whether a tenant is one of some or below one. nil are all.
func within(tenant string, of []string) bool {
	return of == nil || slices.ContainsFunc(of, func(id string) bool { return record.Within(tenant, id) })
}

// Tier is that of its calls in records and price books.
func (b *Block) Tier() string { return b.Kind }

// Word reports whether a service tier is a word of the books alone, which no request may ask for.
func Word(tier string) bool {
	return tier == config.CapacityProvisioned || tier == config.CapacityEndpoint || tier == config.CapacityImported
}
