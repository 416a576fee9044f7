package anthropic

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// samples are a value of each member that is not the same as none.
var samples = map[string]string{
	"stream": `true`, "anthropic_version": `"x"`, "service_tier": `"auto"`,
	"anthropic_beta": `["context-1m-2025-08-07"]`,
	"system":         `"s"`, "tools": `[` + tool + `]`, "tool_choice": `{"type":"any"}`, "thinking": `{"type":"adaptive"}`,
	"output_config": `{"effort":"low"}`, "output_format": `{"type":"json_schema","schema":{}}`,
	"stop_sequences": `["x"]`, "temperature": `0.5`, "top_p": `0.5`, "top_k": `5`, "metadata": `{"user_id":"u"}`,
	"context_management": `{"edits":[{"type":"clear_tool_uses_20250919"}]}`, "compaction": `{}`,
	"cache_control": `{"type":"ephemeral"}`, "speed": `"fast"`, "safeguards": `{}`, "inference_geo": `"us"`,
	"container": `"c"`, "mcp_servers": `[{}]`, "fallbacks": `[{}]`,
}

// said are a content block of each kind, in the turns that it needs.
var said = map[string][]string{
	"text":        {user(`[{"type":"text","text":"x"}]`)},
	"image":       {user(`[` + image + `]`)},
	"document":    {user(`[{"type":"document","source":{"type":"text","data":"x"}}]`)},
	"tool_use":    {hi, assistant(calls), user(`[{"type":"tool_result","tool_use_id":"toolu_1"}]`)},
	"tool_result": {hi, assistant(calls), user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":"x"}]`)},
	"thinking": {hi, assistant(`[{"type":"thinking","thinking":"x","signature":"s"},{"type":"text",` +
		`"text":"x"}]`), hi},
	"redacted_thinking": {hi, assistant(`[{"type":"redacted_thinking","data":"eA=="},{"type":"text","text":"x"}]`), hi},
	"search_result": {user(`[{"type":"search_result","source":"s","title":"t",` +
		`"content":[{"type":"text","text":"x"}]}]`)},
}

// families are models of each kind, by what the page calls them.
var families = []struct{ name, model string }{
	{"Claude", "claude"}, {"Nova", "nova"}, {"Nova 2", "nova2"}, {"Llama", "llama"}, {"Mistral", "mistral"},
	{"gpt-oss", "oss"},
}

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
func row(name, note string, of func(model string) string) string {
	out := "| `" + name + "` |"
	for _, f := range families {
		out += " " + of(f.model) + " |"
	}
	return out + " " + note + " |\n"
}

func head(what string) string {
	out, rule := "| "+what+" |", "|---|"
	for _, f := range families {
		out, rule = out+" "+f.name+" |", rule+"---|"
	}
	return out + " by Converse |\n" + rule + "---|\n"
}

// TestEveryCell walks every member, every block and every kind of tool by every family: it is carried, or refused with
// 400, or dropped and named. docs/dialects.md has the same as tables.
func TestEveryCell(t *testing.T) {
	var page strings.Builder
	page.WriteString("\n### `/v1/messages`\n\n" + head("field"))
	for i := range fields.Fields {
		f := &fields.Fields[i]
		page.WriteString(row(f.Name, f.Note, func(model string) string { return fieldCell(t, f, model) }))
	}
	page.WriteString("\n### Content blocks\n\n" + head("block"))
	for _, b := range blocks {
		turns := said[b.kind]
		if turns == nil {
			turns = []string{hi, assistant(`[{"type":"` + b.kind + `"}]`), hi}
			if b.user {
				turns = []string{user(`[{"type":"` + b.kind + `"}]`)}
			}
		}
		page.WriteString(row(b.kind, b.note, func(model string) string { return cell(t, ask(model, "", turns...), "") }))
	}
	page.WriteString("\n### Tools and sources\n\n" + head("kind"))
	for _, kind := range []string{"custom", "bash_20250124", "web_search_20250305", "code_execution_20250825"} {
		page.WriteString(row(kind, "", func(model string) string {
			return cell(t, ask(model, `"tools":[{"type":"`+kind+`","name":"f","input_schema":{}}]`, hi), "")
		}))
	}
	for _, kind := range []string{"base64", "url", "file"} {
		source := strings.Replace(image, `"base64"`, `"`+kind+`"`, 1)
		page.WriteString(row("source "+kind, "", func(model string) string {
			if model == "llama" || model == "mistral" || model == "oss" {
				source = `{"type":"document","source":{"type":"` + kind + `","media_type":"application/pdf","data":"eA=="}}`
			}
			return cell(t, ask(model, "", user(`[`+source+`]`)), "")
		}))
	}
	page.WriteString(stopsPage())
	update(t, page.String())
}

// fieldCell is what becomes of a member. What the table carries may not be lost.
func fieldCell(t *testing.T, f *field, model string) string {
	t.Helper()
	more := ""
	if f.Name == "tool_choice" {
		more = `"tools":[` + tool + `],`
	}
	sample := samples[f.Name]
	switch {
	case sample == "" && f.Must || f.Name == "model":
		return "carried"
	case sample == "":
		t.Errorf("there is no sample of %s", f.Name)
	}
	got := cell(t, ask(model, more+`"`+f.Name+`":`+sample, hi), f.Name)
	if model == "claude" {
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

// update compares a part of docs/dialects.md with what it has to be; SLUICE_UPDATE=1 writes it.
func update(t *testing.T, want string) {
	t.Helper()
	const file = "../../../docs/dialects.md"
	const begin, end = "<!-- anthropic: written by its test -->\n", "\n<!-- anthropic ends -->"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatal("docs/dialects.md has no place for the tables")
	case got == want:
	case os.Getenv("SLUICE_UPDATE") == "":
		t.Error("docs/dialects.md is not what the tables say: SLUICE_UPDATE=1 go test ./internal/wire/anthropic writes it")
	default:
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
