package sandbox

import "cmp"

// event is one frame of a stream before it is encoded.
type event struct {
	kind    string // :event-type
	payload object
	text    int  // bytes of the answer's text that it carries
	usage   bool // carries the last of the usage
}

// cacheDetails is one row of usage.cacheDetails: what was written, by lifetime.
type cacheDetails struct {
	TTL    string `json:"ttl"`
	Tokens int64  `json:"inputTokens"`
}

// cacheWrites lists the longer lifetime first, as Bedrock does.
func cacheWrites(in5m, in1h int64) (rows []cacheDetails) {
	if in1h > 0 {
		rows = append(rows, cacheDetails{"1h", in1h})
	}
	if in5m > 0 {
		rows = append(rows, cacheDetails{"5m", in5m})
	}
	return rows
}

// converseBody is the answer of Converse.
func converseBody(c *call, r *reply) object {
	var content []any
	if r.text != "" {
		content = append(content, object{"text": r.text})
	}
	if r.tool != nil {
		content = append(content, object{"toolUse": object{"toolUseId": r.toolID(), "name": r.tool.Name,
			"input": r.toolObject()}})
	}
	if content == nil {
		content = []any{}
	}
	body := object{
		"output":     object{"message": object{"role": "assistant", "content": content}},
		"stopReason": r.stop,
		"usage":      r.converseUsage(),
		"metrics":    object{"latencyMs": r.latency},
	}
	echoTier(c, body)
	r.guard.tell(body)
	return body
}

// tier is the service tier that the call asks for, default where it asks for none.
func (c *call) tier() string {
	asked := c.header.Get("X-Amzn-Bedrock-Service-Tier")
	switch member := c.body["serviceTier"].(type) {
	case object:
		asked, _ = member["type"].(string)
	case string:
		asked = member
	}
	if word, ok := c.body["service_tier"].(string); ok {
		asked = word
	}
	return cmp.Or(asked, "default")
}

// echoTier repeats the tier and the latency class that were asked for.
func echoTier(c *call, body object) {
	for _, member := range []string{"serviceTier", "performanceConfig"} {
		if v := c.body[member]; v != nil {
			body[member] = v
		}
	}
}

// converseUsage repeats the cache counts under the undocumented names that the
// real service uses too.
func (r *reply) converseUsage() object {
	u := object{"inputTokens": r.input, "outputTokens": r.output,
		"totalTokens": r.input + r.output + r.cacheRead + r.write5m + r.write1h}
	writes := r.write5m + r.write1h
	if r.cacheRead+writes == 0 {
		return u
	}
	u["cacheReadInputTokens"], u["cacheReadInputTokenCount"] = r.cacheRead, r.cacheRead
	u["cacheWriteInputTokens"], u["cacheWriteInputTokenCount"] = writes, writes
	if writes > 0 {
		u["cacheDetails"] = cacheWrites(r.write5m, r.write1h)
	}
	return u
}

// converseEvents is the answer of ConverseStream.
func converseEvents(c *call, r *reply) []event {
	out := []event{{kind: "messageStart", payload: object{"role": "assistant"}}}
	index := 0
	for _, piece := range r.pieces() {
		delta := object{"contentBlockIndex": index, "delta": object{"text": piece}}
		out = append(out, event{kind: "contentBlockDelta", payload: delta, text: len(piece)})
	}
	if r.text != "" {
		out = append(out, event{kind: "contentBlockStop", payload: object{"contentBlockIndex": index}})
		index++
	}
	if r.tool != nil {
		input := r.toolInput()
		start := object{"toolUse": object{"toolUseId": r.toolID(), "name": r.tool.Name}}
		out = append(out,
			event{kind: "contentBlockStart", payload: object{"contentBlockIndex": index, "start": start}},
			event{kind: "contentBlockDelta", text: len(input),
				payload: object{"contentBlockIndex": index, "delta": object{"toolUse": object{"input": input}}}},
			event{kind: "contentBlockStop", payload: object{"contentBlockIndex": index}})
	}
	last := object{"usage": r.converseUsage(), "metrics": object{"latencyMs": r.latency}}
	echoTier(c, last)
	r.guard.tell(last)
	return append(out,
		event{kind: "messageStop", payload: object{"stopReason": r.stop}},
		event{kind: "metadata", payload: last, usage: true})
}
