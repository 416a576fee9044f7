package money

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
)

func adjustListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List the corrections that were made here: what, by whom, why",
		Long: "List the adjustments in the journal of corrections of this data directory, the\n" +
			"oldest first: when, by whom, for what and why each was made, and what it added.\n" +
			"As JSON each is an object with all that it says; money is text, so that no digit\n" +
			"is lost.",
		Args: command.Args(cobra.NoArgs),
	}
	var since, until, format string
	cmd.Flags().StringVar(&since, "since", "", "made at or after this `DAY` or time, UTC")
	cmd.Flags().StringVar(&until, "until", "", "made before this `DAY` or time, UTC")
	cmd.Flags().StringVar(&format, "format", string(report.Table), "table or json")
	formats := cobra.FixedCompletions([]cobra.Completion{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)
	command.Complete(cmd, "format", formats)
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		write := map[string]func(io.Writer, []*record.Adjustment) error{"table": tableOf, "json": jsonOf}[format]
		if write == nil {
			return command.Invalidf("there is no format %q; there are table and json", format)
		}
		within, err := madeWithin(since, until)
		if err != nil {
			return command.Invalid(err)
		}
		all, err := corrected(cfg)
		if err != nil {
			return err
		}
		other := func(a *record.Adjustment) bool { return !within(a.At) }
		return write(cmd.OutOrStdout(), slices.DeleteFunc(all.InOrder(), other))
	})
}

// madeWithin reads --since and --until; either may be empty.
func madeWithin(since, until string) (func(time.Time) bool, error) {
	var bounds [2]time.Time
	for i, text := range [...]string{since, until} {
		var err error
		if text == "" {
			continue
		}
		if bounds[i], err = report.ParseTime(text); err != nil {
			return nil, fmt.Errorf("--%s: %w", [...]string{"since", "until"}[i], err)
		}
	}
	if since != "" && until != "" && !bounds[0].Before(bounds[1]) {
		return nil, fmt.Errorf("--since %s is not before --until %s", since, until)
	}
	return func(t time.Time) bool {
		return (since == "" || !t.Before(bounds[0])) && (until == "" || t.Before(bounds[1]))
	}, nil
}

func tableOf(out io.Writer, all []*record.Adjustment) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MADE\tID\tACTOR\tHOUR\tTENANT\tMODEL\tADDS\tREASON\tREFERS TO")
	for _, a := range all {
		adds := make([]string, 0, 4)
		for _, v := range a.Add.Values() {
			adds = append(adds, v.Column+"="+v.Text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%q\t%s\n", a.At.UTC().Format(time.RFC3339), a.ID, a.Actor,
			a.Row.Hour.UTC().Format("2006-01-02T15Z"), a.Row.Tenant, a.Row.Model, strings.Join(adds, " "), a.Reason, a.RefersTo)
	}
	return w.Flush()
}

// listed is an adjustment as JSON. Parts of the row that are empty are left out.
type listed struct {
	Made     time.Time         `json:"made"`
	ID       string            `json:"id"`
	Actor    string            `json:"actor"`
	Reason   string            `json:"reason"`
	RefersTo string            `json:"refers_to,omitempty"`
	Hour     time.Time         `json:"hour"`
	Row      map[string]string `json:"row"`
	Adds     map[string]any    `json:"adds"` // counts are numbers, money is text
}

func jsonOf(out io.Writer, all []*record.Adjustment) error {
	list := make([]listed, 0, len(all))
	for _, a := range all {
		adds := map[string]any{}
		for _, v := range a.Add.Values() {
			adds[v.Column] = v.N
			if v.Money {
				adds[v.Column] = v.Text
			}
		}
		list = append(list, listed{a.At.UTC(), a.ID, a.Actor, a.Reason, a.RefersTo, a.Row.Hour.UTC(), a.Row.Parts(), adds})
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(list)
}
