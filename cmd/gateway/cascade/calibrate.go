package cascade

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/cascade/calibrate"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// trainShare leaves two thirds of a log for the proof, which needs 500 pairs and
// more. It is the split that docs/cascade.md measures.
const trainShare = 0.33

// calibrateFlags are the flags as they were given.
type calibrateFlags struct {
	cascade, pairs, labels, out, svg string
	minSaving                        float64
	noJudge                          bool
	preScore, score                  string // files to train, "" for none
	trainShare                       float64
	settings                         *config.Cascade // of the cascade, once it was read
}

const calibrateHelp = "Find the most liberal threshold at which the log of labelled pairs proves the\n" +
	"cascade's target, and write its certificate. A target that is not proven is an\n" +
	"error, exit 1. A pair is labelled by its line in --labels, otherwise by the judge's\n" +
	"verdict in the log, otherwise by comparing the keys of both answers; the\n" +
	"certificate has the number of each. Pairs without a label are left out, and so are\n" +
	"those of another policy, other models or other prices; the report counts them.\n\n" +
	"--train-score trains a score for answers without a key to compare, on all pairs:\n" +
	"each certifies by a model that has not seen it. --train-pre-score trains on the\n" +
	"earlier pairs of the log, and the certificate rests on the later ones alone. It is\n" +
	"valid where the cascade names the files. A pre-score is written even when nothing\n" +
	"could be certified, so do not give it the name of a file in use."

func calibrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calibrate --config FILE --cascade NAME",
		Short: "Find how far a cascade may trust its light model, and certify it",
		Long:  calibrateHelp,
		Args:  command.Args(cobra.NoArgs),
	}
	var f calibrateFlags
	file := command.ConfigFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.cascade, "cascade", "", "`NAME` of the cascade")
	flags.StringVar(&f.pairs, "pairs", "", "`FILE` of pairs; default the log in the data directory")
	flags.StringVar(&f.labels, "labels", "",
		"`FILE` of human labels, a JSON object on each line: {\"id\": PAIR, \"winner\": \"light\"}")
	flags.BoolVar(&f.noJudge, "no-judge", false, "ignore what judge models said")
	flags.StringVar(&f.out, "out", "", "`FILE` for the certificate; default none is written")
	flags.StringVar(&f.svg, "svg", "", "`FILE` for a picture of the curve")
	flags.Float64Var(&f.minSaving, "min-saving", 0, "`SHARE` of the escalation spend that must be saved, 0 to 1")
	flags.StringVar(&f.preScore, "train-pre-score", "", "train a pre-score into `FILE`")
	flags.StringVar(&f.score, "train-score", "", "train a score for free text into `FILE`")
	flags.Float64Var(&f.trainShare, "train-share", trainShare,
		"`SHARE` of the pairs, the earlier ones, that a pre-score is trained on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.trainShare <= 0 || f.trainShare >= 1 {
			return command.Invalidf("--train-share must be between 0 and 1")
		}
		if f.minSaving < 0 || f.minSaving > 1 {
			return command.Invalidf("--min-saving must be from 0 to 1")
		}
		cfg, err := command.LoadToRead(*file)
		if err != nil {
			return err
		}
		return f.run(cmd.OutOrStdout(), cfg, time.Now().UTC())
	}
	return cmd
}

// run calibrates, reports, and writes the files that were asked for.
func (f *calibrateFlags) run(out io.Writer, cfg *config.Config, now time.Time) error {
	in, err := f.read(cfg, now)
	if err != nil {
		return err
	}
	r, refusal := calibrate.Run(*in)
	printAdequate(out, f.settings)
	report(out, f.pairs, in, r)
	printProgress(out, in.Log, f.score, refusal)
	if r.Report == nil {
		return refusal
	}
	if f.svg != "" {
		if err := os.WriteFile(f.svg, []byte(r.Report.SVG(in.Options.MaxLoss)), 0o600); err != nil {
			return err
		}
	}
	if err := write(out, "pre-score", f.preScore, r.Trained.PreScore); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	if err := write(out, "score", f.score, r.Trained.Score); err != nil { // before the certificate that names it
		return err
	}
	if f.out == "" {
		fmt.Fprintln(out, "no certificate is written: give --out FILE")
		return nil
	}
	return write(out, "certificate", f.out, r.Certificate.Encode())
}

// read reads everything that the flags name. Its mistakes are the user's.
func (f *calibrateFlags) read(cfg *config.Config, now time.Time) (*calibrate.Input, error) {
	snap, err := command.Compile(cfg)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(cfg.Cascades, func(c config.Cascade) bool { return c.Name == f.cascade })
	if at < 0 {
		names := make([]string, len(cfg.Cascades))
		for i := range cfg.Cascades {
			names[i] = cfg.Cascades[i].Name
		}
		if len(names) == 0 {
			return nil, command.Invalidf("the configuration has no cascades: there is nothing to calibrate")
		}
		return nil, command.Invalidf("there is no cascade %q; --cascade takes one of %s", f.cascade,
			strings.Join(names, ", "))
	}
	settings := &cfg.Cascades[at]
	f.settings = settings
	in := &calibrate.Input{
		Binding: snap.Binding(settings, now),
		Options: certify.Options{
			MaxLoss: settings.Target.MaxQualityLoss, Delta: 1 - settings.Target.Confidence, MinSaving: f.minSaving,
		},
		Training: calibrate.Training{PreScore: f.preScore != "", Score: f.score != "", Share: f.trainShare},
		Now:      now, NeedsCheck: true,
	}
	if order := snap.Artifacts[f.cascade].Score; order != nil {
		in.Binding.Scores[certify.RoleScore] = order.Hash()
	}
	labels := calibrate.Labels{NoJudge: f.noJudge}
	if labels.Human, err = readLabels(f.labels); err != nil {
		return nil, err
	}
	if f.pairs == "" {
		f.pairs = pairs.File(filepath.Join(cfg.DataDir, "pairs"), f.cascade)
		if _, err := os.Stat(f.pairs); os.IsNotExist(err) { // nothing was shadowed yet
			in.Log = &calibrate.Log{}
			return in, nil
		}
	}
	in.Log, err = readFile(f.pairs, func(r io.Reader) (*calibrate.Log, error) {
		return calibrate.ReadLog(r, &in.Binding, labels)
	})
	return in, err
}

// readLabels reads a file of human labels; "" is none.
func readLabels(file string) (map[string]pairs.Verdict, error) {
	if file == "" {
		return nil, nil
	}
	labels, err := readFile(file, pairs.ReadLabels)
	return labels, command.Invalid(err)
}

// readFile opens a file to read it. That it cannot be opened is the user's mistake.
func readFile[T any](file string, read func(io.Reader) (T, error)) (t T, err error) {
	in, err := userfile.Open(file)
	if err != nil {
		return t, command.Invalid(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	if t, err = read(in); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// write replaces a file at once, because a running gateway may read it at any
// time. Without data there is nothing to write.
func write(out io.Writer, what, file string, data []byte) error {
	if data == nil {
		return nil
	}
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
