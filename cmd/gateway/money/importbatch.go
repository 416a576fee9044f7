package money

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/batchjob/settle"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/perimeter"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Meter what did not pass the gateway",
	}
	cmd.AddCommand(importBatchCommand())
	return command.Group(cmd)
}

// batchFlags say whose the jobs are.
type batchFlags struct {
	job, jobs, model, key, at string
	tenants                   []string
}

func importBatchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch --config FILE (--job ARN | --jobs FILE) [--tenant TENANT] [--model ID] PLACE...",
		Short: "Meter the output of batch jobs of Bedrock, each job once",
		Long: "Meter what batch jobs used, from their output in S3, or from folders that mirror it as `aws s3\n" +
			"sync` makes them. A PLACE is s3://bucket/prefix, or a folder. There and below, each folder with a\n" +
			"manifest.json.out is a job; a file of its output names its folder. Records are priced by the\n" +
			"batch price of their model, one by one. Of a job that a gateway started it is known who pays for\n" +
			"which model, and what budgets hold for it is released. A job is known by its ARN: imported again,\n" +
			"it adds nothing. --jobs has ARN, model, name and end of jobs, as `aws bedrock\n" +
			"list-model-invocation-jobs` or get-model-invocation-job prints them. Nothing is counted unless all\n" +
			"jobs are whole and fit their manifests. The gateway may run.",
		Example: "  gateway import batch --config sluice.yaml --tenant acme/support --model amazon.nova-pro-v1:0 \\\n" +
			"    --job arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/a1b2c3d4e5f6 out/a1b2c3d4e5f6\n" +
			"  gateway import batch --config sluice.yaml --tenant 'support-*=acme/support' --jobs jobs.json \\\n" +
			"    s3://acme-batch/out",
		Args: command.Args(cobra.MinimumNArgs(1)),
	}
	var f batchFlags
	flags := cmd.Flags()
	flags.StringArrayVar(&f.tenants, "tenant", nil,
		"`TENANT` that pays, whole path; with --jobs NAME=TENANT too, a pattern of jobs' names; may be repeated")
	flags.StringVar(&f.job, "job", "", "`ARN` of the job, when there is one")
	flags.StringVar(&f.model, "model", "", "`ID` of the model that the job asked for")
	flags.StringVar(&f.jobs, "jobs", "", "`FILE` with what Bedrock says of the jobs, JSON")
	flags.StringVar(&f.key, "key", "", "`KEY` id that the jobs count for")
	flags.StringVar(&f.at, "at", "",
		"`TIME` that they ended, as 2026-11-23T10:00:00Z; default that of --jobs, else of the manifest's file")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		i, err := f.importing(cfg)
		if err != nil {
			return command.Invalid(err)
		}
		return command.InvalidIf(i.run(cmd, cmd.Flags().Args()), batchjob.ErrInput)
	})
}

// importing is one run of the command.
type importing struct {
	cfg       *config.Config
	key       string
	at        time.Time // zero: as each job says
	summaries []batchjob.Summary
	one       bool // they are that of --job
	payers    []payer
	books     settle.Books
}

// payer is whose the jobs are that a pattern names.
type payer struct {
	of     glob.Pattern
	tenant string
}

// importing reads the flags, and what the configuration says of them.
func (f *batchFlags) importing(cfg *config.Config) (i *importing, err error) {
	i = &importing{cfg: cfg, key: f.key, one: f.job != ""}
	i.books = settle.Books{Config: cfg, Perimeter: perimeter.Compile(cfg), By: signature()}
	for _, text := range f.tenants {
		pattern, tenant, named := strings.Cut(text, "=")
		if !named {
			pattern, tenant = "*", text
		}
		if !slices.ContainsFunc(cfg.Tenants, func(t config.Tenant) bool { return t.ID == tenant }) {
			return nil, fmt.Errorf("--tenant: there is no tenant %q in the configuration", tenant)
		}
		i.payers = append(i.payers, payer{glob.Compile(pattern), tenant})
	}
	if f.at != "" {
		if i.at, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
	}
	if i.summaries, err = f.summaries(); err != nil {
		return nil, err
	}
	routes, problems := router.Compile(cfg)
	if err := cfg.Report(problems); err != nil {
		return nil, err
	}
	i.books.Routes = routes
	if i.books.Prices, err = command.Prices(cfg); err != nil {
		return nil, err
	}
	i.books.Policies, err = budget.Compile(cfg.Tenants)
	return i, err
}

// summaries are those of --jobs, or of --job and --model.
func (f *batchFlags) summaries() ([]batchjob.Summary, error) {
	switch {
	case f.jobs != "" && f.job+f.model != "":
		return nil, errors.New("give --jobs, or --job and --model, not both")
	case f.jobs != "":
		return batchjob.ReadSummaries(f.jobs)
	case f.job == "":
		return nil, errors.New("--job is needed, or --jobs")
	}
	arn, err := batchjob.ParseARN(f.job)
	if err != nil {
		return nil, fmt.Errorf("--job: %w", err)
	}
	return []batchjob.Summary{{ARN: arn, Model: f.model}}, nil
}

// run reads all jobs, and only then writes.
func (i *importing) run(cmd *cobra.Command, paths []string) error {
	var all []settle.Entry
	out := cmd.OutOrStdout()
	owners, done, err := openOwners(i.cfg)
	if err != nil {
		return err
	}
	defer done()
	i.books.Owners = owners
	for _, path := range paths {
		found, err := i.find(cmd.Context(), path)
		if err != nil {
			return err
		}
		for _, dir := range found.Open {
			fmt.Fprintf(out, "%s has output and no manifest.json.out: its job has not ended; left out\n", dir)
		}
		for _, j := range found.Jobs {
			e, err := i.read(cmd.Context(), j)
			if err != nil {
				return err
			}
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil
	}
	held, err := suspendedIn(i.cfg, all)
	if err != nil {
		return err
	}
	return correct(cmd, i.cfg, func(c *audit.Corrections) error {
		for n := range all {
			if err := i.enter(c, &all[n], held, out); err != nil {
				return err
			}
		}
		return nil
	})
}

// find looks for jobs in a folder, or in S3.
func (i *importing) find(ctx context.Context, place string) (*batchjob.Found, error) {
	if !batchjob.InS3(place) {
		return batchjob.Find(place)
	}
	objects, err := command.ReachS3(ctx, i.cfg)
	if err != nil {
		return nil, err
	}
	return batchjob.FindIn(ctx, objects, place)
}

// read meters a job, and orders what enters it.
func (i *importing) read(ctx context.Context, j *batchjob.Job) (settle.Entry, error) {
	s, err := i.of(j)
	if err != nil {
		return settle.Entry{}, err
	}
	return i.books.Read(ctx, j, s, i.at, func() (settle.Payer, error) { return i.payer(s) })
}

// of is what is known of a job.
func (i *importing) of(j *batchjob.Job) (*batchjob.Summary, error) {
	for n := range i.summaries {
		if i.summaries[n].ARN.ID == j.ID {
			return &i.summaries[n], nil
		}
	}
	if i.one {
		return nil, i.summaries[0].ARN.Check(j)
	}
	return nil, fmt.Errorf("%s: %w: --jobs has no job %s that has ended", j.Dir, batchjob.ErrInput, j.ID)
}

// payer is who pays for a job, and for which model, as the flags say.
func (i *importing) payer(s *batchjob.Summary) (settle.Payer, error) {
	switch of := slices.IndexFunc(i.payers, func(p payer) bool { return p.of.Match(s.Name) }); {
	case len(i.payers) == 0:
		return settle.Payer{}, errors.New("no gateway started it: --tenant is needed")
	case of < 0:
		return settle.Payer{}, fmt.Errorf("no --tenant has a pattern for the job's name, %q", s.Name)
	case s.Model == "":
		return settle.Payer{}, errors.New("no gateway started it: --model is needed")
	default:
		return settle.Payer{Tenant: i.payers[of].tenant, Key: i.key, Model: wire.PlainID(s.Model)}, nil
	}
}

// openOwners opens them for reading; the caller calls done.
func openOwners(cfg *config.Config) (all settle.Owners, done func(), err error) {
	if cfg.Ledger.Redis != "" {
		shared, err := command.OpenRedis(cfg)
		if err != nil {
			return nil, nil, err
		}
		return shared.Jobs(), func() { shared.Close() }, nil //nolint:errcheck // it was only read
	}
	jobs, err := embedded.OpenJobs(command.JobsFile(cfg), time.Now)
	if err != nil {
		return nil, nil, err
	}
	return jobs, func() { jobs.Close() }, nil //nolint:errcheck // it was only read
}

// suspendedIn are the attempts of unknown outcome that a data directory has, where any of the jobs is one.
func suspendedIn(cfg *config.Config, jobs []settle.Entry) (all []record.Suspended, err error) {
	if !slices.ContainsFunc(jobs, func(e settle.Entry) bool { return e.Owner.Record != "" }) {
		return nil, nil
	}
	return settle.Held(cfg.DataDir)
}

// enter enters a job, unless it was entered before, and releases its hold.
func (i *importing) enter(c *audit.Corrections, e *settle.Entry, held []record.Suspended, out io.Writer) error {
	name := e.Summary.ARN.Text
	added, err := i.books.Enter(c, e, held)
	switch {
	case errors.Is(err, settle.ErrElsewhere):
		fmt.Fprintf(out, "%s is settled where its gateway keeps its records: what budgets hold for it is record %s of "+
			"another data_dir; run this there. Nothing added\n", name, e.Owner.Record)
		return nil
	case err != nil:
		return command.InvalidIf(err, audit.ErrOtherContents)
	case len(e.Orders) == 0:
		fmt.Fprintf(out, "%s has no records; nothing added\n", name)
		return nil
	case !added:
		fmt.Fprintf(out, "%s was imported before; nothing added\n", name)
		return nil
	}
	tell(e, out)
	return nil
}

// tell says what was entered.
func tell(e *settle.Entry, out io.Writer) {
	name := e.Summary.ARN.Text
	sum, m := e.Metered.Sum(), e.Metered
	fmt.Fprintf(out, "%s imported for %s: %s, %d records, %d of them failed, %d input and %d output tokens, $%s\n", name,
		e.Orders[0].Row.Tenant, e.Orders[0].Row.Model, m.Records, m.Failed, sum.Input, sum.Output, sum.Cost())
	if m.Shared > 0 {
		fmt.Fprintf(out, "  %d records report no tokens; the rest of the manifest's was shared out among them\n", m.Shared)
	}
	if m.Differs {
		fmt.Fprintf(out, "  the manifest has %d input and %d output tokens; those of the records count\n",
			e.Job.Manifest.Input, e.Job.Manifest.Output)
	}
	if counted := e.Owner.Records; counted > 0 && e.Job.Manifest.Total > counted {
		fmt.Fprintf(out, "  it had %d records, and %d when budgets held what it could cost: its input was changed\n",
			e.Job.Manifest.Total, counted)
	}
	if sum.Unpriced > 0 {
		fmt.Fprintf(out, "  %d records have no batch price: `gateway prices rerate` enters it once a price book has one\n",
			sum.Unpriced)
	}
}
