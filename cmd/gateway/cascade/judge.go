package cascade

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/calibrate"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
	"github.com/sluice-gateway/sluice/internal/money"
)

// printAdequate says which grade counts as adequate, in the words of the rubric,
// where a judge grades answers.
func printAdequate(out io.Writer, c *config.Cascade) {
	if from := c.Shadow.Adequate; from > 0 {
		fmt.Fprintf(out, "adequate from grade %d on: %s\n", from, rubric.Words(from))
	}
}

// printGrading says what a judge's grades show of the judge, of the models and of
// keys.
func printGrading(out io.Writer, g *calibrate.Grading) {
	if g.Pairs == 0 {
		return
	}
	fmt.Fprintf(out, "  %d pairs are graded: adequate are %.1f %% of the light answers, %.1f %% of the others\n",
		g.Pairs, share(g.Light, g.Pairs), share(g.Escalation, g.Pairs))
	if self, kappa := g.Self(); g.Reread == 0 {
		fmt.Fprintln(out, "  no answer is graded twice: nothing says whether the judge agrees with itself")
	} else {
		beyond := ""
		if !math.IsNaN(kappa) {
			beyond = fmt.Sprintf(" (kappa %.2f)", kappa)
		}
		fmt.Fprintf(out, "  a second reading says the same of %.1f %% of %d answers%s; grades are %.1f apart\n",
			100*self, g.Reread, beyond, g.Apart())
	}
	if left := g.Agreeing - g.AgreeingGraded; left > 0 {
		printBlind(out, g, left)
	}
}

// printBlind says what grades show of pairs whose keys are the same, and how many of
// them only have their keys.
func printBlind(out io.Writer, g *calibrate.Grading, left int) {
	if g.AgreeingGraded == 0 {
		fmt.Fprintf(out, "  warning: %d pairs count as no loss because their keys are the same; what keys cannot see "+
			"is not in the bound (shadow.grade_agreeing)\n", left)
		return
	}
	fmt.Fprintf(out, "  of %d pairs with equal keys %d are graded, %d of these are a loss; they stand for all of them\n",
		g.Agreeing, g.AgreeingGraded, g.AgreeingLost)
}

func share(n, of int) float64 { return 100 * float64(n) / float64(of) }

// printProgress says how far the log is on its way to a certificate. score is the file
// that a score is trained into, "" for none.
func printProgress(out io.Writer, log *calibrate.Log, score string, refusal error) {
	var short *certify.CannotCertify
	if !errors.As(refusal, &short) {
		return
	}
	p := log.Progress(refusal)
	fmt.Fprintln(out, "certified now: nothing")
	if keyless := log.Keyless(); score == "" && 2*keyless > len(log.Pairs) {
		fmt.Fprintf(out, "%d of %d light answers have no key to compare: --train-score FILE ranks them, from %d pairs on\n",
			keyless, len(log.Pairs), calibrate.MinTraining)
		p.Of = max(p.Of, calibrate.UsualPairs)
	}
	if p.Of == 0 {
		fmt.Fprintf(out, "%d labelled pairs, $%s so far; more of them would not help\n", p.Labelled, cents(p.Cost))
		return
	}
	left := ""
	if !math.IsNaN(p.Days) {
		left = ", " + days(p.Days) + " left"
	}
	fmt.Fprintf(out, "%d of about %d labelled pairs%s, $%s so far", p.Labelled, p.Of, left, cents(p.Cost))
	if p.More > 0 {
		fmt.Fprintf(out, ", about $%s to come", cents(p.More))
	}
	fmt.Fprintln(out)
}

func days(n float64) string {
	switch whole := math.Round(n); {
	case n < 0.5:
		return "less than a day"
	case whole <= 1:
		return "about 1 day"
	default:
		return fmt.Sprintf("about %.0f days", whole)
	}
}

func cents(p money.Pico) string { return fmt.Sprintf("%.2f", float64(p)/float64(money.Dollar)) }
