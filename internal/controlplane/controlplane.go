// Package controlplane answers the reads of Bedrock's control plane that clients send to
// the address of the runtime before their first call: which models and inference profiles
// there are, and which model is behind a profile (service model bedrock 2023-04-20).
//
// The answers come from the catalogue, model_map, the price books and the policy of the
// tenant who asks: it sees what it may use. AWS is not asked, and nothing is metered.
package controlplane

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Answer answers a read of the control plane for a tenant, with a JSON body. It fails
// with the errors that the service model has for the operation.
func Answer(s *snapshot.Snapshot, t *tenant.Tenant, target *wire.Target, now time.Time) ([]byte, *wire.Error) {
	p := &plane{snapshot: s, tenant: t, now: now}
	query, err := url.ParseQuery(target.Query)
	if err != nil {
		return nil, wire.Errorf(wire.KindValidation, "The query string is not valid.")
	}
	var body any
	var refused *wire.Error
	switch target.Op {
	case wire.OpListFoundationModels:
		body, refused = p.listModels(query)
	case wire.OpGetFoundationModel:
		body, refused = p.getModel(target.Resource)
	case wire.OpListInferenceProfiles:
		body, refused = p.listProfiles(query)
	case wire.OpGetInferenceProfile:
		body, refused = p.getProfile(target.Resource)
	case wire.OpGetModelAvailability:
		body, refused = p.availability(target.Resource)
	case wire.OpListOtherModels:
		body = map[string]any{otherModels[target.Resource]: []any{}}
	default:
		refused = wire.Errorf(wire.KindAccessDenied, "The gateway answers what Bedrock's control plane is asked of models: "+
			"ListFoundationModels, ListInferenceProfiles and the like. It changes nothing there. For all else, let the "+
			"client of the service bedrock ask AWS.")
	}
	if refused != nil {
		return nil, refused
	}
	out, err := json.Marshal(body)
	if err != nil {
		panic("BUG: an answer has no JSON: " + err.Error())
	}
	return out, nil
}

// otherModels are the lists of models that are neither of AWS nor profiles, by their
// paths. The gateway knows of none: whoever has one has its ARN.
var otherModels = map[string]string{
	"custom-models": "modelSummaries", "imported-models": "modelSummaries",
	"provisioned-model-throughputs": "provisionedModelSummaries", "prompt-routers": "promptRouterSummaries",
	"model-customization/custom-model-deployments": "modelDeploymentSummaries",
	"marketplace-model/endpoints":                  "marketplaceModelEndpoints",
}

// plane is what one question is answered from.
type plane struct {
	snapshot *snapshot.Snapshot
	tenant   *tenant.Tenant
	now      time.Time
}

// allowed reports whether the tenant may use a model by this id, as the router decides it
// for a call.
func (p *plane) allowed(asked string) bool {
	r := p.snapshot.Router
	model := r.Resolve(asked)
	t := p.tenant
	if !t.AllowsModel(asked, model, r.Priced(model).ID) || t.DeniesModels() && r.Hidden(model) {
		return false
	}
	bounds := router.Bounds{Residency: t.Residency, Upstream: t.Upstream, Require: t.Require}
	_, why := r.Bars(&bounds, &router.Leg{Model: model})
	return why == ""
}

// region is where calls of a model go, and where its ARNs are said to be.
func (p *plane) region(model string) string {
	return p.snapshot.Router.Region(model, p.tenant.Upstream)
}

func modelARN(region, foundation string) string {
	return "arn:" + wire.Partition(region) + ":bedrock:" + region + "::foundation-model/" + foundation
}

func denied(model string) *wire.Error {
	return wire.Errorf(wire.KindAccessDenied, "You do not have access to the model %s.", model)
}
