package wire

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

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
	gotIterations // the whole list
	gotIterationInput
	gotIterationOutput
	gotIterationCacheRead
	gotIterationCacheWrite
	gotIterationCacheWrite1h
	gotStop
	gotTier
	gotLatency
	gotInvokedModel
	gotGuardrailAction
	gotGuardrail // gotGuardrail + policy
)

// guardrailUsage are the members of GuardrailUsage (service model).
var guardrailUsage = join(
	each(gotGuardrail+GuardrailContent, "contentPolicyUnits"),
	each(gotGuardrail+GuardrailTopic, "topicPolicyUnits"),
	each(gotGuardrail+GuardrailWord, "wordPolicyUnits"),
	each(gotGuardrail+GuardrailSensitive, "sensitiveInformationPolicyUnits"),
	each(gotGuardrail+GuardrailSensitiveFree, "sensitiveInformationPolicyFreeUnits"),
	each(gotGuardrail+GuardrailGrounding, "contextualGroundingPolicyUnits"),
	each(gotGuardrail+GuardrailContentImage, "contentPolicyImageUnits"),
	each(gotGuardrail+GuardrailAutomatedReasoning, "automatedReasoningPolicyUnits"),
)

// checksUsage are the members of GuardrailChecksUsageResults (service model). A
// check for attacks on the prompt is part of the content policy.
var checksUsage = join(
	each(gotGuardrail+GuardrailContent, "contentFilter.textUnits", "promptAttack.textUnits"),
	each(gotGuardrail+GuardrailSensitive, "sensitiveInformation.textUnits"),
)

// converseUsage are the members of TokenUsage. Real answers repeat the cache
// counts under names that end in Count; only one pair is read.
var converseUsage = join(
	each(gotInput, "inputTokens"),
	each(gotOutput, "outputTokens"),
	each(gotCacheRead, "cacheReadInputTokens"),
	each(gotCacheWrite, "cacheWriteInputTokens"),
	each(gotCacheDetail, "cacheDetails[]"),
	each(gotDetailTTL, "cacheDetails[].ttl"),
	each(gotDetailTokens, "cacheDetails[].inputTokens"),
)

// converseAnswer serves Converse's answer and the payloads of ConverseStream's
// messageStop and metadata events, whose members have the same names.
var converseAnswer = join(
	converseUsage.at("usage"),
	each(gotStop, "stopReason"),
	each(gotTier, "serviceTier.type"),
	each(gotLatency, "performanceConfig.latency"),
	each(gotInvokedModel, "trace.promptRouter.invokedModelId"),
	guardrailUsage.at("trace.guardrail.inputAssessment.*.invocationMetrics.usage"),
	guardrailUsage.at("trace.guardrail.outputAssessments.*[].invocationMetrics.usage"),
)

// claudeInput are the members of Claude's usage object that are known before
// the model writes.
var claudeInput = join(
	each(gotInput, "input_tokens"),
	each(gotCacheRead, "cache_read_input_tokens"),
	each(gotCacheWrite, "cache_creation_input_tokens"),
	each(gotCacheWrite5m, "cache_creation.ephemeral_5m_input_tokens"),
	each(gotCacheWrite1h, "cache_creation.ephemeral_1h_input_tokens"),
)

// iterations are the runs of which one answer of Claude is made, such as a summary
// of the context before it. The members beside the list may leave some of them out.
var iterations = join(
	each(gotIterations, "iterations"),
	each(gotIterationInput, "iterations[].input_tokens"),
	each(gotIterationOutput, "iterations[].output_tokens"),
	each(gotIterationCacheRead, "iterations[].cache_read_input_tokens"),
	each(gotIterationCacheWrite, "iterations[].cache_creation_input_tokens"),
	each(gotIterationCacheWrite1h, "iterations[].cache_creation.ephemeral_1h_input_tokens"),
)

// modelUsage are the members of every family's usage object: Claude's, Nova's,
// and those of OpenAI and the families that followed it.
var modelUsage = join(
	claudeInput,
	iterations,
	each(gotInput, "inputTokens"),
	each(gotInputWithCached, "prompt_tokens"),
	each(gotCached, "prompt_tokens_details.cached_tokens"),
	each(gotOutput, "output_tokens", "outputTokens", "completion_tokens"),
	each(gotCacheRead, "cacheReadInputTokenCount"),
	each(gotCacheWrite, "cacheWriteInputTokenCount"),
)

// invokeAnswer serves the InvokeModel answers of all families; no two give the
// same name different meanings.
var invokeAnswer = join(
	modelUsage.at("usage"),
	each(gotInput, "inputTextTokenCount", "inputTokenCount", "prompt_token_count"), // Titan, Nova embeddings, Llama
	each(gotOutputPart, "results[].tokenCount"),
	each(gotOutputSoFar, "generation_token_count"),
	each(gotStop, "stop_reason", "stopReason", "finish_reason", "results[].completionReason", "outputs[].stop_reason",
		"choices[].stop_reason", "choices[].finish_reason", "generations[].finish_reason",
		"completions[].finishReason.reason"),
	each(gotTier, "service_tier"),
	guardrailUsage.at("amazon-bedrock-trace.guardrail.input.*.invocationMetrics.usage"),
	guardrailUsage.at("amazon-bedrock-trace.guardrail.outputs[].*.invocationMetrics.usage"),
)

// invokeChunk serves the decoded chunks of InvokeModelWithResponseStream.
var invokeChunk = join(
	invokeAnswer,
	each(gotMetrics, "amazon-bedrock-invocationMetrics"),
	each(gotMetricsInput, "amazon-bedrock-invocationMetrics.inputTokenCount"),
	each(gotMetricsOutput, "amazon-bedrock-invocationMetrics.outputTokenCount"),
	each(gotMetricsCacheRead, "amazon-bedrock-invocationMetrics.cacheReadInputTokenCount"),
	each(gotMetricsCacheWrite, "amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount"),
	each(gotGuardrailAction, "amazon-bedrock-guardrailAction"),
	each(gotOutput, "totalOutputTextTokenCount"),                                     // Titan
	each(gotStop, "completionReason", "delta.stop_reason", "messageStop.stopReason"), // Titan, Claude, Nova
	claudeInput.at("message.usage"),
	iterations.at("message.usage"),
	modelUsage.at("metadata.usage"),
)

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

// usageReader collects what one answer reports in its several places. The zero
// value has read nothing.
type usageReader struct {
	counts     [gotGuardrail]Count // by role, as reported last
	units      [GuardrailPolicies]int64
	stop       string
	tier       string
	model      string
	latency    string
	odd        bool // a number of units is there and is no number of units
	metered    bool // units of a guardrail are there
	hour       bool // the entry of cacheDetails being read is for an hour
	stopped    bool
	final      bool // invocationMetrics or the metadata event came
	intervened bool // a guardrail changed or blocked something
}

// read reads one JSON text. A text that is cut short counts up to the cut.
func (r *usageReader) read(t *jsonscan.Tree, body []byte) {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(t, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		text := body[m.Start:m.End]
		switch {
		case m.Role == gotMetrics:
			r.final = true
		case m.Role == gotCacheDetail:
			r.readDetail(m)
		case m.Role == gotIterations:
			r.beginIterations(m)
		case m.Role >= gotGuardrail:
			r.readUnits(m.Role, m.Kind, text)
		case m.Kind == jsonscan.Number:
			r.readNumber(m.Role, wholeNumber(text))
		case m.Kind == jsonscan.String:
			r.readWord(m.Role, textOf(text, m.Shrink))
		}
	}
}

func (r *usageReader) readNumber(what role, n Count) {
	switch {
	case !n.Known:
	case what == gotOutputPart:
		r.add(gotOutput, n)
	case what >= gotIterationInput && what <= gotIterationCacheWrite1h:
		r.add(what, n)
	default:
		r.counts[what] = n
	}
}

// readUnits adds the units of a guardrail policy. null is none.
func (r *usageReader) readUnits(what role, kind jsonscan.Kind, text []byte) {
	n := wholeNumber(text)
	switch {
	case kind == jsonscan.Number && n.Known:
		r.units[what-gotGuardrail] += n.N
		r.metered = true
	case kind != jsonscan.Null:
		r.odd = true
	}
}

// beginIterations forgets an earlier list: each report of a stream has all of it.
func (r *usageReader) beginIterations(m jsonscan.Match) {
	if m.Kind != jsonscan.BeginArray {
		return
	}
	for what := gotIterationInput; what <= gotIterationCacheWrite1h; what++ {
		r.counts[what] = Count{}
	}
}

func (r *usageReader) add(what role, n Count) { r.counts[what] = Known(r.counts[what].N + n.N) }

func (r *usageReader) readWord(what role, word string) {
	switch what {
	case gotStop:
		r.stop, r.stopped = word, true
	case gotTier:
		r.tier = word
	case gotLatency:
		r.latency = word
	case gotInvokedModel:
		r.model = word
	case gotDetailTTL:
		r.hour = word == "1h"
	case gotGuardrailAction:
		r.intervened = word == "INTERVENED"
	}
}

// readDetail begins or ends one entry of cacheDetails.
func (r *usageReader) readDetail(m jsonscan.Match) {
	if tokens := r.counts[gotDetailTokens]; m.Kind == jsonscan.EndObject && tokens.Known {
		if r.hour {
			r.add(gotCacheWrite1h, tokens)
		} else {
			r.add(gotCacheWrite5m, tokens)
		}
	}
	r.hour, r.counts[gotDetailTokens] = false, Count{}
}

// noTokens notes that no model ran, so that no tokens are billed.
func (r *usageReader) noTokens() { r.counts[gotInput], r.counts[gotOutput] = Known(0), Known(0) }

// usage joins what was read. The metrics, from headers or invocationMetrics, win
// over the family's own members.
func (r *usageReader) usage() Usage {
	n := &r.counts
	input, output, cacheRead := n[gotInput], n[gotOutput], n[gotCacheRead]
	if all := n[gotInputWithCached]; all.Known && !input.Known {
		input = Known(max(0, all.N-n[gotCached].N))
		cacheRead = first(cacheRead, n[gotCached])
	}
	if r.stopped {
		output = first(output, n[gotOutputSoFar])
	}
	u := Usage{
		Input:          larger(first(n[gotMetricsInput], input), n[gotIterationInput]),
		Output:         larger(first(n[gotMetricsOutput], output), n[gotIterationOutput]),
		CacheRead:      larger(first(n[gotMetricsCacheRead], cacheRead), n[gotIterationCacheRead]),
		CacheWrite5m:   n[gotCacheWrite5m],
		CacheWrite1h:   larger(n[gotCacheWrite1h], n[gotIterationCacheWrite1h]),
		GuardrailUnits: r.units,
		ServiceTier:    strings.ToLower(r.tier),
		Latency:        strings.ToLower(r.latency),
		InvokedModel:   r.model,
		StopReason:     r.stop,
	}
	u.splitWrites(larger(first(n[gotMetricsCacheWrite], n[gotCacheWrite]), n[gotIterationCacheWrite]))
	return u
}

// larger is the larger of two reports of one class. Which of them leaves something
// out differs from place to place; none counts anything twice.
func larger(a, b Count) Count {
	if !a.Known || b.Known && b.N > a.N {
		return b
	}
	return a
}

// splitWrites makes the two lifetimes add up to all writes: what no lifetime is
// named for counts as five minutes, which is the default.
func (u *Usage) splitWrites(all Count) {
	if !all.Known {
		return
	}
	if u.CacheWrite1h.N > all.N {
		u.CacheWrite1h = all
	}
	u.CacheWrite5m = Known(all.N - u.CacheWrite1h.N)
}

func first(a, b Count) Count {
	if a.Known {
		return a
	}
	return b
}
