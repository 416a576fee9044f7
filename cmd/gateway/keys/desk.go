package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// desk is what a command acts on keys with: the acts of a data directory and its ledger.
// A gateway of that data directory may run: it sees what is appended.
type desk struct {
	cfg    *config.Config
	office *admin.Office
	board  keys.Board // nil: the ledger is of one gateway
	ledger io.Closer
}

// mode is whether a command may write.
type mode bool

const (
	reading mode = false
	writing mode = true
)

// within is how long a command waits for the ledger.
const within = 3 * time.Second

// openDesk opens what a configuration names. When it is only read, no root secret is
// needed, and what is not there is not made.
func openDesk(cmd *cobra.Command, file string, m mode) (*desk, error) {
	cfg, err := command.LoadToRead(file)
	if err != nil {
		return nil, err
	}
	secrets, err := command.ExistingSecrets(cfg.DataDir)
	if err != nil && (m == writing || !errors.Is(err, os.ErrNotExist)) {
		return nil, err
	}
	if m == writing {
		if _, err := os.Stat(cfg.DataDir); err != nil {
			return nil, command.Invalidf("acts on keys are kept in data_dir, which is not here: run this where a gateway of "+
				"this configuration runs, or use its API %s: %w", admin.Prefix, err)
		}
	}
	directory, problems := tenant.Build(cfg, secrets)
	if err := cfg.Report(problems); err != nil {
		return nil, command.Invalid(err)
	}
	d := &desk{cfg: cfg}
	sealer := keys.Sealer(secrets)
	if secrets == nil {
		sealer = keys.Nobody{}
	}
	book, err := keys.Open(keys.Options{
		DataDir: cfg.DataDir, Sealer: sealer, ReadOnly: m == reading, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	d.office = &admin.Office{
		Book: book, Secrets: secrets, Now: time.Now, Tenants: func() *tenant.Directory { return directory },
	}
	return d, d.join(cmd)
}

// join hears from the ledger what was done elsewhere.
func (d *desk) join(cmd *cobra.Command) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), within)
	defer cancel()
	if d.cfg.Ledger.Redis == "" {
		return d.office.Book.Refresh(ctx)
	}
	shared, err := command.OpenRedis(d.cfg)
	if err != nil {
		return err
	}
	d.ledger, d.board = shared, acts.NewBoard(shared)
	d.office.Book.Join(d.board, func() time.Duration { return 0 })
	err = d.office.Book.Refresh(ctx)
	if err == nil {
		err = d.office.Book.HearUsed(ctx)
	}
	if redis.Refused(err) {
		return err
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the ledger does not answer, and may know of more: %v\n", err)
	}
	return nil
}

// close says when others do not know yet of what was done.
func (d *desk) close() {
	if n := d.office.Book.Waiting(); n > 0 && d.board != nil && d.office.Secrets != nil {
		fmt.Fprintf(os.Stderr, "warning: %d acts are in %s and wait for the ledger; a gateway of this data directory "+
			"sends them\n", n, d.cfg.DataDir)
	}
	if d.ledger != nil {
		d.ledger.Close() //nolint:errcheck // what was to be written is acknowledged, or warned of
	}
}

// who is the person at the keyboard, as the audit log has it.
func who(reason string) admin.Who {
	return admin.Who{Name: "command [" + person() + "]", Reason: reason}
}

// person is the user and the machine.
func person() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// invalid marks what the user cannot ask for.
func invalid(err error) error {
	for _, kind := range []error{
		admin.ErrUnknown, admin.ErrInvalid, admin.ErrConflict, admin.ErrVersion, keys.ErrSettings,
	} {
		if errors.Is(err, kind) {
			return command.Invalid(err)
		}
	}
	return err
}
