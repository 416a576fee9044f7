package sandbox

import (
	"fmt"
	"strings"
)

// family is how one family of models spells its InvokeModel answers. Source:
// Bedrock user guide, "Inference request parameters and response fields", and
// recorded answers.
type family struct {
	name string
	ids  []string // beginnings of foundation ids
	// need is a member that the body must have to be of this row; "" is none.
	need string
	// mark is a member that gives the family away when the id does not.
	mark string
	// caps are the members that may hold an output cap.
	caps      []string
	capNeeded bool
	copies    string // the member that asks for several answers
	// namesModel is whether a model member of the body must be the path's.
	namesModel bool
	// noTokens is for families that report no tokens at all, noOutput for those
	// that have no output tokens.
	noTokens, noOutput bool
	stops              map[string]string // Converse's stop reasons in the family's words
	body               func(*call, *reply) object
	chunks             func(*reply) []event // nil: the family does not stream
}

// families are searched in order. The last row is for all that is not known.
var families = []*family{
	{name: "anthropic-text", ids: []string{"anthropic."}, need: "max_tokens_to_sample",
		caps: []string{"max_tokens_to_sample"},
		body: anthropicTextBody, chunks: anthropicTextChunks, stops: map[string]string{"end_turn": "stop_sequence"}},
	{name: "anthropic", ids: []string{"anthropic."}, mark: "anthropic_version", caps: []string{"max_tokens"},
		capNeeded: true,
		body:      anthropicBody, chunks: anthropicChunks},
	{name: "nova-embed", ids: []string{"amazon.nova-2-multimodal-embeddings"}, mark: "singleEmbeddingParams",
		noOutput: true, body: novaEmbedBody},
	{name: "nova", ids: []string{"amazon.nova-"}, mark: "schemaVersion",
		caps: []string{"inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens"},
		body: converseBody, chunks: novaChunks},
	{name: "titan-embed", ids: []string{"amazon.titan-embed-"}, mark: "embeddingConfig", noOutput: true,
		body: titanEmbedBody},
	{name: "titan", ids: []string{"amazon.titan-"}, mark: "inputText",
		caps: []string{"textGenerationConfig.maxTokenCount"},
		body: titanBody, chunks: titanChunks, stops: upperStops("FINISH", "LENGTH")},
	{name: "llama", ids: []string{"meta.llama"}, mark: "max_gen_len", caps: []string{"max_gen_len"}, body: llamaBody,
		chunks: llamaChunks, stops: chatStops},
	{name: "mistral-text", ids: []string{"mistral."}, need: "prompt", caps: []string{"max_tokens"}, body: mistralBody,
		chunks: mistralChunks, stops: chatStops},
	{name: "cohere-embed", ids: []string{"cohere.embed-"}, mark: "texts", noOutput: true, body: cohereEmbedBody},
	{name: "rerank", ids: []string{"cohere.rerank-", "amazon.rerank-"}, mark: "query", noTokens: true, body: rerankBody},
	{name: "cohere-chat", ids: []string{"cohere.command-r"}, mark: "message", caps: []string{"max_tokens"},
		body: cohereChatBody, chunks: cohereChatChunks, stops: upperStops("COMPLETE", "MAX_TOKENS")},
	{name: "cohere", ids: []string{"cohere.command-"}, mark: "num_generations", caps: []string{"max_tokens"},
		copies: "num_generations",
		body:   cohereBody, chunks: cohereChunks, stops: upperStops("COMPLETE", "MAX_TOKENS")},
	{name: "j2", ids: []string{"ai21.j2-"}, mark: "numResults", caps: []string{"maxTokens"}, copies: "numResults",
		body: j2Body, stops: map[string]string{"end_turn": "endoftext", "max_tokens": "length"}},
	{name: "deepseek-r1", ids: []string{"deepseek.r1"}, need: "prompt", caps: []string{"max_tokens"}, body: completionBody,
		chunks: completionChunks, stops: chatStops},
	{name: "openai", ids: []string{"openai."}, caps: []string{"max_tokens", "max_completion_tokens"}, copies: "n",
		namesModel: true, body: chatBody, chunks: chatChunks, stops: chatStops},
	{name: "openai-like", ids: []string{""}, caps: []string{"max_tokens", "max_completion_tokens"}, copies: "n",
		body: chatBody, chunks: chatChunks, stops: chatStops},
}

var chatStops = map[string]string{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length",
	"tool_use": "tool_calls", "content_filtered": "content_filter"}

func upperStops(done, length string) map[string]string {
	return map[string]string{"end_turn": done, "stop_sequence": done, "max_tokens": length}
}

// familyOf finds the family by the foundation id, or by the body when the id
// does not tell.
func familyOf(foundation string, body object) *family {
	for _, f := range families {
		if f.speaks(foundation, body) {
			return f
		}
	}
	return families[len(families)-1]
}

func (f *family) speaks(foundation string, body object) bool {
	if foundation == "" {
		return f.mark != "" && body[f.mark] != nil
	}
	for _, id := range f.ids {
		if strings.HasPrefix(foundation, id) {
			return f.need == "" || body[f.need] != nil
		}
	}
	return false
}

// metricsMember is in the last chunk of a stream and reports its usage.
const metricsMember = "amazon-bedrock-invocationMetrics"

// invokeEvents is the answer of InvokeModelWithResponseStream: chunks whose last
// has the metrics. Payloads are still to be wrapped in {"bytes": …}.
func invokeEvents(c *call, r *reply) []event {
	out := c.family.chunks(r)
	m := object{"inputTokenCount": r.input, "outputTokenCount": r.output, "invocationLatency": r.latency,
		"firstByteLatency": r.latency}
	if r.cacheRead+r.write5m+r.write1h > 0 {
		m["cacheReadInputTokenCount"], m["cacheWriteInputTokenCount"] = r.cacheRead, r.write5m+r.write1h
	}
	last := &out[len(out)-1]
	last.payload[metricsMember], last.usage = m, true
	return out
}

func anthropicUsage(r *reply) object {
	return object{
		"input_tokens": r.input, "output_tokens": r.output,
		"cache_read_input_tokens": r.cacheRead, "cache_creation_input_tokens": r.write5m + r.write1h,
		"cache_creation": object{"ephemeral_5m_input_tokens": r.write5m, "ephemeral_1h_input_tokens": r.write1h},
	}
}

func anthropicMessage(r *reply, content []any) object {
	return object{"id": "msg_bdrk_" + r.id[:8], "type": "message", "role": "assistant", "model": r.model,
		"content": content, "stop_reason": r.stop, "stop_sequence": nil, "usage": anthropicUsage(r)}
}

func anthropicBody(_ *call, r *reply) object {
	content := []any{}
	if r.text != "" {
		content = append(content, object{"type": "text", "text": r.text})
	}
	if r.tool != nil {
		content = append(content, object{"type": "tool_use", "id": r.toolID(), "name": r.tool.Name, "input": r.toolObject()})
	}
	return anthropicMessage(r, content)
}

func anthropicChunks(r *reply) []event {
	start := anthropicMessage(r, []any{})
	start["stop_reason"] = nil
	first := anthropicUsage(r)
	first["output_tokens"] = 1
	start["usage"] = first
	out := []event{chunk(object{"type": "message_start", "message": start})}
	index := 0
	if r.text != "" {
		out = append(out, chunk(object{"type": "content_block_start", "index": index,
			"content_block": object{"type": "text", "text": ""}}))
		for _, piece := range r.pieces() {
			out = append(out, chunkOf(piece, object{"type": "content_block_delta", "index": index,
				"delta": object{"type": "text_delta", "text": piece}}))
		}
		out = append(out, chunk(object{"type": "content_block_stop", "index": index}))
		index++
	}
	if r.tool != nil {
		input := r.toolInput()
		block := object{"type": "tool_use", "id": r.toolID(), "name": r.tool.Name, "input": object{}}
		out = append(out, chunk(object{"type": "content_block_start", "index": index, "content_block": block}),
			chunkOf(input, object{"type": "content_block_delta", "index": index,
				"delta": object{"type": "input_json_delta", "partial_json": input}}),
			chunk(object{"type": "content_block_stop", "index": index}))
	}
	delta := chunk(object{"type": "message_delta", "delta": object{"stop_reason": r.stop, "stop_sequence": nil},
		"usage": object{"output_tokens": r.output}})
	delta.usage = true
	return append(out, delta, chunk(object{"type": "message_stop"}))
}

func anthropicTextBody(_ *call, r *reply) object {
	return object{"type": "completion", "completion": r.text, "stop_reason": r.word, "stop": nil}
}

func anthropicTextChunks(r *reply) []event {
	return perPiece(r, func(piece string, last bool) object {
		return object{"type": "completion", "completion": piece, "stop_reason": onlyIf(last, r.word), "stop": nil}
	})
}

// novaChunks is close to ConverseStream: each event is one member.
func novaChunks(r *reply) []event {
	out := converseEvents(&call{}, r)
	for i, e := range out {
		out[i] = event{kind: "chunk", payload: object{e.kind: e.payload}, text: e.text}
	}
	return out
}

func novaEmbedBody(c *call, r *reply) object {
	return object{"embeddings": []any{object{"embeddingType": "TEXT", "embedding": vector(c)}}, "inputTokenCount": r.input}
}

func titanEmbedBody(c *call, r *reply) object {
	v := vector(c)
	return object{"embedding": v, "embeddingsByType": object{"float": v}, "inputTextTokenCount": r.input}
}

func titanBody(_ *call, r *reply) object {
	result := object{"tokenCount": r.output, "outputText": r.text, "completionReason": r.word}
	return object{"inputTextTokenCount": r.input, "results": []any{result}}
}

func titanChunks(r *reply) []event {
	return perPiece(r, func(piece string, last bool) object {
		return object{"outputText": piece, "index": 0, "totalOutputTextTokenCount": onlyIf(last, r.output),
			"completionReason": onlyIf(last, r.word), "inputTextTokenCount": onlyIf(last, r.input)}
	})
}

func llamaBody(_ *call, r *reply) object {
	return object{"generation": r.text, "prompt_token_count": r.input, "generation_token_count": r.output,
		"stop_reason": r.word}
}

func llamaChunks(r *reply) []event {
	sent := 0
	return perPiece(r, func(piece string, last bool) object {
		sent += len(piece)
		soFar := min(tokens(sent), r.output)
		if last {
			soFar = r.output
		}
		return object{"generation": piece, "prompt_token_count": onlyIf(sent == len(piece), r.input),
			"generation_token_count": soFar, "stop_reason": onlyIf(last, r.word)}
	})
}

func mistralBody(_ *call, r *reply) object {
	return object{"outputs": []any{object{"text": r.text, "stop_reason": r.word}}}
}

func mistralChunks(r *reply) []event {
	return perPiece(r, func(piece string, last bool) object {
		return object{"outputs": []any{object{"text": piece, "stop_reason": onlyIf(last, r.word)}}}
	})
}

func cohereBody(c *call, r *reply) object {
	generations := repeat(r.copies, func(i int64) any {
		return object{"id": fmt.Sprint(r.id, "-", i), "text": r.text, "finish_reason": r.word}
	})
	return object{"id": r.id, "prompt": c.lastText, "generations": generations}
}

func cohereChunks(r *reply) []event {
	return perPiece(r, func(piece string, last bool) object {
		return object{"text": piece, "index": 0, "is_finished": last, "finish_reason": onlyIf(last, r.word)}
	})
}

func cohereChatBody(_ *call, r *reply) object {
	return object{"response_id": r.id, "generation_id": r.id, "text": r.text, "chat_history": []any{},
		"finish_reason": r.word}
}

func cohereChatChunks(r *reply) []event {
	out := perPiece(r, func(piece string, _ bool) object {
		return object{"event_type": "text-generation", "is_finished": false, "text": piece}
	})
	return append(out, chunk(object{"event_type": "stream-end", "is_finished": true,
		"finish_reason": r.word, "response": object{"response_id": r.id, "text": r.text}}))
}

func cohereEmbedBody(c *call, r *reply) object {
	texts, _ := c.body["texts"].([]any)
	rows := repeat(int64(max(1, len(texts))), func(int64) any { return vector(c) })
	return object{"id": r.id, "response_type": "embeddings_floats", "embeddings": rows, "texts": texts}
}

func rerankBody(c *call, r *reply) object {
	documents, _ := c.body["documents"].([]any)
	rows := repeat(int64(len(documents)), func(i int64) any {
		return object{"index": i, "relevance_score": 1 / float64(i+2)}
	})
	return object{"results": rows}
}

func j2Body(_ *call, r *reply) object {
	rows := repeat(r.copies, func(int64) any {
		return object{"data": object{"text": r.text}, "finishReason": object{"reason": r.word}}
	})
	return object{"id": r.id, "completions": rows}
}

func completionBody(_ *call, r *reply) object {
	return object{"choices": []any{object{"text": r.text, "stop_reason": r.word}}}
}

func completionChunks(r *reply) []event {
	return perPiece(r, func(piece string, last bool) object {
		return object{"choices": []any{object{"text": piece, "stop_reason": onlyIf(last, r.word)}}}
	})
}

func chatUsage(r *reply) object {
	writes := r.write5m + r.write1h
	all := r.input + r.cacheRead + writes
	u := object{"prompt_tokens": all, "completion_tokens": r.output, "total_tokens": all + r.output}
	if r.cacheRead+writes > 0 {
		u["prompt_tokens_details"] = object{"cached_tokens": r.cacheRead, "cache_write_tokens": writes}
	}
	return u
}

func chatMessage(r *reply) object {
	m := object{"role": "assistant", "content": r.text}
	if r.tool != nil {
		m["tool_calls"] = []any{object{"id": r.toolID(), "type": "function", "index": 0,
			"function": object{"name": r.tool.Name, "arguments": r.toolInput()}}}
	}
	return m
}

func chatBody(c *call, r *reply) object {
	choices := repeat(r.copies, func(i int64) any {
		return object{"index": i, "message": chatMessage(r), "finish_reason": r.word, "stop_reason": r.word}
	})
	return object{"id": "chatcmpl-" + r.id[:8], "object": "chat.completion", "created": c.start.Unix(), "model": r.model,
		"choices": choices, "usage": chatUsage(r)}
}

func chatChunks(r *reply) []event {
	head := func(delta object, stop any) object {
		return object{"id": "chatcmpl-" + r.id[:8], "object": "chat.completion.chunk", "model": r.model,
			"choices": []any{object{"index": 0, "delta": delta, "finish_reason": stop}}}
	}
	first := *r
	first.text = ""
	out := []event{chunk(head(chatMessage(&first), nil))}
	for _, piece := range r.pieces() {
		out = append(out, chunkOf(piece, head(object{"content": piece}, nil)))
	}
	last := head(object{}, r.word)
	last["usage"] = chatUsage(r)
	return append(out, chunk(last))
}

// chunk is an event of InvokeModelWithResponseStream that carries no text.
func chunk(payload object) event { return event{kind: "chunk", payload: payload} }

func chunkOf(piece string, payload object) event {
	return event{kind: "chunk", payload: payload, text: len(piece)}
}

// perPiece is a stream of one chunk per piece, and at least one.
func perPiece(r *reply, payload func(piece string, last bool) object) []event {
	pieces := r.pieces()
	if len(pieces) == 0 {
		pieces = []string{""}
	}
	out := make([]event, len(pieces))
	for i, piece := range pieces {
		out[i] = chunkOf(piece, payload(piece, i == len(pieces)-1))
	}
	return out
}

// onlyIf returns v, or null when the condition does not hold.
func onlyIf(ok bool, v any) any {
	if ok {
		return v
	}
	return nil
}

func repeat(n int64, row func(i int64) any) []any {
	rows := make([]any, n)
	for i := range rows {
		rows[i] = row(int64(i))
	}
	return rows
}

// vector is an embedding of the size that was asked for. Its numbers follow from
// the text alone.
func vector(c *call) []float64 {
	size := int64(1024)
	for _, path := range []string{"dimensions", "embeddingConfig.outputEmbeddingLength", "output_dimension",
		"singleEmbeddingParams.embeddingDimension"} {
		if n := whole(lookup(c.body, path)); n > 0 {
			size = min(n, 4096)
		}
	}
	x := reference(0, c.model, c.lastText)
	v := make([]float64, size)
	for i := range v {
		x = x*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
		v[i] = float64(int64(x>>11))/(1<<52) - 1
	}
	return v
}
