package calibrate

import (
	"errors"
	"math"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Asked is what a log took: its pairs, when they came, and what they cost beside the
// answers that callers got.
type Asked struct {
	Pairs, Labelled int
	From, Until     time.Time
	Cost            money.Pico // shadows and judges
}

func askedOf(taken []Pair) Asked {
	a := Asked{Pairs: len(taken)}
	for i := range taken {
		p := taken[i].Pair
		a.Cost += p.LightCost() + p.JudgeCost
		if p.Grades != nil {
			a.Cost += p.Grades.Cost
		}
		if i == 0 || p.Time.Before(a.From) {
			a.From = p.Time
		}
		if p.Time.After(a.Until) {
			a.Until = p.Time
		}
	}
	return a
}

// Progress is how far a log is on its way to a certificate. The zero value needs
// nothing.
type Progress struct {
	Labelled int // pairs with a label
	Of       int // about how many are needed, 0 when more would not help
	Days     float64
	Cost     money.Pico // so far
	More     money.Pico // that is likely still to come
}

// UsualPairs is how many labelled pairs a certificate takes in practice: with fewer, the
// estimate of how many are missing is no more than a guess.
const UsualPairs = 500

// few is the number of pairs with less than which nobody can say that more would not
// help.
const few = 100

// Keyless is how many light answers of the log nothing but a score can rank.
func (l *Log) Keyless() (n int) {
	for i := range l.Pairs {
		p := l.Pairs[i].Pair
		n += flag(p.Risk == nil && p.Veto == "" && p.Scored == nil)
	}
	return n
}

// Progress is how far the log is, given why there is no certificate. Days are NaN
// when the log is too short to tell.
func (l *Log) Progress(refusal error) Progress {
	a := &l.Asked
	p := Progress{Labelled: a.Labelled, Of: UsualPairs, Cost: a.Cost, Days: math.NaN()}
	var short *certify.CannotCertify
	if errors.As(refusal, &short) {
		if p.Of = max(UsualPairs, a.Labelled+short.MorePairs); short.MorePairs == 0 && a.Labelled >= few {
			p.Of = 0
		}
	}
	more := p.Of - p.Labelled
	if more <= 0 || a.Labelled == 0 {
		return p
	}
	each := float64(a.Cost) / float64(a.Labelled)
	p.More = money.Pico(each * float64(more))
	if took := a.Until.Sub(a.From); a.Labelled > 1 && took > 0 {
		p.Days = took.Hours() / 24 / float64(a.Labelled-1) * float64(more)
	}
	return p
}
