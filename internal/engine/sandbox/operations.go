package sandbox

import (
	"strconv"

	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// operate makes the answer of the operation and puts its cost into the entry.
func (x *exchange) operate() (*outcome, *failure) {
	c := &x.call
	switch c.op {
	case wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpChat, wire.OpChatStream,
		wire.OpResponse, wire.OpResponseStream, wire.OpMessages, wire.OpMessagesStream:
		return x.askModel()
	case wire.OpCountMessages:
		return &outcome{body: object{"input_tokens": c.inputTokens}}, nil
	case wire.OpGetResponse, wire.OpDeleteResponse, wire.OpCancelResponse:
		return x.s.stored.about(c)
	case wire.OpCountTokens:
		return &outcome{body: object{"inputTokens": c.inputTokens}}, nil
	case wire.OpApplyGuardrail:
		return x.applyGuardrail()
	case wire.OpInvokeGuardrailChecks:
		return x.checkGuardrails()
	case wire.OpStartAsyncInvoke:
		return x.s.jobs.start(c)
	case wire.OpGetAsyncInvoke:
		return x.s.jobs.get(c.target.Resource)
	case wire.OpListAsyncInvokes:
		return x.s.jobs.list(c.target.Query)
	}
	return nil, invalid("The sandbox does not serve this operation, which needs HTTP/2.")
}

func (x *exchange) askModel() (*outcome, *failure) {
	c := &x.call
	if c.op == wire.OpInvokeStream && c.family.chunks == nil {
		return nil, invalid("The model is unsupported for streaming.")
	}
	r := newReply(c, &x.rule.Answer, x.s.opts.Seed)
	if problem := x.s.cached(c, r); problem != nil {
		return nil, problem
	}
	r.latency = max(1, x.s.opts.Now().Sub(c.start).Milliseconds())
	r.bill(&x.entry)
	switch c.op {
	case wire.OpChat, wire.OpChatStream, wire.OpResponse, wire.OpResponseStream:
		return x.askOpenAI(r)
	case wire.OpMessages:
		return &outcome{body: anthropicBody(c, r)}, nil
	case wire.OpMessagesStream:
		return &outcome{events: messageEvents(r)}, nil
	case wire.OpConverse:
		return &outcome{body: converseBody(c, r)}, nil
	case wire.OpConverseStream:
		return &outcome{events: converseEvents(c, r)}, nil
	case wire.OpInvoke:
		return &outcome{body: c.family.body(c, r), header: invokeHeader(c, r)}, nil
	}
	h := echoHeader(c)
	h["X-Amzn-Bedrock-Content-Type"] = "application/json"
	return &outcome{events: invokeEvents(c, r), header: h}, nil
}

// cached takes what a model's prompt cache has from the input of the call, unless a script
// says what is cached. The caches' minimums are those of the gateway's catalogue.
func (s *Server) cached(c *call, r *reply) *failure {
	blocks, points := c.blocks()
	if !points || r.cacheRead+r.write5m+r.write1h > 0 {
		return nil
	}
	foundation := wire.ParseModelID(c.model).Foundation
	for _, m := range s.models() {
		if m.Cache == nil || !glob.CompileList(m.IDs).Match(foundation) {
			continue
		}
		use, err := s.prompts.Ask(c.model+" "+c.region, m.Cache.Minimum, blocks, c.start)
		if err != nil {
			return invalid("The model returned the following errors: " + err.Error())
		}
		r.cacheRead, r.write5m, r.write1h = use.Read, use.Write5m, use.Write1h
		r.input = max(0, r.input-use.Read-use.Write5m-use.Write1h)
	}
	return nil
}

// invokeHeader is how InvokeModel reports usage in every family.
func invokeHeader(c *call, r *reply) map[string]string {
	h := echoHeader(c)
	h["X-Amzn-Bedrock-Invocation-Latency"] = strconv.FormatInt(r.latency, 10)
	count := func(class string, n int64) { h["X-Amzn-Bedrock-"+class+"-Token-Count"] = strconv.FormatInt(n, 10) }
	if c.family.noTokens {
		return h
	}
	count("Input", r.input)
	if !c.family.noOutput {
		count("Output", r.output)
	}
	if writes := r.write5m + r.write1h; r.cacheRead+writes > 0 {
		count("Cache-Read-Input", r.cacheRead)
		count("Cache-Write-Input", writes)
	}
	return h
}

// echoHeader repeats the tier and the latency class that were asked for.
func echoHeader(c *call) map[string]string {
	h := map[string]string{}
	for _, name := range []string{"X-Amzn-Bedrock-Service-Tier", "X-Amzn-Bedrock-Performanceconfig-Latency"} {
		if v := c.header.Get(name); v != "" {
			h[name] = v
		}
	}
	return h
}

// applyGuardrail bills the content policy only. A rule with the stop reason
// guardrail_intervened makes it intervene, with the rule's text as output.
func (x *exchange) applyGuardrail() (*outcome, *failure) {
	if source := x.call.body["source"]; source != "INPUT" && source != "OUTPUT" {
		return nil, invalid("source must be INPUT or OUTPUT.")
	}
	units := textUnits(object{"content": x.call.body["content"]})
	x.entry.GuardrailUnits = units
	body := object{"usage": policyUsage(units), "action": "NONE", "actionReason": "No action.", "outputs": []any{},
		"assessments": []any{}}
	if x.rule.Answer.StopReason == "guardrail_intervened" {
		body["action"], body["actionReason"] = "GUARDRAIL_INTERVENED", "Guardrail blocked."
		body["outputs"] = []any{object{"text": x.rule.Answer.Text}}
	}
	return &outcome{body: body}, nil
}

func (x *exchange) checkGuardrails() (*outcome, *failure) {
	checks, _ := x.call.body["checks"].(object)
	if len(checks) == 0 {
		return nil, invalid("checks must hold at least one check.")
	}
	units := textUnits(object{"messages": x.call.body["messages"]})
	results, usage := object{}, object{}
	for name := range checks {
		results[name], usage[name] = object{"results": []any{}}, object{"textUnits": units}
		x.entry.GuardrailUnits += units
	}
	return &outcome{body: object{"results": results, "usage": usage}}, nil
}
