package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/gateway"
)

// calibrateFlags are the flags as they were given.
type calibrateFlags struct {
	cascade, pairs, labels, out, svg string
	minSaving                        float64
	noJudge                          bool
}

func calibrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calibrate --config FILE --cascade NAME",
		Short: "Find how far a cascade may trust its light model, and certify it",
		Long: "Find the most liberal threshold at which the log of labelled pairs proves the\n" +
			"cascade's target, and write its certificate. A target that is not proven is an\n" +
			"error, exit 1. A pair is labelled by a line of --labels, else by the judge that\n" +
			"the log has, else by comparing the keys of both answers; the certificate says how\n" +
			"many by whom. Pairs whose label is unknown are left out, and so are those of\n" +
			"another policy, other models or other prices: the report says how many.",
		Args: usage(cobra.NoArgs),
	}
	var f calibrateFlags
	file := configFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.cascade, "cascade", "", "`NAME` of the cascade")
	flags.StringVar(&f.pairs, "pairs", "", "`FILE` of pairs; default the log in the data directory")
	flags.StringVar(&f.labels, "labels", "", "`FILE` of human labels, a JSON object on each line: {\"id\": PAIR, \"winner\": \"light\"}")
	flags.BoolVar(&f.noJudge, "no-judge", false, "leave out what a judge model said")
	flags.StringVar(&f.out, "out", "", "`FILE` for the certificate; default none is written")
	flags.StringVar(&f.svg, "svg", "", "`FILE` for a picture of the curve")
	flags.Float64Var(&f.minSaving, "min-saving", 0, "`SHARE` of the escalation spend that must be saved, 0 to 1")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.minSaving < 0 || f.minSaving > 1 {
			return invalid{errors.New("--min-saving must be from 0 to 1")}
		}
		cfg, err := loadConfig(*file)
		if err != nil {
			return err
		}
		return f.run(cmd.OutOrStdout(), cfg, time.Now().UTC())
	}
	return cmd
}

func (f *calibrateFlags) run(out io.Writer, cfg *config.Config, now time.Time) error {
	snap, err := compileKeyless(cfg)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(cfg.Cascades, func(c config.Cascade) bool { return c.Name == f.cascade })
	if at < 0 {
		return invalid{fmt.Errorf("--cascade: there is no cascade %q", f.cascade)}
	}
	settings := &cfg.Cascades[at]
	binding := gateway.BindingOf(snap, settings, now)
	if f.pairs == "" {
		f.pairs = pairs.File(filepath.Join(cfg.DataDir, "pairs"), f.cascade)
	}
	if order := snap.Learned[f.cascade].Score; order != nil {
		binding.Scores[certify.RoleScore] = order.Hash()
	}
	labels, err := readLabels(f.labels)
	if err != nil {
		return err
	}
	labels.noJudge = f.noJudge
	log, err := readPairs(f.pairs, &binding, labels)
	if err != nil {
		return err
	}
	binding.Schemas = log.schemas
	o := certify.Options{
		MaxLoss: settings.Target.MaxQualityLoss, Delta: 1 - settings.Target.Confidence, MinSaving: f.minSaving, Seed: 1,
		Labels: labels.used,
	}
	report, refusal := certify.Calibrate(log.pairs, o)
	log.print(out, f.pairs)
	labels.print(out)
	printCalibration(out, report, o)
	if f.svg != "" {
		if err := os.WriteFile(f.svg, []byte(report.SVG(o.MaxLoss)), 0o600); err != nil {
			return err
		}
	}
	if refusal = cmp.Or(refusal, labels.check()); refusal != nil {
		return refusal
	}
	return f.issue(out, certify.Issue(report, o, binding, now))
}

func (f *calibrateFlags) issue(out io.Writer, c *certify.Certificate) error {
	if f.out == "" {
		fmt.Fprintln(out, "no certificate is written: give --out FILE")
		return nil
	}
	partial := f.out + ".new" // a running gateway may read the file at any time
	if err := os.WriteFile(partial, c.Encode(), 0o600); err != nil {
		return err
	}
	if err := os.Rename(partial, f.out); err != nil {
		return err
	}
	fmt.Fprintf(out, "certificate written to %s\n", f.out)
	return nil
}

// pairLog is the pairs that a certificate may rest on, and what was left out.
type pairLog struct {
	pairs                                     []certify.Pair
	skipped, elsewhere, otherwise, unlabelled int
	unpriced, unscored                        int // of pairs
	schemas                                   []string
}

// readPairs reads the pairs that belong to a binding, in the order of time.
func readPairs(file string, b *certify.Binding, from *labels) (*pairLog, error) {
	data, err := os.Open(file)
	if err != nil {
		return nil, invalid{err}
	}
	defer data.Close() //nolint:errcheck // it was only read
	l := &pairLog{}
	l.skipped, err = pairs.Read(data, func(p *pairs.Pair) error {
		l.take(p, b, from)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	slices.SortStableFunc(l.pairs, func(a, b certify.Pair) int { return a.Time.Compare(b.Time) })
	return l, nil
}

func (l *pairLog) take(p *pairs.Pair, b *certify.Binding, from *labels) {
	switch {
	case p.Cascade != b.Cascade:
		l.elsewhere++
		return
	case p.PolicyHash != b.PolicyHash || p.PricesHash != b.PricesHash || !sameModels(p, b.Models):
		l.otherwise++
		return
	}
	risk, ranked := riskOf(p, b.Scores[certify.RoleScore])
	if !ranked {
		l.unscored++
		return
	}
	verdict, labelled := from.of(p)
	if !labelled {
		l.unlabelled++
		return
	}
	one := certify.Pair{Time: p.Time, Risk: score.Never, Light: verdict.Light, Escalation: verdict.Escalation, LightCost: p.Light.Cost, FullCost: p.Escalation.Cost, Weight: p.Weight}
	if risk != nil && p.Veto == "" {
		one.Risk = *risk
	}
	if p.Second != nil {
		one.LightCost += p.Second.Cost
	}
	if p.Light.Cost == 0 || p.Escalation.Cost == 0 {
		l.unpriced++
	}
	l.pairs = append(l.pairs, one)
	l.schemas = append(l.schemas, p.SchemaHash)
}

// riskOf is the risk of a pair by a score file, "" for none, and whether the log
// has it. A file ranks only what was logged after it was there, so it was not
// trained on these pairs.
func riskOf(p *pairs.Pair, file string) (risk *float64, ranked bool) {
	switch {
	case file == "":
		return p.Risk, true
	case p.Scored == nil || p.Scored.File != file:
		return nil, false
	}
	return p.Scored.Risk, true
}

// sameModels compares models of their own: without prices their hash is that of
// any others.
func sameModels(p *pairs.Pair, models []string) bool {
	return p.Light.Model == models[0] && (p.Second == nil || p.Second.Model == models[1]) && p.Escalation.Model == models[2]
}

func (l *pairLog) print(out io.Writer, file string) {
	fmt.Fprintf(out, "%s: %d pairs taken\n", file, len(l.pairs))
	for _, left := range []struct {
		n   int
		why string
	}{
		{l.skipped, "lines left out: not whole, or of another version"},
		{l.elsewhere, "pairs left out: of another cascade"},
		{l.otherwise, "pairs left out: of another policy, other models or other prices"},
		{l.unlabelled, "pairs left out: label unknown; the guarantee is for requests like the labelled ones"},
		{l.unscored, "pairs left out: not ranked by the score file that the cascade names"},
		{l.unpriced, "pairs without a price for a model: the saving is not what it would be"},
	} {
		if left.n > 0 {
			fmt.Fprintf(out, "  %d %s\n", left.n, left.why)
		}
	}
}

func printCalibration(out io.Writer, r *certify.Report, o certify.Options) {
	fmt.Fprintf(out, "target: at most %.4g points lost, %.4g %% sure\n", 100*o.MaxLoss, 100*(1-o.Delta))
	fmt.Fprintf(out, "ceiling: light alone saves %.1f %%\n", 100*r.Ceiling)
	if len(r.Curve) > 0 {
		fmt.Fprintln(out, r.Plot(o.MaxLoss))
	}
	if r.Certified < 0 {
		return
	}
	p := r.Curve[r.Certified]
	fmt.Fprintf(out, "threshold %.4g: %.1f %% light, saves %.1f %% (%.1f to %.1f)\n", p.Threshold, 100*p.Accepted, 100*p.Saving, 100*r.SavingLow, 100*r.SavingHigh)
	fmt.Fprintf(out, "loss %.2f points measured, at most %.2f by the %s test on %d pairs, p = %.4g\n", 100*p.Loss, 100*r.Bound, r.Test, r.Used, r.PValue)
}
