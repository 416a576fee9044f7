package controlplane

import (
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// model is FoundationModelSummary, and FoundationModelDetails, which has the same members.
type model struct {
	ARN            string    `json:"modelArn"`
	ID             string    `json:"modelId"`
	Name           string    `json:"modelName"`
	Provider       string    `json:"providerName"`
	Input          []string  `json:"inputModalities"`
	Output         []string  `json:"outputModalities"`
	Streaming      bool      `json:"responseStreamingSupported"`
	Customizations []string  `json:"customizationsSupported"`
	Inference      []string  `json:"inferenceTypesSupported"`
	Lifecycle      lifecycle `json:"modelLifecycle"`
}

// lifecycle is FoundationModelLifecycle.
type lifecycle struct {
	Status string     `json:"status"`
	Ends   *time.Time `json:"endOfLifeTime,omitempty"`
}

// The values of the service model's enumerations.
const (
	text, image, embedding = "TEXT", "IMAGE", "EMBEDDING"
	onDemand               = "ON_DEMAND"
	// throughProfile is what AWS says of models that only profiles offer. It is not in the
	// service model.
	throughProfile = "INFERENCE_PROFILE"
)

func (p *plane) listModels(query url.Values) (any, *wire.Error) {
	filters := []struct {
		name   string
		values []string // nil: any
		of     func(*model) []string
	}{
		{"byCustomizationType", []string{"FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"},
			func(m *model) []string { return m.Customizations }},
		{"byOutputModality", []string{text, image, embedding}, func(m *model) []string { return m.Output }},
		{"byInferenceType", []string{onDemand, "PROVISIONED"}, func(m *model) []string { return m.Inference }},
		{"byProvider", nil, func(m *model) []string {
			maker, _, _ := strings.Cut(m.ID, ".")
			return []string{m.Provider, maker}
		}},
	}
	for _, f := range filters {
		if err := oneOf(query, f.name, f.values); err != nil {
			return nil, err
		}
	}
	all := []*model{}
	for _, id := range p.foundations() {
		m := p.model(id)
		fits := p.allowed(id)
		for _, f := range filters {
			want := query.Get(f.name)
			same := func(have string) bool { return strings.EqualFold(have, want) }
			fits = fits && (want == "" || slices.ContainsFunc(f.of(m), same))
		}
		if fits {
			all = append(all, m)
		}
	}
	return map[string]any{"modelSummaries": all}, nil
}

// foundations are the ids of the catalogue that are no patterns, sorted, without those
// that AWS has ended.
func (p *plane) foundations() []string { return slices.Compact(slices.Sorted(p.catalogue(""))) }

// catalogue yields the ids that begin with prefix, in no order and some of them twice.
func (p *plane) catalogue(prefix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range p.snapshot.Config.Models {
			for _, id := range p.snapshot.Config.Models[i].IDs {
				if strings.HasPrefix(id, prefix) && !strings.Contains(id, "*") && !p.ended(id) && !yield(id) {
					return
				}
			}
		}
	}
}

func (p *plane) ended(foundation string) bool {
	life := p.snapshot.Lifecycle(foundation)
	return life != nil && !p.now.Before(life.Ends)
}

// getModel answers for a foundation model, by its id, its ARN or an alias.
func (p *plane) getModel(asked string) (any, *wire.Error) {
	if !p.allowed(asked) {
		return nil, denied(asked)
	}
	id := p.snapshot.Router.Priced(p.snapshot.Router.Resolve(asked))
	known := p.snapshot.Router.Catalogue(id.Foundation) != nil ||
		p.snapshot.Prices.Lists(record.SKU{Model: id.Foundation}, p.now) ||
		p.snapshot.Prices.Lists(record.SKU{Model: id.Foundation, Scope: wire.ScopeGlobal}, p.now)
	if id.Foundation == "" || !known || p.ended(id.Foundation) {
		return nil, wire.Errorf(wire.KindResourceNotFound,
			"Could not resolve the foundation model from the provided model identifier.")
	}
	return map[string]any{"modelDetails": p.model(id.Foundation)}, nil
}

// availability is whether a tenant may use a foundation model through the gateway. The
// agreements of the account are the operator's, and said to be there.
func (p *plane) availability(asked string) (any, *wire.Error) {
	authorized := "AUTHORIZED"
	if _, refused := p.getModel(asked); refused != nil && refused.Kind == wire.KindAccessDenied {
		authorized = "NOT_AUTHORIZED"
	} else if refused != nil {
		return nil, refused
	}
	return map[string]any{
		"modelId": asked, "authorizationStatus": authorized, "entitlementAvailability": "AVAILABLE",
		"regionAvailability": "AVAILABLE", "agreementAvailability": map[string]any{"status": "AVAILABLE"},
	}, nil
}

func (p *plane) model(foundation string) *model {
	entry, region := p.snapshot.Router.Catalogue(foundation), p.region(foundation)
	m := &model{
		ARN: modelARN(region, foundation), ID: foundation, Name: title(foundation), Provider: provider(foundation),
		Input: []string{text}, Output: []string{output(foundation, entry)}, Customizations: []string{},
		Inference: []string{throughProfile}, Lifecycle: lifecycle{Status: "ACTIVE"},
	}
	if entry != nil && entry.Images {
		m.Input = append(m.Input, image)
	}
	m.Streaming = m.Output[0] == text && entry != nil && entry.Converse
	if p.snapshot.Prices.Lists(record.SKU{Model: foundation, Region: region}, p.now) || !p.profiled(foundation) {
		m.Inference = []string{onDemand}
	}
	if life := p.snapshot.Lifecycle(foundation); life != nil {
		m.Lifecycle = lifecycle{Status: "LEGACY", Ends: &life.Ends}
	}
	return m
}

// output is what the model makes.
func output(foundation string, entry *router.Model) string {
	dialect := wire.DialectOf(foundation)
	if entry != nil && entry.Dialect != nil {
		dialect = entry.Dialect
	}
	switch {
	case dialect == nil:
		return text
	case dialect.Name == "marengo", strings.HasSuffix(dialect.Name, "-embed"):
		return embedding
	case dialect.Name == "picture":
		return image
	}
	return text
}

// makers are the names of those whose ids do not show how they are written.
var makers = map[string]string{
	"ai21": "AI21 Labs", "deepseek": "DeepSeek", "luma": "Luma AI", "minimax": "MiniMax", "mistral": "Mistral AI",
	"moonshot": "Moonshot AI", "moonshotai": "Moonshot AI", "nvidia": "NVIDIA", "openai": "OpenAI",
	"stability": "Stability AI", "twelvelabs": "TwelveLabs", "zai": "Z.AI",
}

func provider(foundation string) string {
	maker, _, _ := strings.Cut(foundation, ".")
	if name, ok := makers[maker]; ok {
		return name
	}
	return capital(maker)
}

// title is a name for people: letters and digits of the id, without maker and version.
func title(foundation string) string {
	_, name, _ := strings.Cut(foundation, ".")
	name, _, _ = strings.Cut(name, ":")
	var words []string
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '.' }) {
		words = append(words, capital(word))
	}
	return strings.Join(words, " ")
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
