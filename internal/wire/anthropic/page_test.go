package anthropic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/test/cells"
)

// data is what the cells are asked with.
type data struct{ cells.Data }

// cell is what becomes of a part of a request that some words name, in the native one.
func cell(t *testing.T, body, name string) string {
	t.Helper()
	n, failure := Open("POST", "/v1/messages").Native(request(body, ""))
	about := func(path string) bool { return path == name || strings.HasPrefix(path, name+".") || name == "" }
	switch {
	case failure != nil && failure.Class == caller.ClassInvalid && about(failure.Param):
		return "400"
	case failure != nil:
		t.Errorf("%s: %+v", body, failure)
	case slices.ContainsFunc(n.Dropped, about):
		return "dropped"
	}
	return "carried"
}

// row is a line of the page: what becomes of something, family by family.
func (c *data) row(name, note string, of func(model string) string) string {
	out := "| `" + name + "` |"
	for _, f := range c.Families {
		out += " " + of(f.Model) + " |"
	}
	return out + " " + note + " |\n"
}

func (c *data) head(what string) string {
	out, rule := "| "+what+" |", "|---|"
	for _, f := range c.Families {
		out, rule = out+" "+f.Name+" |", rule+"---|"
	}
	return out + " by Converse |\n" + rule + "---|\n"
}

// TestEveryCell walks every member, every block and every kind of tool by every family: it is carried, or refused with
// 400, or dropped and named. docs/dialects.md has the same as tables.
func TestEveryCell(t *testing.T) {
	c := &data{cells.Of(t, "anthropic")}
	var page strings.Builder
	page.WriteString("\n### `/v1/messages`\n\n" + c.head("field"))
	for i := range fields.Fields {
		f := &fields.Fields[i]
		page.WriteString(c.row(f.Name, f.Note, func(model string) string { return c.field(t, f, model) }))
	}
	page.WriteString("\n### Content blocks\n\n" + c.head("block"))
	for _, b := range blocks {
		var turns []string
		for _, turn := range c.Blocks[b.kind] {
			turns = append(turns, string(turn))
		}
		if turns == nil {
			t.Errorf("there is no block %s", b.kind)
		}
		page.WriteString(c.row(b.kind, b.note, func(model string) string { return cell(t, ask(model, "", turns...), "") }))
	}
	page.WriteString("\n### Tools and sources\n\n" + c.head("kind"))
	for _, kind := range []string{"custom", "bash_20250124", "web_search_20250305", "code_execution_20250825"} {
		page.WriteString(c.row(kind, "", func(model string) string {
			return cell(t, ask(model, `"tools":[{"type":"`+kind+`","name":"f","input_schema":{}}]`, hi), "")
		}))
	}
	for _, kind := range []string{"base64", "url", "file"} {
		source := strings.Replace(image, `"base64"`, `"`+kind+`"`, 1)
		page.WriteString(c.row("source "+kind, "", func(model string) string {
			if slices.ContainsFunc(c.Families[3:], func(f cells.Family) bool { return f.Model == model }) {
				source = `{"type":"document","source":{"type":"` + kind + `","media_type":"application/pdf","data":"eA=="}}`
			}
			return cell(t, ask(model, "", user(`[`+source+`]`)), "")
		}))
	}
	page.WriteString(stopsPage())
	cells.Update(t, "anthropic", page.String())
}

// field is what becomes of a member. What the table carries may not be lost.
func (c *data) field(t *testing.T, f *field, model string) string {
	t.Helper()
	more := ""
	if f.Name == "tool_choice" {
		more = `"tools":[` + tool + `],`
	}
	sample := string(c.Samples[f.Name])
	switch {
	case sample == "" && f.Must || f.Name == "model":
		return "carried"
	case sample == "":
		t.Errorf("there is no sample of %s", f.Name)
	}
	got := cell(t, ask(model, more+`"`+f.Name+`":`+sample, hi), f.Name)
	if model == c.Families[0].Model {
		return got
	}
	want, certain := map[caller.Treatment]string{
		caller.Carried: "carried", caller.Dropped: "dropped", caller.Refused: "400",
	}[f.How]
	if certain && got != want {
		t.Errorf("%s, %s: %s, against the table", model, f.Name, got)
	}
	return got
}

// stopsPage has the stop reasons.
func stopsPage() string {
	out := "\n### Stop reasons\n\n| Converse | Messages |\n|---|---|\n"
	var lines []string
	for native, stop := range stops {
		if stop == "" {
			stop = "`api_error`, status 424, `x-should-retry: false`"
		} else {
			stop = "`" + stop + "`"
		}
		lines = append(lines, fmt.Sprintf("| `%s` | %s |\n", native, stop))
	}
	slices.Sort(lines)
	return out + strings.Join(lines, "")
}
