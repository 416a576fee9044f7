package wire

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Roles of values in answers.
const (
	gotInput role = iota + 1
	gotInputWithCached
	gotCached        // a share of gotInputWithCached
	gotCachedWritten // another one
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
	gotQueries
	gotTool   // one class of what a tool of the provider did, added up
	gotImages // the whole list
	gotImage
	gotVectors    // all that an embedding is
	gotIterations // the whole list
	gotIterationInput
	gotIterationOutput
	gotIterationCacheRead
	gotIterationCacheWrite
	gotIterationCacheWrite1h
	gotStop
	gotTier
	gotOwnTier // of a model's maker, whose default says nothing of Bedrock's
	gotLatency
	gotInvokedModel
	gotEvent // the type of a server-sent event
	gotGuardrailAction
	gotMessage   // what only an answer has
	gotFailure   // that there is no answer
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
// counts under names that end in Count, with the same numbers.
var converseUsage = join(
	each(gotInput, "inputTokens"),
	each(gotOutput, "outputTokens"),
	each(gotCacheRead, "cacheReadInputTokens"),
	each(gotCacheWrite, "cacheWriteInputTokens"),
	each(gotMetricsCacheRead, "cacheReadInputTokenCount"),
	each(gotMetricsCacheWrite, "cacheWriteInputTokenCount"),
	each(gotCacheDetail, "cacheDetails[]"),
	each(gotDetailTTL, "cacheDetails[].ttl"),
	each(gotDetailTokens, "cacheDetails[].inputTokens"),
)

// converseAnswer serves Converse's answer and the payloads of ConverseStream's
// messageStop and metadata events, whose members have the same names.
var converseAnswer = join(
	converseUsage.at("usage"),
	each(gotMessage, "output", "usage"),
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
	each(gotOwnTier, "service_tier", "speed"),
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
// and those of OpenAI and the families that followed it, of which DeepSeek, Kimi
// and Qwen spell what came from a cache in their own ways.
var modelUsage = join(
	claudeInput,
	iterations,
	each(gotTool, "server_tool_use.*"),
	each(gotInput, "inputTokens"),
	each(gotInputWithCached, "prompt_tokens"),
	each(gotCached, "prompt_tokens_details.cached_tokens", "prompt_cache_hit_tokens", "cached_tokens"),
	each(gotCachedWritten, "prompt_tokens_details.cache_creation_input_tokens",
		"prompt_tokens_details.cache_write_tokens"),
	each(gotOutput, "output_tokens", "outputTokens", "completion_tokens"),
	each(gotCacheRead, "cacheReadInputTokenCount", "cacheReadInputTokens"),
	each(gotCacheWrite, "cacheWriteInputTokenCount", "cacheWriteInputTokens"),
)

// cohereMeta are the members of Cohere's meta object.
var cohereMeta = join(
	each(gotInput, "billed_units.input_tokens"),
	each(gotOutput, "billed_units.output_tokens"),
	each(gotQueries, "billed_units.search_units"),
)

// invokeAnswer serves the InvokeModel answers of all families; no two give the
// same name different meanings.
var invokeAnswer = join(
	modelUsage.at("usage"),
	cohereMeta.at("meta"),
	each(gotImages, "images", "artifacts"), // Nova Canvas, Titan and Stability; the latter's old form
	each(gotImage, "images[]", "artifacts[]"),
	each(gotVectors, "embedding", "embeddings", "embeddingsByType"),
	each(gotInput, "inputTextTokenCount", "inputTokenCount", "prompt_token_count"), // Titan, Nova embeddings, Llama
	each(gotOutputPart, "results[].tokenCount"),
	each(gotOutputSoFar, "generation_token_count"),
	each(gotStop, "stop_reason", "stopReason", "finish_reason", "finishReason", "results[].completionReason",
		"outputs[].stop_reason", "choices[].stop_reason", "choices[].finish_reason", "generations[].finish_reason",
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
	cohereMeta.at("response.meta"), // of the last event of Command R
	modelUsage.at("metadata.usage"),
)

// chatAnswer serves answers and chunks of Chat Completions.
var chatAnswer = join(
	modelUsage.at("usage"),
	each(gotMessage, "usage", "choices[]"),
	each(gotFailure, "error"),
	each(gotStop, "choices[].finish_reason"),
	each(gotTier, "service_tier"),
)

// response is a response of OpenAI's Responses. Its input tokens are those that came from a cache, too.
var response = join(
	each(gotInputWithCached, "usage.input_tokens"),
	each(gotCached, "usage.input_tokens_details.cached_tokens"),
	each(gotCachedWritten, "usage.input_tokens_details.cache_write_tokens"),
	each(gotOutput, "usage.output_tokens"),
	each(gotMessage, "usage", "output[]"),
	each(gotStop, "status", "incomplete_details.reason"),
	each(gotTier, "service_tier"),
)

// message is an answer of Anthropic's own path.
var message = join(invokeAnswer, each(gotMessage, "content[]", "usage"))

var (
	converseAnswerTree = jsonscan.NewTree(converseAnswer)
	invokeAnswerTree   = jsonscan.NewTree(invokeAnswer)
	invokeChunkTree    = jsonscan.NewTree(invokeChunk)
	guardrailTree      = jsonscan.NewTree(join(guardrailUsage.at("usage"), each(gotGuardrailAction, "action")))
	checksTree         = jsonscan.NewTree(checksUsage.at("usage"))
	chatAnswerTree     = jsonscan.NewTree(chatAnswer)
	responseAnswerTree = jsonscan.NewTree(response)
	messageAnswerTree  = jsonscan.NewTree(message)
	messageEventTree   = jsonscan.NewTree(join(invokeChunk, each(gotEvent, "type")))
	responseEventTree  = jsonscan.NewTree(join(each(gotEvent, "type"), response.at("response")))
)

// agentTraceTree is where the trace of an agent has what its models read and wrote, and which they are (service model).
// Each event of it is of one call.
var agentTraceTree = jsonscan.NewTree(join(
	each(gotIterationInput, "trace.*.modelInvocationOutput.metadata.usage.inputTokens"),
	each(gotIterationOutput, "trace.*.modelInvocationOutput.metadata.usage.outputTokens"),
	each(gotInvokedModel, "trace.*.modelInvocationInput.foundationModel"),
))

func answerTreeOf(op Operation) *jsonscan.Tree {
	switch op {
	case OpConverse, OpConverseStream:
		return converseAnswerTree
	case OpChat, OpChatStream:
		return chatAnswerTree
	case OpResponse:
		return responseAnswerTree
	case OpResponseStream:
		return responseEventTree
	case OpMessages:
		return messageAnswerTree
	case OpMessagesStream:
		return messageEventTree
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
	odd        roles // what is there and is no count
	metered    bool  // units of a guardrail are there
	hour       bool  // the entry of cacheDetails being read is for an hour
	stopped    bool
	vectors    bool // it is an embedding
	final      bool // invocationMetrics or the metadata event came
	intervened bool // a guardrail changed or blocked something
	message    bool // what only an answer has is there
	over       bool // no more events of an answer will come
	broken     bool // the text is not JSON
}

// read reads one JSON text. A text that is cut short counts up to the cut.
func (r *usageReader) read(t *jsonscan.Tree, body []byte) {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(t, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		text := body[m.Start:m.End]
		switch what := m.Role; {
		case isPart(what):
			r.readList(m)
		case what >= gotGuardrail:
			r.readUnits(what, m.Kind, text)
		case isWord(what):
			if m.Kind == jsonscan.String {
				r.readWord(what, textOf(text, m.Shrink))
			}
		case m.Kind == jsonscan.Number:
			r.readNumber(what, wholeNumber(text))
		case m.Kind != jsonscan.Null:
			r.odd.add(what)
		}
	}
	if err := w.Err(); err != nil {
		r.broken = err.Fault == jsonscan.BadSyntax || err.Fault == jsonscan.Truncated
		r.message = true // it may be in what was not read
	}
}

// isPart reports whether a role is of what is no count itself, but holds or is a part
// of some.
func isPart(what role) bool {
	return what == gotMetrics || what == gotMessage || what == gotFailure || what == gotCacheDetail ||
		what >= gotImages && what <= gotIterations
}

func isWord(what role) bool {
	return what >= gotStop && what <= gotGuardrailAction || what == gotDetailTTL
}

// readList reads what isPart.
func (r *usageReader) readList(m jsonscan.Match) {
	switch m.Role {
	case gotMetrics:
		r.final = true
	case gotMessage:
		r.message = r.message || m.Kind == jsonscan.BeginObject
	case gotFailure:
		r.over = r.over || given(m)
	case gotCacheDetail:
		r.readDetail(m)
	case gotIterations:
		r.beginIterations(m)
	case gotImages:
		if m.Kind == jsonscan.BeginArray {
			r.counts[gotImages] = Known(0)
		}
	case gotImage:
		if given(m) {
			r.add(gotImages, Known(1))
		}
	case gotVectors:
		r.vectors = r.vectors || given(m)
	}
}

func (r *usageReader) readNumber(what role, n Count) {
	switch {
	case !n.Known:
		r.odd.add(what)
	case what == gotOutputPart:
		r.add(gotOutput, n)
	case what == gotTool, what >= gotIterationInput && what <= gotIterationCacheWrite1h:
		r.add(what, n)
	default:
		r.counts[what] = n
	}
}

// roles is a set of roles.
type roles uint64

func (s *roles) add(r role) { *s |= 1 << r }
func (s *roles) any(some ...role) bool {
	return slices.ContainsFunc(some, func(r role) bool { return *s>>r&1 != 0 })
}

// readUnits adds the units of a guardrail policy. null is none.
func (r *usageReader) readUnits(what role, kind jsonscan.Kind, text []byte) {
	n := wholeNumber(text)
	switch {
	case kind == jsonscan.Number && n.Known:
		r.units[what-gotGuardrail] += n.N
		r.metered = true
	case kind != jsonscan.Null:
		r.odd.add(gotGuardrail)
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
		if word != "" { // which some families write before the end
			r.stop, r.stopped = word, true
		}
	case gotTier:
		r.served(&r.tier, word, isDefaultTier)
	case gotOwnTier:
		if !isDefaultTier(strings.ToLower(word)) {
			r.tier = strings.ToLower(word)
		}
	case gotLatency:
		r.served(&r.latency, word, isDefaultLatency)
	case gotInvokedModel:
		r.model = word
	case gotEvent:
		r.over = r.over || word == "response.completed" || word == "response.incomplete" || word == "response.failed" ||
			word == "error" || word == "message_stop"
	case gotDetailTTL:
		r.hour = word == "1h"
	case gotGuardrailAction:
		r.intervened = word == "INTERVENED" || word == "GUARDRAIL_INTERVENED"
	}
}

// served notes what served. A default does not take the place of anything else:
// it may be of another place, which does not know better.
func (r *usageReader) served(so *string, word string, isDefault func(string) bool) {
	if word = strings.ToLower(word); *so == "" || !isDefault(word) {
		*so = word
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
	cacheWrite := n[gotCacheWrite]
	if all := n[gotInputWithCached]; all.Known && !input.Known {
		input = Known(max(0, all.N-n[gotCached].N-n[gotCachedWritten].N))
		cacheRead = first(cacheRead, n[gotCached])
		cacheWrite = first(cacheWrite, n[gotCachedWritten])
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
		Queries:        first(n[gotQueries], n[gotTool]),
		GuardrailUnits: r.units,
		UnitsKnown:     r.metered,
		ServiceTier:    r.tier,
		Latency:        r.latency,
		InvokedModel:   r.model,
		StopReason:     r.stop,
		Intervened:     r.intervened || r.stop == "guardrail_intervened",
	}
	writes := larger(first(n[gotMetricsCacheWrite], cacheWrite), n[gotIterationCacheWrite])
	u.splitWrites(writes)
	u.Odd = r.odd.any(gotGuardrail, gotTool, gotQueries, gotCacheWrite5m, gotCacheWrite1h, gotDetailTokens,
		gotIterationInput, gotIterationOutput, gotIterationCacheRead, gotIterationCacheWrite, gotIterationCacheWrite1h) ||
		!u.CacheRead.Known && r.odd.any(gotCacheRead, gotCached, gotMetricsCacheRead) ||
		!writes.Known && r.odd.any(gotCacheWrite, gotCachedWritten, gotMetricsCacheWrite)
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
