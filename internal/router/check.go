package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// checkAliases warns of aliases that hide a model: callers of that id get
// another one. Chains are no matter here, config refuses them.
func (r *Router) checkAliases() []config.Problem {
	var problems []config.Problem
	for _, alias := range slices.Sorted(maps.Keys(r.aliases)) {
		if r.catalogue.find(alias) != nil {
			problems = append(problems, config.Problem{Path: fmt.Sprintf("aliases[%q]", alias), Warning: true,
				Message: fmt.Sprintf("alias %q hides the model of that id", alias)})
		}
	}
	return problems
}

// checkModels refuses dialects that the wire does not know. The catalogue is
// made of several files, so the message names the model.
func checkModels(models []config.Model) []config.Problem {
	var problems []config.Problem
	for i := range models {
		if name := models[i].Dialect; name != "" && wire.DialectNamed(name) == nil {
			problems = append(problems, config.Problem{Path: "models",
				Message: fmt.Sprintf("model %s has the unknown dialect %q", strings.Join(models[i].IDs, ", "), name)})
		}
	}
	return problems
}
