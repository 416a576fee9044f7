// Package capability is what each generation of models takes in a Converse or Messages request, as data with a date.
// It says what a translator may send, and not what is good to send.
package capability

import "strings"

// Sampling is which of temperature, top_p and top_k a model takes.
type Sampling uint8

// The kinds of sampling. The zero value takes all.
const (
	SamplingFree Sampling = iota
	SamplingOne           // temperature or top_p, and not both
	SamplingNone          // none of them
)

// Thinking is how a model is asked to reason before it answers.
type Thinking uint8

// The ways. The zero value cannot be asked.
const (
	ThinkingNone     Thinking = iota
	ThinkingBudget            // Claude's thinking of type enabled, with a budget below the cap
	ThinkingAdaptive          // Claude's thinking of type adaptive, with output_config.effort
	ThinkingNova              // Nova 2's reasoningConfig
	ThinkingEffort            // a member reasoning_effort
)

// Schema is how a model is bound to a JSON schema.
type Schema uint8

// The ways. The zero value can only be asked for it in words.
const (
	SchemaWords  Schema = iota
	SchemaTool          // by a tool that it is forced to call
	SchemaNative        // by Converse's outputConfig
)

// Model is what a model takes.
type Model struct {
	Family   string // claude, nova, llama, mistral, openai …; "" when no row names it
	Sampling Sampling
	Thinking Thinking
	Schema   Schema
	// AlwaysThinks is whether thinking cannot be turned off.
	AlwaysThinks bool
	// Efforts are the levels of effort that it knows, weakest first; nil: low, medium, high.
	Efforts []string
	// NoPrefill is whether a conversation may not end with words of the assistant.
	NoPrefill bool
	// AnyTool is whether it can be made to call a tool, NamedTool a certain one.
	AnyTool, NamedTool bool
	// NoStop is whether it refuses stop sequences.
	NoStop bool
	// CachePoints is whether a prompt may say what to keep, LongCache for an hour too.
	CachePoints, LongCache bool
	// StrictTools is whether calls of a tool can be bound to its schema.
	StrictTools bool
	// ResultStatus is whether the result of a tool may be an error, ResultImages whether it may have images.
	ResultStatus, ResultImages bool
	// SystemTurns is whether a system message may be in the middle of a conversation.
	SystemTurns bool
	// Pictures and Documents is whether it reads them.
	Pictures, Documents bool
	// OneCall is whether it can be told to call one tool at a time.
	OneCall bool
	// Chat and Responses is whether AWS serves these of OpenAI's paths for it on the runtime host. Responses wants a
	// profile of several regions.
	Chat, Responses bool
	// ChatOrTools is whether it takes no tools in Chat Completions while it thinks, and NoMaxTokens whether it knows its
	// cap there by the new name only.
	ChatOrTools, NoMaxTokens bool
	// MantleBase begins OpenAI's paths for it on the host bedrock-mantle: "" is /v1.
	MantleBase string
	// TopK is the place of top_k in additionalModelRequestFields: "" for none.
	TopK string
}

// Date is of when the rows are (YYYY-MM-DD).
const Date = "2026-11-28"

// row is what ids that begin so take. The longest one wins.
type row struct {
	prefix string
	model  Model
}

// Of is what a foundation model takes, by its id without region and version of a profile. Of a model that no row names
// it says yes where most models do: the upstream knows better, and says so.
func Of(foundation string) Model {
	var best *row
	for i := range rows {
		if r := &rows[i]; strings.HasPrefix(foundation, r.prefix) && (best == nil || len(r.prefix) > len(best.prefix)) {
			best = r
		}
	}
	if best == nil {
		return Model{Pictures: true, Documents: true, AnyTool: true, NamedTool: true, Schema: SchemaTool}
	}
	return best.model
}

// Claude reports whether the model is one of Anthropic's.
func (m *Model) Claude() bool { return m.Family == "claude" }

// Effort is the level nearest to one that was asked for, "" when the model knows none.
func (m *Model) Effort(asked string) string {
	known := m.Efforts
	if known == nil {
		known = efforts[2:5]
	}
	want := rank(asked)
	best := ""
	for _, e := range known {
		if best == "" || rank(e) <= want {
			best = e
		}
	}
	return best
}

// KnownEffort reports whether a word is a level of effort.
func KnownEffort(word string) bool { return rank(word) >= 0 }

var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

func rank(effort string) int {
	for i, e := range efforts {
		if e == effort {
			return i
		}
	}
	return -1
}
