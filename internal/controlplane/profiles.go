package controlplane

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// profile is InferenceProfileSummary, and the answer of GetInferenceProfile, which has
// the same members.
type profile struct {
	Name   string         `json:"inferenceProfileName"`
	ARN    string         `json:"inferenceProfileArn"`
	Models []profileModel `json:"models"`
	ID     string         `json:"inferenceProfileId"`
	Status string         `json:"status"`
	Type   string         `json:"type"`
}

type profileModel struct {
	ARN string `json:"modelArn"`
}

// The types of profiles.
const systemDefined, application = "SYSTEM_DEFINED", "APPLICATION"

func (p *plane) listProfiles(query url.Values) (any, *wire.Error) {
	// The service model calls it typeEquals and its place in the query type.
	if err := oneOf(query, "type", []string{systemDefined, application}); err != nil {
		return nil, err
	}
	page, err := pageOf(query)
	if err != nil {
		return nil, err
	}
	wanted := query.Get("type")
	all := []*profile{}
	if wanted != application {
		all = append(all, p.systemProfiles()...)
	}
	if wanted != systemDefined {
		all = append(all, p.applicationProfiles()...)
	}
	key := func(f *profile) string { return f.Type + " " + f.ID + " " + f.ARN } // ids of two regions may be the same
	slices.SortFunc(all, func(a, b *profile) int { return order(key(a), key(b)) })
	shown, next := take(page, all, key)
	body := map[string]any{"inferenceProfileSummaries": shown}
	if next != "" {
		body["nextToken"] = next
	}
	return body, nil
}

// systemProfiles are those of the catalogue's models that the tenant may use from where
// its calls go, as far as there is a price for them.
func (p *plane) systemProfiles() (all []*profile) {
	for _, foundation := range p.foundations() {
		for _, scope := range p.scopes(foundation) {
			if id := scope + "." + foundation; p.allowed(id) {
				all = append(all, p.system(id, scope, foundation))
			}
		}
	}
	return all
}

// geographies are the beginnings of the regions from which profiles of each scope can be
// called, in the order in which the profiles of a model are looked for.
var geographies = []struct {
	scope   string
	regions []string
}{
	{"us", []string{"us-east-", "us-west-", "ca-"}},
	{"eu", []string{"eu-"}},
	{"apac", []string{"ap-"}},
	{"jp", []string{"ap-northeast-1", "ap-northeast-3"}},
	{"au", []string{"ap-southeast-2", "ap-southeast-4", "ap-southeast-6"}},
	{"ca", []string{"ca-"}},
	{"us-gov", []string{"us-gov-"}},
	{wire.ScopeGlobal, []string{"us-east-", "us-west-", "ca-", "eu-", "ap-", "sa-", "af-", "me-", "il-", "mx-"}},
}

// scopes are those of a model's profiles that can be called, each from the region to
// which its calls go.
func (p *plane) scopes(foundation string) (scopes []string) {
	for _, g := range geographies {
		region := p.region(g.scope + "." + foundation)
		within := slices.ContainsFunc(g.regions, func(r string) bool { return strings.HasPrefix(region, r) })
		if within && p.snapshot.Prices.Lists(record.SKU{Model: foundation, Scope: g.scope}, p.now) {
			scopes = append(scopes, g.scope)
		}
	}
	return scopes
}

func (p *plane) profiled(foundation string) bool { return len(p.scopes(foundation)) > 0 }

// system is a profile of AWS. Nobody here knows the account in its ARN, which is left
// empty: the gateway takes such an ARN for the profile's id.
func (p *plane) system(id, scope, foundation string) *profile {
	region := p.region(id)
	return &profile{
		Name: strings.ToUpper(scope) + " " + title(foundation), ID: id, Status: "ACTIVE", Type: systemDefined,
		ARN:    "arn:" + wire.Partition(region) + ":bedrock:" + region + "::inference-profile/" + id,
		Models: []profileModel{{modelARN(region, foundation)}},
	}
}

// applicationProfiles are those that model_map names.
func (p *plane) applicationProfiles() (all []*profile) {
	for arn := range p.snapshot.Config.Behind {
		if p.own(arn) {
			if found := p.application(arn); found != nil {
				all = append(all, found)
			}
		}
	}
	return all
}

// own reports whether an ARN is a profile of the operator's that the tenant may use.
func (p *plane) own(arn string) bool {
	return wire.ParseModelID(arn).Kind == wire.ModelApplicationProfile && p.allowed(arn) &&
		p.snapshot.Perimeter.Owns(p.tenant.ID, arn)
}

// application is a profile of the operator's, nil when nobody knows which model it is for.
func (p *plane) application(arn string) *profile {
	behind := p.snapshot.Router.Priced(arn)
	if behind.Foundation == "" {
		return nil
	}
	id := arn[strings.LastIndexByte(arn, '/')+1:]
	return &profile{
		Name: id, ARN: arn, ID: id, Status: "ACTIVE", Type: application,
		Models: []profileModel{{modelARN(wire.ParseModelID(arn).Region, behind.Foundation)}},
	}
}

// getProfile answers for a profile, by its id, its ARN or an alias.
func (p *plane) getProfile(asked string) (any, *wire.Error) {
	resolved := p.snapshot.Router.Resolve(asked)
	id := wire.ParseModelID(resolved)
	if arn := p.mapped(resolved); arn != "" {
		asked, resolved, id = arn, arn, wire.ParseModelID(arn)
	}
	if !p.allowed(asked) || !p.snapshot.Perimeter.Owns(p.tenant.ID, resolved) {
		return nil, denied(asked)
	}
	switch id.Kind {
	case wire.ModelProfile:
		if !p.ended(id.Foundation) && slices.Contains(p.scopes(id.Foundation), id.Scope) {
			return p.system(id.Scope+"."+id.Foundation, id.Scope, id.Foundation), nil
		}
	case wire.ModelApplicationProfile:
		if found := p.application(resolved); found != nil {
			return found, nil
		}
		return nil, wire.Errorf(wire.KindResourceNotFound,
			"The gateway does not know which model %s is for. %s", asked, router.MapHint(resolved))
	}
	return nil, wire.Errorf(wire.KindResourceNotFound, "There is no inference profile %s.", asked)
}

// mapped is the ARN of model_map whose last part is an id, "" when there is none or it
// is not the only one.
func (p *plane) mapped(id string) (found string) {
	if strings.Contains(id, "/") {
		return ""
	}
	for arn := range p.snapshot.Config.Behind {
		if strings.HasSuffix(arn, ":application-inference-profile/"+id) {
			if found != "" {
				return ""
			}
			found = arn
		}
	}
	return found
}
