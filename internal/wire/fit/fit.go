// Package fit fits a body that was written for one model to another one that is asked in its place: what the other's
// generation refuses, by the table of package capability, is left out or said in the other's words. What the answer is
// about stays.
package fit

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// fitting is one body on its way to a model.
type fitting struct {
	model     *capability.Model
	maxTokens int64 // 0: not known
	names     []string
}

// Body is the body for a model, and what of it is another than the caller's: nil when nothing is. The facts are those
// of the body. Converse's body fits all families, InvokeModel's Claude alone.
func Body(facts *wire.Facts, body []byte, m capability.Model) (fitted []byte, names []string) {
	op := facts.Op
	if m.Family == "" || op.IsInvoke() && !m.Claude() || !op.IsInvoke() && !op.IsConverse() || !mayChange(facts, &m) {
		return nil, nil
	}
	return change(op, body, m)
}

// change reads the body and changes it. The model takes memory here alone, which few requests come to.
func change(op wire.Operation, body []byte, m capability.Model) (fitted []byte, names []string) {
	top, failure := caller.ReadBody(body, nil, nil)
	if failure != nil {
		return nil, nil // the upstream says what is wrong
	}
	f := &fitting{model: &m}
	changed := map[string]string{}
	if op.IsInvoke() {
		f.maxTokens = number(top, "max_tokens")
		f.claude(top, changed)
	} else {
		f.converse(top, changed)
	}
	if len(f.names) == 0 {
		return nil, nil
	}
	return top.With(changed, ""), f.names
}

// mayChange reports whether a body may hold what the model refuses, which seldom is: reading a body once more costs as
// much as the rest of a plan.
func mayChange(facts *wire.Facts, m *capability.Model) bool {
	if facts.Op.IsInvoke() {
		return facts.MayTune
	}
	return facts.MayExtend || facts.MayTune && m.Sampling != capability.SamplingFree
}

// converse fits the two objects of a body of Converse that hold parameters.
func (f *fitting) converse(top *caller.Body, changed map[string]string) {
	own := map[string]string{}
	settings := object(top, "inferenceConfig")
	if settings != nil {
		f.maxTokens = number(settings, "maxTokens")
	}
	if extra := object(top, "additionalModelRequestFields"); extra != nil {
		if f.model.Claude() {
			f.claude(extra, own)
		}
		f.others(extra, own)
		set(changed, "additionalModelRequestFields", extra, own)
	}
	if settings == nil {
		return
	}
	cut := map[string]string{}
	f.sampling(settings, cut, own["thinking"] != "", "temperature", "topP")
	set(changed, "inferenceConfig", settings, cut)
}

// set has an object changed, and left out when nothing remains of it.
func set(changed map[string]string, name string, object *caller.Body, own map[string]string) {
	if len(own) == 0 {
		return
	}
	made := object.With(own, "")
	if len(made) <= len("{}") {
		changed[name] = ""
		return
	}
	changed[name] = strconv.Quote(name) + ":" + string(made)
}

// object is a member that is an object, nil for any other.
func object(of *caller.Body, name string) *caller.Body {
	m := of.Find(name)
	if m == nil || m.Kind != jsonscan.BeginObject {
		return nil
	}
	b, failure := caller.ReadBody(of.Text(m), nil, nil)
	if failure != nil {
		return nil
	}
	return b
}

func number(of *caller.Body, name string) int64 {
	m := of.Find(name)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(of.Text(m)), 10, 64) // 0 is not known
	return n
}

// claude fits Claude's own parameters.
func (f *fitting) claude(b *caller.Body, changed map[string]string) {
	if m := b.Find("thinking"); m != nil && m.Kind == jsonscan.BeginObject {
		if made, stays := f.thinking(b.Text(m)); !stays {
			f.change(changed, "thinking", made)
		}
	}
	c := object(b, "output_config")
	if c != nil && c.Find("effort") != nil && f.model.Thinking != capability.ThinkingAdaptive {
		f.names = append(f.names, "output_config.effort")
		set(changed, "output_config", c, map[string]string{"effort": ""})
	}
	f.sampling(b, changed, changed["thinking"] != "", "temperature", "top_p")
	if f.model.Sampling == capability.SamplingNone && b.Find("top_k") != nil {
		f.change(changed, "top_k", "")
	}
}

func (f *fitting) change(changed map[string]string, name, made string) {
	changed[name] = made
	if !slices.Contains(f.names, name) {
		f.names = append(f.names, name)
	}
}

// minBudget is the least that Claude takes as a budget for thinking.
const minBudget = 1024

// thinking is what becomes of Claude's thinking, a member or "" for none.
func (f *fitting) thinking(asked []byte) (made string, stays bool) {
	is := func(kind string) bool { return bytes.Contains(asked, []byte(`"`+kind+`"`)) }
	switch how := f.model.Thinking; {
	case how == capability.ThinkingBudget && is("adaptive"):
		budget := f.maxTokens / 2
		if f.maxTokens == 0 {
			budget = minBudget
		}
		if budget < minBudget {
			return "", false
		}
		return `"thinking":{"type":"enabled","budget_tokens":` + strconv.FormatInt(budget, 10) + `}`, false
	case how == capability.ThinkingAdaptive && f.model.Sampling == capability.SamplingNone && is("enabled"):
		return `"thinking":{"type":"adaptive"}`, false
	case how == capability.ThinkingAdaptive && f.model.Sampling == capability.SamplingNone && is("disabled"):
		return "", false
	}
	return "", f.model.Thinking != capability.ThinkingNone
}

// sampling leaves out what the generation refuses. thinks is whether it is made to think, beside which there is none.
func (f *fitting) sampling(b *caller.Body, changed map[string]string, thinks bool, temperature, topP string) {
	none := thinks || f.model.Sampling == capability.SamplingNone
	both := b.Find(temperature) != nil && b.Find(topP) != nil
	if none && b.Find(temperature) != nil {
		f.change(changed, temperature, "")
	}
	if b.Find(topP) != nil && (none || both && f.model.Sampling == capability.SamplingOne) {
		f.change(changed, topP, "")
	}
}

// others leaves out of additionalModelRequestFields what only other families know.
func (f *fitting) others(extra *caller.Body, changed map[string]string) {
	knows := map[string]bool{
		"thinking": f.model.Claude(), "output_config": f.model.Claude(), "anthropic_beta": f.model.Claude(),
		"tool_choice": f.model.OneCall, "top_k": f.model.TopK == "top_k", "k": f.model.TopK == "k",
		"inferenceConfig": f.model.Family == "nova", "reasoningConfig": f.model.Thinking == capability.ThinkingNova,
		"reasoning_effort": f.model.Thinking == capability.ThinkingEffort,
	}
	for name, known := range knows {
		if !known && extra.Find(name) != nil {
			f.change(changed, name, "")
		}
	}
	slices.Sort(f.names)
}
