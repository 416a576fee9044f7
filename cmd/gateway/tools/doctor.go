package tools

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/doctor"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/review"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// doctorFlags are the flags as they were given.
type doctorFlags struct {
	json, offline, noCalls bool
	timeout                time.Duration
}

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor --config FILE [--json]",
		Short: "Look at all that a gateway relies on, and say what is wrong and the way out",
		Long: "Look at configuration, memory, files, disk, certificates, ledger, clocks, upstreams,\n" +
			"permissions, prices and ends of models, and at the gateway that runs, if one does.\n" +
			"Each finding is ok, warn or fail, the last two with the way out. The exit code is 1\n" +
			"when one fails, else 0.\n\n" +
			"Nothing is changed and nothing costs: a model is asked for what it refuses, which\n" +
			"shows whether it may be called. AWS counts these as errors of clients; --no-calls\n" +
			"leaves them out, and --offline whatever leaves this machine.",
		Args: command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	var f doctorFlags
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.offline, "offline", false, "ask nobody: neither the ledger nor upstreams")
	flags.BoolVar(&f.noCalls, "no-calls", false, "ask no upstream")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long the ledger and the upstreams may take altogether")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *file == "" {
			return command.NeedsConfig()
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		found := examine(ctx, *file, f, "/")
		if err := printFindings(cmd.OutOrStdout(), found, f.json); err != nil {
			return err
		}
		if doctor.Worst(found) == doctor.Fail {
			return errors.New("not all is well")
		}
		return nil
	}
	return cmd
}

// examine makes all checks that the flags want. root is where the file systems are that
// tell of memory.
func examine(ctx context.Context, file string, f doctorFlags, root string) []doctor.Finding {
	now := time.Now()
	cfg, found := readForDoctor(file, now)
	if cfg == nil {
		return found
	}
	secrets, problem := knownSecrets(cfg.DataDir)
	found = append(found, problem...)
	s, problems := snapshot.Compile(cfg, secrets, now)
	found = append(found, doctor.Configuration(file, cfg.Faults(append(problems, review.Of(s, now)...)))...)
	found = append(found, doctor.Memory(&cfg.Limits, heap.Limit(root)))
	found = append(found, doctor.Files(&cfg.Limits, doctor.FileLimit()))
	found = append(found, doctor.Disk(cfg.DataDir, cfg.Journal.Fsync, time.Now)...)
	if cfg.TLS != nil {
		found = append(found, doctor.Certificate(cfg.TLS, now)...)
	}
	for _, ca := range authorities(cfg) {
		found = append(found, doctor.Authorities(ca, now)...)
	}
	found = append(found, doctor.Running(ctx, cfg.Listen, cfg.Admin.Listen)...)
	models := doctor.Named(s)
	found = append(found, doctor.Prices(s, models, now)...)
	found = append(found, doctor.Lifecycles(s, models, now)...)
	if !f.offline && cfg.Ledger.Redis != "" {
		found = append(found, askLedger(ctx, cfg, secrets)...)
	}
	if !f.offline && cfg.Telemetry.OTLP != "" {
		found = append(found, doctor.Reachable(ctx, "telemetry", cfg.Telemetry.OTLP))
	}
	if !f.offline && !f.noCalls {
		found = append(found, askUpstreams(ctx, s, models)...)
		found = append(found, askBuckets(ctx, cfg)...)
	}
	return found
}

// askBuckets asks S3 for what batch jobs read.
func askBuckets(ctx context.Context, cfg *config.Config) []doctor.Finding {
	return doctor.Buckets(ctx, doctor.Places(cfg), func() (doctor.Lister, error) { return command.ReachS3(ctx, cfg) })
}

// readForDoctor reads a configuration; nil with what is wrong when it cannot be used.
func readForDoctor(file string, now time.Time) (*config.Config, []doctor.Finding) {
	cfg, err := command.Read(file)
	var faulty *config.Error
	if errors.As(err, &faulty) {
		s, _ := snapshot.Compile(faulty.Partial, nil, now)
		return nil, doctor.Configuration(file, faulty.With(review.Of(s, now)).Faults)
	}
	if err != nil {
		return nil, doctor.Unreadable(file, err)
	}
	return cfg, nil
}

// knownSecrets are those of a data directory. None are made: that is the first start's.
func knownSecrets(dataDir string) (*tenant.Secrets, []doctor.Finding) {
	_, err := os.Stat(filepath.Join(dataDir, "root.secret"))
	if err != nil && os.Getenv("SLUICE_ROOT_SECRET") == "" {
		return nil, nil
	}
	secrets, err := tenant.LoadSecrets(dataDir, os.Getenv, rand.Reader)
	return secrets, doctor.RootSecret(dataDir, err)
}

// authorities are the files of authorities that are named, each once.
func authorities(cfg *config.Config) (files []string) {
	seen := map[string]bool{"": true}
	note := func(u *config.Upstream) {
		if !seen[u.CAFile] {
			seen[u.CAFile] = true
			files = append(files, u.CAFile)
		}
	}
	note(&cfg.Upstream)
	for _, u := range cfg.Upstreams {
		note(&u)
	}
	return files
}

func askLedger(ctx context.Context, cfg *config.Config, secrets *tenant.Secrets) []doctor.Finding {
	where, fingerprint := "ledger.redis", ""
	if u, err := url.Parse(cfg.Ledger.Redis); err == nil {
		where = u.Redacted()
	}
	if secrets != nil {
		fingerprint = secrets.Fingerprint()
	}
	survey := func(ctx context.Context) ([]redis.Server, error) {
		return redis.Survey(ctx, cfg.Ledger.Redis, time.Now)
	}
	return doctor.Ledger(ctx, survey, where, fingerprint)
}

// firstByte is how long a model may take to refuse.
const firstByte = 15 * time.Second

// askUpstreams asks the models that are named, at all upstreams but the built-in stand-in.
func askUpstreams(ctx context.Context, s *snapshot.Snapshot, models []string) []doctor.Finding {
	real := map[string]config.Upstream{"": s.Config.Upstream}
	for name, u := range s.Config.Upstreams {
		real[name] = u
	}
	for name, u := range real {
		if u.Endpoint == config.Sandbox {
			delete(real, name)
		}
	}
	var calls []doctor.Call
	for _, c := range doctor.Calls(s, models) {
		if _, ok := real[c.Upstream]; ok {
			calls = append(calls, c)
		}
	}
	timeouts := s.Config.Timeouts
	timeouts.FirstByte = min(firstByte, timeouts.FirstByte)
	e, err := bedrock.New(ctx, bedrock.Options{Upstreams: real, Timeouts: timeouts})
	if err != nil {
		return doctor.BadUpstreams(err)
	}
	defer e.Close()
	ask := func(ctx context.Context, of *tenant.Tenant, r *engine.Request) (*engine.Response, error) {
		if of != nil {
			r.Role = of.Role()
		}
		return e.Attempt(ctx, r)
	}
	return doctor.Permissions(ctx, s, calls, ask, time.Now)
}

// printFindings prints for people, or as JSON.
func printFindings(out io.Writer, found []doctor.Finding, asJSON bool) error {
	count := map[doctor.State]int{}
	for i := range found {
		count[found[i].State]++
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(map[string]any{
			"findings": found, "ok": count[doctor.OK], "warn": count[doctor.Warn], "fail": count[doctor.Fail],
		})
	}
	for i := range found {
		f := &found[i]
		subject := ""
		if f.Subject != "" {
			subject = " " + f.Subject
		}
		fmt.Fprintf(out, "%-4s  %s%s: %s\n", f.State, f.Check, subject, f.Message)
		if f.WayOut != "" {
			fmt.Fprintf(out, "      → %s\n", f.WayOut)
		}
	}
	_, err := fmt.Fprintf(out, "%d ok, %d warnings, %d failures\n",
		count[doctor.OK], count[doctor.Warn], count[doctor.Fail])
	return err
}
