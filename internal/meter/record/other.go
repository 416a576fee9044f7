package record

import (
	"sync"
	"time"
)

// OtherModel is in place of model ids in the rows of failed attempts that would be too
// many, or too long: no id of Bedrock has parentheses.
const OtherModel = "(other)"

const (
	// maxFailing is how many models of a tenant get rows of their own although
	// nothing but failures is known of them, in a day of a process.
	maxFailing = 100
	// maxTenants bounds the tenants of which models are remembered in a day.
	maxTenants = 10_000
	// maxModel is how long an id in a row may be. ARNs of profiles have some 120
	// bytes.
	maxModel = 256
)

// Models bounds the rows that failed attempts make: callers choose the ids, and a row
// stays for 400 days. What fails is folded into OtherModel when its id is long, or when
// the tenant has had many that only failed; what Bedrock answered is not. The zero value
// is ready; it may be used concurrently.
type Models struct {
	mu     sync.Mutex // guards the following
	day    time.Time
	served map[modelOf]bool // ids that were answered
	failed map[modelOf]bool // ids that only failed
	count  map[string]int   // of failed, by tenant
}

type modelOf struct{ tenant, model string }

// Bound folds the row of an attempt that ended so.
func (m *Models) Bound(p *Posting, how Outcome) {
	if p.Root == "" || how == Unknown {
		return // its row must be found again when it is resolved
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := modelOf{p.Row.Tenant, p.Row.Model}
	if day := p.Row.Hour.Truncate(24 * time.Hour); !day.Equal(m.day) || len(m.served) > maxTenants {
		m.day, m.served, m.failed, m.count = day, map[modelOf]bool{}, map[modelOf]bool{}, map[string]int{}
	}
	if how != Failed {
		m.served[of] = true
		return
	}
	if m.served[of] || m.failed[of] {
		return
	}
	if len(of.model) > maxModel || m.count[of.tenant] >= maxFailing || len(m.count) > maxTenants {
		p.Row.Model, p.Row.PriceVersion = OtherModel, ""
		p.Row.Scope, p.Row.Tier, p.Row.Region, p.Row.Latency, p.Row.Context = "", "", "", "", ""
		return
	}
	m.failed[of] = true
	m.count[of.tenant]++
}
