package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
)

// errSilent is what becomes of a question that no gateway has answered.
var errSilent = errors.New("no gateway answers; decisions are read from a gateway that runs")

// findRequest prints what became of one request.
func findRequest(cmd *cobra.Command, of *command.Asked, id, format string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), command.AskWithin)
	defer cancel()
	client, err := of.Client(ctx)
	if err != nil {
		return err
	}
	d, _, silent, err := client.Find(ctx, id)
	command.WarnSilent(cmd.ErrOrStderr(), silent)
	switch {
	case errors.Is(err, decision.ErrInvalid):
		return command.Invalid(err)
	case err != nil && len(silent) == len(client.Gateways):
		return errSilent
	case err != nil:
		return fmt.Errorf("no gateway that answers has a decision of %s; it is older than decisions.keep, was dropped, or "+
			"reached none of them", id)
	}
	if format == "json" {
		return writeJSON(cmd.OutOrStdout(), d)
	}
	return d.WriteText(cmd.OutOrStdout())
}

func writeJSON(w io.Writer, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(body, '\n'))
	return err
}

// requestsFlags are the flags as they were given.
type requestsFlags struct {
	command.Asked
	filter       decision.Filter
	since, until string
	limit        int
	by           string
	format       string
}

func requestsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "requests (--config FILE | --admin ADDR...) [--tenant TENANT] [--since 1h]",
		Short: "List requests of late and what became of them, without a word of what was asked",
		Long: "List requests of late and what became of them: who asked, which model served, what\n" +
			"decided, what it cost. All gateways of the ledger are asked, at their admin ports.\n" +
			"Neither prompts nor answers are kept. gateway explain ID shows one request whole.",
		Example: "  gateway requests --config sluice.yaml --tenant acme --reason disagree --since 1h\n" +
			"  gateway requests --admin 10.0.0.7:9090 --admin 10.0.0.8:9090 --status 429",
		Args: command.Args(cobra.NoArgs),
	}
	f := &requestsFlags{}
	f.File = command.ConfigFlag(cmd)
	f.Flag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Tenant, "tenant", "", "of `TENANT` and all below it")
	flags.StringVar(&f.filter.Key, "key", "", "of `KEY_ID`")
	flags.StringVar(&f.filter.User, "user", "", "of `USER`, as usage records have it")
	flags.StringVar(&f.filter.Session, "session", "", "of `SESSION`, as decisions have it")
	flags.StringVar(&f.filter.Model, "model", "", "that asked for `MODEL`, or were served by it")
	flags.StringVar(&f.filter.Cascade, "cascade", "", "of cascade `NAME`")
	flags.StringVar(&f.filter.Path, "path", "", "on `PATH`: direct, light, escalated")
	flags.StringVar(&f.filter.Reason, "reason", "", "with `REASON`: a check, the id of a rule, or the type of an error")
	flags.IntVar(&f.filter.Status, "status", 0, "with `STATUS`; 4 and 5 are all of that hundred")
	flags.StringVar(&f.since, "since", "1h", "that came since `TIME`: 1h, 2d, or 2026-11-29T08:00:00Z")
	flags.StringVar(&f.until, "until", "", "that came before `TIME`")
	flags.IntVar(&f.limit, "limit", 50, "the newest `N`")
	flags.StringVar(&f.by, "by", "", "add them up by `WHAT`: session")
	flags.StringVar(&f.format, "format", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func (f *requestsFlags) run(cmd *cobra.Command) error {
	if f.format != "table" && f.format != "json" {
		return command.Invalidf("there is no format %q; there are table and json", f.format)
	}
	if f.by != "" && f.by != "session" {
		return command.Invalidf("requests are added up by session, not by %q", f.by)
	}
	const most = 10_000
	if f.limit < 1 || f.limit > most {
		return command.Invalidf("--limit is from 1 to %d", most)
	}
	var err error
	if f.filter.Since, err = moment("since", f.since, time.Now()); err != nil {
		return err
	}
	if f.filter.Until, err = moment("until", f.until, time.Now()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*command.AskWithin)
	defer cancel()
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	r, err := client.List(ctx, f.filter, f.limit)
	if err != nil {
		return command.InvalidIf(err, decision.ErrInvalid)
	}
	command.WarnSilent(cmd.ErrOrStderr(), r.Silent)
	if len(r.Silent) == len(client.Gateways) {
		return errSilent
	}
	return f.write(cmd, r)
}

func (f *requestsFlags) write(cmd *cobra.Command, r *api.Result) error {
	if r.Since.After(f.filter.Since) {
		fmt.Fprintf(cmd.ErrOrStderr(), "decisions of all gateways are kept since %s\n", r.Since.UTC().Format(time.RFC3339))
	}
	if err := f.print(cmd.OutOrStdout(), r.Decisions); err != nil {
		return err
	}
	if r.More {
		fmt.Fprintf(cmd.ErrOrStderr(), "there are older ones; --limit N shows more than %d\n", f.limit)
	}
	return nil
}

// print writes the requests, or what they come to by session.
func (f *requestsFlags) print(w io.Writer, all []decision.Decision) error {
	switch {
	case f.by != "" && f.format == "json":
		return writeJSON(w, decision.BySession(all))
	case f.by != "":
		return decision.WriteSessions(w, decision.BySession(all))
	case f.format == "json":
		return writeJSON(w, append([]decision.Decision{}, all...))
	}
	return decision.WriteTable(w, all)
}

// moment reads a time: how long ago, with days too, or an instant.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ago := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err == nil && fmt.Sprint(n) == days {
			ago = fmt.Sprintf("%dh", 24*n)
		}
	}
	if span, err := time.ParseDuration(ago); err == nil && span >= 0 {
		return now.Add(-span), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, command.Invalidf("--%s is how long ago, as 1h or 2d, or a time such as 2026-11-29T08:00:00Z, "+
			"not %q", flag, text)
	}
	return t, nil
}
