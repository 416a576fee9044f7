package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	_ "time/tzdata" // budgets name time zones, and a distroless image has none

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// loadConfig reads a configuration. Its mistakes are the user's.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		return nil, invalid{fmt.Errorf("--config FILE is needed")}
	}
	cfg, err := readConfig(path)
	if err != nil {
		return nil, invalid{err}
	}
	return cfg, nil
}

func readConfig(path string) (*config.Config, error) {
	return withAllFaults(config.Load(path, os.Getenv))
}

// withAllFaults takes what the loader returned. When there are mistakes, the
// packages that compile configurations look for theirs in what could be read,
// so that all are told at once.
func withAllFaults(cfg *config.Config, err error) (*config.Config, error) {
	var faulty *config.Error
	if errors.As(err, &faulty) {
		_, problems := compile(faulty.Partial, nil)
		return nil, faulty.With(problems)
	}
	return cfg, err
}

// loadSecrets finds the root secret, or makes it on the first start.
func loadSecrets(dataDir string) (*tenant.Secrets, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, err
	}
	secrets, err := tenant.LoadSecrets(dataDir, os.Getenv, rand.Reader)
	if err != nil {
		return nil, invalid{err}
	}
	return secrets, nil
}

// compile makes every package's own part of a configuration and reports all
// their mistakes in one go. Without secrets it checks all but the keys.
func compile(cfg *config.Config, secrets *tenant.Secrets) (*gateway.Snapshot, []config.Problem) {
	s := &gateway.Snapshot{Config: cfg}
	var all, problems []config.Problem
	s.Tenants, problems = tenant.Build(cfg, secrets)
	all = append(all, problems...)
	s.Router, problems = router.Compile(cfg)
	all = append(all, problems...)
	s.Prices, problems = meter.CompilePrices(cfg.Prices)
	all = append(all, problems...)
	var err error
	if s.Budgets, err = budget.Compile(cfg.Tenants); err != nil {
		all = append(all, config.Problem{Path: "tenants", Message: err.Error()})
	}
	s.Learned, problems = gateway.LoadLearned(s, time.Now())
	return s, append(all, problems...)
}

// compileKeyless compiles a configuration for a command that checks no caller's
// credential. Its mistakes are the user's.
func compileKeyless(cfg *config.Config) (*gateway.Snapshot, error) {
	s, problems := compile(cfg, nil)
	if err := cfg.Report(problems); err != nil {
		return nil, invalid{err}
	}
	return s, nil
}

// warn logs the problems that do not stop the start.
func warn(log *slog.Logger, cfg *config.Config, problems []config.Problem) {
	for _, p := range problems {
		if p.Warning {
			at := cfg.At(p.Path)
			log.Warn("configuration", "at", fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Column), "path", p.Path, "problem", p.Message)
		}
	}
}

// newLog writes JSON lines. Durations are text: a number would be nanoseconds,
// which nobody reads.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}))
}

// closers run in the reverse of the order in which they were added, within one
// deadline each.
type closers []func(context.Context)

func (c *closers) add(f func(context.Context)) { *c = append(*c, f) }

func (c closers) run(within time.Duration) {
	for i := len(c) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		c[i](ctx)
		cancel()
	}
}
