// Package score turns an answer and its request into one number, the expected
// quality that serving the light answer costs, and trains the models for it.
//
// PreScore looks at the request alone, before any call; Model looks at the answers
// too. Both are small, are trained in Go, and give the same bytes for the same
// rows and seed. A score has no meaning of its own: only a threshold that was
// certified on the operator's traffic makes it one (package certify).
package score

import (
	"math"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
)

// Input is what is known of one request when its light answer is scored.
type Input struct {
	Prompt  string         // all text of the request
	Bytes   int            // length of that text for pre-scores, where Prompt may be missing; 0 means that of Prompt
	Route   string         // what kind of request it is: cascade, tenant, hash of system prompt and tools; may be ""
	Light   *answer.Answer // the light answer
	Partner *answer.Answer // the second opinion, nil without one
	LightK  answer.Key     // the keys of both, so that they are computed once
	PartK   answer.Key
}

// The dense features. Text is measured in bytes, on a log scale. Their number
// and order belong to the file format: change either and raise fileVersion.
const (
	fSame = iota
	fDifferent
	fPartner // there is a second opinion
	fCall    // the kinds of the light key
	fDocument
	fNumber // unused: a number of a sentence is no key any more
	fWhole
	fNoKey
	fLightNumeric
	fPartNumeric
	fLightInteger
	fPartInteger
	fKeyLength
	fKeyLengthRatio
	fMagnitude   // how far two different numbers are apart
	fSelfMention // how often the key occurs in the answer
	fCrossLight  // how often the light key occurs in the partner's answer
	fCrossPart   // how often the partner's key occurs in the light answer
	fLightLength
	fLengthRatio // light to partner
	fToPrompt    // light to prompt
	fLightLines
	fDoubt     // the light answer corrects itself
	fPartDoubt // the partner does
	fPromptLength
	fPromptLines
	fPromptDigits
	fPromptCode
	fPromptMath
	fPromptQuestions
	fPromptOther // share of bytes outside ASCII
	fPromptQuant // words like each, twice, remaining, percent
	denseCount
)

// scanned bounds the bytes of a text that are looked at, from its end where
// answers conclude, and from its start where requests ask.
const scanned = 8 << 10

// dense fills the features that do not depend on words.
func dense(in *Input, x *[denseCount]float32) {
	*x = [denseCount]float32{}
	requestFeatures(in.Prompt[:min(len(in.Prompt), scanned)], x)
	x[fPromptLength] = logOf(max(len(in.Prompt), in.Bytes))
	if in.Light == nil {
		return
	}
	light := tail(in.Light.Text)
	keyFeatures(in.LightK, x)
	x[fLightLength] = logOf(len(in.Light.Text))
	x[fToPrompt] = x[fLightLength] - x[fPromptLength]
	x[fLightLines] = logOf(strings.Count(light, "\n"))
	x[fDoubt] = flag(doubts(light))
	x[fSelfMention] = mentions(light, in.LightK.String())
	if in.Partner != nil {
		partnerFeatures(in, light, x)
	}
}

func partnerFeatures(in *Input, light string, x *[denseCount]float32) {
	part := tail(in.Partner.Text)
	agreement := answer.Agree(in.LightK, in.PartK)
	x[fPartner] = 1
	x[fSame] = flag(agreement == answer.Same)
	x[fDifferent] = flag(agreement == answer.Different)
	x[fLengthRatio] = x[fLightLength] - logOf(len(in.Partner.Text))
	x[fPartDoubt] = flag(doubts(part))
	x[fKeyLengthRatio] = logOf(len(in.LightK.String())) - logOf(len(in.PartK.String()))
	a, numeric := in.LightK.Number()
	b, alsoNumeric := in.PartK.Number()
	x[fPartNumeric] = flag(alsoNumeric)
	x[fPartInteger] = flag(alsoNumeric && b == math.Trunc(b))
	if agreement == answer.Same {
		return
	}
	if numeric && alsoNumeric {
		x[fMagnitude] = float32(math.Abs(math.Log((math.Abs(a) + 1) / (math.Abs(b) + 1))))
	}
	x[fCrossLight] = mentions(part, in.LightK.String())
	x[fCrossPart] = mentions(light, in.PartK.String())
}

func keyFeatures(k answer.Key, x *[denseCount]float32) {
	switch k.Kind {
	case answer.CallKey:
		x[fCall] = 1
	case answer.SchemaKey, answer.ValuesKey:
		x[fDocument] = 1
	case answer.WholeKey:
		x[fWhole] = 1
	case answer.NoKey:
		x[fNoKey] = 1
	}
	n, numeric := k.Number()
	x[fLightNumeric] = flag(numeric)
	x[fLightInteger] = flag(numeric && n == math.Trunc(n))
	x[fKeyLength] = logOf(len(k.String()))
}

func requestFeatures(text string, x *[denseCount]float32) {
	var digits, math, questions, other, lines int
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 0x80:
			other++
		case c == '\\' || c == '^' || c == '=':
			math++
		case c == '?':
			questions++
		case c == '\n':
			lines++
		}
	}
	x[fPromptDigits] = logOf(digits)
	x[fPromptMath] = logOf(math)
	x[fPromptQuestions] = logOf(questions)
	x[fPromptLines] = logOf(lines)
	x[fPromptOther] = float32(other) / float32(len(text)+1)
	x[fPromptCode] = logOf(count(text, codeWords))
	x[fPromptQuant] = logOf(count(text, quantWords))
}

var (
	codeWords  = []string{"def ", "return", "function", "assert", "```", "SELECT ", "class ", "import ", "();", "for ("}
	quantWords = []string{
		" each", " every", "twice", "half", "percent", "%", "remain", "total", " more ", " less ", "times", "average", "per ",
	}
	doubtWords = []string{
		"Wait", "wait,", "However, ", "mistake", "re-evaluate", "reconsider", "Actually", "incorrect", "not possible",
		"error in", "approximat", "assum",
	}
)

func count(text string, words []string) int {
	n := 0
	for _, w := range words {
		n += strings.Count(text, w)
	}
	return n
}

func doubts(text string) bool {
	return slices.ContainsFunc(doubtWords, func(w string) bool { return strings.Contains(text, w) })
}

// mentions counts, on a log scale, how often a key occurs in a text. A long key is
// not searched for.
func mentions(text, key string) float32 {
	if key == "" || len(key) > 64 {
		return 0
	}
	return logOf(strings.Count(text, key))
}

func tail(s string) string { return s[max(0, len(s)-scanned):] }

func logOf(n int) float32 { return float32(math.Log1p(float64(n))) }

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}
