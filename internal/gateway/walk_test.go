package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// spellingsOf are the ways to ask for a foundation model: ids, ARNs, and paths as
// they are on the wire.
func spellingsOf(id string) []string {
	all := []string{id, strings.ToUpper(id), id + ":8k", id + ":200K", strings.TrimSuffix(id, ":0"),
		"arn:aws:bedrock:us-east-1::foundation-model/" + id, "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/" + id}
	for _, geo := range []string{"us", "eu", "apac", "jp", "au", "ca", "us-gov", "global", "mx", "US"} {
		all = append(all, geo+"."+id, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"+geo+"."+id)
	}
	return all
}

// hiding are ids that do not say which model they are for.
var hiding = []string{
	profiles + "unmapped", "arn:aws:bedrock:us-east-1:1:provisioned-model/abcdefghijkl",
	"arn:aws:bedrock:us-east-1:1:imported-model/abcdefghijkl", "arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1",
	"arn:aws:bedrock:us-east-1:1:prompt-router/x", "arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1",
	"arn:aws:bedrock:us-east-1:1:custom-model/" + opus + "/abc",
	"arn:aws:bedrock:us-east-1:1:custom-model-deployment/abc",
	"arn:aws:bedrock:us-east-1:1:marketplace/model-endpoint/all-access", "arn:aws:sagemaker:us-east-1:1:endpoint/claude",
	"our-provisioned-throughput", "arn:short",
}

// pathsOf are the paths of an id: encoded as the SDKs do, raw where clients leave it
// so, every byte encoded, in small letters, and twice.
func pathsOf(id string) []string {
	var every, small strings.Builder
	for i := range len(id) {
		fmt.Fprintf(&every, "%%%02X", id[i])
		fmt.Fprintf(&small, "%%%02x", id[i])
	}
	return []string{string(wire.AppendLabel(nil, id)), id, every.String(), small.String(),
		strings.ReplaceAll(string(wire.AppendLabel(nil, id)), "%", "%25")}
}

func (f *fixture) send(t testing.TB, op wire.Operation, path, text string, header ...wire.Field) *Response {
	t.Helper()
	target := "/model/" + path + "/" + op.String()
	if op == wire.OpStartAsyncInvoke {
		target = "/async-invoke"
	}
	return f.line.Serve(&Request{
		ID: "01REQUEST", Method: "POST", Target: target, Authority: "gateway", Caller: t.Context(), Received: f.now(),
		Header: append(wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}}, header...), Body: body{text},
	})
}

var modelled = []wire.Operation{
	wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpCountTokens,
	wire.OpStartAsyncInvoke,
}

// TestNoSpellingOfADeniedModel (M33) walks operations, spellings and paths: none of
// them reaches the model, and none the upstream when nobody knows the model.
func TestNoSpellingOfADeniedModel(t *testing.T) {
	ids := []string{opus, "amazon.titan-text-express-v1", "meta.llama3-3-70b-instruct-v1:0"}
	f := newFixtureFrom(t, strings.Replace(capsText, "apply-guardrail]", "start-async-invoke]", 1)+
		`    deny_models: ["`+strings.Join(ids, `", "`)+`", "openai.*"]`+"\n")
	f.line.asker.Jobs = someJobs{}
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	asked := append(slices.Clone(hiding), "oss", "best", profiles+"oss", profiles+"best")
	for _, id := range ids {
		asked = append(asked, spellingsOf(id)...)
	}
	n := 0
	for _, id := range asked {
		for _, op := range modelled {
			paths, text := pathsOf(id), `{}`
			if op == wire.OpStartAsyncInvoke {
				paths, text = []string{""}, `{"modelId":`+strconv.Quote(id)+`}`
			}
			for _, path := range paths {
				n++
				if res := f.send(t, op, path, text); res.Status < 400 || res.Status >= 500 || f.calls.Load() > 0 {
					t.Fatalf("M33: %s of %s as %s: %d %s", op, id, path, res.Status, res.Body)
				}
			}
		}
	}
	for _, text := range []string{`{}`, `{"modelId":null}`, `{"modelid":"` + opus + `"}`, `{"modelId":["` + opus + `"]}`,
		`{"modelId":"x.y","modelId":"` + opus + `"}`, `{"model\u0049d":"` + opus + `"}`} {
		if res := f.send(t, wire.OpStartAsyncInvoke, "", text); res.Status < 400 || f.calls.Load() > 0 {
			t.Errorf("M33: %s: %d %s", text, res.Status, res.Body)
		}
	}
	if res := f.send(t, wire.OpConverse, "anthropic.claude-sonnet-4-6", `{}`); res.Status != 200 {
		t.Errorf("a model that nothing denies: %d %s", res.Status, res.Body)
	}
	t.Logf("%d requests", n)
	f.end(t)
}

// capNames are what the families obey as their cap, and where.
var capNames = []string{"max_tokens", "max_completion_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens",
	"maxTokenCount", "maxOutputTokens", "max_new_tokens", "max_output_tokens", "max_length", "num_predict",
	"inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens", "textGenerationConfig.maxTokenCount",
	"parameters.max_new_tokens", "generationConfig.maxOutputTokens", "options.num_predict"}

// multipliers ask for several answers.
var multipliers = []string{"n", "best_of", "num_generations", "numResults", "num_return_sequences",
	"candidate_count", "parameters.n", "parameters.num_return_sequences", "sampling_params.n", "parameters.best_of",
	"generationConfig.candidateCount"}

// numbers are ways to write many, and ways to write what some servers take for no
// limit at all.
var numbers = []string{"50000", "5e4", "50000.0", `"50000"`, "1e999", "-1", "0", "null", "[50000]", "{}", "true",
	"99999999999999999999"}

// walkedBodies are InvokeModel bodies in all the spellings of what asks for more.
func walkedBodies() []string {
	var all []string
	add := func(path, value, beside string) {
		open, end := "{", "}"
		for strings.Contains(path, ".") {
			var parent string
			parent, path, _ = strings.Cut(path, ".")
			open, end = open+`"`+parent+`":{`, end+"}"
		}
		all = append(all, open+`"`+path+`":`+value+strings.Repeat("}", len(end)-1)+beside+"}")
	}
	for _, name := range capNames {
		for _, value := range numbers {
			add(name, value, "")
			add(name, value, `,"own":10`)
		}
		add(strings.ToUpper(name), "50000", "")
	}
	for _, name := range multipliers {
		for _, value := range append([]string{"3"}, numbers...) {
			add(name, value, `,"own":900`)
		}
	}
	return append(all, `{"own":10,"own":50000}`, `{"own":50000,"own":10}`, `{"own":10,"o\u0077n":50000}`,
		`{"o\u0077n":50000}`, `{"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}}`,
		`{"thinking":{"type":"enabled","budget_tokens":8000},"own":9000}`,
		`{"thinking":{"type":"enabled","budget_tokens":8e3},"own":9000}`, `{"reasoning_effort":"high"}`,
		`{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"}}`, `{"query":"x","documents":[],"own":50000}`,
		`{"inputText":"x","normalize":true,"own":50000}`, `{"inferenceConfig":[],"textGenerationConfig":7}`,
		`{"inferenceConfig":null,"textGenerationConfig":null}`, `[]`, `7`, ``, `{"own":50000`, "\ufeff{\"own\":50000}")
}

// ownCap spells "own" as the model does, where it is a member at the top.
func ownCap(model, text string) string {
	own := "max_tokens"
	if names := obeyed[model]; len(names) > 0 && !strings.Contains(names[0], ".") {
		own = names[0]
	}
	return strings.NewReplacer(`"own"`, `"`+own+`"`, `"o\u0077n"`, `"`+own[:1]+fmt.Sprintf(`\u%04x`, own[1])+own[2:]+`"`).
		Replace(text)
}

// most is how many tokens any server could write for the body, however it reads
// numbers: -1 for no limit.
func most(op wire.Operation, model string, sent []byte) float64 {
	if len(sent) == 0 {
		return 0 // no model takes that
	}
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(sent))
	d.UseNumber()
	if d.Decode(&all) != nil {
		return -1
	}
	names := obeyed[model]
	if op.IsConverse() {
		names = []string{"inferenceConfig.maxTokens"}
	}
	largest := -1.0
	for _, name := range names {
		n, given := leniently(all, name)
		if given && n <= 0 {
			return -1
		}
		largest = max(largest, n)
	}
	own := ""
	if op.IsConverse() {
		own = "additionalModelRequestFields."
		for _, name := range capNames { // beside Converse's own cap, either may be obeyed
			n, _ := leniently(all, own+name)
			largest = max(largest, n)
		}
	}
	times := 1.0
	for _, name := range multipliers {
		n, _ := leniently(all, own+name)
		times = max(times, n)
	}
	return largest * times
}

// leniently reads a number at a path, also one in a string.
func leniently(all map[string]any, path string) (n float64, given bool) {
	if name, rest, deeper := strings.Cut(path, "."); deeper {
		inner, _ := all[name].(map[string]any)
		return leniently(inner, rest)
	}
	switch v := all[path].(type) {
	case json.Number:
		n, _ = v.Float64() // infinite when it is out of range
		return n, true
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil
	}
	return 0, false
}

// walker checks every call that passes: the cap has reached the model, and what is
// charged is no more than was held.
type walker struct {
	*watch
	op     wire.Operation
	model  string // behind the id that is asked for; "" when nobody knows
	text   string
	passed int
}

func newWalker(t *testing.T, own ...string) *walker {
	f := capsFixture(t, append(own, "budgets: [{period: month, usd: 900000, on_exceed: reject}]")...)
	w := &walker{watch: &watch{fixture: f, t: t, tight: true}}
	f.line.asker.Meter = w.watch
	f.reply = func(r *engine.Request) (*engine.Response, error) {
		w.passed++
		n := most(r.Op, w.model, r.Body)
		if n < 0 || n > 1000 {
			t.Errorf("%s of %q may write %v tokens: %s\nfrom %s", r.Op, w.model, n, r.Body, w.text)
		}
		return used(shapes{}, r, r.Header.Get("X-Amzn-Bedrock-Service-Tier"), int64(max(0, n)), false), nil
	}
	return w
}

func (w *walker) ask(op wire.Operation, id, model, text string, header ...wire.Field) {
	w.op, w.model, w.text = op, model, text
	readAll(w.send(w.t, op, string(wire.AppendLabel(nil, id)), text, header...))
}

// TestCapsWalk (M4 to M6, M32) walks every family and every spelling of what asks for
// more, in InvokeModel's bodies and in Converse's additional fields.
func TestCapsWalk(t *testing.T) {
	w := newWalker(t, capped)
	n := 0
	for _, model := range slices.Sorted(maps.Keys(obeyed)) {
		if obeyed[model] == nil {
			continue // writes no text
		}
		for i, text := range walkedBodies() {
			text = ownCap(model, text)
			ops := []wire.Operation{wire.OpInvoke, wire.OpInvokeStream}
			w.ask(ops[i%2], model, model, text)
			w.ask(wire.OpConverse, model, model, `{"additionalModelRequestFields":`+text+`}`)
			w.ask(wire.OpConverseStream, model, model, `{"inferenceConfig":{"maxTokens":10},"additionalModelRequestFields":`+
				text+`}`)
			w.ask(wire.OpConverse, model, model, text)
			n += 4
		}
	}
	t.Logf("%d of %d passed", w.passed, n)
	if w.passed < n/10 {
		t.Errorf("%d of %d passed: the bodies are refused", w.passed, n)
	}
	w.end(t)
}

// TestSpellingsWalk (M1, M4, M5, M33): every id that names a family, with the header
// fields twice and in odd case: the cap is the same, and nothing is charged beyond its
// hold.
func TestSpellingsWalk(t *testing.T) {
	w := newWalker(t, capped)
	headers := map[string]wire.Header{"none": nil}
	for _, value := range []string{"default", "priority", "FLEX"} {
		headers[value] = wire.Header{{Name: "x-AMZN-bedrock-Service-TIER", Value: "default"},
			{Name: "X-Amzn-Bedrock-Service-Tier", Value: value},
			{Name: "X-Amzn-Bedrock-GuardrailIdentifier", Value: ""}, {Name: "x-amzn-bedrock-guardrailidentifier", Value: "g"}}
	}
	bodies := []string{`{"own":50000}`, `{"inferenceConfig":{"maxTokens":50000}}`, `{}`,
		`{"textGenerationConfig":{"maxTokenCount":50000}}`,
		`{"own":10,"max_completion_tokens":50000,"query":"x","documents":[]}`}
	for _, model := range []string{opus, "openai.gpt-oss-120b-1:0", "amazon.nova-lite-v1:0",
		"meta.llama3-3-70b-instruct-v1:0"} {
		ids := spellingsOf(model)
		for _, id := range []string{"oss", profiles + "oss", "best", profiles + "best"} {
			if behind(id) == model {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			for _, text := range bodies {
				for _, h := range headers {
					w.ask(wire.OpInvoke, id, model, ownCap(model, text), h...)
					w.ask(wire.OpConverse, id, model, text, h...)
				}
			}
		}
	}
	passed := w.passed
	for _, id := range hiding {
		for _, text := range bodies {
			w.ask(wire.OpInvoke, id, "", text)
			w.ask(wire.OpInvokeStream, id, "", text)
		}
	}
	if w.passed != passed {
		t.Errorf("M5: %d calls of unknown families passed uncapped", w.passed-passed)
	}
	t.Logf("%d passed", passed)
	if passed < 100 {
		t.Error("the ids are refused")
	}
	w.end(t)
}
