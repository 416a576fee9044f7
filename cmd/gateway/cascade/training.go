package cascade

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/cascade/train"
)

// trainShare leaves two thirds of a log for the proof, which needs 500 pairs and
// more. It is the split that docs/cascade.md measures.
const trainShare = 0.33

// training are the flags about what is fitted to the log first.
type training struct {
	preScore, score string // files; "" is not to be trained
	share           float64
}

func (t *training) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.preScore, "train-pre-score", "", "train a pre-score into `FILE`")
	flags.StringVar(&t.score, "train-score", "", "train a score into `FILE`; needs telemetry.content while observing")
	flags.Float64Var(&t.share, "train-share", trainShare, "`SHARE` of the pairs, the earlier ones, that is trained on and never certified with")
}

// learned is what was trained. The zero value is nothing.
type learned struct {
	n     int // of the log's pairs: trained on
	until time.Time
	order order

	gate      []byte // the file, nil for none
	gateTells *train.PreScoreReport
	score     []byte // likewise
	left      map[train.Ranked]int
}

// fit trains on the earlier pairs of a log.
func (t *training) fit(log []labelled, o certify.Options) (*learned, error) {
	l := &learned{}
	if t.preScore == "" && t.score == "" {
		return l, nil
	}
	before, _ := certify.Split(log, t.share)
	l.n = len(before)
	earlier := make([]train.Labelled, l.n)
	for i := range before {
		earlier[i] = before[i].Labelled
		l.until = before[i].Pair.Time
	}
	if t.preScore != "" {
		gate, tells, err := train.PreScore(train.Examples(earlier), train.Target{MaxLoss: o.MaxLoss, Delta: o.Delta}, seed)
		if err != nil {
			return nil, err
		}
		l.gate, l.gateTells = gate.Encode(), tells
		l.order.gate, l.order.texts = gate, train.Texts(earlier)
	}
	if t.score == "" {
		return l, nil
	}
	model, left, err := train.Score(earlier, seed)
	if err != nil {
		return nil, err
	}
	l.score, l.left = model.Encode(), left
	l.order.score, err = score.Load(l.score)
	return l, err
}

// bind names the new files in a certificate.
func (l *learned) bind(scores map[string]string) {
	if l.gate != nil {
		scores[certify.RolePreScore] = score.FileHash(l.gate)
	}
	if l.score != nil {
		scores[certify.RoleScore] = score.FileHash(l.score)
	}
}

func (l *learned) writePreScore(out io.Writer, file string) error {
	if l.gate == nil {
		return nil
	}
	return writeWhole(out, "pre-score", file, l.gate)
}

func (l *learned) writeScore(out io.Writer, file string) error {
	if l.score == nil {
		return nil
	}
	return writeWhole(out, "score", file, l.score)
}

// print says what was trained and what it is worth.
func (l *learned) print(out io.Writer) {
	if l.n == 0 {
		return
	}
	fmt.Fprintf(out, "trained on the %d pairs before those, until %s\n", l.n, l.until.Format(time.RFC3339))
	if l.score != nil {
		fmt.Fprintf(out, "score: trained on %d of them\n", l.left[train.Rebuilt])
		printLeft(out, l.left)
	}
	if l.gate == nil {
		return
	}
	l.printGate(out)
}

func (l *learned) printGate(out io.Writer) {
	gate, tells := l.order.gate, l.gateTells
	from := "texts, lengths and routes"
	if !l.order.texts {
		from = "lengths and routes alone: not every pair has its text (telemetry.content)"
	}
	fmt.Fprintf(out, "pre-score: from %s\n", from)
	if math.IsNaN(tells.APGR) {
		fmt.Fprintf(out, "  no APGR: on %d pairs light and escalation model are equally good\n", tells.N)
	} else {
		fmt.Fprintf(out, "  APGR %.3f [%.3f, %.3f] on %d pairs, each scored without having been seen; 0.5 is a random order\n", tells.APGR, tells.Low, tells.High, tells.N)
	}
	if math.IsInf(gate.Uncertain, -1) {
		fmt.Fprintln(out, "  light alone: never; no gain is low enough for a proof on these pairs")
	} else {
		fmt.Fprintf(out, "  light alone below a gain of %.3f: %.1f %% of the requests\n", gate.Uncertain, 100*tells.Shares[score.LightBand])
	}
	if math.IsInf(gate.Direct, 1) {
		fmt.Fprintln(out, "  straight: never; asking the light models first pays at every gain")
	} else {
		fmt.Fprintf(out, "  straight from a gain of %.3f on: %.1f %% of the requests\n", gate.Direct, 100*tells.Shares[score.DirectBand])
	}
	if undecided := tells.Shares[score.NoBand] + tells.Shares[score.UncertainBand]; undecided > 0 {
		fmt.Fprintf(out, "  undecided: %.1f %% of the requests\n", 100*undecided)
	}
	if gate.Bounds == score.Unbounded() {
		fmt.Fprintln(out, "  this pre-score decides nothing: leave it out")
	}
}

// compare holds the trained order against the untrained one, which needs no pairs
// to train on and can certify with all of them.
func (l *learned) compare(out io.Writer, log []labelled, o certify.Options) {
	if l.score == nil {
		return
	}
	untrained := l.order
	untrained.score, untrained.file = nil, ""
	trained, best := certifies(log[l.n:], &l.order, o), certifies(log[l.n:], &untrained, o)
	fmt.Fprintf(out, "certified saving: %.1f %% in the trained order, %.1f %% in the untrained one on the same pairs", 100*trained, 100*best)
	if l.gate == nil {
		all := certifies(log, &untrained, o)
		best = max(best, all)
		fmt.Fprintf(out, ", %.1f %% on all %d", 100*all, len(log))
	}
	if trained > best {
		fmt.Fprintf(out, "\n  the trained order saves %.1f points more\n", 100*(trained-best))
		return
	}
	fmt.Fprintln(out, "\n  the trained order does not pay: certify the untrained one, without --train-score")
}

// certifies is the saving that pairs in an order certify, 0 for none.
func certifies(log []labelled, by *order, o certify.Options) float64 {
	r, err := certify.Calibrate(rank(log, by).pairs, o)
	if err != nil && r.Certified < 0 {
		return 0
	}
	return r.Curve[r.Certified].Saving
}
