package score

import (
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
)

// Never is above every threshold on the scale of risks: in [0,1) the two light
// answers agree, in [1,2) they do not. The further down, the sooner a
// certificate lets the light answer through.
const Never = math.MaxFloat64

// agreed is the risk below which answers agree.
const agreed = 1

// Order names the order of Untrained, with the keys and the vetoes before it.
// Certificates and pairs are about one order: raise it with every change to
// what a risk is or which answers have one.
const Order = 4

// logRange is the length in bytes, on the log scale, that fills one unit.
var logRange = math.Log1p(1 << 16)

// Untrained ranks a light answer without any training, by facts that hold
// across tasks. Answers that agree are rarely worse than the escalation
// model's: least where the key has two to four characters, which is too long
// to agree by chance and too short to go wrong in parts; of like keys those
// with much written before them come first, because there the escalation call
// costs most. Where the answers disagree, the escalation call costs most, and
// helps least for its price, on the requests that make a light model write the
// most. Serving those first saves the most for the same loss.
//
// No label goes into this order, so every labelled pair is left for the
// certificate. An answer that cannot be compared is Never.
func Untrained(in *Input) float64 {
	if in.Partner == nil {
		return Never
	}
	switch answer.Agree(in.LightK, in.PartK) {
	case answer.Same:
		return keyRisk(in)
	case answer.Different:
		return 2 - written(in)
	}
	return Never
}

// written is how much both models wrote, from 0 to 1: of choices the mean on the log
// scale, else the longer of both. A choice can be guessed in one line, so that one
// model writes much says little; elsewhere the model that writes little has often
// overlooked something.
func written(in *Input) float64 {
	light, partner := length(in.Light), length(in.Partner)
	if in.LightK.Choice() && in.PartK.Choice() {
		return (light + partner) / 2
	}
	return max(light, partner)
}

// keyLength is the key on which agreement means most, in bytes on the log
// scale; lengthShare is how much the length of the answer counts beside it.
const (
	keyLength   = 1.3
	lengthShare = 0.3
)

func keyRisk(in *Input) float64 {
	off := math.Abs(math.Log1p(float64(len(in.LightK.String()))) - keyLength)
	return min((off+lengthShare*(1-length(in.Light)))/(3+lengthShare), 0.999)
}

// length is that of an answer from 0 to 1, on the log scale.
func length(a *answer.Answer) float64 {
	return min(math.Log1p(float64(len(a.Text)))/logRange, 0.999)
}
