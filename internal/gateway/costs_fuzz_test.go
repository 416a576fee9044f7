package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/schemas"
	smithy "github.com/aws/smithy-go"
	smithytraits "github.com/aws/smithy-go/traits"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// shapes draws JSON by the SDK's own schemas.
type shapes struct{ *rand.Rand }

var words = []string{"hi", "default", "flex", "PRIORITY", "reserved", "optimized", "high", "1h", "enabled", "auto", ""}

// askMore are members that some family obeys, and others that ask for more.
var askMore = []string{"max_tokens", "max_completion_tokens", "maxTokens", "max_gen_len", "maxTokenCount",
	"max_tokens_to_sample", "max_new_tokens", "maxOutputTokens", "n", "num_generations", "inferenceConfig.maxTokens",
	"textGenerationConfig.maxTokenCount", "service_tier", "query", "documents", "inputText", "prompt", "messages",
	"thinking.budget_tokens", "input_type", "reasoningConfig.maxReasoningEffort"}

// disguises are members by which bodies of families without output are known.
var disguises = []string{"query documents", "input_type", "inputImage", "inputText normalize", "singleEmbeddingParams"}

// value is a value of a shape; nil is none.
func (g shapes) value(s *smithy.Schema, depth int) any {
	switch s.Type() {
	case smithy.ShapeTypeStructure, smithy.ShapeTypeUnion:
		return g.object(s, depth)
	case smithy.ShapeTypeList, smithy.ShapeTypeSet:
		list := []any{}
		for range g.IntN(3) {
			list = append(list, g.value(s.ListMember(), depth+1))
		}
		return list
	case smithy.ShapeTypeMap:
		return map[string]any{"k": g.value(s.MapValue(), depth+1)}
	case smithy.ShapeTypeDocument:
		return g.document()
	case smithy.ShapeTypeBlob:
		return []byte("hello")
	case smithy.ShapeTypeBoolean:
		return g.IntN(2) == 0
	case smithy.ShapeTypeInteger, smithy.ShapeTypeLong:
		return g.IntN(60_000) + 1
	case smithy.ShapeTypeFloat, smithy.ShapeTypeDouble:
		return g.Float64()
	case smithy.ShapeTypeEnum:
		names := slices.Sorted(maps.Keys(s.Members()))
		if len(names) > 0 && g.IntN(4) > 0 {
			return strings.ToLower(names[g.IntN(len(names))])
		}
	}
	return words[g.IntN(len(words))]
}

func (g shapes) object(s *smithy.Schema, depth int) map[string]any {
	out, names := map[string]any{}, slices.Sorted(maps.Keys(s.Members()))
	if len(names) == 0 || depth > 8 {
		return out
	}
	if s.Type() == smithy.ShapeTypeUnion {
		names = []string{names[g.IntN(len(names))]}
	}
	for _, name := range names {
		m := s.Member(name)
		_, label := smithy.SchemaTrait[*smithytraits.HTTPLabel](m)
		if label || s.Type() != smithy.ShapeTypeUnion && g.IntN(2) == 0 {
			continue
		}
		out[name] = g.value(m, depth+1)
	}
	return out
}

// document is a free body: what families obey, in any mixture.
func (g shapes) document() map[string]any {
	out := map[string]any{}
	if g.IntN(3) == 0 {
		for name := range strings.FieldsSeq(disguises[g.IntN(len(disguises))]) {
			out[name] = "x"
		}
	}
	for range g.IntN(5) {
		var value any = g.IntN(60_000) + 1
		switch g.IntN(8) {
		case 0:
			value = words[g.IntN(len(words))]
		case 1:
			value = []any{}
		case 2:
			value = nil
		}
		at := out
		path := strings.Split(askMore[g.IntN(len(askMore))], ".")
		if len(path) == 2 {
			inner, ok := out[path[0]].(map[string]any)
			if !ok {
				inner = map[string]any{}
				out[path[0]] = inner
			}
			at = inner
		}
		at[path[len(path)-1]] = value
	}
	return out
}

// header are the fields that the schema binds members to.
func (g shapes) header(s *smithy.Schema) wire.Header {
	var h wire.Header
	for _, name := range slices.Sorted(maps.Keys(s.Members())) {
		if f, ok := smithy.SchemaTrait[*smithytraits.HTTPHeader](s.Member(name)); ok && g.IntN(4) == 0 {
			h = append(h, wire.Field{Name: f.Name, Value: words[g.IntN(len(words)-1)]})
		}
	}
	return h
}

// obeyed is what a model obeys as its cap, the largest of several, and its number
// of answers.
var obeyed = map[string][]string{
	opus: {"max_tokens", "max_tokens_to_sample"}, "openai.gpt-oss-120b-1:0": {"max_completion_tokens", "max_tokens"},
	"mistral.mistral-large-2407-v1:0": {"max_tokens"}, "meta.llama3-3-70b-instruct-v1:0": {"max_gen_len"},
	"amazon.titan-text-express-v1":   {"textGenerationConfig.maxTokenCount"},
	"amazon.nova-lite-v1:0":          {"inferenceConfig.maxTokens"},
	"ai21.jamba-1-5-large-v1:0":      {"max_tokens"},
	"deepseek.r1-v1:0":               {"max_tokens"},
	"cohere.command-r-plus-v1:0":     {"max_tokens"},
	"amazon.titan-embed-text-v2:0":   nil,
	"us.twelvelabs.pegasus-1-2-v1:0": {"maxOutputTokens"},
}

// behind is the model behind each name that a caller may use.
func behind(id string) string {
	switch id {
	case "oss", profiles + "oss":
		return "openai.gpt-oss-120b-1:0"
	case "best", profiles + "best", "us." + opus, "arn:aws:bedrock:us-east-1::foundation-model/" + opus:
		return opus
	case profiles + "embed":
		return "amazon.titan-embed-text-v2:0"
	}
	return id
}

// written is how many tokens the model writes at most for the body that reached
// it.
func written(op wire.Operation, model string, sent []byte) int64 {
	var body map[string]any
	if json.Unmarshal(sent, &body) != nil {
		return 0
	}
	names := obeyed[model]
	if op.IsConverse() {
		names = []string{"inferenceConfig.maxTokens"}
	} else if names == nil {
		return 0
	}
	most := int64(0)
	for _, path := range names {
		at := body
		parts := strings.Split(path, ".")
		if len(parts) == 2 {
			at, _ = body[parts[0]].(map[string]any)
		}
		if n, ok := at[parts[len(parts)-1]].(float64); ok {
			most = max(most, int64(n))
		}
	}
	if most == 0 {
		return 100_000 // what fits
	}
	if n, ok := body["n"].(float64); ok && model == "openai.gpt-oss-120b-1:0" && !op.IsConverse() {
		most *= max(1, int64(n))
	}
	return most
}

// watch holds each END against the promise that nothing that was used is free.
type watch struct {
	*fixture
	t      testing.TB
	tight  bool       // no call may be charged more than it held
	mu     sync.Mutex // guards the following
	served map[wire.Operation]int
	units  int           // how many calls reported units of a guardrail beside a model's tokens
	start  *record.Start // the last one
}

func (w *watch) Begin(s *record.Start) error {
	w.mu.Lock()
	kept := *s
	kept.Charges = slices.Clone(s.Charges)
	w.start = &kept
	w.mu.Unlock()
	return w.meter.Begin(s)
}

func (w *watch) End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error {
	p, _ := record.Derive(s, e, prices)
	charged, dollars := int64(0), false
	for _, c := range p.Charges {
		if c.Window.Unit == record.UnitUSD {
			dollars = true
			charged += c.Amount
		}
	}
	used := e.Usage.Input.N + e.Usage.Output.N + e.Usage.CacheRead.N + e.Usage.CacheWrite5m.N + e.Usage.CacheWrite1h.N
	if held := dollarsHeld(s); w.tight && charged > held {
		w.t.Errorf("%s of %s held %d and is charged %d: %+v", s.Op, s.Model, held, charged, e.Usage)
	}
	for i, units := range e.Usage.GuardrailUnits {
		if i != wire.GuardrailWord && i != wire.GuardrailSensitiveFree { // which cost nothing
			used += units
		}
	}
	if used > 0 && dollars && charged == 0 && s.Op != wire.OpCountTokens {
		w.t.Errorf("%s of %s used %d tokens and units and settles at zero", s.Op, s.Model, used)
	}
	w.mu.Lock()
	if w.served == nil {
		w.served = map[wire.Operation]int{}
	}
	w.served[s.Op]++
	if e.Usage.UnitsKnown && e.Usage.Output.N > 0 {
		w.units++
	}
	w.mu.Unlock()
	return w.meter.End(s, e, prices, b)
}

// dollarsHeld is what an attempt held of the budgets.
func dollarsHeld(s *record.Start) (sum int64) {
	for _, c := range s.Charges {
		if c.Window.Unit == record.UnitUSD {
			sum += c.Amount
		}
	}
	return sum
}

// drawn is a request as a caller may send it. model is who gets it.
type drawn struct {
	target wire.Target
	model  string
	text   []byte
	header wire.Header
}

// bodies are the shapes of the requests whose bodies are JSON of AWS's own form.
var bodies = map[wire.Operation]*smithy.Schema{
	wire.OpConverse: schemas.ConverseRequest, wire.OpConverseStream: schemas.ConverseStreamRequest,
	wire.OpCountTokens: schemas.CountTokensRequest, wire.OpApplyGuardrail: schemas.ApplyGuardrailRequest,
	wire.OpInvokeGuardrailChecks: schemas.InvokeGuardrailChecksRequest,
	wire.OpStartAsyncInvoke:      schemas.StartAsyncInvokeRequest,
}

// draw is a request for any operation of the service.
func (g shapes) draw() drawn {
	ids := slices.Sorted(maps.Keys(obeyed))
	ids = append(ids, "oss", "best", profiles+"oss", profiles+"best", profiles+"embed", profiles+"unmapped", "us."+opus,
		"arn:aws:bedrock:us-east-1::foundation-model/"+opus, "liquid.lfm2-8b", "amazon.nova-reel-v1:1")
	d := drawn{model: ids[g.IntN(len(ids))]}
	d.target.Op = wire.Operation(1 + g.IntN(int(wire.OpInvokeBidirectional)))
	op := d.target.Op
	switch op {
	case wire.OpApplyGuardrail:
		d.target.Resource, d.target.Version = "g", "1"
	case wire.OpGetAsyncInvoke:
		d.target.Resource = "arn:aws:bedrock:us-east-1:1:async-invoke/abc"
	case wire.OpInvokeGuardrailChecks, wire.OpStartAsyncInvoke, wire.OpListAsyncInvokes:
	default:
		d.target.Model = d.model
	}
	body := g.document()
	if s := bodies[op]; s != nil {
		body = g.object(s, 0)
	}
	if op == wire.OpStartAsyncInvoke && g.IntN(4) > 0 {
		body["modelId"] = d.model
	}
	d.text, _ = json.Marshal(body)
	if op.IsInvoke() || g.IntN(3) == 0 { // some send the header fields with other operations
		d.header = g.header(schemas.InvokeModelWithResponseStreamRequest)
	}
	return d
}

func (d *drawn) guarded() bool {
	return d.header.Get("X-Amzn-Bedrock-GuardrailIdentifier") != "" || d.target.Op.IsConverse() &&
		strings.Contains(string(d.text), `"guardrailConfig":{`)
}

// spend is one random request, and what it may do. limit is the tenant's.
func spend(t testing.TB, g shapes, f *fixture, limit int64) {
	d := g.draw()
	f.reply = func(r *engine.Request) (*engine.Response, error) {
		n := written(r.Op, behind(d.model), r.Body)
		if n > limit && (r.Op.IsConverse() || r.Op.IsInvoke()) {
			t.Errorf("%s of %s reached the model with a cap of %d: %s\nfrom %s", r.Op, d.model, n, r.Body, d.text)
		}
		if r.Op == wire.OpInvokeBidirectional || r.Op == wire.OpListAsyncInvokes {
			t.Errorf("%s reached the upstream", r.Op)
		}
		tier := r.Header.Get("X-Amzn-Bedrock-Service-Tier")
		if g.IntN(4) == 0 {
			tier = []string{"", "default", "flex"}[g.IntN(3)]
		}
		return used(g, r, tier, n, d.guarded()), nil
	}
	readAll(f.line.Serve(&Request{
		ID: "01REQUEST", Method: d.target.Op.Method(), Target: d.target.String(), Authority: "gateway",
		Header: append(wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}}, d.header...),
		Body:   body{string(d.text)}, Caller: t.Context(), Received: time.Now(),
	}))
}

// units are what a guardrail may report for so much text, "" for nothing at all.
func (g shapes) units(characters int64) string {
	if g.IntN(3) == 0 {
		return []string{``, `{}`, `{"contentPolicyUnits":"3"}`, `{"topicPolicyUnits":-1}`}[g.IntN(4)]
	}
	n := g.Int64N(characters/1000 + 2)
	return fmt.Sprintf(`{"contentPolicyUnits":%d,"topicPolicyUnits":%d,"wordPolicyUnits":%d}`, n, n, n)
}

// used is an answer that reports a tier, so many tokens, and the units of a guardrail.
func used(g shapes, r *engine.Request, tier string, out int64, guarded bool) *engine.Response {
	var h wire.Header
	if tier != "" {
		h = wire.Header{{Name: "X-Amzn-Bedrock-Service-Tier", Value: tier}}
	}
	in, written := int64(len(r.Body))/4+1, 0
	if g.Rand != nil {
		written = g.IntN(2)
	}
	usage, _ := json.Marshal(map[string]any{"inputTokens": in, "outputTokens": out, "cacheWriteInputTokens": written})
	converse, invoke := "", ""
	if guarded {
		if units := g.units(int64(len(r.Body)) + 4*out); units != "" {
			assessed := `{"g":{"invocationMetrics":{"usage":` + units + `}}}`
			converse = `,"trace":{"guardrail":{"inputAssessment":` + assessed + `}}`
			invoke = `,"amazon-bedrock-trace":{"guardrail":{"input":` + assessed + `}}`
		}
	}
	body := []byte(`{"usage":` + string(usage) + converse + `}`)
	switch r.Op {
	case wire.OpInvoke:
		res := invoked(in, out)
		res.Header, res.Body = append(res.Header, h...), []byte(`{"x":1`+invoke+`}`)
		return res
	case wire.OpInvokeStream:
		metrics, _ := json.Marshal(map[string]any{"inputTokenCount": in, "outputTokenCount": out})
		return streamed(h, `{"amazon-bedrock-invocationMetrics":`+string(metrics)+invoke+`}`)
	case wire.OpConverseStream:
		return framed(h, wire.AppendFrame(nil, []wire.Field{{Name: ":message-type", Value: "event"},
			{Name: ":event-type", Value: "metadata"}}, body))
	case wire.OpApplyGuardrail, wire.OpInvokeGuardrailChecks:
		units := cmp.Or(g.units(int64(len(r.Body))), "null")
		if r.Op == wire.OpInvokeGuardrailChecks {
			units = fmt.Sprintf(`{"contentFilter":{"textUnits":%d}}`, g.IntN(2))
		}
		body = []byte(`{"usage":` + units + `}`)
	case wire.OpStartAsyncInvoke:
		body = []byte(`{"invocationArn":"arn:aws:bedrock:us-east-1:1:async-invoke/abc"}`)
	}
	return &engine.Response{Status: 200, Header: h, Body: body}
}

// someJobs knows whose the jobs are: everybody's.
type someJobs struct{}

func (someJobs) Own(context.Context, string, string, time.Duration) error { return nil }
func (someJobs) OwnFirst(_ context.Context, _, owner string, _ time.Duration) (string, error) {
	return owner, nil
}
func (someJobs) Owner(context.Context, string) (tenant string, _ error) { return "acme/app", nil }

// spree is many random requests under a cap and a hard budget.
func spree(t testing.TB, seed uint64, requests int) *watch {
	const limit, budget = 1000, 500_000_000 // tokens, nano-dollars
	f := newFixtureFrom(t, strings.Replace(capsText, "apply-guardrail]", "apply-guardrail, invoke-guardrail-checks, "+
		"start-async-invoke, get-async-invoke]", 1)+"    "+capped+
		"\n    budgets: [{period: month, usd: 0.5, on_exceed: reject}]\n")
	f.line.asker.Jobs = someJobs{}
	w := &watch{fixture: f, t: t}
	f.line.asker.Meter = w
	g := shapes{rand.New(rand.NewPCG(seed, 10))}
	for range requests {
		spend(t, g, f, limit)
	}
	if got := f.end(t)["acme/app dollars"]; got.Posted+got.Suspense > budget || got.Held != 0 {
		t.Errorf("seed %d: %+v of %d", seed, got, budget)
	}
	return w
}

// FuzzNothingIsFree draws requests from the SDK's own shapes, with all operations
// and headers, and checks three things: the cap reaches the model, what is posted
// stays within the budget, and nothing that was used settles at zero.
func FuzzNothingIsFree(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { spree(t, seed, 100) })
}

// TestNothingIsFree makes sure that the fuzzer's requests are not all refused, of
// whatever operation that is billed.
func TestNothingIsFree(t *testing.T) {
	served, units := map[wire.Operation]int{}, 0
	for seed := range uint64(8) {
		w := spree(t, 1000+seed, 300)
		for op, n := range w.served {
			served[op] += n
		}
		units += w.units
	}
	t.Logf("of 2400 were served %v; %d with a guardrail's units", served, units)
	for op := wire.OpConverse; op <= wire.OpInvokeBidirectional; op++ {
		billed := op != wire.OpInvokeBidirectional && op != wire.OpListAsyncInvokes && op != wire.OpGetAsyncInvoke &&
			op != wire.OpCountTokens
		if billed != (served[op] > 10) {
			t.Errorf("%s was served %d times", op, served[op])
		}
	}
	if units < 10 {
		t.Errorf("a guardrail's units came with %d answers", units)
	}
}
