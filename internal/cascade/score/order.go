package score

import (
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
)

// Never is above every threshold on the scale of risks: in [0,1) the two light
// answers agree, in [1,2) they do not. The further down, the sooner a
// certificate lets the light answer through.
const Never = math.MaxFloat64

// logRange is the length in bytes, on the log scale, that fills one unit.
var logRange = math.Log1p(1 << 16)

// Untrained ranks a light answer without any training, by two facts that hold
// across tasks: answers that agree are rarely worse than the escalation
// model's, the short ones least; and where they disagree, the escalation call
// costs most, and helps least for its price, on the requests that make the
// light model write the most. Serving those first saves the most for the
// same loss.
//
// No label goes into this order, so every labelled pair is left for the
// certificate. An answer that cannot be compared is Never.
func Untrained(in *Input) float64 {
	length := min(math.Log1p(float64(len(in.Light.Text)))/logRange, 0.999)
	switch agreement(in) {
	case answer.Same:
		return length
	case answer.Different:
		return 2 - length
	}
	return Never
}

func agreement(in *Input) answer.Agreement {
	if in.Partner == nil {
		return answer.Unknown
	}
	return answer.Agree(in.LightK, in.PartK)
}
