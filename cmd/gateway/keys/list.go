package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
)

func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List all keys, of the configuration and issued, with their state and last use",
		Args:  command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	of := cmd.Flags().String("tenant", "", "only those of tenant `ID` and the tenants below it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return to.list(cmd, *of, *asJSON)
		}
		d, err := openDesk(cmd, *file, reading)
		if err != nil {
			return err
		}
		defer d.close()
		return printList(cmd, d.office.List(*of), d.office.FrozenTenants(), *asJSON)
	}
	return cmd
}

func printList(cmd *cobra.Command, all []admin.Key, frozen []string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(append([]admin.Key{}, all...))
	}
	for _, tenant := range frozen {
		fmt.Fprintf(cmd.OutOrStdout(), "tenant %s is frozen\n", tenant)
	}
	return printTable(cmd.OutOrStdout(), all)
}

func printTable(w io.Writer, all []admin.Key) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TENANT\tKEY\tSTATE\tSOURCE\tNAME\tOWNER\tUNTIL\tLAST USED\tNOTE")
	for i := range all {
		k := &all[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", dash(k.Tenant), k.ID, k.State, dash(k.Source), dash(k.Name),
			dash(k.Owner), until(k), ago(k.LastUsed), k.Note)
	}
	return t.Flush()
}

func dash(s string) string { return cmp.Or(s, "-") }

// until is when a key ceases to be valid.
func until(k *admin.Key) string {
	at := k.Expires
	if k.Ends != nil && (at == nil || k.Ends.Before(*at)) {
		at = k.Ends
	}
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func ago(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04Z")
}

// describe is all about a key that is worth a line.
func describe(k *admin.Key) string {
	var b strings.Builder
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-19s%s\n", what, text)
		}
	}
	line("key", k.ID)
	line("state", string(k.State))
	line("note", k.Note)
	line("reason", k.Reason)
	line("tenant", k.Tenant)
	line("source", k.Source)
	line("name", k.Name)
	line("owner", k.Owner)
	if at := until(k); at != "-" {
		line("until", at)
	}
	for _, n := range k.Networks {
		line("network", n.String())
	}
	for _, budget := range k.Budgets {
		line("budget", fmt.Sprintf("$%s per %s, %s", budget.USD, budget.Period, cmp.Or(budget.OnExceed, "reject")))
	}
	if l := k.Limits; l != nil {
		line("limits", limits(l))
	}
	line("replaces", k.Replaces)
	line("replaced by", k.ReplacedBy)
	if k.LastUsed != nil {
		line("last used", ago(k.LastUsed))
	}
	return b.String()
}

func limits(l *keys.Limits) string {
	var all []string
	for _, of := range []struct {
		n    int64
		what string
	}{
		{l.RequestsPerMinute, "requests per minute"}, {l.TokensPerMinute, "tokens per minute"},
		{l.ConcurrentRequests, "requests at once"},
	} {
		if of.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", of.n, of.what))
		}
	}
	return strings.Join(all, ", ")
}

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit --config FILE",
		Short: "Show what was done to keys, and check that nothing of it was changed; exit 1 if so",
		Long: "Show every act on keys with who did it and why. Each names the hash of the act before it:\n" +
			"one that was changed or removed is found by those behind it, and the first broken link of\n" +
			"each writer is named. What the ledger has and this data directory has not is read too.",
		Args: command.Args(cobra.NoArgs),
	}
	file := command.ConfigFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to, err := elsewhere(cmd); err != nil {
			return err
		} else if to != nil {
			return to.audit(cmd, *asJSON)
		}
		d, err := openDesk(cmd, *file, reading)
		if err != nil {
			return err
		}
		defer d.close()
		lines, err := d.office.Book.Lines()
		if err != nil {
			return err
		}
		return reportAudit(cmd, admin.NewAudit(d.office.Book.WithBoard(lines)), *asJSON)
	}
	return cmd
}

// reportAudit prints an audit, and fails when the log is not whole.
func reportAudit(cmd *cobra.Command, a *admin.Audit, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(a)
	} else {
		err = printAudit(cmd.OutOrStdout(), a)
	}
	if err == nil && len(a.Broken) > 0 {
		err = errors.New("the log of acts on keys is not whole")
	}
	return err
}

func printAudit(w io.Writer, a *admin.Audit) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tWHO\tACT\tOF\tREASON\tBY WRITER\tSEALED")
	for i := range a.Acts {
		e := &a.Acts[i]
		if e.Writer == "" {
			continue // unreadable: below
		}
		what := string(e.Kind)
		if e.Replaces != "" {
			what += " for " + e.Replaces
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s/%d\t%v\n", e.At.UTC().Format(time.RFC3339), dash(e.Actor), what,
			dash(cmp.Or(e.Key, e.Tenant)), dash(e.Reason), e.Writer, e.Number, e.Sealed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range a.Broken {
		e := &a.Broken[i]
		where := fmt.Sprintf("line %d", e.Line)
		if e.Line == 0 {
			where = "in the ledger"
		}
		fmt.Fprintf(w, "broken at %s, act %s/%d: %s\n", where, dash(e.Writer), e.Number, e.Broken)
	}
	if len(a.Broken) == 0 {
		fmt.Fprintf(w, "%d acts, all links hold\n", len(a.Acts))
	}
	return nil
}
