package cascade

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// seed makes the same log give the same files.
const seed = 1

// calibrateFlags are the flags as they were given.
type calibrateFlags struct {
	cascade, pairs, labels, out, svg string
	minSaving                        float64
	noJudge                          bool
	training
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
			"another policy, other models or other prices: the report says how many.\n\n" +
			"--train-pre-score and --train-score fit those files to the earlier pairs of the\n" +
			"log first; the certificate is then about the later ones alone, and holds where\n" +
			"the cascade names these files. A pre-score is written also when nothing could be\n" +
			"certified, so give it another name than that of a file in use.",
		Args: command.Args(cobra.NoArgs),
	}
	var f calibrateFlags
	file := command.ConfigFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.cascade, "cascade", "", "`NAME` of the cascade")
	flags.StringVar(&f.pairs, "pairs", "", "`FILE` of pairs; default the log in the data directory")
	flags.StringVar(&f.labels, "labels", "", "`FILE` of human labels, a JSON object on each line: {\"id\": PAIR, \"winner\": \"light\"}")
	flags.BoolVar(&f.noJudge, "no-judge", false, "leave out what a judge model said")
	flags.StringVar(&f.out, "out", "", "`FILE` for the certificate; default none is written")
	flags.StringVar(&f.svg, "svg", "", "`FILE` for a picture of the curve")
	flags.Float64Var(&f.minSaving, "min-saving", 0, "`SHARE` of the escalation spend that must be saved, 0 to 1")
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.share <= 0 || f.share >= 1 {
			return command.Invalidf("--train-share must be between 0 and 1")
		}
		if f.minSaving < 0 || f.minSaving > 1 {
			return command.Invalidf("--min-saving must be from 0 to 1")
		}
		cfg, err := command.Load(*file)
		if err != nil {
			return err
		}
		return f.run(cmd.OutOrStdout(), cfg, time.Now().UTC())
	}
	return cmd
}

func (f *calibrateFlags) run(out io.Writer, cfg *config.Config, now time.Time) error {
	c, err := f.read(cfg, now)
	if err != nil {
		return err
	}
	learned, err := f.fit(c.log.labelled, c.options)
	if err != nil {
		c.log.print(out, f.pairs, rank(c.log.labelled, &order{}))
		return err
	}
	return f.certify(out, c, learned)
}

// calibration is what a certificate is to be about.
type calibration struct {
	log     *pairLog
	labels  *labels
	binding certify.Binding // without schemas, and with the files that the cascade names
	options certify.Options
	now     time.Time
}

// read reads all that was asked for. Its mistakes are the user's.
func (f *calibrateFlags) read(cfg *config.Config, now time.Time) (*calibration, error) {
	snap, err := command.Compile(cfg)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(cfg.Cascades, func(c config.Cascade) bool { return c.Name == f.cascade })
	if at < 0 {
		return nil, command.Invalidf("--cascade: there is no cascade %q", f.cascade)
	}
	settings := &cfg.Cascades[at]
	c := &calibration{binding: snap.Binding(settings, now), now: now, options: certify.Options{
		MaxLoss: settings.Target.MaxQualityLoss, Delta: 1 - settings.Target.Confidence, MinSaving: f.minSaving, Seed: seed,
	}}
	if f.pairs == "" {
		f.pairs = pairs.File(filepath.Join(cfg.DataDir, "pairs"), f.cascade)
	}
	if order := snap.Artifacts[f.cascade].Score; order != nil {
		c.binding.Scores[certify.RoleScore] = order.Hash()
	}
	if c.labels, err = readLabels(f.labels); err != nil {
		return nil, err
	}
	c.labels.noJudge = f.noJudge
	c.log, err = readPairs(f.pairs, &c.binding, c.labels)
	return c, err
}

// certify tests thresholds on the pairs that nothing was trained on, reports, and
// writes the files that were asked for.
func (f *calibrateFlags) certify(out io.Writer, c *calibration, learned *learned) error {
	learned.order.file = c.binding.Scores[certify.RoleScore]
	taken := rank(c.log.labelled[learned.n:], &learned.order)
	c.labels.used, c.options.Labels = taken.used, taken.used
	report, refusal := certify.Calibrate(taken.pairs, c.options)
	c.log.print(out, f.pairs, taken)
	c.labels.print(out)
	learned.print(out)
	printCalibration(out, report, c.options, taken.straightShare())
	learned.compare(out, c.log.labelled, c.options)
	if f.svg != "" {
		if err := os.WriteFile(f.svg, []byte(report.SVG(c.options.MaxLoss)), 0o600); err != nil {
			return err
		}
	}
	if err := learned.writePreScore(out, f.preScore); err != nil {
		return err
	}
	if refusal = cmp.Or(refusal, c.labels.check()); refusal != nil {
		return refusal
	}
	if err := learned.writeScore(out, f.score); err != nil { // before the certificate that names it
		return err
	}
	c.binding.Schemas = taken.schemas
	learned.bind(c.binding.Scores)
	return f.issue(out, certify.Issue(report, c.options, c.binding, c.now))
}

func (f *calibrateFlags) issue(out io.Writer, c *certify.Certificate) error {
	if f.out == "" {
		fmt.Fprintln(out, "no certificate is written: give --out FILE")
		return nil
	}
	return writeWhole(out, "certificate", f.out, c.Encode())
}

// writeWhole puts a file in its place at once: a running gateway may read it at
// any time.
func writeWhole(out io.Writer, what, file string, data []byte) error {
	partial := file + ".new"
	if err := os.WriteFile(partial, data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(partial, file); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s written to %s\n", what, file)
	return nil
}

// printCalibration says what was found. The straight share of the requests goes
// past the light model whatever the threshold.
func printCalibration(out io.Writer, r *certify.Report, o certify.Options, straight float64) {
	fmt.Fprintf(out, "target: at most %.4g points lost, %.4g %% sure\n", 100*o.MaxLoss, 100*(1-o.Delta))
	fmt.Fprintf(out, "ceiling: light alone saves %.1f %%\n", 100*r.Ceiling)
	if len(r.Curve) > 0 {
		fmt.Fprintln(out, r.Plot(o.MaxLoss))
	}
	if r.Certified < 0 {
		return
	}
	p := r.Curve[r.Certified]
	if straight > 0 {
		fmt.Fprintf(out, "%.1f %% straight to the escalation model by the pre-score\n", 100*straight)
	}
	fmt.Fprintf(out, "threshold %.4g: %.1f %% light, saves %.1f %% (%.1f to %.1f)\n", p.Threshold, 100*(p.Accepted-straight), 100*p.Saving, 100*r.SavingLow, 100*r.SavingHigh)
	fmt.Fprintf(out, "loss %.2f points measured, at most %.2f by the %s test on %d pairs, p = %.4g\n", 100*p.Loss, 100*r.Bound, r.Test, r.Used, r.PValue)
}
