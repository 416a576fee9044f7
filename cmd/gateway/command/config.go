package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/doctor"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// Configured gives cmd the flag --config, and runs it with what the flag names. It asks
// for no secret that only a gateway needs.
func Configured(cmd *cobra.Command, run func(*cobra.Command, *config.Config) error) *cobra.Command {
	file := ConfigFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := LoadToRead(*file)
		if err != nil {
			return err
		}
		return run(cmd, cfg)
	}
	return cmd
}

// Load reads a configuration. Its mistakes are the user's.
func Load(path string) (*config.Config, error) {
	if path == "" {
		return nil, NeedsConfig()
	}
	cfg, err := Read(path)
	return cfg, Invalid(err)
}

// LoadToRead is Load for commands that only read: what only a gateway that serves needs,
// such as secrets, may be missing in the environment.
func LoadToRead(path string) (*config.Config, error) {
	if path == "" {
		return nil, NeedsConfig()
	}
	cfg, err := withAllFaults(config.LoadToRead(path, os.Getenv))
	return cfg, Invalid(err)
}

// Read reads a configuration. An error lists all mistakes, those too that only
// the packages find that compile it.
func Read(path string) (*config.Config, error) {
	return withAllFaults(config.Load(path, os.Getenv))
}

// Reread is Read with what has not changed taken from the previous configuration.
func Reread(previous *config.Config, path string) (*config.Config, error) {
	return withAllFaults(config.Reload(previous, path, os.Getenv))
}

// withAllFaults takes what the loader returned. When there are mistakes, the
// packages that compile configurations look for theirs in what could be read,
// so that one run reports all of them.
func withAllFaults(cfg *config.Config, err error) (*config.Config, error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, userfile.ErrEmpty) {
		return nil, fmt.Errorf("%w\n'gateway quickstart' writes a first configuration to data/quickstart.yaml", err)
	}
	var faulty *config.Error
	if errors.As(err, &faulty) {
		_, problems := snapshot.Compile(faulty.Partial, nil, time.Now())
		return nil, faulty.With(problems)
	}
	if err == nil {
		cfg.Derive(doctor.FileLimit())
	}
	return cfg, err
}

// Secrets finds the root secret of a data directory, or makes it on the first
// start. Where a gateway has run it makes none, because that would refuse every key.
func Secrets(dataDir string) (*tenant.Secrets, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir %s cannot be made: %s%w", dataDir, wayOut(err), err)
	}
	if _, ran := os.Stat(string(journalIn(dataDir))); ran == nil {
		return ExistingSecrets(dataDir)
	}
	secrets, err := tenant.LoadSecrets(dataDir, os.Getenv, rand.Reader)
	return secrets, Invalid(Unusable(dataDir, err))
}

// Unusable is an error of a data directory with what to do about it, where that is known.
func Unusable(dataDir string, err error) error {
	if way := wayOut(err); way != "" {
		return Invalid(fmt.Errorf("data_dir %s cannot be used: %s%w", dataDir, way, err))
	}
	return err
}

// wayOut says what to do about a data directory that the system refuses, "" when that is not known.
func wayOut(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("let the user that runs this (uid %d) read and write there, as by chown -R, or change data_dir: ",
			os.Getuid())
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return "a part of its path is a file: change data_dir, or move that file away: "
	case errors.Is(err, syscall.EROFS):
		return "its file system cannot be written: mount a volume there, or change data_dir: "
	case errors.Is(err, syscall.ENOSPC):
		return "its disk is full: make room, or change data_dir: "
	}
	return ""
}

// ExistingSecrets finds the root secret of a data directory and writes nothing. Without
// one it says what to do.
func ExistingSecrets(dataDir string) (*tenant.Secrets, error) {
	secrets, err := tenant.ReadSecrets(dataDir, os.Getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Invalid(&userfile.Error{Err: err, Why: fmt.Sprintf("there is no root secret: SLUICE_ROOT_SECRET is not "+
			"set, and %s does not exist. A gateway makes it at its first start; run this where that gateway runs, or with its "+
			"SLUICE_ROOT_SECRET, or put its file back", filepath.Join(dataDir, "root.secret"))})
	}
	return secrets, Invalid(Unusable(dataDir, err))
}

// Compile compiles a configuration for a command that checks no caller's
// credential. Its mistakes are the user's.
func Compile(cfg *config.Config) (*snapshot.Snapshot, error) {
	s, problems := snapshot.Compile(cfg, nil, time.Now())
	return s, Invalid(cfg.Report(problems))
}

// Prices compiles the price books of a configuration.
func Prices(cfg *config.Config) (*record.PriceBook, error) {
	table, problems := record.Compile(cfg)
	return table, Invalid(cfg.Report(problems))
}
