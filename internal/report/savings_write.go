package report

import (
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// savingFigure is one column of a savings report.
type savingFigure struct {
	name string
	text func(*saving.Saving) string
	kind savingKind
}

// savingKind is how a figure is written.
type savingKind uint8

const (
	words   savingKind = iota
	number             // in JSON without quotes
	claimed            // null in JSON when it is not known, "not measured" for people
)

func tally(get func(*saving.Saving) int64) func(*saving.Saving) string {
	return func(s *saving.Saving) string { return strconv.FormatInt(get(s), 10) }
}

// claim writes an amount that needs a measured baseline.
func claim(get func(*saving.Saving) *money.Total) func(*saving.Saving) string {
	return func(s *saving.Saving) string {
		if s.NotMeasured != "" {
			return ""
		}
		return get(s).String()
	}
}

// bound writes one end of the interval.
func bound(get func(*saving.Saving) *money.Total) func(*saving.Saving) string {
	return func(s *saving.Saving) string {
		if !s.Interval {
			return ""
		}
		return claim(get)(s)
	}
}

func savedPercent(s *saving.Saving) string {
	share, ok := s.Share()
	if !ok {
		return ""
	}
	return share.Mul(share, big.NewRat(100, 1)).FloatString(1)
}

var savingFigures = []savingFigure{
	{"cascade", func(s *saving.Saving) string { return s.Cascade }, words},
	{"escalation", func(s *saving.Saving) string { return s.Escalation }, words},
	{"requests", tally(func(s *saving.Saving) int64 { return s.Requests }), number},
	{"light", tally(func(s *saving.Saving) int64 { return s.Light }), number},
	{"spent_usd", func(s *saving.Saving) string { return s.Spent.String() }, words},
	{"counterfactual_usd", claim(func(s *saving.Saving) *money.Total { return &s.Counterfactual }), claimed},
	{"saved_usd", claim(func(s *saving.Saving) *money.Total { return &s.Saved }), claimed},
	{"saved_low_usd", bound(func(s *saving.Saving) *money.Total { return &s.Low }), claimed},
	{"saved_high_usd", bound(func(s *saving.Saving) *money.Total { return &s.High }), claimed},
	{"saved_percent", savedPercent, claimed},
	{"answers", tally(func(s *saving.Saving) int64 { return s.Answers }), number},
	{"basis", func(s *saving.Saving) string { return s.Basis }, words},
	{"quality_loss", func(s *saving.Saving) string { return s.Quality.String() }, words},
	{"unpriced", tally(func(s *saving.Saving) int64 { return s.Unpriced }), number},
	{"unknown", tally(func(s *saving.Saving) int64 { return s.Unknown }), number},
	{"drained", tally(func(s *saving.Saving) int64 { return s.Drained }), number},
}

// WriteSavings writes what saving.Of returned. A saving that is not measured is
// null in JSON, empty in CSV and "not measured" in a table, never zero. It
// fails with ErrQuery on an unknown format, else with what w fails with.
func WriteSavings(w io.Writer, format Format, rows []saving.Saving) error {
	switch format {
	case JSON, CSV:
		return savingsSheet(rows).write(w, format)
	case Table:
		return savingsTable(rows).write(w)
	default:
		return errFormat(format)
	}
}

// SavingWarnings says in what the savings are not the whole truth.
func SavingWarnings(rows []saving.Saving) []Warning {
	var out []Warning
	var suspense money.Total
	for i := range rows {
		r := &rows[i]
		suspense.AddTotal(&r.Suspense)
		if r.NotMeasured != "" {
			out = append(out, Warning(fmt.Sprintf("%s: not measured: %s", r.Cascade, r.NotMeasured)))
		}
		if r.Quality.Why != "" {
			out = append(out, Warning(fmt.Sprintf("%s: %s", r.Cascade, r.Quality)))
		}
		if r.NotMeasured == "" && r.Light > 0 && r.Basis != saving.BasisShadow {
			out = append(out, Warning(fmt.Sprintf("%s: how long the escalation model's answers are is known from requests that were hard enough for it, "+
				"so the saving is most likely less; give the cascade a shadow tenant", r.Cascade)))
		}
		if r.Unpriced > 0 {
			out = append(out, Warning(fmt.Sprintf("%s: %d legs were served by models without a price, so it spent more than shown", r.Cascade, r.Unpriced)))
		}
		if r.Unknown > 0 {
			out = append(out, Warning(fmt.Sprintf("%s: %d attempts ended without known usage and may have been billed", r.Cascade, r.Unknown)))
		}
	}
	if suspense.Sign() > 0 {
		out = append(out, Warning(fmt.Sprintf("up to %s USD stand in suspense, in no row", suspense.String())))
	}
	return out
}

func savingsSheet(rows []saving.Saving) *sheet {
	s := &sheet{names: []string{"from", "to"}}
	for _, f := range savingFigures {
		s.names = append(s.names, f.name)
	}
	for i := range rows {
		r := &rows[i]
		line := texts(stamp(r.From), stamp(r.To))
		for _, f := range savingFigures {
			v := value{f.text(r), f.kind == number}
			if f.kind == claimed && v.text == "" {
				v = null
			}
			line = append(line, v)
		}
		s.rows = append(s.rows, line)
	}
	return s
}

// savingsTable has the columns that people need, with rounded amounts.
func savingsTable(rows []saving.Saving) *table {
	names := []string{"cascade", "requests", "light", "spent", "escalation alone", "saved", "95 % interval", "saved %", "quality loss"}
	t := &table{lines: [][]string{names}, left: func(column int) bool { return column == 0 || column == len(names)-1 }}
	for i := range rows {
		t.lines = append(t.lines, savingCells(&rows[i]))
	}
	return t
}

func savingCells(s *saving.Saving) []string {
	alone, saved, interval, percent := "not measured", "not measured", "", ""
	if s.NotMeasured == "" {
		alone, saved, percent = cents(&s.Counterfactual), cents(&s.Saved), savedPercent(s)
		interval = "one hour only"
	}
	if s.Interval {
		interval = cents(&s.Low) + " to " + cents(&s.High)
	}
	return []string{
		s.Cascade, strconv.FormatInt(s.Requests, 10), strconv.FormatInt(s.Light, 10),
		cents(&s.Spent), alone, saved, interval, percent, s.Quality.String(),
	}
}

// cents rounds an amount for people, below a dollar to six decimals, so that a
// small one does not look like none.
func cents(t *money.Total) string {
	amount := new(big.Rat).Quo(t.Rat(), new(big.Rat).SetInt64(int64(money.Dollar)))
	if t.Sign() != 0 && new(big.Rat).Abs(amount).Cmp(big.NewRat(1, 1)) < 0 {
		return amount.FloatString(6)
	}
	return amount.FloatString(2)
}
