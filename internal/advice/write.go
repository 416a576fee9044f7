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

// Report is what levers would save by the use of a period, and what those saved that are pulled. A month is 730 hours.
type Report struct {
	From, To time.Time
	Findings []Finding
	Unpriced int64
	Pulled   []Saved    // in the period itself
	Headroom []Headroom // of quotas
	Injected []Injected
	// Proof is whether amounts are those of the period itself, not of a month, and of levers
	// that the configuration can pull alone.
	Proof bool
}

// Headroom is what a tighter cap on answers would have freed of a quota, since a gateway started.
type Headroom struct {
	Gateway  string `json:"gateway,omitempty"` // "" for the one that says it
	Upstream string `json:"upstream"`
	Models   string `json:"models"`
	Role     string `json:"role"`
	Held     int64  `json:"held_tokens"`  // of quota, for calls that have ended
	Cap      int64  `json:"cap_tokens"`   // output tokens that 99 of 100 answers keep to
	Freed    int64  `json:"freed_tokens"` // of Held
	Line     string `json:"line"`
}

// Injected is what cache points came to that a gateway put into prompts since it started.
type Injected struct {
	Gateway string `json:"gateway,omitempty"`
	Tenant  string `json:"tenant"`
	Paid    string `json:"paid_usd"` // above plain input
	Saved   string `json:"saved_usd"`
	Wasted  string `json:"wasted_usd"` // of Paid
	Net     string `json:"net_usd"`
}

// CapLine is the line of configuration for a headroom.
func CapLine(tokens int64) string { return fmt.Sprintf("output_tokens: {max: %d}", tokens) }

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
	if !r.Proof {
		r.writePulled(&b)
		r.writeGateways(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writePulled writes what levers saved that are pulled.
func (r *Report) writePulled(b *strings.Builder) {
	if len(r.Pulled) == 0 {
		return
	}
	fmt.Fprintln(b, "\nwhat levers saved that are pulled, in this time")
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "tenant\tlever\tsaved\twhich is")
	for i := range r.Pulled {
		s, saved := &r.Pulled[i], "-"
		switch {
		case s.Known && s.Low.String() == s.High.String():
			saved = "$" + s.Amount.Rounded()
		case s.Bounded:
			saved = fmt.Sprintf("$%s to $%s", s.Low.Rounded(), s.High.Rounded())
		case s.Known:
			saved = "$" + s.Amount.Rounded()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cmp.Or(s.Tenant, "all"), s.Lever, saved, s.How)
	}
	table.Flush() //nolint:errcheck,gosec // a builder takes all
}

// writeGateways writes what gateways know by themselves.
func (r *Report) writeGateways(b *strings.Builder) {
	if len(r.Headroom) > 0 {
		fmt.Fprintln(b, "\nquota that a tighter cap would have freed, since each gateway started")
		table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "gateway\tupstream\tmodels\ttokens held\tfreed\tline, to which 99 of 100 answers keep")
		for _, h := range r.Headroom {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", h.Gateway, h.Upstream, h.Models, h.Held, h.Freed, h.Line)
		}
		table.Flush() //nolint:errcheck,gosec // a builder takes all
	}
	if len(r.Injected) > 0 {
		fmt.Fprintln(b, "\ncache points that gateways set, since each started")
		table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "gateway\ttenant\tpremium\twasted\tsaved\tnet")
		for _, i := range r.Injected {
			fmt.Fprintf(table, "%s\t%s\t$%s\t$%s\t$%s\t$%s\n", i.Gateway, i.Tenant, i.Paid, i.Wasted, i.Saved, i.Net)
		}
		table.Flush() //nolint:errcheck,gosec // a builder takes all
	}
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

// savedJSON is a Saved for programs: what is not known is null.
type savedJSON struct {
	Tenant   string  `json:"tenant"`
	Lever    string  `json:"lever"`
	SavedUSD *string `json:"saved_usd"`
	LowUSD   *string `json:"saved_low_usd"`
	HighUSD  *string `json:"saved_high_usd"`
	How      string  `json:"how"`
}

func pulledJSON(all []Saved) (out []savedJSON) {
	for i := range all {
		s := &all[i]
		one := savedJSON{Tenant: s.Tenant, Lever: s.Lever, How: s.How}
		amount, low, high := s.Amount.String(), s.Low.String(), s.High.String()
		if s.Known {
			one.SavedUSD = &amount
		}
		if s.Bounded {
			one.LowUSD, one.HighUSD = &low, &high
		}
		out = append(out, one)
	}
	return out
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	out := struct {
		From     time.Time     `json:"from"`
		To       time.Time     `json:"to"`
		Per      string        `json:"per"`
		Levers   []findingJSON `json:"levers"`
		Unpriced int64         `json:"rows_without_a_price"`
		Pulled   []savedJSON   `json:"pulled,omitempty"`
		Headroom []Headroom    `json:"headroom,omitempty"`
		Injected []Injected    `json:"injected,omitempty"`
	}{r.From, r.To, "month", []findingJSON{}, r.Unpriced, nil, nil, nil}
	if r.Proof {
		out.Per = "period"
	} else {
		out.Pulled, out.Headroom, out.Injected = pulledJSON(r.Pulled), r.Headroom, r.Injected
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
