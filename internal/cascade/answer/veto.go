package answer

import (
	"strings"
	"unicode"

	"github.com/sluice-gateway/sluice/internal/cascade/refusal"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Veto names the check that an answer failed. The values are stable: records,
// metrics and the header x-sluice-reason contain them.
type Veto string

// The vetoes, in the order in which Check looks for them.
const (
	StopReason    Veto = "stop_reason"    // the upstream reports that this is no regular answer
	LightError    Veto = "light_error"    // no answer at all, such as a page of a proxy
	Length        Veto = "length"         // cut by the token limit where that matters
	Empty         Veto = "empty"          // neither text nor a tool call
	WrongTool     Veto = "tool_choice"    // text where a tool had to be called, or a call that is not there
	ToolArgs      Veto = "tool_args"      // a tool that was not offered, or arguments against its schema
	Schema        Veto = "schema"         // text against the schema that the request gave
	TruncatedJSON Veto = "truncated_json" // a JSON document that ends in the middle
	Refusal       Veto = "refusal"        // the model declines
	Repetition    Veto = "repetition"     // a degenerate loop at the end
)

// Options are what the cascade, not the request, decides about the checks. The zero
// value accepts a text that the token limit cut: another leg under the same limit
// would be cut too, and the caller would pay twice for it.
type Options struct {
	EscalateCut bool // do not accept it
	NextHasRoom bool // the next leg may write more tokens than this one could
}

// Finding is what the checks found. The zero value is a whole answer.
type Finding struct {
	Veto      Veto // "" when the answer may be served
	Cut       bool // the token limit ended the answer; to be counted when accepted
	Unchecked bool // a part of a schema could not be compiled, so nothing was validated against it
}

// stop is what a stop reason means for an answer.
type stop int

const (
	stopWhole stop = iota
	stopCut
	stopBad
)

// stopReasons has the reasons, beside those of wire.AtMost, that are not a plain end, in the
// spelling of Converse (API reference, ConverseResponse.stopReason) and of the InvokeModel
// dialects. A reason that is not here counts as a plain end: a new one must
// not send every request to the escalation model.
var stopReasons = map[string]stop{
	"model_length":                  stopCut,
	"model_context_window_exceeded": stopBad,
	"guardrail_intervened":          stopBad,
	"content_filtered":              stopBad,
	"content_filter":                stopBad,
	"CONTENT_FILTERED":              stopBad,
	"malformed_model_output":        stopBad,
	"malformed_tool_use":            stopBad,
	"refusal":                       stopBad,
	"error":                         stopBad,
	"ERROR":                         stopBad,
	"ERROR_TOXIC":                   stopBad,
}

// Check returns the first veto that fires on an answer. The schemas may be nil; then
// nothing is validated against a schema.
func Check(r *Request, a *Answer, s *Schemas, o Options) Finding {
	v := Finding{Cut: wire.AtMost(a.StopReason) || stopReasons[a.StopReason] == stopCut}
	if a.Broken {
		v.Veto = LightError
		return v
	}
	if stopReasons[a.StopReason] == stopBad {
		v.Veto = StopReason
		return v
	}
	if v.Cut && (o.EscalateCut || o.NextHasRoom || r.structured(a)) {
		v.Veto = Length
		return v
	}
	text := visible(a.Text)
	if len(a.ToolCalls) == 0 && !a.Unread && saysNothing(text) {
		v.Veto = Empty
		return v
	}
	if !r.ToolChoice.allows(a) {
		v.Veto = WrongTool
		return v
	}
	if v = s.check(v, r, a, text); v.Veto != "" {
		return v
	}
	v.Veto = textVeto(text, v.Cut, len(a.ToolCalls))
	return v
}

// saysNothing reports whether a text is empty but for marks of layout and characters
// that cannot be seen.
func saysNothing(text string) bool {
	if language, found := strings.CutPrefix(text, "```"); found {
		first, rest, _ := strings.Cut(language, "\n")
		if !strings.ContainsAny(first, " `{[") {
			text = rest // the fence may name a language
		}
	}
	unseen := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("`*_…", r)
	}
	return strings.Trim(strings.TrimFunc(text, unseen), ".") == ""
}

// textVeto looks at the text alone. Beside a tool call the text is a remark,
// which may end anywhere. A cut document was already accepted as cut.
func textVeto(text string, cut bool, calls int) Veto {
	switch {
	case calls > 0 || text == "":
		return ""
	case !cut && truncatedJSON(text):
		return TruncatedJSON
	case refusal.Declines(text):
		return Refusal
	case loops(text):
		return Repetition
	}
	return ""
}

// truncatedJSON reports a document that opens as JSON and never closes. Text
// after the closing bracket is allowed; text before the opening one is not,
// because prose may contain any bracket.
func truncatedJSON(text string) bool {
	body := unfence(text)
	if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		return false
	}
	if body[0] == '[' && !opensArray(body[1:]) {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"' && (!inString || closesString(body[i+1:])):
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return false
			}
		}
	}
	return true
}

// opensArray distinguishes a JSON array from a remark in brackets.
func opensArray(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	return rest != "" && strings.IndexByte(`{["-0123456789`, rest[0]) >= 0
}

// closesString reports whether a quote followed by rest ends a JSON string.
// Models forget to escape quotes, so only a quote before structure counts.
func closesString(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	return rest == "" || strings.IndexByte(",:}]`", rest[0]) >= 0
}

// unfence returns the contents of a code fence that opens the text.
func unfence(text string) string {
	if !strings.HasPrefix(text, "```") {
		return text
	}
	_, body, found := strings.Cut(text, "\n")
	if !found {
		return ""
	}
	return strings.TrimSpace(body)
}

// A loop is a tail that repeats one unit. The figures are wide of anything
// that a person asks for: a table repeats its rules, not its words.
const (
	loopWindow  = 4096 // bytes of the tail that are looked at
	loopRepeats = 8    // the unit occurs at least this often
	loopBytes   = 400  // and covers at least this much
)

// loops reports a degenerate loop at the end of the text: the smallest period
// of the longest periodic tail, by the failure function of Knuth, Morris and
// Pratt over the reversed window. It takes one pass.
func loops(text string) bool {
	if len(text) < loopBytes {
		return false
	}
	window := text[max(0, len(text)-loopWindow):]
	var failure [loopWindow]int16
	at := func(i int) byte { return window[len(window)-1-i] }
	for i, k := 1, int16(0); i < len(window); i++ {
		for k > 0 && at(i) != at(int(k)) {
			k = failure[k-1]
		}
		if at(i) == at(int(k)) {
			k++
		}
		failure[i] = k
		covered, period := i+1, i+1-int(k)
		if covered >= loopBytes && covered >= loopRepeats*period {
			return spells(window[len(window)-period:])
		}
	}
	return false
}

// spells reports whether a unit contains a letter. Rules of dashes, runs of
// spaces and rows of zeros are layout or data.
func spells(unit string) bool { return strings.ContainsFunc(unit, unicode.IsLetter) }
