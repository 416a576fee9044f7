package score

import "math"

// Bounds divide the scale of a pre-score into bands. A score means something only
// on the traffic that the pre-score was trained on, so its file contains them.
type Bounds struct {
	Uncertain float64 // below it the light model may answer alone; -Inf: that was not proven for any score
	Direct    float64 // from it on the escalation model is asked at once; +Inf: that pays for no score
}

// Unbounded bounds decide nothing about any request.
func Unbounded() Bounds { return Bounds{math.Inf(-1), math.Inf(1)} }

// Band is where a score is between bounds.
type Band uint8

// The zero value is that nothing is known.
const (
	NoBand        Band = iota // no pre-score, or one that cannot tell
	LightBand                 // escalating would hardly gain anything
	UncertainBand             // it may
	DirectBand                // asking the light model first does not pay
)

// Band returns the band of a score. Without a bound for what is safe, a score below
// Direct is in NoBand.
func (b Bounds) Band(score float64) Band {
	switch {
	case score >= b.Direct:
		return DirectBand
	case math.IsInf(b.Uncertain, -1):
		return NoBand
	case score >= b.Uncertain:
		return UncertainBand
	}
	return LightBand
}

// sound reports whether the bounds are in order. NaN is not.
func (b Bounds) sound() bool { return b.Uncertain <= b.Direct }
