package advice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Report is findings of a period, for a command. A month is 730 hours.
type Report struct {
	From, To time.Time
	Findings []Finding
	Unpriced int64
	// Proof is whether amounts are those of the period itself, not of a month, and of levers
	// that the configuration can pull alone.
	Proof bool
}

const month = 730 * time.Hour

// scaled is an amount of a finding, as one of a month where that is asked for.
func (r *Report) scaled(f *Finding, t money.Total) money.Total {
	span := cmp.Or(f.Span, r.To.Sub(r.From))
	if r.Proof {
		return t
	}
	return Monthly(t, span)
}

// Monthly is an amount of a time, as one of a month of 730 hours. That of no time is the amount.
func Monthly(t money.Total, of time.Duration) money.Total {
	if of <= 0 {
		return t
	}
	var all money.Total
	all.AddRat(new(big.Rat).Mul(t.Rat(), big.NewRat(int64(month), int64(of))))
	return all
}

// shown are the findings that the report is about.
func (r *Report) shown() (all []Finding) {
	for _, f := range r.Findings {
		if !r.Proof || f.Lever.Configured && f.Lever.Whole {
			all = append(all, f)
		}
	}
	return all
}

// WriteTable writes the report for people, with rounded amounts.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	what := "dollars a month, by the use"
	if r.Proof {
		what = "what the use would have cost"
	}
	fmt.Fprintf(&b, "%s from %s to %s\n\n", what, r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if r.Proof {
		fmt.Fprintln(table, "tenant\tlever\tdid cost\twith the line\tsaved\tline")
	} else {
		fmt.Fprintln(table, "tenant\tlever\tsaves\tof\trisk\tline")
	}
	for _, f := range r.shown() {
		low, cost := f.Low(), f.Cost
		if r.Proof {
			cost.SubTotal(&f.Saved)
			fmt.Fprintf(table, "%s\t%s\t$%s\t$%s\t$%s\t%s\n", f.Tenant, f.Lever.Name, f.Cost.Rounded(), cost.Rounded(),
				f.Saved.Rounded(), f.Lever.Line)
			continue
		}
		least, most, of := r.scaled(&f, low), r.scaled(&f, f.Saved), r.scaled(&f, f.Cost)
		saves := "$" + most.Rounded()
		if !f.Lever.Whole {
			saves = fmt.Sprintf("$%s to $%s", least.Rounded(), most.Rounded())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t$%s\t%s\t%s\n", f.Tenant, f.Lever.Name, saves, of.Rounded(), f.Lever.Risk,
			f.Lever.Line)
	}
	table.Flush() //nolint:errcheck,gosec // a builder takes all
	if len(r.shown()) == 0 {
		b.WriteString("nothing: no lever that can be priced saves anything\n")
	}
	if r.Unpriced > 0 {
		fmt.Fprintf(&b, "\n%d rows without a price are left out\n", r.Unpriced)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// findingJSON is a Finding for programs: exact decimals of dollars.
type findingJSON struct {
	Tenant   string `json:"tenant"`
	Lever    string `json:"lever"`
	CostUSD  string `json:"cost_usd"`
	LowUSD   string `json:"saved_low_usd"`
	SavedUSD string `json:"saved_usd"`
	Risk     string `json:"risk"`
	Line     string `json:"line"`
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	out := struct {
		From     time.Time     `json:"from"`
		To       time.Time     `json:"to"`
		Per      string        `json:"per"`
		Levers   []findingJSON `json:"levers"`
		Unpriced int64         `json:"rows_without_a_price"`
	}{r.From, r.To, "month", []findingJSON{}, r.Unpriced}
	if r.Proof {
		out.Per = "period"
	}
	for _, f := range r.shown() {
		cost, low, saved := r.scaled(&f, f.Cost), r.scaled(&f, f.Low()), r.scaled(&f, f.Saved)
		out.Levers = append(out.Levers, findingJSON{
			f.Tenant, f.Lever.Name, cost.String(), low.String(), saved.String(), f.Lever.Risk, f.Lever.Line,
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
