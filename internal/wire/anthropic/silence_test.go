package anthropic

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/test/cells"
)

// TestNothingIsLostInSilence: of any members together, each is carried, or named as dropped, or the request is refused
// and one of them named. What is carried makes a difference.
func TestNothingIsLostInSilence(t *testing.T) {
	c := cells.Of(t, "anthropic")
	var names []string
	for _, f := range fields.Fields {
		if c.Samples[f.Name] != nil && f.How != caller.Consumed {
			names = append(names, f.Name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SampledFrom(c.Families).Draw(t, "model").Model
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 8, rapid.ID).Draw(t, "members")
		if slices.Contains(some, "tool_choice") && !slices.Contains(some, "tools") {
			some = append(some, "tools")
		}
		become := func(without string) (string, []string, *caller.Failure) {
			var more []string
			for _, name := range some {
				if name != without {
					more = append(more, `"`+name+`":`+string(c.Samples[name]))
				}
			}
			n, failure := Open("POST", "/v1/messages").Native(request(ask(model, strings.Join(more, ","), hi), ""))
			if failure != nil {
				return "", nil, failure
			}
			said, err := json.Marshal([]any{string(n.Body), n.Op, n.Header})
			if err != nil {
				t.Fatal(err)
			}
			return string(said), n.Dropped, nil
		}
		named := func(name string, words ...string) bool {
			return slices.ContainsFunc(words, func(w string) bool {
				return w == name || strings.HasPrefix(w, name+".") ||
					name == "anthropic_beta" && strings.HasPrefix(w, "anthropic-beta:")
			})
		}
		all, dropped, failure := become("")
		if failure != nil {
			if !slices.ContainsFunc(some, func(name string) bool { return named(name, failure.Param) }) {
				t.Fatalf("%s %q: %+v", model, some, failure)
			}
			return
		}
		for _, name := range some {
			if named(name, dropped...) {
				continue
			}
			if less, _, failure := become(name); failure == nil && less == all {
				t.Fatalf("%s: %s of %q is lost in silence; dropped %q", model, name, some, dropped)
			}
		}
	})
}
