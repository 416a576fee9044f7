package report

import (
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

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

var savingFigures = []figure[saving.Saving]{
	{"from", func(s *saving.Saving) string { return stamp(s.From) }, words},
	{"to", func(s *saving.Saving) string { return stamp(s.To) }, words},
	{"cascade", func(s *saving.Saving) string { return s.Cascade }, words},
	{"escalation", func(s *saving.Saving) string { return s.Escalation }, words},
	count("requests", func(s *saving.Saving) int64 { return s.Requests }),
	count("light", func(s *saving.Saving) int64 { return s.Light }),
	{"spent_usd", func(s *saving.Saving) string { return costText(&s.Spent, s.Unpriced) }, priced},
	{"counterfactual_usd", claim(func(s *saving.Saving) *money.Total { return &s.Counterfactual }), claimed},
	{"saved_usd", claim(func(s *saving.Saving) *money.Total { return &s.Saved }), claimed},
	{"saved_low_usd", bound(func(s *saving.Saving) *money.Total { return &s.Low }), claimed},
	{"saved_high_usd", bound(func(s *saving.Saving) *money.Total { return &s.High }), claimed},
	{"saved_percent", savedPercent, claimed},
	count("answers", func(s *saving.Saving) int64 { return s.Answers }),
	{"basis", func(s *saving.Saving) string { return s.Basis }, words},
	{"quality_loss", func(s *saving.Saving) string { return s.Quality.String() }, words},
	count("unpriced", func(s *saving.Saving) int64 { return s.Unpriced }),
	count("unknown", func(s *saving.Saving) int64 { return s.Unknown }),
	count("drained", func(s *saving.Saving) int64 { return s.Drained }),
}

// WriteSavings writes what saving.Of returned. A saving that is not measured is
// null in JSON, empty in CSV and "not measured" in a table, never zero. It
// fails with ErrQuery on an unknown format, else with what w fails with.
func WriteSavings(w io.Writer, format Format, rows []saving.Saving) error {
	switch format {
	case JSON, CSV:
		each := make([]*saving.Saving, len(rows))
		for i := range rows {
			each[i] = &rows[i]
		}
		return writeSheet(w, format, savingFigures, each)
	case Table:
		return savingsTable(rows).write(w)
	default:
		return fmt.Errorf("%w: there is no format %q; there are table, csv and json", ErrQuery, format)
	}
}

// SavingWarnings says in what the savings are not the whole truth.
func SavingWarnings(rows []saving.Saving) []Warning {
	var out []Warning
	var suspense money.Total
	for i := range rows {
		r := &rows[i]
		suspense.AddTotal(&r.Suspense)
		warn := func(when bool, format string, args ...any) {
			if when {
				out = append(out, Warning(r.Cascade+": "+fmt.Sprintf(format, args...)))
			}
		}
		warn(r.NotMeasured != "", "not measured: %s", r.NotMeasured)
		warn(r.Quality.Why != "", "%s", r.Quality)
		warn(r.NotMeasured == "" && r.Light > 0 && r.Basis != saving.BasisShadow,
			"how long the escalation model's answers are is known from requests that were hard enough for it, "+
				"so the saving is most likely less; give the cascade a shadow tenant")
		warn(r.Unpriced > 0, "%d legs were served by models without a price, so it spent more than shown", r.Unpriced)
		warn(r.Unknown > 0, "%d attempts ended without known usage and may have been billed", r.Unknown)
	}
	if suspense.Sign() > 0 {
		out = append(out, Warning(fmt.Sprintf("up to %s USD are in suspense, in no row", suspense.String())))
	}
	return out
}

// savingsTable has the columns that people need, with rounded amounts.
func savingsTable(rows []saving.Saving) *table {
	names := []string{"cascade", "requests", "light", "spent", "escalation alone", "saved", "95 % interval", "saved %",
		"quality loss"}
	lines := [][]string{names}
	for i := range rows {
		lines = append(lines, savingCells(&rows[i]))
	}
	all := slices.Values(lines)
	return &table{lines: all, lengths: measure(all), left: func(column int) bool {
		return column == 0 || column == len(names)-1
	}}
}

func savingCells(s *saving.Saving) []string {
	alone, saved, interval, percent := "not measured", "not measured", "", ""
	if s.NotMeasured == "" {
		alone, saved, percent = s.Counterfactual.Rounded(), s.Saved.Rounded(), savedPercent(s)
		interval = "one hour only"
	}
	if s.Interval {
		interval = s.Low.Rounded() + " to " + s.High.Rounded()
	}
	spent := s.Spent.Rounded()
	if costText(&s.Spent, s.Unpriced) == "" {
		spent = unpriced
	}
	return []string{
		s.Cascade, strconv.FormatInt(s.Requests, 10), strconv.FormatInt(s.Light, 10),
		spent, alone, saved, interval, percent, s.Quality.String(),
	}
}
