package money

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/commitment"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/statement"
)

// closeFlags are the flags of closing a month as they were given.
type closeFlags struct {
	auditFlags
	roots             []string
	shared, dir       string
	tolerance, reason string
	accept            bool
}

func closeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close --config FILE [MONTH]",
		Short: "Close a month: write its statement, which never changes",
		Long: "Close a month of each root tenant, in its billing_time_zone: write a statement that\n" +
			"never changes, and mark the month in the ledger as closed. What comes later for it is a\n" +
			"correction in the open month, so that report and statement stay equal. A month is refused\n" +
			"while something of it is open: suspense above --tolerance, legs without a price, records that\n" +
			"a gateway has not posted, damage. --accept closes it all the same, and the statement says so.\n" +
			"It may be run again: a statement that is there is compared, and kept. Without a MONTH, list the\n" +
			"statements.",
		Example: "  gateway close --config sluice.yaml 2026-11 --shared reserved.csv\n" +
			"  gateway close --config sluice.yaml 2026-11 --accept --reason 'two calls lost on 11-20, 0.03 USD'",
		Args: command.Args(cobra.MaximumNArgs(1)),
	}
	var f closeFlags
	flags := cmd.Flags()
	flags.StringArrayVar(&f.others, "data-dir", nil,
		"data `DIR` of a further gateway of the same ledger, to look for records not posted; may be repeated")
	flags.StringArrayVar(&f.roots, "root", nil, "`TENANT` to close the month of; may be repeated; default all")
	flags.StringVar(&f.shared, "shared", "", "`FILE` of shared costs, CSV: name, usd, by ("+
		strings.Join(statement.Keys(), ", ")+"), and below, ratios")
	flags.StringVar(&f.dir, "dir", "", "`DIR` of statements; default statements in data_dir")
	flags.StringVar(&f.tolerance, "tolerance", "0", "`DOLLARS` that may be in suspense, for each root")
	flags.BoolVar(&f.accept, "accept", false, "close it although something is open")
	flags.StringVar(&f.reason, "reason", "", "`TEXT`: why what is open is accepted")
	return command.Configured(cmd, func(cmd *cobra.Command, cfg *config.Config) error {
		return command.InvalidIf(f.run(cmd, cfg), statement.ErrInput)
	})
}

// closing is one run of the command.
type closing struct {
	cfg       *config.Config
	dir       statement.Dir
	now       time.Time
	month     string
	tolerance money.Pico
	books     closable
	costs     []statement.Cost
	out       io.Writer
}

func (f *closeFlags) run(cmd *cobra.Command, cfg *config.Config) error {
	c := &closing{cfg: cfg, dir: statement.Dir(f.dir), now: time.Now().UTC(), month: cmd.Flags().Arg(0)}
	c.out = cmd.OutOrStdout()
	if f.dir == "" {
		c.dir = statement.Dir(filepath.Join(cfg.DataDir, "statements"))
	}
	if c.month == "" {
		return c.list()
	}
	if f.accept != (strings.TrimSpace(f.reason) != "") {
		return command.Invalidf("--accept needs a --reason, and --reason is for --accept")
	}
	if _, err := statement.PeriodOf(c.month, "UTC"); err != nil {
		return err // whatever is metered
	}
	var err error
	if c.tolerance, err = money.ParseDollars(f.tolerance); err != nil || c.tolerance < 0 {
		return command.Invalidf("--tolerance: %q is no amount of dollars", f.tolerance)
	}
	if c.costs, err = readCosts(f.shared); err != nil {
		return err
	}
	var done func()
	if c.books, done, err = openClosable(cfg); err != nil {
		return err
	}
	defer done()
	months, err := c.months(cmd.Context(), f.roots)
	if err != nil {
		return err
	}
	if err := c.addCapacity(cmd.Context()); err != nil {
		return err
	}
	open, err := c.open(cmd.Context(), f, months)
	if err != nil {
		return err
	}
	if len(open) > 0 && !f.accept {
		return fmt.Errorf("%s stays open:\n  %s\nsettle it, or give --accept and a --reason", c.month,
			strings.Join(open, "\n  "))
	}
	return c.close(cmd.Context(), months, statement.Statement{Accepted: open, Reason: f.reason})
}

// list prints the statements of the configuration's roots.
func (c *closing) list() error {
	seen := map[string]bool{}
	for i := range c.cfg.Tenants {
		root := record.RootOf(c.cfg.Tenants[i].ID)
		if seen[root] {
			continue
		}
		seen[root] = true
		files, err := c.dir.List(root)
		if err != nil {
			return err
		}
		for _, f := range files {
			fmt.Fprintf(c.out, "%s %s %s sha256 %s\n", f.Root, f.Month, f.Path, f.SHA256)
		}
	}
	return nil
}

func readCosts(file string) ([]statement.Cost, error) {
	if file == "" {
		return nil, nil
	}
	text, err := userfile.UTF8(file)
	if err != nil {
		return nil, command.Invalid(err)
	}
	return statement.ParseCosts(file, bytes.NewReader(text))
}

// addCapacity adds what capacity cost in the month in UTC, whatever zones the roots have: it is shared among all.
func (c *closing) addCapacity(ctx context.Context) error {
	p, err := statement.PeriodOf(c.month, "UTC")
	if err != nil {
		return err
	}
	bills, err := commitment.Bills(ctx, c.books, c.cfg.Capacity, commitment.Query{
		From: p.From, To: p.To, Now: c.now, Models: c.cfg.Behind,
	})
	costs, unborne := commitment.Costs(bills)
	c.costs = append(c.costs, costs...)
	for _, text := range unborne {
		fmt.Fprintln(os.Stderr, "warning:", text)
	}
	return err
}

// month is that of one root.
type month struct {
	root   string
	period statement.Period
	mark   ledger.Closing       // as it is in the ledger, or will be
	had    *statement.Statement // nil for none
}

// months are what is to be closed: a month that is over, and follows the one that was
// closed before.
func (c *closing) months(ctx context.Context, roots []string) ([]*month, error) {
	known, err := c.roots(ctx)
	if err != nil {
		return nil, err
	}
	if len(roots) == 0 {
		roots = known
	}
	var all []*month
	for i, root := range roots {
		if slices.Contains(roots[:i], root) {
			continue // twice, it would have two parts of shared costs
		}
		closed, err := c.books.Closings(ctx, root)
		if err != nil || len(closed) == 0 && !slices.Contains(known, root) {
			return nil, cmp.Or(err, fmt.Errorf("%w: there is no root tenant %q; there are %s", statement.ErrInput, root,
				strings.Join(known, ", ")))
		}
		m, err := c.monthOf(root, closed)
		if err != nil {
			return nil, fmt.Errorf("root %s: %w", root, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// roots are those of the configuration, and of what the ledger has around the month.
func (c *closing) roots(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	for i := range c.cfg.Tenants {
		found[record.RootOf(c.cfg.Tenants[i].ID)] = true
	}
	p, err := statement.PeriodOf(c.month, "UTC")
	if err != nil {
		return nil, err
	}
	err = c.books.Rows(ctx, p.From, p.To, func(key record.RowKey, _ record.Counters) error {
		found[record.RootOf(key.Tenant)] = true
		return nil
	})
	return slices.Sorted(maps.Keys(found)), err
}

// soon is how long after its end a month can be closed: clocks differ, and gateways
// post what they have written.
const soon = 10 * time.Minute

func (c *closing) monthOf(root string, closed ledger.Closings) (*month, error) {
	zone, err := c.cfg.BillingZone(root)
	if err != nil {
		return nil, err
	}
	name := "UTC"
	if zone != nil {
		name = zone.String()
	}
	m := &month{root: root}
	if m.period, err = statement.PeriodOf(c.month, name); err != nil {
		return nil, err
	}
	if c.now.Before(m.period.To.Add(soon)) {
		return nil, fmt.Errorf("%w: %s ends at %s, and can be closed %s later", statement.ErrInput, c.month,
			m.period.To.Format(time.RFC3339), soon)
	}
	if m.had, err = c.dir.Load(root, c.month); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return m, m.follows(closed)
}

// follows makes the month begin where the one before ended, also when the time zone was
// another one then.
func (m *month) follows(closed ledger.Closings) error {
	const shift = 26 * time.Hour // between the zones that differ most
	m.mark = ledger.Closing{Month: m.period.Month, Zone: m.period.Zone, Through: m.period.To}
	if m.had != nil {
		m.mark = ledger.Closing{Month: m.had.Month, Zone: m.had.Zone, Through: m.had.To, UpTo: m.had.UpTo}
		m.period = statement.Period{Month: m.had.Month, Zone: m.had.Zone, From: m.had.From, To: m.had.To}
		return nil
	}
	for i := range closed {
		if closed[i].Month == m.period.Month {
			m.mark, m.period.To, m.period.Zone = closed[i], closed[i].Through, closed[i].Zone
			if i > 0 {
				m.period.From = closed[i-1].Through
			}
			return nil
		}
	}
	if len(closed) == 0 {
		return nil
	}
	last := &closed[len(closed)-1]
	if last.Through.Sub(m.period.From).Abs() > shift {
		return fmt.Errorf("%w: the month that was closed last is %s, and months are closed in order",
			statement.ErrInput, last.Month)
	}
	m.period.From = last.Through
	return nil
}

// open names what is not settled of the months.
func (c *closing) open(ctx context.Context, f *closeFlags, months []*month) ([]string, error) {
	open, err := c.books.Gaps(ctx, f)
	if err != nil {
		return nil, err
	}
	sums, err := c.sums(ctx, c.books, months)
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		for _, text := range s.Open(c.tolerance) {
			open = append(open, s.Root()+": "+text)
		}
	}
	_, err = statement.Split(c.costs, sums) // before anything is marked
	return open, err
}

func (c *closing) sums(ctx context.Context, from report.Source, months []*month) ([]*statement.Sums, error) {
	of := make([]statement.Month, len(months))
	for i, m := range months {
		of[i] = statement.Month{Root: m.root, Period: m.period}
	}
	return statement.Read(ctx, from, of, c.now)
}

// close marks the months, and then writes what the ledger has of them: nothing is added
// to them any more.
func (c *closing) close(ctx context.Context, months []*month, head statement.Statement) (err error) {
	for _, m := range months {
		if m.mark, err = c.books.CloseMonth(ctx, m.root, m.mark); err != nil {
			return fmt.Errorf("root %s: %w", m.root, err)
		}
	}
	books, done, err := openClosable(c.cfg)
	if err != nil {
		return err
	}
	defer done()
	sums, err := c.sums(ctx, books, months)
	if err != nil {
		return err
	}
	shared, err := statement.Split(c.costs, sums)
	if err != nil {
		return err
	}
	head.ClosedAt, head.ClosedBy = c.now.Truncate(time.Second), signature().Actor
	for i, m := range months {
		head.UpTo, head.Previous = m.mark.UpTo, c.dir.Hash(m.root, m.period.Before())
		if err := c.write(m, sums[i].Statement(head, shared[m.root])); err != nil {
			return err
		}
	}
	return nil
}

func (c *closing) write(m *month, st *statement.Statement) error {
	file, err := c.dir.Write(st)
	if err != nil {
		return err
	}
	if m.had != nil {
		fmt.Fprintf(c.out, "%s %s was closed before, at %s USD; the ledger has the same\n", m.root, c.month,
			m.had.Totals.TotalUSD)
		return nil
	}
	fmt.Fprintf(c.out, "%s %s closed: %s USD, of which corrections %s and shared costs %s; %s, sha256 %s\n", m.root,
		c.month, st.Totals.TotalUSD, st.Totals.CorrectionsUSD, st.Totals.SharedUSD, file.Path, file.SHA256)
	return nil
}
