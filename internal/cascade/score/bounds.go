package score

import "math"

// Bounds cut the scale of a gate's scores. A score means something on the
// traffic that the gate learned from only, so its file carries them.
type Bounds struct {
	Uncertain float64 // below it the light model may answer alone; -Inf: that was not proven for any score
	Straight  float64 // from it on the escalation model is asked at once; +Inf: that pays for no score
}

// Unbounded says nothing of any request.
func Unbounded() Bounds { return Bounds{math.Inf(-1), math.Inf(1)} }

// Band is where a score lies between bounds.
type Band uint8

// The zero value is that nothing is known.
const (
	NoBand        Band = iota // no gate, or none that could tell
	LightBand                 // escalating would hardly gain anything
	UncertainBand             // it may
	StraightBand              // asking the light model first does not pay
)

// Band returns where a score lies. Without a bound for what is safe, a score
// below Straight tells nothing.
func (b Bounds) Band(score float64) Band {
	switch {
	case score >= b.Straight:
		return StraightBand
	case math.IsInf(b.Uncertain, -1):
		return NoBand
	case score >= b.Uncertain:
		return UncertainBand
	}
	return LightBand
}

// sound reports whether the bounds are in order. NaN is not.
func (b Bounds) sound() bool { return b.Uncertain <= b.Straight }
