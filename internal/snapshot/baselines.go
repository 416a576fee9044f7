package snapshot

import (
	"cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// SKU is what a model of the configuration is priced as, in a service tier and with
// a latency, "" for the ordinary ones, and called at an upstream, "" for the default
// one. An ARN names its region itself.
func (s *Snapshot) SKU(model, tier, latency, upstream string) record.SKU {
	id := s.Router.Priced(model)
	sku := record.SKUOf(id.Foundation, id.Scope, tier, latency)
	at := s.Config.Upstream.Region
	if upstream != "" {
		at = s.Config.Upstreams[upstream].Region
	}
	sku.Region = cmp.Or(id.Region, at)
	return sku
}

// Baselines are what the spend of each cascade is compared with. Their bounds on
// quality are those of the certificates as they were loaded.
func (s *Snapshot) Baselines() []saving.Baseline {
	all := make([]saving.Baseline, len(s.Config.Cascades))
	for i := range s.Config.Cascades {
		all[i] = s.Baseline(&s.Config.Cascades[i])
	}
	return all
}

// Baseline is that of one cascade.
func (s *Snapshot) Baseline(c *config.Cascade) saving.Baseline {
	model := s.Router.Resolve(c.Escalation)
	return saving.Baseline{
		Cascade: c.Name, Model: model, SKU: s.SKU(model, "", "", ""), Quality: s.Artifacts[c.Name].Quality(),
		Judges: s.Router.Resolve(c.Shadow.Judge) == model,
	}
}

// Quality is what the certificate of a cascade promises. Only one that holds
// promises anything, and only in the mode that obeys it.
func (a *Artifacts) Quality() saving.Quality {
	switch {
	case a == nil:
		return saving.Quality{}
	case a.Void != nil:
		return saving.Quality{Why: a.Void.Error()}
	case a.Certificate == nil:
		return saving.Quality{}
	}
	c := a.Certificate
	return saving.Quality{Bound: true, Loss: c.Bound, Confidence: 1 - c.Delta, N: c.N, Issued: c.Created}
}
