package rightsize

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Report is what a command prints.
type Report struct {
	Model, Tenant string // of whom; a tenant of "" is all
	From, To      time.Time
	Notes         []string // what the figures leave out
	Sides         []Side
}

// Side is one kind of capacity: model units, or reserved input or output.
type Side struct {
	Unit   string // what a unit is, "model unit of 1,000 input and 100 output tokens a minute"
	Curve  *Curve
	Advice []Advice // one for each term
}

// steps is how many loads of the load-duration curve are shown at most.
const steps = 10

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	of := "all tenants"
	if r.Tenant != "" {
		of = r.Tenant
	}
	from, to := r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339)
	fmt.Fprintf(&b, "%s of %s, %s to %s\n", r.Model, of, from, to)
	for _, note := range r.Notes {
		b.WriteString("note: " + note + "\n")
	}
	for i := range r.Sides {
		r.Sides[i].write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Side) write(b *strings.Builder) {
	all, used := s.Curve.Minutes()
	cost := s.Curve.Cost()
	fmt.Fprintf(b, "\na unit is a %s\n%d minutes, %d with calls, %s on demand\n", s.Unit, all, used, usd(cost))
	fmt.Fprintf(b, "load in units: P50 %s, P90 %s, P99 %s, peak %s, mean %s\n", units(s.Curve.Load(50, 100)),
		units(s.Curve.Load(90, 100)), units(s.Curve.Load(99, 100)), units(s.Curve.Peak()), units(s.Curve.Mean()))
	b.WriteString("above so many units:")
	for _, n := range s.shown() {
		fmt.Fprintf(b, " %d in %s;", n, percent(s.Curve.Above(n)))
	}
	b.WriteString("\n")
	for i := range s.Advice {
		s.Advice[i].write(b, s.Curve)
	}
}

// shown are the loads of the curve that are shown, evenly up to the peak.
func (s *Side) shown() (loads []int64) {
	most := s.Curve.most()
	for i := range int64(steps) {
		if n := most * i / steps; !slices.Contains(loads, n) {
			loads = append(loads, n)
		}
	}
	return loads
}

func (a *Advice) write(b *strings.Builder, c *Curve) {
	fmt.Fprintf(b, "\n%s: $%s a unit and hour; a unit pays from a use of %s\n", a.Term.Name, amount(a.Term.Hour),
		percent(a.BreakEven))
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "choice\tunits\tfee\tsaved\tnet\tused\tP50\tP90\tP99\t")
	for _, o := range append([]Choice{a.Best}, a.Others...) {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", o.Name, o.Units, usd(o.Fee), usd(o.Saved), usd(o.Net),
			percent(o.Used), percent(o.P50), percent(o.P90), percent(o.P99))
	}
	table.Flush() //nolint:errcheck,gosec // a builder takes all
	fmt.Fprintf(b, "with a fifth less traffic %d are best, and %d are worth %s; with a fifth more %d, and %s\n",
		a.Less.Units, a.Best.Units, usd(a.LessNet), a.More.Units, usd(a.MoreNet))
	b.WriteString(a.Why(c) + "\n")
}

// Why says why the rule of thumb and the best choice differ, or that they do not.
func (a *Advice) Why(c *Curve) string {
	low, high := &a.Others[len(a.Others)-2], &a.Others[len(a.Others)-1]
	ratio := "nothing"
	if mean := c.Mean(); mean.Sign() > 0 {
		ratio = new(big.Rat).Quo(c.Peak(), mean).FloatString(1) + " times the mean"
	}
	shape := fmt.Sprintf("the peak is %s, so that 70 %% of it are used to %s", ratio, percent(low.Used))
	switch {
	case a.BreakEven.Cmp(whole(1)) > 0:
		return "buy none: in this mix of tokens a unit that is always in use saves less than it costs"
	case a.Best.Units == 0:
		return "buy none: " + shape + ", and even the first unit is used less than it costs"
	case a.Best.Units < low.Units:
		lost := a.Best.Net
		lost.SubTotal(&low.Net)
		return fmt.Sprintf("the rule of 70 to 80 %% of the peak buys too much: %s; its last units are used less than %s, "+
			"and it is worth %s less", shape, percent(a.BreakEven), usd(lost))
	case a.Best.Units > high.Units:
		return "the rule of 70 to 80 % of the peak buys too little: " + shape + ", and units above it still pay"
	}
	return "the rule of 70 to 80 % of the peak holds here: " + shape
}

func usd(t money.Total) string {
	if text, negative := strings.CutPrefix(t.Rounded(), "-"); negative {
		return "-$" + text
	}
	return "$" + t.Rounded()
}

func units(r *big.Rat) string { return r.FloatString(2) }

func percent(r *big.Rat) string {
	return new(big.Rat).Mul(r, big.NewRat(100, 1)).FloatString(1) + " %"
}

func amount(pico *big.Rat) string {
	var t money.Total
	t.AddRat(pico)
	return t.Rounded()
}

// The JSON of a report: dollars are exact decimals, loads and shares are rounded to millionths.
type (
	sideJSON struct {
		Unit        string            `json:"unit"`
		Minutes     int64             `json:"minutes"`
		Used        int64             `json:"minutes_with_calls"`
		OnDemandUSD string            `json:"on_demand_usd"`
		Load        map[string]string `json:"load_units"`
		Duration    []durationJSON    `json:"load_duration"`
		Terms       []termJSON        `json:"terms"`
	}
	durationJSON struct {
		Units int64  `json:"above_units"`
		Share string `json:"share_of_minutes"`
	}
	termJSON struct {
		Term       string       `json:"term"`
		HourUSD    string       `json:"unit_hour_usd"`
		BreakEven  string       `json:"break_even_use"`
		Choices    []choiceJSON `json:"choices"`
		Less       choiceJSON   `json:"a_fifth_less_traffic"`
		LessNetUSD string       `json:"best_net_usd_with_a_fifth_less"`
		More       choiceJSON   `json:"a_fifth_more_traffic"`
		MoreNetUSD string       `json:"best_net_usd_with_a_fifth_more"`
		Why        string       `json:"why"`
	}
	choiceJSON struct {
		Choice   string `json:"choice"`
		Units    int64  `json:"units"`
		FeeUSD   string `json:"fee_usd"`
		SavedUSD string `json:"saved_usd"`
		NetUSD   string `json:"net_usd"`
		Used     string `json:"used"`
		P50      string `json:"used_p50"`
		P90      string `json:"used_p90"`
		P99      string `json:"used_p99"`
	}
)

func decimal(r *big.Rat) string { return r.FloatString(6) }

func (o *Choice) json() choiceJSON {
	return choiceJSON{o.Name, o.Units, o.Fee.String(), o.Saved.String(), o.Net.String(), decimal(o.Used), decimal(o.P50),
		decimal(o.P90), decimal(o.P99)}
}

func (a *Advice) json(c *Curve) termJSON {
	t := termJSON{
		Term: a.Term.Name, HourUSD: amount(a.Term.Hour), BreakEven: decimal(a.BreakEven),
		Choices: []choiceJSON{a.Best.json()},
		Less:    a.Less.json(), LessNetUSD: a.LessNet.String(), More: a.More.json(), MoreNetUSD: a.MoreNet.String(),
		Why: a.Why(c),
	}
	for i := range a.Others {
		t.Choices = append(t.Choices, a.Others[i].json())
	}
	return t
}

func (s *Side) json() sideJSON {
	all, used := s.Curve.Minutes()
	cost := s.Curve.Cost()
	out := sideJSON{Unit: s.Unit, Minutes: all, Used: used, OnDemandUSD: cost.String(), Load: map[string]string{
		"p50": decimal(s.Curve.Load(50, 100)), "p90": decimal(s.Curve.Load(90, 100)), "p99": decimal(s.Curve.Load(99, 100)),
		"peak": decimal(s.Curve.Peak()), "mean": decimal(s.Curve.Mean()),
	}}
	for _, n := range s.shown() {
		out.Duration = append(out.Duration, durationJSON{n, decimal(s.Curve.Above(n))})
	}
	for i := range s.Advice {
		out.Terms = append(out.Terms, s.Advice[i].json(s.Curve))
	}
	return out
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	out := struct {
		Model  string     `json:"model"`
		Tenant string     `json:"tenant,omitempty"`
		From   time.Time  `json:"from"`
		To     time.Time  `json:"to"`
		Notes  []string   `json:"notes,omitempty"`
		Sides  []sideJSON `json:"capacity"`
	}{r.Model, r.Tenant, r.From, r.To, r.Notes, nil}
	for i := range r.Sides {
		out.Sides = append(out.Sides, r.Sides[i].json())
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
