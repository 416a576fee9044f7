package gateway

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

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
	mu     sync.Mutex // guards the following
	served int
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

func (w *watch) End(s *record.Start, e *record.End, prices *record.PriceBook) (record.Posting, record.Costs, error) {
	p, _ := record.Derive(s, e, prices)
	charged, dollars := int64(0), false
	for _, c := range p.Charges {
		if c.Window.Unit == record.UnitUSD {
			dollars = true
			charged += c.Amount
		}
	}
	used := e.Usage.Input.N + e.Usage.Output.N + e.Usage.CacheRead.N + e.Usage.CacheWrite5m.N + e.Usage.CacheWrite1h.N
	if used > 0 && dollars && charged == 0 && s.Op != wire.OpCountTokens {
		w.t.Errorf("%s of %s used %d tokens and settles at zero", s.Op, s.Model, used)
	}
	w.mu.Lock()
	w.served++
	w.mu.Unlock()
	return w.meter.End(s, e, prices)
}

// spend is one random request, and what it may do. cap is the tenant's.
func spend(t testing.TB, g shapes, f *fixture, limit int64) {
	ids := slices.Sorted(maps.Keys(obeyed))
	ids = append(ids, "oss", "best", profiles+"oss", profiles+"best", profiles+"embed", profiles+"unmapped", "us."+opus,
		"arn:aws:bedrock:us-east-1::foundation-model/"+opus, "liquid.lfm2-8b")
	id := ids[g.IntN(len(ids))]
	ops := []wire.Operation{wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpInvoke,
		wire.OpCountTokens}
	op := ops[g.IntN(len(ops))]
	var text []byte
	var header wire.Header
	switch {
	case op.IsConverse():
		text, _ = json.Marshal(g.object(schemas.ConverseStreamRequest, 0))
	case op == wire.OpCountTokens:
		text, _ = json.Marshal(g.object(schemas.CountTokensRequest, 0))
	default:
		text, _ = json.Marshal(g.document())
		header = g.header(schemas.InvokeModelWithResponseStreamRequest)
	}
	f.reply = func(r *engine.Request) (*engine.Response, error) {
		n := written(r.Op, behind(id), r.Body)
		if n > limit && op != wire.OpCountTokens {
			t.Errorf("%s of %s reached the model with a cap of %d: %s\nfrom %s", op, id, n, r.Body, text)
		}
		tier := r.Header.Get("X-Amzn-Bedrock-Service-Tier")
		if g.IntN(4) == 0 {
			tier = []string{"", "default", "flex"}[g.IntN(3)]
		}
		return used(g, r.Op, tier, int64(len(r.Body))/4+1, n), nil
	}
	readAll(f.post(t, op, id, string(text), header...))
}

// used is an answer that reports a tier and so many tokens.
func used(g shapes, op wire.Operation, tier string, in, out int64) *engine.Response {
	var h wire.Header
	if tier != "" {
		h = wire.Header{{Name: "X-Amzn-Bedrock-Service-Tier", Value: tier}}
	}
	usage, _ := json.Marshal(map[string]any{"inputTokens": in, "outputTokens": out, "cacheWriteInputTokens": g.IntN(2)})
	switch op {
	case wire.OpInvoke:
		res := invoked(in, out)
		res.Header = append(res.Header, h...)
		return res
	case wire.OpInvokeStream:
		metrics, _ := json.Marshal(map[string]any{"inputTokenCount": in, "outputTokenCount": out})
		return streamed(h, `{"amazon-bedrock-invocationMetrics":`+string(metrics)+`}`)
	case wire.OpConverseStream:
		frame := wire.AppendFrame(nil, []wire.Field{{Name: ":message-type", Value: "event"},
			{Name: ":event-type", Value: "metadata"}}, []byte(`{"usage":`+string(usage)+`}`))
		return framed(h, frame)
	}
	return &engine.Response{Status: 200, Header: h, Body: []byte(`{"usage":` + string(usage) + `}`)}
}

// spree is many random requests under a cap and a hard budget.
func spree(t testing.TB, seed uint64, requests int) (served int) {
	const limit, budget = 1000, 500_000_000 // tokens, nano-dollars
	f := capsFixture(t, "output_tokens: {max: 1000}", "budgets: [{period: month, usd: 0.5, on_exceed: reject}]")
	w := &watch{fixture: f, t: t}
	f.line.asker.Meter = w
	g := shapes{rand.New(rand.NewPCG(seed, 10))}
	for range requests {
		spend(t, g, f, limit)
	}
	if got := f.end(t)["acme/app dollars"]; got.Posted+got.Suspense > budget || got.Held != 0 {
		t.Errorf("seed %d: %+v of %d", seed, got, budget)
	}
	return w.served
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

// TestNothingIsFree makes sure that the fuzzer's requests are not all refused.
func TestNothingIsFree(t *testing.T) {
	served := 0
	for seed := range uint64(6) {
		served += spree(t, 1000+seed, 300)
	}
	if served < 300 {
		t.Errorf("%d of 1800 requests were served: the shapes are refused", served)
	}
	t.Logf("%d of 1800 served", served)
}
