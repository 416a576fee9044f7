// Package score turns a request and its answers into one number, by which light answers
// are ordered: those of the lowest risk are served first.
//
// Untrained orders answers that have a key to compare, Model those that have none, and
// PreScore looks at a request before any call. What is trained is small, is trained in
// Go, and gives the same bytes for the same rows. A risk has no meaning of its own: only
// a threshold that was certified on the operator's traffic makes it one (package
// certify).
package score

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/cascade/traits"
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
	// Source reads what the request supplies to answer from; nil supplies nothing.
	Source func() *ground.Source
}

// Row is one labelled request for training a pre-score.
type Row struct {
	Input      Input
	Light      float64 // quality of the light answer, 0 to 1
	Escalation float64 // quality of the escalation answer, 0 to 1
	Weight     float64 // 0 counts as 1
}

func (r *Row) weight() float64 { return cmp.Or(r.Weight, 1) }

// The features that Model reads beside those of package traits: what kind of key the
// light answer has, whether it is another one than that of the second opinion, and what
// of the answer does not stand on what the request supplies.
const (
	keyWhole = traits.Count + iota
	keyFinal
	keyDocument
	keyDiffers // from that of the second opinion
	groundSupplied
	groundOpaque
	groundNumbers // the share that the source does not have, as below
	groundNames
	groundQuotes
	groundLinks
	groundCitations
	groundWords
	groundNotFound
	groundOverlooked
	groundTranslated

	// FeatureCount is how many features a light answer has.
	FeatureCount
)

// FeatureSet names the features of Features. Scores and logs of another set are of no
// use.
const FeatureSet = traits.Set + "+" + ground.Order

// Features are what Model reads of an answer, nil when it could not be read or
// calls a tool: what that does is in no text.
func Features(in *Input) []float32 {
	if in.Light == nil || len(in.Light.ToolCalls) > 0 {
		return nil
	}
	var second *string
	if in.Partner != nil {
		second = &in.Partner.Text
	}
	row := traits.Of(traits.Ask(in.Prompt), in.Light.Text, second)
	x := make([]float32, FeatureCount)
	copy(x, row[:])
	switch in.LightK.Kind {
	case answer.WholeKey:
		x[keyWhole] = 1
	case answer.FinalKey:
		x[keyFinal] = 1
	case answer.SchemaKey, answer.ValuesKey:
		x[keyDocument] = 1
	}
	if in.Partner != nil && answer.Agree(in.LightK, in.PartK) == answer.Different {
		x[keyDiffers] = 1
	}
	if in.Source != nil {
		f := ground.Look(in.Source(), in.Light.Text)
		grounded(&f, x)
	}
	return x
}

// grounded fills in what is found in the source.
func grounded(f *ground.Findings, x []float32) {
	if !f.Supplied {
		return
	}
	flag := func(at int, is bool) {
		if is {
			x[at] = 1
		}
	}
	x[groundSupplied] = 1
	if f.Opaque {
		x[groundOpaque] = 1
		return
	}
	for i, s := range [...]ground.Share{f.Numbers, f.Names, f.Quotes, f.Links, f.Citations, f.Words} {
		if s.Of > 0 {
			x[groundNumbers+i] = 1 - float32(s.Found)/float32(s.Of)
		}
	}
	flag(groundNotFound, f.NotFound)
	flag(groundOverlooked, f.NotFound && f.Answerable >= ground.Enough)
	flag(groundTranslated, f.Translated)
}

// WithoutSecond returns the features of the same answer as if nobody had been asked for
// a second opinion. x is of FeatureCount.
func WithoutSecond(x []float32) []float32 {
	alone := traits.Row(x[:traits.Count]).Alone()
	out := make([]float32, FeatureCount)
	copy(out, x)
	copy(out, alone[:])
	out[keyDiffers] = 0
	return out
}

// HasSecond reports whether features are of an answer with a second opinion.
func HasSecond(x []float32) bool { return len(x) == FeatureCount && x[traits.PairThere] == 1 }
