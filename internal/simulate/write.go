package simulate

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Warnings say what the figures do not allow.
func (r *Result) Warnings() []string {
	target := r.Setup.Target
	switch {
	case target == nil || r.Cascade.Saving.Cmp(target) >= 0:
		return nil
	case r.Ceiling.Cmp(target) < 0:
		return []string{fmt.Sprintf("a saving of %s is out of reach for this pair: "+
			"with nothing escalated it saves %s; take a cheaper light model",
			percent(target), percent(r.Ceiling))}
	case r.Allowed.Sign() < 0:
		return []string{fmt.Sprintf("a saving of %s is out of reach "+
			"while %s of the requests go to the escalation model at once",
			percent(target), percent(r.Setup.Direct))}
	default:
		return []string{fmt.Sprintf("a saving of %s allows %s of the requests to escalate, not %s",
			percent(target), percent(r.Allowed), percent(r.Setup.Escalated))}
	}
}

// line is one row of the table.
type line struct {
	name   string
	spend  *Spend
	remark string
}

// WriteTable writes the result for people, with rounded amounts.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	b.WriteString(headed(r.Workload, &r.Setup))
	models := make([]line, len(r.Models))
	for i := range r.Models {
		models[i] = line{name: r.Models[i].Model, spend: &r.Models[i]}
	}
	ways := r.ways()
	name, cost := widths(append(models, ways...))
	writeLines(&b, models, name, cost)
	b.WriteString("\n")
	writeLines(&b, ways, name, cost)
	fmt.Fprintf(&b, "\nprice ratio %s: %s; ceiling %s with nothing escalated\n",
		r.ratioName(), r.Ratio.FloatString(4), percent(r.Ceiling))
	if r.Allowed != nil && r.Allowed.Sign() >= 0 {
		fmt.Fprintf(&b, "target %s: up to %s of the requests may escalate\n", percent(r.Setup.Target), percent(r.Allowed))
	}
	if r.Observation != nil {
		r.Observation.write(&b)
	}
	for i := range r.Sheets {
		r.Sheets[i].write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// headed says what the figures below are of.
func headed(w Workload, s *Setup) string {
	deal := " at list price"
	if s.Discount.Sign() > 0 {
		deal = fmt.Sprintf(" at list price less %s", percent(s.Discount))
	}
	return fmt.Sprintf("%s requests, %s input and %s output tokens%s\n\n", grouped(fmt.Sprint(w.Requests)),
		grouped(fmt.Sprint(w.Input)), grouped(fmt.Sprint(w.Output)), deal)
}

func (r *Result) ratioName() string {
	if r.Setup.Partner != nil {
		return "(light + partner) / escalation"
	}
	return "light / escalation"
}

// ways are the lines that compare light and escalation.
func (r *Result) ways() []line {
	s := &r.Setup
	strong := sum(s.Direct, s.Escalated)
	first := "light"
	if s.Partner != nil {
		first = "light and partner"
	}
	asked := "every request asks " + first
	if s.Direct.Sign() > 0 {
		asked = percent(less(big.NewRat(1, 1), s.Direct)) + " ask " + first
	}
	return []line{
		{"escalation alone", &r.Escalation, s.Escalation.ID},
		{"light alone", &r.Light, s.Light.ID},
		{"weighted mix", &r.Mix, fmt.Sprintf("%s light, %s escalation, as if known beforehand",
			percent(less(big.NewRat(1, 1), strong)), percent(strong))},
		{"true cascade", &r.Cascade, fmt.Sprintf("%s, %s the escalation model as well", asked, percent(s.Escalated))},
	}
}

func widths(lines []line) (name, cost int) {
	for _, l := range lines {
		name = max(name, utf8.RuneCountInString(l.name))
		cost = max(cost, len(dollars(&l.spend.Cost)))
	}
	return name, cost
}

func writeLines(b *strings.Builder, lines []line, name, cost int) {
	for _, l := range lines {
		text := fmt.Sprintf("%-*s  %*s  %10s  %s",
			name, l.name, cost, dollars(&l.spend.Cost), percent(l.spend.Saving), l.remark)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}

// dollars writes a rounded amount with its thousands grouped.
func dollars(t *money.Total) string {
	digits, negative := strings.CutPrefix(t.Rounded(), "-")
	if negative {
		return "-$" + grouped(digits)
	}
	return "$" + grouped(digits)
}

// grouped puts commas into the whole part of a decimal number without a sign.
func grouped(s string) string {
	whole, rest, found := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		return whole + "." + rest
	}
	return whole
}

// percent writes a share with one decimal: "58.7 %".
func percent(share *big.Rat) string {
	return new(big.Rat).Mul(share, big.NewRat(100, 1)).FloatString(1) + " %"
}

// spendJSON is a Spend: dollars as an exact decimal, the saving as an exact
// fraction and as a rounded percentage.
type spendJSON struct {
	Model         string `json:"model,omitempty"`
	CostUSD       string `json:"cost_usd"`
	Saving        string `json:"saving"`
	SavingPercent string `json:"saving_percent"`
}

func (s *Spend) json() spendJSON {
	return spendJSON{
		Model: s.Model, CostUSD: s.Cost.String(), Saving: s.Saving.RatString(),
		SavingPercent: strings.TrimSuffix(percent(s.Saving), " %"),
	}
}

// WriteJSON writes the result for programs.
func (r *Result) WriteJSON(w io.Writer) error {
	out := struct {
		Requests   int64       `json:"requests"`
		Input      int64       `json:"input_tokens"`
		Output     int64       `json:"output_tokens"`
		Discount   string      `json:"discount"`
		Models     []spendJSON `json:"models"`
		Escalation spendJSON   `json:"escalation_alone"`
		Light      spendJSON   `json:"light_alone"`
		Mix        spendJSON   `json:"weighted_mix"`
		Cascade    spendJSON   `json:"true_cascade"`
		Ratio      string      `json:"price_ratio"`
		Ceiling    string      `json:"ceiling"`
		Allowed    string      `json:"escalated_allowed,omitempty"`
		Warnings   []string    `json:"warnings,omitempty"`

		Observe *observationJSON `json:"observe,omitempty"`
		Levers  []sheetJSON      `json:"levers,omitempty"`
	}{
		r.Workload.Requests, r.Workload.Input, r.Workload.Output, r.Setup.Discount.RatString(), []spendJSON{},
		r.Escalation.json(), r.Light.json(), r.Mix.json(), r.Cascade.json(),
		r.Ratio.RatString(), r.Ceiling.RatString(), "", r.Warnings(), r.Observation.json(), jsonOf(r.Sheets),
	}
	if r.Allowed != nil {
		out.Allowed = r.Allowed.RatString()
	}
	for i := range r.Models {
		out.Models = append(out.Models, r.Models[i].json())
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
