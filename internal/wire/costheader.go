package wire

import "strings"

// The header fields that change what a call costs. Bedrock reads them with
// InvokeModel and InvokeModelWithResponseStream (service model), and answers with
// the same fields; they count with every operation, because they are forwarded.
const (
	headerTier      = "X-Amzn-Bedrock-Service-Tier"
	headerLatency   = "X-Amzn-Bedrock-PerformanceConfig-Latency"
	headerGuardrail = "X-Amzn-Bedrock-GuardrailIdentifier"
)

// ReadHeader adds what the header fields of the request say to the facts of its
// body. It belongs after Read.
func (f *Facts) ReadHeader(h Header) {
	for i := range h {
		switch name := h[i].Name; {
		case !strings.HasPrefix(name, "X") && !strings.HasPrefix(name, "x"):
		case strings.EqualFold(name, headerTier):
			f.ServiceTier = joinWords(f.ServiceTier, h[i].Value, isDefaultTier)
		case strings.EqualFold(name, headerLatency):
			f.Latency = joinWords(f.Latency, h[i].Value, isDefaultLatency)
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

// joinWords joins what two places ask for, in lower case. A default gives way, and
// two words that differ become one that no price book lists: nobody knows which
// of them Bedrock obeys.
func joinWords(before, word string, isDefault func(string) bool) string {
	word = strings.ToLower(word)
	switch {
	case isDefault(before) && word != "":
		return word
	case isDefault(word) || before == word:
		return before
	}
	return before + "+" + word
}
