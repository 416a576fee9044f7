package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/test/cells"
	"github.com/sluice-gateway/sluice/test/harness"
)

// pageRows are the rows of the tables of docs/dialects.md by their headings.
func pageRows(t *testing.T) map[string][][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/dialects.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][][]string{}
	heading := ""
	for line := range strings.Lines(string(page)) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			heading = strings.Trim(strings.TrimSpace(title), "`")
		}
		if parts := strings.Split(strings.TrimSpace(line), " | "); strings.HasPrefix(line, "| `") {
			parts[0] = strings.Trim(parts[0], "|` ")
			rows[heading] = append(rows[heading], parts)
		}
	}
	return rows
}

// walk asks a gateway before the stand-in for cells, one after the other.
type walk struct {
	g    *harness.Gateway
	key  harness.Key
	sent *atomic.Pointer[string] // what the stand-in got last: metadata of the header, and the body
}

// newWalk starts both. Models that AWS serves by OpenAI's own paths are asked by Converse when a cascade takes the
// request, so each has one, by the name "via " and its own.
func newWalk(t *testing.T, models []cells.Family) *walk {
	t.Helper()
	upstream := harness.StartSandbox(t, "rules: []\n")
	sent := &atomic.Pointer[string]{}
	target, err := url.Parse(upstream.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host // Host stays, which is signed
	}}
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		got := r.Header.Get("X-Amzn-Bedrock-Request-Metadata") + string(body)
		sent.Store(&got)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	var aliases, cascades strings.Builder
	for i, m := range models {
		if i == 0 {
			aliases.WriteString("aliases:\n")
			cascades.WriteString("cascades:\n")
		}
		fmt.Fprintf(&aliases, "  via%d: %q\n", i, m.Model)
		fmt.Fprintf(&cascades, "  - {name: c%d, match: 'request.model == \"via%d\"', mode: rules, light: %q,\n"+
			"     escalation: \"amazon.nova-pro-v1:0\", escalate_if: [{id: never, if: 'request.tools > 99'}]}\n", i, i, m.Model)
	}
	key := harness.NewKey(t, "acme")
	g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
%s%s`, between.URL, key.KeyID, aliases.String(), cascades.String())})
	return &walk{g, key, sent}
}

// ask is what becomes of a request: refused, dropped or carried, the members that are meant, and what the stand-in got.
func (w *walk) ask(t *testing.T, path, body string) (how string, fields []string, sent string) {
	t.Helper()
	header := []string{"Authorization", "Bearer " + w.key.Bearer, "X-Api-Key", ""}
	if path != "/v1/messages" {
		header = append(header, "Anthropic-Version", "")
	}
	w.sent.Store(nil)
	res, answer := send(t, w.g, w.key, "POST", path, body, header...)
	if got := w.sent.Load(); got != nil {
		sent = *got
	}
	var e struct {
		Error struct{ Param, Message string }
	}
	switch dropped := res.Header.Get("X-Sluice-Dropped"); {
	case res.StatusCode == http.StatusBadRequest && sent == "":
		if err := json.Unmarshal([]byte(answer), &e); err != nil {
			t.Error(err, answer)
		}
		return "400", []string{e.Error.Param, e.Error.Message}, ""
	case res.StatusCode != http.StatusOK:
		t.Errorf("%s %s: %d %s", path, body, res.StatusCode, answer)
		return "", nil, sent
	case dropped != "":
		return "dropped", strings.Split(dropped, ","), sent
	}
	return "carried", nil, sent
}

// concerns reports whether one of the members is this one, or is inside of it.
func concerns(name string, fields []string) bool {
	return slices.ContainsFunc(fields, func(f string) bool {
		return f == name || strings.HasPrefix(f, name+".") || strings.HasPrefix(f, name+"[") ||
			strings.HasPrefix(f, name+":") || strings.HasPrefix(f, "anthropic-beta:") && name == "anthropic_beta"
	})
}

// cell is what the page says that becomes of a field for a family: the words of its row tell which families have which.
func cell(row []string, family string) string {
	for part := range strings.SplitSeq(strings.TrimSuffix(row[1], " |"), "; ") {
		how, names, some := strings.Cut(part, " for ")
		short, known := map[string]string{"carried": "carried", "400": "400", "dropped and named": "dropped",
			"asked in words": "words"}[how]
		if known && (!some || strings.Contains(", "+names+", ", ", "+family+", ")) {
			return short
		}
	}
	return ""
}

// TestOpenAICells walks every cell of OpenAI's tables in docs/dialects.md by the gateway and the stand-in.
func TestOpenAICells(t *testing.T) {
	c := cells.Of(t, "openai")
	w := newWalk(t, c.Families)
	rows := pageRows(t)
	walked := 0
	for path, rest := range map[string]string{
		"/v1/chat/completions": `"messages":[{"role":"user","content":"hi"}]`, "/v1/responses": `"input":"hi"`,
		"/v1/embeddings": `"input":"hi"`,
	} {
		samples, families := maps.Clone(c.Samples), c.Families
		switch path {
		case "/v1/responses":
			maps.Copy(samples, c.Responses)
		case "/v1/embeddings":
			families = c.Embeddings
		}
		for _, row := range rows[path] {
			for i, f := range families {
				model := fmt.Sprintf("via%d", i)
				if path == "/v1/embeddings" {
					model = f.Model
				}
				m := capability.Of(wire.ParseModelID(f.Model).Foundation)
				served := path == "/v1/chat/completions" && m.Chat || path == "/v1/responses" && m.Responses
				w.openAI(t, path, model, f.Name, rest, row, samples, served)
				walked++
			}
		}
	}
	if walked < 1000 {
		t.Errorf("%d cells", walked)
	}
}

// openAI walks a cell: the field goes with a request that is served without it. Where AWS serves the path for the
// model, what Converse cannot carry passes as it is.
func (w *walk) openAI(
	t *testing.T, path, model, family, rest string, row []string, samples map[string]json.RawMessage, served bool,
) {
	t.Helper()
	name := row[0]
	head := `{"model":"` + model + `",` + rest
	if name == "tool_choice" || name == "parallel_tool_calls" {
		head += `,"tools":` + string(samples["tools"])
	}
	if path == "/v1/responses" && name != "store" {
		head += `,"store":false`
	}
	_, _, plain := w.ask(t, path, head+"}")
	sample := string(samples[name])
	if sample == "" {
		if plain == "" {
			t.Errorf("%s, %s: %s was not carried", path, family, name)
		}
		return // it is in all requests
	}
	how, fields, sent := w.ask(t, path, head+`,"`+name+`":`+sample+"}")
	want := cell(row, family)
	switch {
	case served && want == "400" && how == "carried" && strings.Contains(sent, `"`+name+`":`+sample):
		return
	case how != "carried" && !concerns(name, fields):
		t.Errorf("%s, %s: %s of %q: %q", path, family, name, how, fields)
	case strings.Contains(sent, "Answer with one JSON value"):
		how = "words"
	case how == "carried" && sent == plain && !strings.Contains("stream stream_options include encoding_format", name):
		how = "nothing"
	}
	if how != want {
		t.Errorf("%s, %s: %s is %q, on the page %q", path, family, name, how, want)
	}
}

// TestMessagesCells walks every cell of Anthropic's tables in docs/dialects.md by the gateway and the stand-in.
func TestMessagesCells(t *testing.T) {
	c := cells.Of(t, "anthropic")
	w := newWalk(t, nil)
	rows := pageRows(t)
	f := func(row []string, body func(model string) string, name string) {
		t.Helper()
		for i, family := range c.Families {
			how, fields, _ := w.ask(t, "/v1/messages", body(family.Model))
			if want := row[1+i]; how != want {
				t.Errorf("%s, %s: %q of %q, on the page %q", row[0], family.Name, how, fields, want)
			}
			if how != "carried" && name != "" && !concerns(name, fields) {
				t.Errorf("%s, %s: %q", row[0], family.Name, fields)
			}
		}
	}
	const hi = `[{"role":"user","content":"hi"}]`
	ask := func(model, more, turns string) string {
		return `{"model":"` + model + `","max_tokens":100,` + more + `"messages":` + turns + `}`
	}
	for _, row := range rows["/v1/messages"] {
		more := ""
		if sample, ok := c.Samples[row[0]]; ok {
			more = `"` + row[0] + `":` + string(sample) + `,`
		}
		if row[0] == "tool_choice" {
			more += `"tools":` + string(c.Samples["tools"]) + `,`
		}
		f(row, func(model string) string { return ask(model, more, hi) }, row[0])
	}
	for _, row := range rows["Content blocks"] {
		turns, err := json.Marshal(c.Blocks[row[0]])
		if err != nil || c.Blocks[row[0]] == nil {
			t.Error(row, err)
		}
		f(row, func(model string) string { return ask(model, "", string(turns)) }, "")
	}
	for _, row := range rows["Tools and sources"] {
		source, ok := strings.CutPrefix(row[0], "source ")
		f(row, func(model string) string {
			switch {
			case !ok:
				return ask(model, `"tools":[{"type":"`+row[0]+`","name":"f","input_schema":{}}],`, hi)
			case slices.ContainsFunc(c.Families[:3], func(f cells.Family) bool { return f.Model == model }):
				return ask(model, "", "["+strings.Replace(string(c.Blocks["image"][0]), "base64", source, 1)+"]")
			}
			return ask(model, "", `[{"role":"user","content":[{"type":"document","source":{"type":"`+source+
				`","media_type":"application/pdf","data":"eA=="}}]}]`)
		}, "")
	}
	if n := len(rows["/v1/messages"]) + len(rows["Content blocks"]) + len(rows["Tools and sources"]); n < 47 {
		t.Errorf("%d rows", n)
	}
}
