package traits

import "strings"

// cue is a kind of words that say what an answer does rather than what it is about.
type cue uint8

const (
	cueSorry   cue = iota // it apologises
	cueRefuse             // it says that it cannot
	cueSelf               // it speaks of itself as a model
	cueHedge              // it is not sure
	cueOffer              // it offers to go on
	cueOpen               // it announces itself
	cueOmit               // it leaves a part out, or to the reader
	cueMistake            // it corrects itself
	cueReason             // it argues
	cueCount
)

// phrases are what is a sign of each cue, of up to three words each, as they are read:
// lower-cased, an apostrophe separates. They are of the languages that the models of
// Bedrock are mostly asked in.
var phrases = [cueCount]string{
	cueSorry: "sorry; apologize; apologise; apologies; disculpa; lo siento; désolé; entschuldigung; " +
		"tut mir leid; desculpe; mi dispiace",
	cueRefuse: "i cannot; i can t; can t provide; cannot provide; not able to; unable to; i m unable; " +
		"i don t have; don t have access; not possible to; cannot be determined; no puedo; je ne peux; " +
		"ich kann nicht; não posso",
	cueSelf: "as an ai; language model; an ai language; my training; knowledge cutoff; real time; up to date",
	cueHedge: "might be; may be; could be; it seems; perhaps; possibly; likely; i think; i believe; not sure; " +
		"unclear; depends on; it depends; please note; keep in mind; it s important",
	cueOffer: "let me know; feel free; hope this helps; would you like; any questions; happy to help; " +
		"further assistance",
	cueOpen: "sure; certainly; of course; absolutely; here is; here s; here are; great question; claro; " +
		"bien sûr; natürlich",
	cueOmit: "your code here; add your; and so on; rest of the; for brevity; you can add; you would need; " +
		"you will need; you can use; consult a; please provide; could you provide; more information; " +
		"continue with; etc; placeholder; similarly for; as needed; should be replaced",
	cueMistake: "mistake; my previous; correct the; you re right; you are right; confusion; oversight; " +
		"let s correct; actually; incorrect",
	cueReason: "because; therefore; however; thus; for example; for instance; since; in conclusion; overall; " +
		"step by step",
}

// cueOf finds the cue of a run of words by its hash.
var cueOf = func() map[uint32]cue {
	table := map[uint32]cue{}
	for c, all := range phrases {
		for phrase := range strings.SplitSeq(all, "; ") {
			run := uint32(0)
			for i, w := range strings.Fields(phrase) {
				h := uint32(offset)
				for _, r := range w {
					h = (h ^ uint32(r)) * prime
				}
				if i == 0 {
					run = h
				} else {
					run = joined(run, h)
				}
			}
			table[run] = cue(c)
		}
	}
	return table
}()

// cueFilter says of most runs that they are no cue, without a look-up.
var cueFilter = func() (s sketch) {
	for run := range cueOf {
		s.add(run)
	}
	return s
}()

func (s *sketch) has(h uint32) bool {
	h = mix(h)
	return s[h>>6&(1<<9-1)]&(1<<(h&63)) != 0
}

// openers is within how many words a text announces itself.
const openers = 4

func (t *text) cue(runs *[longest]uint32) {
	for _, run := range runs {
		if run == 0 || !cueFilter.has(run) {
			continue
		}
		c, known := cueOf[run]
		if !known {
			continue
		}
		t.cues[c]++
		if t.words < openers && t.starts == cueCount {
			t.starts = c
		}
	}
}
