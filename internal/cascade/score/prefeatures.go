package score

import (
	"math"
	"strings"
)

// The features of a request that a pre-score reads. Text is measured in bytes, on a log
// scale. Their number and order belong to the file format: change either and raise
// fileVersion.
const (
	fPromptLength = iota
	fPromptLines
	fPromptDigits
	fPromptCode
	fPromptMath
	fPromptQuestions
	fPromptOther // share of bytes outside ASCII
	fPromptQuant // words like each, twice, remaining, percent
	fRoute       // log odds of the route's gain
	preScoreCount
)

// scanned bounds the bytes of a request that are looked at, from its start.
const scanned = 8 << 10

func requestFeatures(in *Input, x *[preScoreCount]float32) {
	text := in.Prompt[:min(len(in.Prompt), scanned)]
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
	x[fPromptLength] = logOf(max(len(in.Prompt), in.Bytes))
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
)

func count(text string, words []string) int {
	n := 0
	for _, w := range words {
		n += strings.Count(text, w)
	}
	return n
}

func logOf(n int) float32 { return float32(math.Log1p(float64(n))) }

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func logit(p float64) float64 { return math.Log(p / (1 - p)) }
