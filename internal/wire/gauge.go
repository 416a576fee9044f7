package wire

import "github.com/sluice-gateway/sluice/internal/wire/jsonscan"

// Roles of values in answers.
const (
	gotInput role = iota + 1
	gotInputWithCached
	gotCached // a share of gotInputWithCached
	gotOutput
	gotOutputSoFar // counts only when the model has stopped
	gotOutputPart  // one of several results, added up
	gotCacheRead
	gotCacheWrite
	gotCacheWrite5m
	gotCacheWrite1h
	gotCacheDetail
	gotDetailTTL
	gotDetailTokens
	gotMetrics // the whole invocationMetrics object
	gotMetricsInput
	gotMetricsOutput
	gotMetricsCacheRead
	gotMetricsCacheWrite
	gotStop
	gotTier
	gotInvokedModel
	gotGuardrailAction
	gotGuardrail // gotGuardrail + policy
)

// guardrailUsage are the members of GuardrailUsage (service model).
var guardrailUsage = rules{
	{Path: "contentPolicyUnits", Role: gotGuardrail + GuardrailContent},
	{Path: "topicPolicyUnits", Role: gotGuardrail + GuardrailTopic},
	{Path: "wordPolicyUnits", Role: gotGuardrail + GuardrailWord},
	{Path: "sensitiveInformationPolicyUnits", Role: gotGuardrail + GuardrailSensitive},
	{Path: "sensitiveInformationPolicyFreeUnits", Role: gotGuardrail + GuardrailSensitiveFree},
	{Path: "contextualGroundingPolicyUnits", Role: gotGuardrail + GuardrailGrounding},
	{Path: "contentPolicyImageUnits", Role: gotGuardrail + GuardrailContentImage},
	{Path: "automatedReasoningPolicyUnits", Role: gotGuardrail + GuardrailAutomatedReasoning},
}

// checksUsage are the members of GuardrailChecksUsageResults (service model). A
// check for attacks on the prompt is part of the content policy.
var checksUsage = rules{
	{Path: "contentFilter.textUnits", Role: gotGuardrail + GuardrailContent},
	{Path: "promptAttack.textUnits", Role: gotGuardrail + GuardrailContent},
	{Path: "sensitiveInformation.textUnits", Role: gotGuardrail + GuardrailSensitive},
}

// converseUsage are the members of TokenUsage. Real answers repeat the cache
// counts under names that end in Count; only one pair is read.
var converseUsage = rules{
	{Path: "inputTokens", Role: gotInput},
	{Path: "outputTokens", Role: gotOutput},
	{Path: "cacheReadInputTokens", Role: gotCacheRead},
	{Path: "cacheWriteInputTokens", Role: gotCacheWrite},
	{Path: "cacheDetails[]", Role: gotCacheDetail},
	{Path: "cacheDetails[].ttl", Role: gotDetailTTL},
	{Path: "cacheDetails[].inputTokens", Role: gotDetailTokens},
}

// converseAnswer serves Converse's answer and the payloads of ConverseStream's
// messageStop and metadata events, whose members have the same names.
var converseAnswer = join(
	converseUsage.at("usage"),
	rules{
		{Path: "stopReason", Role: gotStop},
		{Path: "serviceTier.type", Role: gotTier},
		{Path: "trace.promptRouter.invokedModelId", Role: gotInvokedModel},
	},
	guardrailUsage.at("trace.guardrail.inputAssessment.*.invocationMetrics.usage"),
	guardrailUsage.at("trace.guardrail.outputAssessments.*[].invocationMetrics.usage"),
)

// modelUsage are the members of every family's usage object.
var modelUsage = rules{
	{Path: "inputTokens", Role: gotInput}, // Nova
	{Path: "outputTokens", Role: gotOutput},
	{Path: "cacheReadInputTokenCount", Role: gotCacheRead},
	{Path: "cacheWriteInputTokenCount", Role: gotCacheWrite},
	{Path: "input_tokens", Role: gotInput}, // Claude
	{Path: "output_tokens", Role: gotOutput},
	{Path: "cache_read_input_tokens", Role: gotCacheRead},
	{Path: "cache_creation_input_tokens", Role: gotCacheWrite},
	{Path: "cache_creation.ephemeral_5m_input_tokens", Role: gotCacheWrite5m},
	{Path: "cache_creation.ephemeral_1h_input_tokens", Role: gotCacheWrite1h},
	{Path: "prompt_tokens", Role: gotInputWithCached}, // OpenAI and followers
	{Path: "prompt_tokens_details.cached_tokens", Role: gotCached},
	{Path: "completion_tokens", Role: gotOutput},
}

// invokeAnswer serves the InvokeModel answers of all families; no two give the
// same name different meanings.
var invokeAnswer = join(
	modelUsage.at("usage"),
	rules{
		{Path: "inputTextTokenCount", Role: gotInput}, // Titan
		{Path: "results[].tokenCount", Role: gotOutputPart},
		{Path: "results[].completionReason", Role: gotStop},
		{Path: "inputTokenCount", Role: gotInput},    // Nova embeddings
		{Path: "prompt_token_count", Role: gotInput}, // Llama
		{Path: "generation_token_count", Role: gotOutputSoFar},
		{Path: "stop_reason", Role: gotStop},
		{Path: "stopReason", Role: gotStop},
		{Path: "finish_reason", Role: gotStop},
		{Path: "outputs[].stop_reason", Role: gotStop},
		{Path: "choices[].stop_reason", Role: gotStop},
		{Path: "choices[].finish_reason", Role: gotStop},
		{Path: "generations[].finish_reason", Role: gotStop},
		{Path: "completions[].finishReason.reason", Role: gotStop},
		{Path: "service_tier", Role: gotTier},
	},
	guardrailUsage.at("amazon-bedrock-trace.guardrail.input.*.invocationMetrics.usage"),
	guardrailUsage.at("amazon-bedrock-trace.guardrail.outputs[].*.invocationMetrics.usage"),
)

// invokeChunk serves the decoded chunks of InvokeModelWithResponseStream.
var invokeChunk = join(invokeAnswer, rules{
	{Path: "amazon-bedrock-invocationMetrics", Role: gotMetrics},
	{Path: "amazon-bedrock-invocationMetrics.inputTokenCount", Role: gotMetricsInput},
	{Path: "amazon-bedrock-invocationMetrics.outputTokenCount", Role: gotMetricsOutput},
	{Path: "amazon-bedrock-invocationMetrics.cacheReadInputTokenCount", Role: gotMetricsCacheRead},
	{Path: "amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount", Role: gotMetricsCacheWrite},
	{Path: "amazon-bedrock-guardrailAction", Role: gotGuardrailAction},
	{Path: "totalOutputTextTokenCount", Role: gotOutput}, // Titan
	{Path: "completionReason", Role: gotStop},
	{Path: "delta.stop_reason", Role: gotStop},      // Claude
	{Path: "messageStop.stopReason", Role: gotStop}, // Nova
	{Path: "message.usage.input_tokens", Role: gotInput},
	{Path: "message.usage.cache_read_input_tokens", Role: gotCacheRead},
	{Path: "message.usage.cache_creation_input_tokens", Role: gotCacheWrite},
	{Path: "message.usage.cache_creation.ephemeral_5m_input_tokens", Role: gotCacheWrite5m},
	{Path: "message.usage.cache_creation.ephemeral_1h_input_tokens", Role: gotCacheWrite1h},
}, modelUsage.at("metadata.usage"))

var (
	converseAnswerTree = jsonscan.NewTree(converseAnswer)
	invokeAnswerTree   = jsonscan.NewTree(invokeAnswer)
	invokeChunkTree    = jsonscan.NewTree(invokeChunk)
	guardrailTree      = jsonscan.NewTree(guardrailUsage.at("usage"))
	checksTree         = jsonscan.NewTree(checksUsage.at("usage"))
)

func answerTreeOf(op Operation) *jsonscan.Tree {
	switch op {
	case OpConverse, OpConverseStream:
		return converseAnswerTree
	case OpApplyGuardrail:
		return guardrailTree
	case OpInvokeGuardrailChecks:
		return checksTree
	}
	return invokeAnswerTree
}

// usageReader gathers what one answer reports in its several places.
type usageReader struct {
	answer       Usage // from the family's own members
	answerWrite  Count // all cache writes, whatever their lifetime
	metrics      Usage // from headers or invocationMetrics, which win
	metricsWrite Count
	withCached   Count
	cached       Count
	soFar        Count
	stopped      bool
	final        bool
	intervened   bool // a guardrail changed or blocked something
	detail       struct {
		hour   bool
		tokens Count
	}
}

// read takes in one JSON text. A text that is broken off gives what it gave
// until there.
func (g *usageReader) read(t *jsonscan.Tree, body []byte) {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(t, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		text := body[m.Start:m.End]
		switch {
		case m.Role == gotMetrics:
			g.final = true
		case m.Role == gotCacheDetail:
			g.takeDetail(m)
		case m.Kind == jsonscan.Number:
			if n := wholeNumber(text); n.Known {
				g.takeNumber(m.Role, n)
			}
		case m.Kind == jsonscan.String:
			g.takeWord(m.Role, textOf(text, m.Shrink))
		}
	}
}

func (g *usageReader) takeNumber(r role, n Count) {
	if r >= gotGuardrail {
		g.answer.GuardrailUnits[r-gotGuardrail] += n.N
		return
	}
	switch r {
	case gotInput:
		g.answer.Input = n
	case gotInputWithCached:
		g.withCached = n
	case gotCached:
		g.cached = n
	case gotOutput:
		g.answer.Output = n
	case gotOutputSoFar:
		g.soFar = n
	case gotOutputPart:
		g.answer.Output = Known(g.answer.Output.N + n.N)
	case gotCacheRead:
		g.answer.CacheRead = n
	case gotCacheWrite:
		g.answerWrite = n
	case gotCacheWrite5m:
		g.answer.CacheWrite5m = n
	case gotCacheWrite1h:
		g.answer.CacheWrite1h = n
	case gotDetailTokens:
		g.detail.tokens = n
	case gotMetricsInput:
		g.metrics.Input = n
	case gotMetricsOutput:
		g.metrics.Output = n
	case gotMetricsCacheRead:
		g.metrics.CacheRead = n
	case gotMetricsCacheWrite:
		g.metricsWrite = n
	}
}

func (g *usageReader) takeWord(r role, word string) {
	switch r {
	case gotStop:
		g.answer.StopReason, g.stopped = word, true
	case gotTier:
		g.answer.ServiceTier = word
	case gotInvokedModel:
		g.answer.InvokedModel = word
	case gotDetailTTL:
		g.detail.hour = word == "1h"
	case gotGuardrailAction:
		g.intervened = word == "INTERVENED"
	}
}

// takeDetail begins or ends one entry of cacheDetails.
func (g *usageReader) takeDetail(m jsonscan.Match) {
	if m.Kind == jsonscan.EndObject && g.detail.tokens.Known {
		to := &g.answer.CacheWrite5m
		if g.detail.hour {
			to = &g.answer.CacheWrite1h
		}
		*to = Known(to.N + g.detail.tokens.N)
	}
	g.detail.hour, g.detail.tokens = false, Count{}
}

// usage joins what was gathered: the metrics win over the family's members.
func (g *usageReader) usage() Usage {
	u := g.answer
	if g.withCached.Known && !u.Input.Known {
		u.Input = Known(max(0, g.withCached.N-g.cached.N))
		u.CacheRead = first(u.CacheRead, g.cached)
	}
	if g.stopped {
		u.Output = first(u.Output, g.soFar)
	}
	u.Input = first(g.metrics.Input, u.Input)
	u.Output = first(g.metrics.Output, u.Output)
	u.CacheRead = first(g.metrics.CacheRead, u.CacheRead)
	return splitWrites(u, first(g.metricsWrite, g.answerWrite))
}

// splitWrites makes the two lifetimes add up to all writes: what no lifetime is
// named for counts as five minutes, which is the default.
func splitWrites(u Usage, all Count) Usage {
	if !all.Known {
		return u
	}
	if u.CacheWrite1h.N > all.N {
		u.CacheWrite1h = all
	}
	u.CacheWrite5m = Known(all.N - u.CacheWrite1h.N)
	return u
}

func first(a, b Count) Count {
	if a.Known {
		return a
	}
	return b
}
