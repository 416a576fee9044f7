package wire

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Span is a half-open range of bytes [Start, End) in a body. The zero value
// means absent (no value starts at byte 0 of an object).
type Span struct{ Start, End int }

// Present reports whether the span names any bytes.
func (s Span) Present() bool { return s.End > s.Start }

// Facts are what one pass over a request body finds. Rules, the cap and the
// estimates use facts alone. Only its spans refer to the body.
type Facts struct {
	Op      Operation
	Dialect *Dialect // nil: unknown family, passed through
	Stream  bool
	// BodyBytes is the length of the body, TextBytes that of its text values
	// (prompt, messages, system, tool descriptions), unescaped.
	BodyBytes, TextBytes int
	// MediaBytes is how much of the body is images, documents, videos and audio, in
	// their encoded form. What is not known to be media counts as text.
	MediaBytes int
	// InputTokens is an estimate from text bytes, images and documents.
	InputTokens int
	// SystemHash is a 64-bit hash of the system prompt's bytes, 0 when absent.
	SystemHash uint64
	// FirstUserHash is a 64-bit hash of the first user message, 0 when absent.
	FirstUserHash uint64
	Turns         int // messages
	// Messages are the places of the first and the last of them.
	Messages    MessageSpans
	Images      int
	Documents   int
	Videos      int
	Audios      int
	Tools       int
	CachePoints int
	// ToolList is the place of the list of tools, with its brackets.
	ToolList Span
	// ToolChoice is the place of what the body asks of them, absent for null.
	ToolChoice Span
	// System is whether the body has a system prompt.
	System bool
	// SystemSpan is the place of the member's value (system, preamble), with its
	// quotes or brackets; absent where the prompt is one of the messages.
	SystemSpan Span
	// Prefilled is whether the last turn is the assistant's, so that the answer has to go on from it.
	Prefilled bool
	// ReasoningHistory is whether a message carries reasoning content with a
	// signature, which only the family that wrote it can read.
	ReasoningHistory bool
	// MaxTokens is the output cap that the body asks for.
	MaxTokens Count
	// MaxTokensSpan is the place of its number, absent when the body has none.
	MaxTokensSpan Span
	// ThinkingTokens is the thinking budget, ThinkingSpan its place.
	ThinkingTokens Count
	ThinkingSpan   Span
	// NoMaxTokens is whether this request forbids a cap of its own. Read sets it
	// for Nova 2's reasoning effort "high"; for a managed prompt (ModelPrompt) the
	// caller, who knows the model id, must set it before Limit.
	NoMaxTokens bool
	// Multiplier is how many completions are asked for (n, num_generations,
	// numResults); at least 1.
	Multiplier int
	// TierNamed is whether the request says anything of a service tier, be it the default one.
	TierNamed bool
	// ServiceTier is the tier asked for in body and headers, in lower case, "" when
	// absent. Several that differ are joined by "+", which no price book lists.
	ServiceTier string
	// Compaction is whether the model may sum up its context before it answers,
	// which it reads and writes beside the cap.
	Compaction bool
	// Guarded is whether a guardrail is asked for, in body or headers.
	Guarded bool
	// MayName is whether the body may name AWS resources: see MayName.
	MayName bool
	// MayTune is whether it may have parameters that not every generation of models takes, and MayExtend whether it
	// may have additionalModelRequestFields. Package fit reads them.
	MayTune, MayExtend bool
	// BodyModel is the place of a "model" member (OpenAI dialects, async
	// invoke), and BodyModelID its decoded value.
	BodyModel   Span
	BodyModelID string
	// Previous is the stored response that a request of Responses goes on from, "" for none.
	Previous string
	// Schema is the place of a JSON schema for structured output.
	Schema Span
	// JSONOutput is whether it asks for a JSON object without saying which.
	JSONOutput bool
	// Metadata is the place of Converse's requestMetadata object with its braces.
	Metadata Span
	// UserSpan is the place of whom the body says that it is for, in the families that
	// have a member for it.
	UserSpan Span
	// Guardrail is the place of Converse's guardrailConfig.
	Guardrail Span
	// Latency is the latency asked for in body and headers, in lower case, "" when
	// absent.
	Latency string
	// at holds the places that an edit may need; Read fills it.
	at editPoints
	// texts are the places of the text values in their order; Read fills it.
	texts textSpans
}

// form is the dialect in which the body is written.
func (f *Facts) form() *Dialect {
	switch own := forms[f.Op]; {
	case own != nil:
		return own
	case f.Dialect == nil:
		return unknownDialect
	}
	return f.Dialect
}

// tree returns what to read in the body, nil for nothing.
func (f *Facts) tree() *jsonscan.Tree {
	if f.Op.Writes() {
		return f.form().tree
	}
	return otherTrees[f.Op]
}

// DialectName is the name of the body's dialect: "converse" for Converse, ""
// when it is not known.
func (f *Facts) DialectName() string { return f.form().Name }

// editPoints are the places in a body that the cap may have to change.
type editPoints struct {
	root, parent object
	caps         [maxCaps]capValue
	ncaps        int
	otherCap     int64 // the largest of another family's caps, 0 without one
	tooManyCaps  bool  // more than fit into caps
	foreignCap   bool
	multiplier   capValue
	thinking     capValue
	prompt       bool // the body has a prompt instead of messages
	// metadataOther is whether requestMetadata is present but is not an object.
	metadataOther bool
}

// The sets of noted.
const (
	setNames uint8 = 1 << iota
	setTunes
	setExtends
)

// noted is what the walk over a body notes beside the values that it looks for, wherever
// they are: what members begin with that name AWS resources, or that such members are
// below (places in S3, guardrails, bodies within CountTokens, models by ARN); parameters
// that not every generation of models takes; members for those of other families.
var noted = jsonscan.NewBeginnings(
	[]string{"s3", "guardrailI", "knowledgeBaseId", "invokeModel", "arn:", "roleArn"},
	[]string{`temperature"`, `topP"`, `top_p"`, `top_k"`, `thinking"`, `output_config"`},
	[]string{`additionalModelRequestFields"`},
)

// MayName reports whether a body may name AWS resources.
func MayName(body []byte) bool { return noted.In(body)&setNames != 0 }

// note keeps which sets of noted the body meets.
func (f *Facts) note(sets uint8) {
	f.MayName, f.MayTune, f.MayExtend = sets&setNames != 0, sets&setTunes != 0, sets&setExtends != 0
}

// maxCaps is how many output caps one body may hold at once.
const maxCaps = 10

// object is a JSON object that members can be inserted into. The zero value
// is absent.
type object struct {
	Span
	empty bool
	// null is whether the value is null, which counts as absent.
	null bool
	// other is whether the value is neither an object nor null.
	other bool
}

// capValue is a number in the body that the cap depends on.
type capValue struct {
	Span
	n Count // unknown when it is not a whole number from 1 to 2³¹-1
	// null is whether the value is null, which counts as absent.
	null bool
	// other is whether the body's own family does not obey it.
	other bool
}

// given reports whether the body gives the value at all.
func (c capValue) given() bool { return c.Present() && !c.null }

// MessageSpans are the places of messages in a list: of its first two, and of its last eight.
// The bytes from the first place on up to the end of any are the list up to there.
type MessageSpans struct {
	n     int // messages
	first [2]Span
	last  [8]Span // a ring, of those after the first
}

func (m *MessageSpans) add(s Span) {
	if m.n < len(m.first) {
		m.first[m.n] = s
	} else {
		m.last[(m.n-len(m.first))%len(m.last)] = s
	}
	m.n++
}

// All yields the places in the order of the list.
func (m *MessageSpans) All(yield func(Span) bool) {
	for _, s := range m.first[:min(m.n, len(m.first))] {
		if !yield(s) {
			return
		}
	}
	after := max(0, m.n-len(m.first))
	for i := max(0, after-len(m.last)); i < after; i++ {
		if !yield(m.last[i%len(m.last)]) {
			return
		}
	}
}

// textSpans are places of text values. The first need no memory of their own.
type textSpans struct {
	first [16]Span
	n     int // of first
	rest  []Span
	coded bool // whether the body has an escape by number
}

func (t *textSpans) add(s Span) {
	if t.n < len(t.first) {
		t.first[t.n] = s
		t.n++
		return
	}
	if t.rest == nil {
		t.rest = make([]Span, 0, 4*len(t.first))
	}
	t.rest = append(t.rest, s)
}

// AppendText appends all text values of body, unescaped, each followed by a
// line feed. body must be the one that f was read from.
func (f *Facts) AppendText(dst, body []byte) []byte {
	for _, spans := range [...][]Span{f.texts.first[:f.texts.n], f.texts.rest} {
		for _, s := range spans {
			dst = append(jsonscan.AppendString(dst, body[s.Start:s.End]), '\n')
		}
	}
	return dst
}

// Literal is a text to look for, of at most MaxLiteral bytes.
type Literal = jsonscan.Literal

// MaxLiteral is how long a Literal may be.
const MaxLiteral = jsonscan.MaxLiteral

// NewLiteral prepares a text to be looked for.
func NewLiteral(text string) Literal { return jsonscan.NewLiteral(text) }

// TextContains reports whether the text that AppendText returns has a literal in
// it, without copying that text. The literal has no line feed and is not empty.
// body must be the one that f was read from.
func (f *Facts) TextContains(body []byte, literal *Literal) bool {
	for _, spans := range [...][]Span{f.texts.first[:f.texts.n], f.texts.rest} {
		for _, s := range spans {
			if literal.Contains(body[s.Start:s.End], f.texts.coded) {
				return true
			}
		}
	}
	return false
}

// The header fields that change what a call costs. Bedrock reads them with
// InvokeModel and InvokeModelWithResponseStream (service model), and answers with
// the same fields; they count with every operation, because they are forwarded.
const (
	headerTier      = "X-Amzn-Bedrock-Service-Tier"
	headerLatency   = "X-Amzn-Bedrock-PerformanceConfig-Latency"
	headerGuardrail = "X-Amzn-Bedrock-GuardrailIdentifier"
)

// ReadHeader adds what the header fields of the request say to the facts of its
// body. It belongs after Read. What it keeps is a copy: sums of rows outlive the
// request, and a field's value would keep its whole head in memory.
func (f *Facts) ReadHeader(h Header) {
	for i := range h {
		switch name := h[i].Name; {
		case !strings.HasPrefix(name, "X") && !strings.HasPrefix(name, "x"):
		case strings.EqualFold(name, headerTier):
			f.TierNamed = true
			f.ServiceTier = joinWords(f.ServiceTier, strings.Clone(h[i].Value), isDefaultTier)
		case strings.EqualFold(name, headerLatency):
			f.Latency = joinWords(f.Latency, strings.Clone(h[i].Value), isDefaultLatency)
		case strings.EqualFold(name, headerGuardrail):
			f.Guarded = f.Guarded || h[i].Value != ""
		}
	}
}

// isDefaultTier reports whether a word asks for the default service tier: OpenAI's
// "auto" leaves the choice to the account, which on Bedrock has no other.
func isDefaultTier(word string) bool {
	return word == "" || word == "default" || word == "standard" || word == "auto"
}

func isDefaultLatency(word string) bool { return word == "" || word == "standard" }

// longestWord is how long a tier or latency may be, which stands in records and rows;
// otherWord is in place of what is longer. No price book lists it, either.
const (
	longestWord = 64
	otherWord   = "(other)"
)

// joinWords joins what two places ask for, in lower case. A default gives way, and
// two words that differ become one that no price book lists: nobody knows which
// of them Bedrock obeys.
func joinWords(before, word string, isDefault func(string) bool) string {
	word = strings.ToLower(word)
	switch {
	case isDefault(before) && word != "":
	case isDefault(word) || before == word:
		return before
	default:
		word = before + "+" + word
	}
	if len(word) > longestWord {
		return otherWord
	}
	return word
}
