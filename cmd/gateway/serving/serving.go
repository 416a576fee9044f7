// Package serving has the commands of who runs gateways: serve, and a stand-in for
// Bedrock to try them on.
package serving

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/quiet"
	"github.com/sluice-gateway/sluice/internal/requestlog"
)

// Commands are the commands of the package. They show version as the program's.
func Commands(version string) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(version), sandboxCommand(), quickstartCommand(version),
	}
}

// mostWarnings is how many problems of a configuration are logged. A wrong root secret is
// one for each key.
const mostWarnings = 20

// warn logs the problems that do not stop the start.
func warn(log *slog.Logger, cfg *config.Config, problems []config.Problem) {
	n := 0
	for _, p := range problems {
		if !p.Warning {
			continue
		}
		if n++; n <= mostWarnings {
			log.Warn("configuration", at(cfg, p)...)
		}
	}
	if n > mostWarnings {
		log.Warn("configuration: further problems are not logged; gateway doctor lists them", "problems", n-mostWarnings)
	}
}

// at is a problem as attributes of a log line.
func at(cfg *config.Config, p config.Problem) []any {
	at := cfg.At(p.Path)
	place := fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Column)
	return []any{"at", place, "path", p.Path, "problem", p.Message}
}

// newLog writes JSON lines, and lines for people on a terminal. Durations are text: a number would be nanoseconds,
// which nobody reads.
func newLog(w io.Writer) *slog.Logger {
	replace := func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a descriptor fits
		plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
		options := &tint.Options{ReplaceAttr: replace, TimeFormat: time.TimeOnly, NoColor: plain}
		return slog.New(tint.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: replace}))
}

// openLog makes the log, of which repeated lines are few.
func (a *app) openLog(to slog.Handler, closing *closers) {
	a.storms = quiet.New(to, time.Now)
	closing.add(func(context.Context) { a.storms.Close() })
	a.log = slog.New(a.storms.Handler())
	// What the standard library prints, as of a connection that a server broke.
	before := log.Writer()
	closing.add(func(context.Context) { log.SetOutput(before) })
	log.SetFlags(0)
	log.SetOutput(quiet.Lines(a.log, "log"))
}

// openRequestLog makes what writes lines about single requests.
func (a *app) openRequestLog(cfg *config.Config, closing *closers) error {
	a.requests = &requestlog.Log{Storms: a.storms, Counts: a.telemetry.Metrics()}
	file := cfg.Telemetry.AccessLog
	if file == "" {
		return nil
	}
	access, err := requestlog.OpenAccess(file, a.requests.Counts, a.log)
	if err != nil {
		return fmt.Errorf("telemetry.access_log: %w", err)
	}
	closing.add(access.Close)
	a.requests.Access = access
	return nil
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
