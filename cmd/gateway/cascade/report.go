package cascade

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/calibrate"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// report prints what a calibration found in a file of pairs.
func report(out io.Writer, file string, in *calibrate.Input, r *calibrate.Result) {
	printLog(out, file, in.Log, r.Ranked)
	if r.Report == nil {
		return
	}
	printLabels(out, in.Log, r.Ranked.By)
	printTrained(out, r.Trained)
	printCurve(out, r.Report, in.Options, r.Ranked.Direct())
	printStrata(out, r)
	if r.Second != nil {
		printSecond(out, r.Second)
	}
}

func printLog(out io.Writer, file string, log *calibrate.Log, r *calibrate.Ranked) {
	fmt.Fprintf(out, "%s: %d pairs taken\n", file, len(r.Pairs))
	for _, left := range []struct {
		n   int
		why string
	}{
		{log.Skipped, "lines left out: not whole, or of another version"},
		{log.OtherCascade, "pairs left out: of another cascade"},
		{log.OtherPolicy, "pairs left out: of another policy, other models or other prices"},
		{log.Unlabelled, "pairs left out: label unknown; the guarantee is for requests like the labelled ones"},
		{r.Unscored, "pairs left out: not ranked by the score file that the cascade names"},
		{r.Textless, "pairs left out: without the text that the pre-score reads (telemetry.content)"},
		{r.Unpriced, "pairs without a price for a model: the saving is not what it would be"},
	} {
		if left.n > 0 {
			fmt.Fprintf(out, "  %d %s\n", left.n, left.why)
		}
	}
}

const maxShown = 10 // ids

// printLabels says whose labels were used and what is doubtful about them.
func printLabels(out io.Writer, log *calibrate.Log, by map[string]int) {
	fmt.Fprintf(out, "labels: %d by humans, %d by a judge, %d by comparing keys\n",
		by[calibrate.ByHuman], by[calibrate.ByGrades]+by[calibrate.ByJudge], by[calibrate.ByKeys])
	if ids := log.Unmatched; len(ids) > 0 {
		more := ""
		if len(ids) > maxShown {
			more = fmt.Sprintf(" and %d more", len(ids)-maxShown)
		}
		fmt.Fprintf(out, "  %d human labels have no pair among those taken: %s%s\n",
			len(ids), strings.Join(ids[:min(len(ids), maxShown)], ", "), more)
	}
	judged := &log.Judged
	switch {
	case by[calibrate.ByJudge]+by[calibrate.ByGrades] == 0:
	case judged.Pairs < calibrate.MinJudged:
		fmt.Fprintf(out, "  warning: the judge is checked on %d pairs with a human label; label %d\n",
			judged.Pairs, calibrate.MinJudged)
	default:
		human, judge := judged.Losses()
		fmt.Fprintf(out, "  the judge agrees with the human labels on %.1f %% of %d pairs; "+
			"mean loss %.2f points by humans, %.2f by the judge\n",
			100*judged.Share(), judged.Pairs, 100*human, 100*judge)
	}
	printGrading(out, &log.Grading)
}

// printTrained says what was trained and what it is worth.
func printTrained(out io.Writer, t *calibrate.Trained) {
	if t.PreScore != nil {
		fmt.Fprintf(out, "pre-score: trained on the %d pairs before those, until %s\n", t.Pairs, t.Until.Format(time.RFC3339))
		printPreScore(out, t)
	}
	if t.Score != nil {
		fmt.Fprintf(out, "score: cross-fitted to %d pairs without a key to compare; "+
			"each certifies by a model that has not seen it\n", t.Ranked)
	}
}

func printPreScore(out io.Writer, t *calibrate.Trained) {
	from, r := "texts, lengths and routes", t.Report
	if !t.Texts {
		from = "lengths and routes alone: not every pair has its text (telemetry.content)"
	}
	fmt.Fprintf(out, "  from %s\n", from)
	if math.IsNaN(r.APGR) {
		fmt.Fprintf(out, "  no APGR: on %d pairs light and escalation model are equally good\n", r.N)
	} else {
		fmt.Fprintf(out, "  APGR %.3f [%.3f, %.3f] on %d pairs, "+
			"each scored without having been seen; 0.5 is a random order\n", r.APGR, r.Low, r.High, r.N)
	}
	if math.IsInf(t.Bounds.Uncertain, -1) {
		fmt.Fprintln(out, "  light alone: never; no gain is low enough for a proof on these pairs")
	} else {
		fmt.Fprintf(out, "  light alone below a gain of %.3f: %.1f %% of the requests\n",
			t.Bounds.Uncertain, 100*r.Shares[score.LightBand])
	}
	if math.IsInf(t.Bounds.Direct, 1) {
		fmt.Fprintln(out, "  straight: never; asking the light models first pays at every gain")
	} else {
		fmt.Fprintf(out, "  straight from a gain of %.3f on: %.1f %% of the requests\n",
			t.Bounds.Direct, 100*r.Shares[score.DirectBand])
	}
	if undecided := r.Shares[score.NoBand] + r.Shares[score.UncertainBand]; undecided > 0 {
		fmt.Fprintf(out, "  undecided: %.1f %% of the requests\n", 100*undecided)
	}
	if t.Bounds == score.Unbounded() {
		fmt.Fprintln(out, "  this pre-score decides nothing: leave it out")
	}
}

// printCurve says what was certified. The direct share of the requests bypasses the
// light model whatever the threshold.
func printCurve(out io.Writer, r *certify.Report, o certify.Options, direct float64) {
	fmt.Fprintf(out, "target: at most %.4g points lost, %.4g %% sure\n", 100*o.MaxLoss, 100*(1-o.Delta))
	fmt.Fprintf(out, "ceiling: light alone saves %.1f %%\n", 100*r.Ceiling)
	if len(r.Curve) > 0 {
		fmt.Fprintln(out, r.Plot(o.MaxLoss))
	}
	if r.Certified < 0 {
		return
	}
	p := r.Curve[r.Certified]
	if direct > 0 {
		fmt.Fprintf(out, "%.1f %% straight to the escalation model by the pre-score\n", 100*direct)
	}
	fmt.Fprintf(out, "threshold %.4g: %.1f %% light, saves %.1f %% (%.1f to %.1f)\n",
		p.Threshold, 100*(p.Accepted-direct), 100*p.Saving, 100*r.SavingLow, 100*r.SavingHigh)
	fmt.Fprintf(out, "loss %.2f points measured, at most %.2f by the %s test on %d pairs, p = %.4g\n",
		100*p.Loss, 100*r.Bound, r.Test, r.Used, r.PValue)
}

// printStrata says what the certificate serves of the answers with a key and of those
// without, when there are both.
func printStrata(out io.Writer, r *calibrate.Result) {
	if r.Report.Certified < 0 || r.Ranked.Unkeyed == 0 {
		return
	}
	keyed, unkeyed := r.Ranked.Served(r.Report.Curve[r.Report.Certified].Threshold)
	fmt.Fprintf(out, "  light serves %.1f %% of the answers with a key, %.1f %% of the %d that a score ranks\n",
		100*keyed, 100*unkeyed, r.Ranked.Unkeyed)
}

// printSecond says what the second opinion adds and costs.
func printSecond(out io.Writer, s *calibrate.Second) {
	fmt.Fprintf(out, "second opinion: costs %.1f %% of the escalation spend; certified saving %.1f %% with it, "+
		"%.1f %% by its keys alone, %.1f %% without it\n", 100*s.Cost, 100*s.With, 100*s.Keys, 100*s.Without)
	fmt.Fprintln(out, "  "+advice(s))
}

// little is a difference between savings that other pairs may well turn round.
const little = 0.01

// advice is whether to keep the second opinion.
func advice(s *calibrate.Second) string {
	switch gain := s.With - s.Without; {
	case max(s.With, s.Without, s.Keys) <= 0:
		return "no advice: nothing is certified either way"
	case s.Keys >= max(s.With, s.Without)+little:
		return fmt.Sprintf("keep the partner and leave the score out (--train-score): that saves %.1f points more",
			100*(s.Keys-max(s.With, s.Without)))
	case gain >= little:
		return fmt.Sprintf("keep the partner: it saves %.1f points more", 100*gain)
	case gain > -little:
		return "leave the partner out: it makes no difference, and each request waits for it"
	default:
		return fmt.Sprintf("leave the partner out: that saves %.1f points more", -100*gain)
	}
}
