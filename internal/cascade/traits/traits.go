// Package traits counts what can be seen of an answer without understanding it: how
// long it is, how it is laid out, what it says of itself, how it ends, what it has in
// common with a second answer, and what of the request it misses. Scores for free text
// are trained on these numbers.
//
// The package is pure. It keeps nothing and takes some ten microseconds for an answer
// of a few kilobytes.
package traits

import "math"

// Set names the features: what each is, their order and how they are counted. Raise it
// with every change to any of that: scores and logs of another set are of no use.
const Set = "traits-1"

// Row is the features of one light answer. A feature of something that is not there
// (a second opinion, a request) is 0.
type Row [Count]float32

// The features. Counts are on a log scale, shares from 0 to 1.
const (
	lightBytes = iota
	lightSentence
	lightWord
	lightDistinct
	lightRepeats
	lightLines
	lightBullets
	lightItems
	lightHeadings
	lightCode
	lightRows
	lightDigits
	lightNumbers
	lightNames
	lightCapitals
	lightForeign
	lightMarks
	lightStop
	lightAsk
	lightOpen
	lightOpenFence
	lightStartsSorry
	lightStartsOpen
	lightCues // and one for each further cue

	PairThere = lightCues + int(cueCount) + iota - 24 // 1 where there is a second opinion
	pairLonger
	pairRuns // and two for longer runs
	_
	_
	pairNumbers
	pairNames
	pairLists
	pairCode
	pairForeign
	pairBytes
	pairSorry
	pairRefuse
	pairRepeats
	pairContained
	pairDistinct

	askedBytes
	askedQuestions
	askedNumbered
	askedCode
	askedBrief
	askedLong
	askedShared
	askedNumbers
	askedLonger
	missesList
	missesTable
	missesCode
	missesJSON
	missesItems
	missesWords
	missesLanguage
	missesAnswers

	Count
)

// Of reads a light answer to a request and, unless nil, a second opinion on it.
func Of(asked *Asked, light string, second *string) Row {
	var x Row
	var own, other text
	own.read(light)
	own.alone(&x)
	if second != nil {
		other.read(*second)
		own.beside(&other, &x)
	}
	asked.misses(&own, &x)
	return x
}

// Alone is the row of the same answer without a second opinion.
func (x Row) Alone() Row {
	clear(x[PairThere:askedBytes])
	return x
}

func (t *text) alone(x *Row) {
	x[lightBytes] = logOf(t.bytes)
	x[lightSentence] = logOf(t.words / (t.sentences + 1))
	x[lightWord] = ratio(t.letters, t.words)
	x[lightDistinct] = t.distinct()
	x[lightRepeats] = t.repeats()
	x[lightLines] = logOf(t.lines)
	x[lightBullets] = logOf(t.bullets)
	x[lightItems] = logOf(t.items)
	x[lightHeadings] = logOf(t.headings)
	x[lightCode] = logOf(t.fences)
	x[lightRows] = logOf(t.rows)
	x[lightDigits] = root(ratio(t.digits, t.letters+t.digits))
	x[lightNumbers] = logOf(t.numbers.count())
	x[lightNames] = logOf(t.names.count())
	x[lightCapitals] = ratio(t.capitals, t.letters)
	x[lightForeign] = t.abroad()
	x[lightMarks] = ratio(t.marks, t.words)
	x[lightStop] = flag(t.end == endStop)
	x[lightAsk] = flag(t.end == endAsk)
	x[lightOpen] = flag(t.end == endOpen)
	x[lightOpenFence] = flag(t.inFence)
	x[lightStartsSorry] = flag(t.starts == cueSorry || t.starts == cueRefuse)
	x[lightStartsOpen] = flag(t.starts == cueOpen)
	for c, n := range t.cues {
		x[lightCues+c] = flag(n > 0)
	}
}

func (t *text) beside(o *text, x *Row) {
	x[PairThere] = 1
	x[pairLonger] = logOf(t.bytes) - logOf(o.bytes)
	for n := range longest {
		x[pairRuns+n] = lowEnd(cosine(&t.grams[n], &o.grams[n]))
	}
	x[pairNumbers] = lowEnd(overlap(&t.numbers, &o.numbers))
	x[pairNames] = lowEnd(overlap(&t.names, &o.names))
	x[pairLists] = logOf(t.bullets+t.items+t.rows) - logOf(o.bullets+o.items+o.rows)
	x[pairCode] = logOf(t.fences) - logOf(o.fences)
	x[pairForeign] = t.abroad() - o.abroad()
	x[pairBytes] = logOf(o.bytes)
	x[pairSorry] = flag(o.cues[cueSorry] > 0)
	x[pairRefuse] = flag(o.cues[cueRefuse] > 0)
	x[pairRepeats] = o.repeats()
	x[pairContained] = ratio(t.grams[1].shared(&o.grams[1]), t.grams[1].count())
	x[pairDistinct] = t.distinct() - o.distinct()
}

// abroad is the share of letters outside ASCII.
func (t *text) abroad() float32 { return ratio(t.foreign, t.letters+t.foreign) }

// distinct is how many words are no repetition of another, for a text of its length:
// the log of their number, as a part of the log of all.
func (t *text) distinct() float32 {
	if t.words < 2 {
		return 1
	}
	return float32(math.Log(float64(t.grams[0].count())) / math.Log(float64(t.words)))
}

// repeats is the share of runs of three words that occurred before.
func (t *text) repeats() float32 {
	if t.words < longest {
		return 0
	}
	return max(0, 1-ratio(t.grams[longest-1].count(), t.words-longest+1))
}

// cosine compares two sets, 0 to 1.
func cosine(a, b *sketch) float32 {
	n := float64(a.count()) * float64(b.count())
	if n == 0 {
		return 0
	}
	return float32(float64(a.shared(b)) / math.Sqrt(n))
}

// overlap is cosine with a doubt: sets that are nearly empty say little.
func overlap(a, b *sketch) float32 {
	return float32(a.shared(b)+1) / float32(math.Sqrt(float64(a.count()+2)*float64(b.count()+2)))
}

// lowEnd stretches the low end of a similarity: whether two answers have nothing or
// little in common says more than whether they have much or most.
func lowEnd(x float32) float32 { return float32(math.Log(float64(x) + 0.1)) }

func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }

func ratio(n, of int) float32 { return float32(n) / float32(max(of, 1)) }

func logOf(n int) float32 { return float32(math.Log1p(float64(n))) }

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}
