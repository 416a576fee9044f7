package sandbox

import (
	"unicode/utf8"
)

// guarding is what a guardrail did with a call of Converse: its
// guardrailConfig (service model). Only the content policy is billed.
type guarding struct {
	id            string
	input, output int64 // text units
	shown         bool  // whether the answer reports it
	intervened    bool
}

// guardingOf is the guardrail's part of a reply, nil for a call without one. An
// intervention without output tokens blocked the input: the model never ran.
func guardingOf(c *call, r *reply) *guarding {
	config, _ := c.body["guardrailConfig"].(object)
	id, _ := config["guardrailIdentifier"].(string)
	if id == "" {
		return nil
	}
	g := &guarding{id: id, intervened: r.stop == "guardrail_intervened"}
	g.shown = config["trace"] == "enabled" || config["trace"] == "enabled_full"
	g.input = textUnits(guardedText(c.body))
	if !g.intervened || r.output > 0 {
		g.output = unitsOf(utf8.RuneCountInString(r.text))
	}
	return g
}

// guardedText is what a guardrail reads of a body: the blocks of guardContent alone, where there
// are any (AWS, "Include a guardrail with the Converse API").
func guardedText(body object) object {
	var marked []any
	blocks, _ := body["system"].([]any)
	messages, _ := body["messages"].([]any)
	for _, m := range messages {
		message, _ := m.(object)
		content, _ := message["content"].([]any)
		blocks = append(blocks[:len(blocks):len(blocks)], content...)
	}
	for _, b := range blocks {
		if block, ok := b.(object); ok && block["guardContent"] != nil {
			marked = append(marked, block["guardContent"])
		}
	}
	if len(marked) > 0 {
		return object{"content": marked}
	}
	return object{"messages": body["messages"], "system": body["system"]}
}

// tell puts the trace into an answer, or into the metadata of a stream.
func (g *guarding) tell(answer object) {
	if g == nil || !g.shown {
		return
	}
	assessment := func(units int64) object {
		return object{"invocationMetrics": object{"guardrailProcessingLatency": 1, "usage": policyUsage(units)}}
	}
	trace := object{"inputAssessment": object{g.id: assessment(g.input)}}
	if g.output > 0 {
		trace["outputAssessments"] = object{g.id: []any{assessment(g.output)}}
	}
	if g.intervened {
		trace["actionReason"] = "Guardrail blocked."
	}
	answer["trace"] = object{"guardrail": trace}
}

// policyUsage is GuardrailUsage of the service model.
func policyUsage(units int64) object {
	return object{
		"contentPolicyUnits": units, "topicPolicyUnits": 0, "wordPolicyUnits": 0, "sensitiveInformationPolicyUnits": 0,
		"sensitiveInformationPolicyFreeUnits": 0, "contextualGroundingPolicyUnits": 0, "contentPolicyImageUnits": 0,
	}
}

// textUnits is the measure of guardrails: a thousand characters begun.
func textUnits(body object) int64 {
	characters := 0
	eachText(body, "", func(s string) { characters += utf8.RuneCountInString(s) })
	return unitsOf(characters)
}

func unitsOf(characters int) int64 { return int64(characters+999) / 1000 }
