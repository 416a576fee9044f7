package forecast

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/internal/celltext"
	"github.com/sluice-gateway/sluice/internal/money"
)

// ErrFormat is wrapped by errors about a format that there is not.
var ErrFormat = errors.New("the states cannot be written")

// column is one figure of a state, as CSV and JSON have it. An empty text is not known.
type column struct {
	name string
	text func(*State) string
}

var columns = []column{
	{"tenant", func(s *State) string { return s.Tenant }},
	{"key", func(s *State) string { return s.Key }},
	{"period", func(s *State) string { return s.Period }},
	{"time_zone", func(s *State) string { return s.TimeZone }},
	{"on_exceed", func(s *State) string { return s.OnExceed }},
	{"from", func(s *State) string { return stamp(s.Start) }},
	{"to", func(s *State) string { return stamp(s.End) }},
	{"as_of", func(s *State) string { return stamp(s.AsOf) }},
	{"currency", func(*State) string { return "USD" }},
	{"limit_usd", func(s *State) string { return s.Limit.String() }},
	{"hard_usd", func(s *State) string { return known(s.Hard, s.Hard != 0) }},
	{"spent_usd", func(s *State) string { return s.Spent.String() }},
	{"suspense_usd", func(s *State) string { return s.Suspense.String() }},
	{"held_usd", func(s *State) string { return known(s.Held, s.HeldKnown) }},
	{"left_usd", func(s *State) string { return s.Left.String() }},
	{"burn_usd_per_hour", func(s *State) string { return known(s.BurnPerHour, s.Forecast.Known) }},
	{"forecast_usd", func(s *State) string { return known(s.Forecast.Mid, s.Forecast.Known) }},
	{"forecast_low_usd", func(s *State) string { return known(s.Forecast.Low, s.Forecast.Bounded) }},
	{"forecast_high_usd", func(s *State) string { return known(s.Forecast.High, s.Forecast.Bounded) }},
	{"confidence", func(s *State) string { return confidence(s.Forecast.Bounded) }},
	{"runs_out", func(s *State) string { return stamp(s.RunsOut) }},
	{"runs_out_earliest", func(s *State) string { return stamp(s.RunsOutEarliest) }},
	{"runs_out_latest", func(s *State) string { return stamp(s.RunsOutLatest) }},
	{"history_hours", func(s *State) string { return strconv.Itoa(int(s.History / time.Hour)) }},
	{"notes", func(s *State) string { return strings.Join(s.Notes, "; ") }},
}

func known(p money.Pico, is bool) string {
	if !is {
		return ""
	}
	return p.String()
}

func confidence(bounded bool) string {
	if !bounded {
		return ""
	}
	return strconv.FormatFloat(Confidence, 'g', -1, 64)
}

// stamp is a time for programs, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// MarshalJSON writes the figures as decimal strings and times of RFC 3339, null where one
// is not known, in the order of the CSV.
func (s *State) MarshalJSON() ([]byte, error) {
	b := []byte("{")
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, c.name)
		b = append(b, ':')
		text := c.text(s)
		switch {
		case c.name == "notes":
			notes, err := json.Marshal(append([]string{}, s.Notes...))
			if err != nil {
				return nil, err
			}
			b = append(b, notes...)
		case text == "" && c.name != "key":
			b = append(b, "null"...)
		case c.name == "history_hours":
			b = append(b, text...)
		default:
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			b = append(b, quoted...)
		}
	}
	return append(b, '}'), nil
}

// Write writes states as table, csv or json. It fails with ErrFormat for another format,
// else with what w fails with.
func Write(w io.Writer, format string, all []State) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		pointers := make([]*State, len(all))
		for i := range all {
			pointers[i] = &all[i]
		}
		return enc.Encode(pointers)
	case "csv":
		return writeCSV(w, all)
	case "table":
		return writeTable(w, all)
	}
	return fmt.Errorf("%w: there is no format %q; there are table, csv and json", ErrFormat, format)
}

func writeCSV(w io.Writer, all []State) error {
	out := csv.NewWriter(w)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for k := range all {
		for i, c := range columns {
			if line[i] = c.text(&all[k]); !strings.Contains(c.name, "_usd") {
				line[i] = celltext.NoFormula(line[i])
			}
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// writeTable writes what people look at, with the notes below.
func writeTable(w io.Writer, all []State) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no tenant or key has a budget")
		return err
	}
	var lines, notes strings.Builder
	lines.WriteString("BUDGET\tPERIOD\tLIMIT\tSPENT\tHELD\tLEFT\tPER HOUR\tFORECAST\t80 % BETWEEN\tRUNS OUT\tNOTE\n")
	numbers := map[string]int{} // of notes
	for i := range all {
		s := &all[i]
		note := ""
		for _, text := range s.Notes {
			if numbers[text] == 0 {
				numbers[text] = len(numbers) + 1
				fmt.Fprintf(&notes, "[%d] %s\n", numbers[text], text)
			}
			note += fmt.Sprintf("[%d]", numbers[text])
		}
		lines.WriteString(strings.Join([]string{
			s.name(), s.period(), s.limit(), rounded(s.Spent, true), s.held(), rounded(s.Left, true),
			rounded(s.BurnPerHour, s.Forecast.Known), rounded(s.Forecast.Mid, s.Forecast.Known), s.between(), s.runsOut(), note,
		}, "\t") + "\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "budgets as of %s, in USD, those first that run out first\n\n", stamp(all[0].AsOf))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, lines.String()); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String()+notes.String())
	return err
}

func (s *State) name() string {
	if s.Key != "" {
		return celltext.Printable(s.Tenant) + " key " + celltext.Printable(s.Key)
	}
	return celltext.Printable(s.Tenant)
}

func (s *State) period() string {
	if s.TimeZone == "UTC" {
		return s.Period
	}
	return s.Period + " " + s.TimeZone
}

func (s *State) limit() string {
	switch {
	case s.OnExceed == "notify":
		return rounded(s.Limit, true) + " notify"
	case s.OnExceed == "light_only" && s.Hard > 0:
		return rounded(s.Limit, true) + " light to " + rounded(s.Hard, true)
	case s.OnExceed == "light_only":
		return rounded(s.Limit, true) + " light"
	}
	return rounded(s.Limit, true)
}

// held shows what is in suspense too: neither can be spent.
func (s *State) held() string {
	text := rounded(s.Held, s.HeldKnown)
	if s.Suspense != 0 {
		text += " + " + rounded(s.Suspense, true) + " suspense"
	}
	return text
}

func (s *State) between() string {
	if !s.Forecast.Bounded {
		return "-"
	}
	return rounded(s.Forecast.Low, true) + " to " + rounded(s.Forecast.High, true)
}

// runsOut is in the calendar of the budget.
func (s *State) runsOut() string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "later"
		}
		layout := "2 Jan"
		if s.Period != "month" {
			layout = "15:04"
		}
		zone, err := time.LoadLocation(s.TimeZone)
		if err != nil {
			zone = time.UTC
		}
		return t.In(zone).Format(layout)
	}
	switch {
	case s.Exhausted():
		return "used up"
	case s.RunsOut.IsZero() && s.RunsOutEarliest.IsZero():
		return "-"
	case s.RunsOutEarliest.IsZero():
		return day(s.RunsOut)
	case s.RunsOut.IsZero():
		return "perhaps " + day(s.RunsOutEarliest)
	}
	return day(s.RunsOut) + " (" + day(s.RunsOutEarliest) + " to " + day(s.RunsOutLatest) + ")"
}

func rounded(p money.Pico, is bool) string {
	if !is {
		return "-"
	}
	var t money.Total
	t.Add(p)
	return t.Rounded()
}

// Sentence says how the budget stands in one line.
func (s *State) Sentence() string {
	text := fmt.Sprintf("%s %s: $%s spent of $%s", s.name(), s.period(), rounded(s.Spent, true), rounded(s.Limit, true))
	if s.Suspense != 0 {
		text += ", $" + rounded(s.Suspense, true) + " in suspense"
	}
	if s.HeldKnown {
		text += ", $" + rounded(s.Held, true) + " held"
	}
	text += ", $" + rounded(s.Left, true) + " left (" + s.OnExceed + ")"
	if s.Forecast.Known {
		text += ", forecast $" + rounded(s.Forecast.Mid, true)
	}
	if s.Forecast.Bounded {
		text += " ($" + rounded(s.Forecast.Low, true) + " to $" + rounded(s.Forecast.High, true) + ")"
	}
	if out := s.runsOut(); out != "-" {
		text += ", runs out " + out
	}
	return text
}
