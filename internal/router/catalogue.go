package router

import (
	"cmp"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Model is what the catalogue knows of a model. A nil *Model is a model that is
// not listed: it is assumed to take everything, because refusing what Bedrock
// would have answered is worse than passing on its refusal.
type Model struct {
	config.Model
	Dialect *wire.Dialect // of its InvokeModel body, nil when not known
	ids     glob.List
}

// needs are what a request may ask of a model, in the order in which they are
// tried. The first unmet one is the reason why a leg is left out.
var needs = [...]struct {
	name  string
	asked func(*wire.Facts) bool
	met   func(*Model) bool
}{
	{"converse", func(f *wire.Facts) bool { return f.Op.IsConverse() }, func(m *Model) bool { return m.Converse }},
	{"system", func(f *wire.Facts) bool { return f.System }, func(m *Model) bool { return m.System }},
	{"tools", func(f *wire.Facts) bool { return f.Tools > 0 }, func(m *Model) bool { return m.Tools }},
	{"images", func(f *wire.Facts) bool { return f.Images > 0 }, func(m *Model) bool { return m.Images }},
	{"documents", func(f *wire.Facts) bool { return f.Documents > 0 }, func(m *Model) bool { return m.Documents }},
	{"cache points", func(f *wire.Facts) bool { return f.CachePoints > 0 }, func(m *Model) bool { return m.CachePoints }},
	{"reasoning", func(f *wire.Facts) bool { return f.ReasoningHistory }, func(m *Model) bool { return m.Reasoning }},
}

// unmet names the first need of the request that m does not meet, or "".
// maxOutput is the tenant's cap in tokens, 0 without one: a request is measured
// by what it will ask for once it has been capped.
func (m *Model) unmet(f *wire.Facts, maxOutput int64) string {
	if m == nil {
		return ""
	}
	for i := range needs {
		if needs[i].asked(f) && !needs[i].met(m) {
			return needs[i].name
		}
	}
	output := outputAsked(f, maxOutput)
	if m.MaxOutput > 0 && output > m.MaxOutput {
		return "output"
	}
	if m.Context > 0 && int64(f.InputTokens)+output > m.Context {
		return "context"
	}
	return ""
}

// outputAsked is the output that the request may ask for after the cap, in
// tokens; 0 when it names none, because the model then takes what fits.
func outputAsked(f *wire.Facts, maxOutput int64) int64 {
	if !f.MaxTokens.Known {
		return 0
	}
	if maxOutput > 0 {
		return min(f.MaxTokens.N, maxOutput)
	}
	return f.MaxTokens.N
}

// catalogue is the models in the order of the configuration.
type catalogue struct {
	models []Model
	// behind maps opaque ARNs to the models that they are for.
	behind map[string]string
	// profiles are what was found out about the ARNs that behind lacks.
	profiles *profiles
}

func newCatalogue(models []config.Model, behind map[string]string) catalogue {
	c := catalogue{make([]Model, len(models)), behind, &profiles{}}
	for i, m := range models {
		c.models[i] = Model{m, wire.DialectNamed(m.Dialect), glob.CompileList(m.IDs)}
	}
	return c
}

// named is the model that an opaque ARN is for, as far as that is known, and any
// other id as it is.
func (c *catalogue) named(model string) string {
	if known, ok := c.behind[model]; ok {
		return known
	}
	if strings.HasPrefix(model, "arn:") {
		return cmp.Or(c.profiles.model(model), model)
	}
	return model
}

// foundation is the foundation id behind any form of model id, "" when opaque.
func (c *catalogue) foundation(model string) string {
	return wire.ParseModelID(c.named(model)).Foundation
}

// find returns the entry of a model in any form, nil when it is not listed.
// Later entries win, so that an operator's file overrides the shipped one.
func (c *catalogue) find(model string) *Model {
	foundation := c.foundation(model)
	if foundation == "" {
		return nil
	}
	for i := len(c.models) - 1; i >= 0; i-- {
		if c.models[i].ids.Match(foundation) {
			return &c.models[i]
		}
	}
	return nil
}

// dialect is how the model of this entry spells its InvokeModel body, nil when
// not known. The entry goes before what the id says.
func (c *catalogue) dialect(entry *Model, model string) *wire.Dialect {
	if entry != nil && entry.Dialect != nil {
		return entry.Dialect
	}
	return wire.DialectOf(c.foundation(model))
}
