package snapshot

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Open implements advice.Policy. What the policy of a tenant does not allow is closed, and what it has pulled already.
// Of a tenant that the configuration does not have, those above it speak; without one all is open.
func (s *Snapshot) Open(id, lever, model string) bool {
	t := s.nearest(id)
	if t == nil {
		return true
	}
	switch lever {
	case advice.GlobalProfile:
		b := router.Bounds{Residency: t.Residency, Upstream: t.Upstream, Require: t.Require}
		return t.Residency == "" && router.Globally(s.Router, t, &b, model) != ""
	case advice.Flex:
		return t.Tier == nil || t.Tier.Try != advice.Flex
	case advice.Batch:
		return t.AllowsOperation(wire.OpCreateBatch) || t.DefaultOperations()
	case advice.PromptCache:
		return !t.Injects
	}
	return true
}

// nearest is the tenant of an id, or the nearest one above it that is configured, nil for none.
func (s *Snapshot) nearest(id string) *tenant.Tenant {
	id = s.Tenants.Current(id)
	for {
		if t := s.Tenants.Lookup(id); t != nil {
			return t
		}
		above := strings.LastIndexByte(id, '/')
		if above < 0 {
			return nil
		}
		id = id[:above]
	}
}
