package openai

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/test/cells"
)

// TestNothingIsLostInSilence: of any fields together, each is carried, or named as dropped, or the request is refused
// and one of them named. What is carried makes a difference.
func TestNothingIsLostInSilence(t *testing.T) {
	c := cells.Of(t, "openai")
	for _, api := range apis[:2] {
		samples := maps.Clone(c.Samples)
		if api.table == responses {
			maps.Copy(samples, c.Responses)
		}
		var names []string // of fields that are not refused by themselves
		for _, f := range api.table.Fields {
			if samples[f.Name] != nil && f.How != caller.Refused {
				names = append(names, f.Name)
			}
		}
		rapid.Check(t, func(t *rapid.T) {
			model := rapid.SampledFrom(c.Families).Draw(t, "model").Model
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 8, rapid.ID).Draw(t, "fields")
			tooled := slices.Contains(some, "tool_choice") || slices.Contains(some, "parallel_tool_calls")
			if tooled && !slices.Contains(some, "tools") {
				some = append(some, "tools") // they say something about tools
			}
			become := func(without string) (string, []string, *caller.Failure) {
				body := `{"model":"` + model + `",` + strings.Replace(api.rest, `,"store":false`, "", 1)
				for _, name := range some {
					if name != without {
						body += `,"` + name + `":` + string(samples[name])
					}
				}
				k, n, failure := api.translate(asked(body + "}"))
				if failure != nil {
					return "", nil, failure
				}
				said, err := json.Marshal([]any{string(n.Body), n.Header, n.Op, k.stream, k.usage, k.encrypted, k.jsonTool})
				if err != nil {
					t.Fatal(err)
				}
				return string(said), n.Dropped, nil
			}
			named := func(name string, words []string) bool {
				return slices.ContainsFunc(words, func(w string) bool {
					return w == name || strings.HasPrefix(w, name+".") || strings.HasPrefix(w, name+"[")
				})
			}
			all, dropped, failure := become("")
			if failure != nil {
				if !slices.ContainsFunc(some, func(name string) bool { return named(name, []string{failure.Param}) }) {
					t.Fatalf("%s %q: %+v", model, some, failure)
				}
				return
			}
			for _, name := range some {
				if named(name, dropped) || name == "max_tokens" && slices.Contains(some, "max_completion_tokens") {
					continue // the page says which of two names wins
				}
				if less, _, failure := become(name); failure == nil && less == all {
					t.Fatalf("%s, %s: %s of %q is lost in silence; dropped %q", api.name, model, name, some, dropped)
				}
			}
		})
	}
}
