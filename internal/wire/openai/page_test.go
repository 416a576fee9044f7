package openai

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/test/cells"
)

// apis are the requests that have tables.
var apis = []struct {
	name      string
	table     *table
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	rest      string // what a request has beside its model and the field
}{
	{"/v1/chat/completions", chat, chatAPI.request, `"messages":[{"role":"user","content":"hi"}]`},
	{"/v1/responses", responses, responsesAPI.request, `"input":"hi","store":false`},
	{"/v1/embeddings", embeddings, embeddingsRequest, `"input":"hi"`},
}

// outcome is what becomes of a field: a cell of the page.
func outcome(t *testing.T, api, name, model, body string,
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure), plain []byte,
) string {
	t.Helper()
	k, n, failure := translate(asked(body))
	switch {
	case failure != nil && (failure.Param == name || strings.HasPrefix(failure.Param, name+".") ||
		strings.HasPrefix(failure.Param, name+"[")):
		return "refused"
	case failure != nil:
		t.Errorf("%s %s, %s: %+v", api, name, model, failure)
	case slices.ContainsFunc(n.Dropped, func(d string) bool { return d == name || strings.HasPrefix(d, name+".") }):
		if name == "response_format" || name == "text" {
			return "words"
		}
		return "dropped"
	case string(n.Body) != string(plain), k.stream, k.usage, k.encrypted, k.base64, len(n.Header) > 0:
		if strings.Contains(string(n.Body), "Answer with one JSON value") {
			return "words"
		}
		return "carried"
	}
	return "nothing"
}

// TestEveryField walks every field of every table by every family: it is carried, it is refused and named, or it is
// dropped and named. docs/dialects.md has the same as a table.
func TestEveryField(t *testing.T) {
	var page strings.Builder
	for _, api := range apis {
		fmt.Fprintf(&page, "\n### `%s`\n\n| field | what becomes of it |\n|---|---|\n", api.name)
		for _, f := range api.table.Fields {
			fmt.Fprintf(&page, "| `%s` | %s |\n", f.Name, strings.Join(cellsOf(t, &api, &f), "; "))
		}
	}
	page.WriteString(stopsPage())
	page.WriteString("\n### Models\n\nAs of " + capability.Date + ".\n\n" + modelsPage(t))
	cells.Update(t, "openai", page.String())
}

// cellsOf are the outcomes of a field, with the families that have each, or without when all have the same.
func cellsOf(t *testing.T, api *struct {
	name      string
	table     *table
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	rest      string
}, f *field,
) (out []string) {
	c := cells.Of(t, "openai")
	models := c.Families
	switch api.table {
	case embeddings:
		models = c.Embeddings
	case responses:
		maps.Copy(c.Samples, c.Responses)
	}
	names := map[string][]string{}
	for _, m := range models {
		head := `{"model":"` + m.Model + `",` + api.rest
		if strings.Contains("tool_choice parallel_tool_calls", f.Name) {
			head += `,"tools":` + string(c.Samples["tools"])
		}
		sample := string(c.Samples[f.Name])
		_, plain, failure := api.translate(asked(head + "}"))
		if failure != nil {
			t.Fatal(failure)
		}
		how := "carried"
		if sample != "" {
			body := strings.Replace(head, `,"store":false`, "", 1)
			if f.Name != "store" {
				body = head
			}
			how = outcome(t, api.name, f.Name, m.Model, body+`,"`+f.Name+`":`+sample+"}", api.translate, plain.Body)
		} else if !f.Must && f.Name != "model" {
			t.Errorf("%s: there is no sample of %s", api.name, f.Name)
		}
		if how == "nothing" || how == "carried" && f.How > caller.Fitted {
			t.Errorf("%s, %s: %s is lost in silence, or carried against the table: %s", api.name, m.Model, f.Name, how)
		}
		names[how] = append(names[how], m.Name)
	}
	words := map[string]string{
		"carried": "carried", "refused": "400", "dropped": "dropped and named", "words": "asked in words",
	}
	for _, how := range []string{"carried", "words", "refused", "dropped"} {
		switch which := names[how]; {
		case len(which) == len(models):
			out = append(out, words[how])
		case len(which) > 0:
			out = append(out, words[how]+" for "+strings.Join(which, ", "))
		}
	}
	if f.Note != "" {
		out = append(out, f.Note)
	}
	return out
}

// modelsPage is what each family takes, by package capability.
func modelsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| family | sampling | thinking | JSON schema | forced tools | cache points | images | documents " +
		"| prefill |\n|---|---|---|---|---|---|---|---|---|\n")
	yes := func(is bool) string { return map[bool]string{true: "yes", false: "no"}[is] }
	sampling := [...]string{"all", "one of temperature and top_p", "none"}
	thinking := [...]string{"no", "by budget", "adaptive", "reasoningConfig", "reasoning_effort"}
	schema := [...]string{"in words", "by a forced tool", "native"}
	for _, f := range cells.Of(t, "openai").Families {
		m := capability.Of(wire.ParseModelID(f.Model).Foundation)
		think := thinking[m.Thinking]
		if m.AlwaysThinks {
			think += ", always"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", f.Name, sampling[m.Sampling], think,
			schema[m.Schema], yes(m.AnyTool), yes(m.CachePoints), yes(m.Pictures), yes(m.Documents), yes(!m.NoPrefill))
	}
	return b.String()
}

// stopsPage has the stop reasons.
func stopsPage() string {
	out := "\n### Finish reasons\n\n| Converse | Chat Completions | Responses |\n|---|---|---|\n"
	for _, native := range slices.Sorted(maps.Keys(stops)) {
		s := stops[native]
		chat, response := "`"+s.finish+"`", "`completed`"
		switch {
		case s.failed:
			chat = "`" + native + "`, status 502, `x-should-retry: false`"
			response = chat + "; `server_error` in a stream"
		case s.reason != "":
			response = "`incomplete`, `" + s.reason + "`"
		}
		out += fmt.Sprintf("| `%s` | %s | %s |\n", native, chat, response)
	}
	return out
}

// TestEveryStop: Converse has no stop reason that the table lacks, and the table none that Converse has not.
func TestEveryStop(t *testing.T) {
	known := slices.Sorted(maps.Keys(stops))
	var want []string
	for _, stop := range types.StopReasonEndTurn.Values() {
		want = append(want, string(stop))
	}
	slices.Sort(want)
	if !slices.Equal(known, want) {
		t.Errorf("%q, want %q", known, want)
	}
}
