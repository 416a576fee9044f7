package money

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
)

// patience is how long a running gateway gets to post what it has written.
const patience = 5 * time.Second

// auditFlags say which journals there are beside the configuration's own.
type auditFlags struct {
	others []string // data directories
	all    bool
}

func (f *auditFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.others, "data-dir", nil,
		"data `DIR` of a further gateway of the same ledger; may be repeated")
	cmd.Flags().BoolVar(&f.all, "all", false, "the journals are of all gateways that ever posted to the ledger")
}

// journals are those of the configuration's own data directory and the others.
func (f *auditFlags) journals(cfg *config.Config) (all []audit.Source, err error) {
	for _, dir := range append([]string{cfg.DataDir}, f.others...) {
		sources, err := audit.SourcesIn(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, sources...)
	}
	return all, nil
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify --config FILE",
		Short: "Compare the journals with the ledger; exit 1 on any difference",
		Long: "Check checksums, chain and numbers of the journals, and compare their sums with\n" +
			"the ledger. It only reads, and the gateway may run. An embedded ledger is made\n" +
			"from the journal at each start, so that the journal alone is checked.",
		Args: command.Args(cobra.NoArgs),
	}
	var f auditFlags
	f.add(cmd)
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		reading, ledger, err := f.reading(cfg)
		if err != nil {
			return err
		}
		if ledger != nil {
			defer ledger.Close() //nolint:errcheck // it was only read
		}
		return differ(audit.Verify(cmd.Context(), reading, cmd.OutOrStdout()))
	})
}

func rebuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild --config FILE",
		Short: "Post to the ledger what it lacks of the journals; exit 1 if differences remain",
		Long: "Post to the ledger what it lacks of the journals, then verify; give it back what was\n" +
			"done to keys. No gateway may have one of the journals open. It may be interrupted and run again. Counters that\n" +
			"were changed or deleted one by one need --wipe, which removes all that the ledger\n" +
			"has of the journals' tenants first.",
		Args: command.Args(cobra.NoArgs),
	}
	var f auditFlags
	f.add(cmd)
	wipe := cmd.Flags().Bool("wipe", false, "remove what the ledger has of the tenants first")
	abandon := cmd.Flags().StringArray("abandon", nil,
		"`WRITER` whose journal is lost, and whose counts a wipe may lose; may be repeated")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		reading, ledger, err := f.reading(cfg)
		if err != nil {
			return err
		}
		if ledger == nil {
			return command.Invalidf("there is nothing to rebuild: " +
				"the embedded ledger is made from the journal at each start")
		}
		defer ledger.Close() //nolint:errcheck // all was posted, or the error returned
		r := audit.Rebuilding{Reading: reading, Meter: command.MeterOptions(cfg, ledger), Abandon: *abandon}
		if *wipe {
			r.Wipe = ledger.Wipe
		}
		differences, err := audit.Rebuild(cmd.Context(), r, cmd.OutOrStdout())
		return errors.Join(differ(differences, err), f.carryKeys(cmd, cfg, ledger))
	})
}

// carryKeys gives the ledger what was done to keys, as the data directories have it.
func (f *auditFlags) carryKeys(cmd *cobra.Command, cfg *config.Config, ledger *redis.Ledger) error {
	for _, dir := range append([]string{cfg.DataDir}, f.others...) {
		n, err := command.CarryKeys(cmd.Context(), dir, ledger)
		if err != nil {
			return fmt.Errorf("acts on keys of %s: %w", dir, err)
		}
		if n > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d acts on keys are in the ledger\n", dir, n)
		}
	}
	return nil
}

// differ is the outcome of an audit as an error.
func differ(differences int, err error) error {
	if err == nil && differences > 0 {
		return fmt.Errorf("there are %d differences", differences)
	}
	return err
}

// reading is what an audit of this configuration reads. The ledger is nil for
// the embedded one; the caller closes it.
func (f *auditFlags) reading(cfg *config.Config) (r audit.Reading, ledger *redis.Ledger, err error) {
	r = audit.Reading{All: f.all, Now: time.Now(), Patience: patience}
	if r.Journals, err = f.journals(cfg); err != nil || cfg.Ledger.Redis == "" {
		return r, nil, err
	}
	if ledger, err = command.OpenRedis(cfg); err != nil {
		return r, nil, err
	}
	r.Ledger, r.Writers, r.Windows = ledger, ledger.Writers, ledger.Windows
	r.Closings = ledger.Closings
	return r, ledger, nil
}
