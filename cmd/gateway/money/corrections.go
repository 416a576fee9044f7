package money

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// signature is who runs the command, for the record.
func signature() audit.Signature {
	s := audit.Signature{Actor: fmt.Sprintf("uid %d", os.Getuid()), At: time.Now().UTC()}
	if u, err := user.Current(); err == nil {
		s.Actor = u.Username
	}
	return s
}

// corrected are all corrections that were made, none where nothing was ever corrected.
func corrected(cfg *config.Config) (*record.Corrections, error) {
	dir, ever := command.Corrected(cfg)
	if !ever {
		return record.NewCorrections(), nil
	}
	return meter.ReadCorrections(dir)
}

// correct opens the journal of corrections, calls f with it, and waits until the
// ledger has what was made.
func correct(cmd *cobra.Command, cfg *config.Config, f func(c *audit.Corrections) error) (err error) {
	prices, err := command.Prices(cfg)
	if err != nil {
		return err
	}
	store, closeStore, err := postingLedger(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	o, dir := command.MeterOptions(cfg, store), command.CorrectionsDir(cfg)
	o.Disk = dir
	if o.Crash, _, err = command.Faults(); err != nil {
		return err
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	c, err := audit.OpenCorrections(cmd.Context(), o, prices)
	if err != nil {
		return err
	}
	err = f(c)
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*patience)
	defer cancel()
	if failed := c.Close(ctx); failed != nil {
		err = errors.Join(err, fmt.Errorf("what was made is in %s, and the next command posts it; "+
			"the ledger does not have it yet: %w", dir, failed))
	}
	return err
}

// postingLedger is the ledger that corrections go to. The embedded one is in the
// gateway's memory: here an empty one takes its place, and what counts is the
// journal of corrections, which the gateway and reports read.
func postingLedger(cfg *config.Config) (store ledger.Ledger, closeStore func() error, err error) {
	if cfg.Ledger.Redis == "" {
		return &embedded.State{}, func() error { return nil }, nil
	}
	shared, err := command.OpenRedis(cfg)
	if err != nil {
		return nil, nil, err
	}
	return shared, shared.Close, nil
}
