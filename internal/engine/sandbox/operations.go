package sandbox

import (
	"encoding/base64"
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
	case wire.OpRetrieve, wire.OpRetrieveAndGenerate, wire.OpRetrieveAndGenerateStream, wire.OpRerank, wire.OpInvokeAgent:
		return x.askAgents()
	}
	return nil, invalid("The sandbox does not serve this operation, which needs HTTP/2.")
}

func (x *exchange) askModel() (*outcome, *failure) {
	c := &x.call
	if c.op == wire.OpInvokeStream && c.family.chunks == nil {
		return nil, invalid("The model is unsupported for streaming.")
	}
	r := newReply(c, &x.rule.Answer, &x.s.opts)
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

// askAgents answers for the host bedrock-agent-runtime: one passage is found, the last document ranks first, and an
// agent asks Nova Lite once.
func (x *exchange) askAgents() (*outcome, *failure) {
	c := &x.call
	r := newReply(c, &x.rule.Answer, &x.s.opts)
	session := map[string]string{"X-Amzn-Bedrock-Knowledge-Base-Session-Id": c.id}
	switch c.op {
	case wire.OpRetrieve:
		found := object{"content": object{"type": "TEXT", "text": r.text}, "score": 0.5}
		return &outcome{body: object{"retrievalResults": []any{found}}}, nil
	case wire.OpRerank:
		return rank(c)
	case wire.OpRetrieveAndGenerate:
		r.bill(&x.entry)
		return &outcome{body: object{"sessionId": c.id, "output": object{"text": r.text}, "citations": []any{}}}, nil
	case wire.OpRetrieveAndGenerateStream:
		r.bill(&x.entry)
		return &outcome{events: []event{{kind: "output", payload: object{"text": r.text}, usage: true}}, header: session}, nil
	}
	r.bill(&x.entry)
	return &outcome{events: agentEvents(c, r), header: map[string]string{
		"X-Amzn-Bedrock-Agent-Content-Type": "application/json", "X-Amz-Bedrock-Agent-Session-Id": c.target.Session,
	}}, nil
}

// rank puts the documents into the opposite order.
func rank(c *call) (*outcome, *failure) {
	sources, _ := c.body["sources"].([]any)
	if len(sources) == 0 {
		return nil, invalid("sources must hold at least one document.")
	}
	results := []any{}
	for i := range sources {
		at := len(sources) - 1 - i
		results = append(results, object{"index": at, "relevanceScore": float64(at+1) / float64(len(sources))})
	}
	return &outcome{body: object{"results": results}}, nil
}

// agentEvents are an agent's answer, with its trace where that is asked for.
func agentEvents(c *call, r *reply) []event {
	var events []event
	if c.body["enableTrace"] == true {
		trace := func(part string, is object) event {
			return event{kind: "trace", payload: object{"agentId": c.target.Resource, "agentAliasId": c.target.Version,
				"sessionId": c.target.Session, "trace": object{"orchestrationTrace": object{part: is}}}}
		}
		usage := object{"inputTokens": r.input, "outputTokens": r.output}
		events = append(events, trace("modelInvocationInput", object{"foundationModel": "amazon.nova-lite-v1:0"}),
			trace("modelInvocationOutput", object{"metadata": object{"usage": usage}}))
	}
	text := base64.StdEncoding.EncodeToString([]byte(r.text))
	return append(events, event{kind: "chunk", payload: object{"bytes": text}, text: len(r.text), usage: true})
}
