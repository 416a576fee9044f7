package openai

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
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

// cellData is testdata/cells.json.
type cellData struct {
	Families   []family                   // models of each kind, by what the page calls them
	Embeddings []family                   // the same for embeddings
	Samples    map[string]json.RawMessage // a value of each field that is not the same as none
	Responses  map[string]json.RawMessage // those that Responses spells in another way
}

type family struct{ Name, Model string }

// cellsOf reads what the cells of docs/dialects.md are asked with, here and in the end-to-end tests.
func cellsOf(t *testing.T) (c cellData) {
	t.Helper()
	text, err := os.ReadFile("testdata/cells.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
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
			fmt.Fprintf(&page, "| `%s` | %s |\n", f.Name, strings.Join(cells(t, &api, &f), "; "))
		}
	}
	page.WriteString("\n### Models\n\nAs of " + capability.Date + ".\n\n" + modelsPage(t))
	update(t, page.String())
}

// cells are the outcomes of a field, with the families that have each, or without when all have the same.
func cells(t *testing.T, api *struct {
	name      string
	table     *table
	translate func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	rest      string
}, f *field,
) (out []string) {
	c := cellsOf(t)
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
	for _, f := range cellsOf(t).Families {
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

// update compares a part of docs/dialects.md with what it has to be; SLUICE_UPDATE=1 writes it.
func update(t *testing.T, want string) {
	t.Helper()
	const file = "../../../docs/dialects.md"
	const begin, end = "<!-- openai: written by its test -->\n", "\n<!-- openai ends -->"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(page), begin)
	got, tail, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatal("docs/dialects.md has no place for the tables")
	case got == want:
	case os.Getenv("SLUICE_UPDATE") == "":
		t.Error("docs/dialects.md is not what the tables say: SLUICE_UPDATE=1 go test ./internal/wire/openai writes it")
	default:
		if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
