package views

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// Report is what gateway report prints, of what somebody may see.
type Report struct {
	*report.Report
	UpTo time.Time // until when every gateway has posted
	Next string    // the cursor of the rows behind these, "" for none
}

// The most rows of one page of a report, and how many there are when nobody says.
const mostRows, someRows = 10_000, 1_000

// Report makes a report for the API. A cursor holds the place of the last row, so that rows
// that come meanwhile neither repeat nor hide others.
func (s *Shelf) Report(ctx context.Context, who Viewer, given map[string][]string) (*Report, error) {
	q, err := s.params(who, []string{"by", "zone", "limit", "cursor"}, given)
	if err != nil {
		return nil, err
	}
	by, limit, after, err := asksFor(q)
	if err != nil {
		return nil, err
	}
	of, rows, err := s.reported(q)
	if err != nil {
		return nil, err
	}
	a := &ask{query: q, shelf: s, ctx: ctx, View: &View{}}
	of.By, of.Tenants, of.Models = by, s.from.Payers(), s.from.Models()
	of.Savings = &saving.Query{From: of.From, To: of.To, Baselines: s.from.Baselines(), Prices: s.from.Prices(),
		Models: s.from.Models()}
	if s.from.Complete != nil {
		if err := s.from.Complete(ctx, &of); err != nil {
			return nil, err
		}
		of.Corrections = slices.DeleteFunc(of.Corrections, func(c *record.Adjustment) bool { return !a.within(c.Row.Tenant) })
	}
	if s.from.Gateways != nil {
		if of.Gateways, err = s.from.Gateways(ctx); err != nil {
			return nil, err
		}
		for i := range of.Gateways {
			if !who.Sees("") {
				of.Gateways[i].Name = "of this ledger" // names are for who sees all
			}
		}
	}
	if slices.Contains(of.By, report.SessionColumn) {
		of.Sessions = sessionsOf(a, &of)
	}
	whole, err := report.Build(ctx, hourly{a, rows}, of)
	switch {
	case errors.Is(err, exact.ErrMissing):
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	case err != nil:
		return nil, err
	}
	for _, n := range a.Notes {
		whole.Warnings = append(whole.Warnings, report.Warning(n))
	}
	r := &Report{Report: whole, UpTo: whole.CompleteUpTo()}
	if !who.Sees("") {
		r.Gateways = nil
	}
	return r, r.cut(after, limit)
}

// cut leaves the rows of one page: those after a place, nil for the first ones.
func (r *Report) cut(after []string, limit int) error {
	if after != nil {
		at, found := slices.BinarySearchFunc(r.Rows, after, func(r *report.Row, v []string) int {
			return slices.Compare(place(r), v)
		})
		if found {
			at++
		}
		r.Rows = r.Rows[at:]
	}
	if len(r.Rows) > limit {
		last, err := json.Marshal(place(r.Rows[limit-1]))
		if err != nil {
			return err
		}
		r.Rows, r.Next = r.Rows[:limit], base64.RawURLEncoding.EncodeToString(last)
	}
	return nil
}

// mostCalls bounds the single requests that a report by sessions looks at.
const mostCalls = 100_000

// beforeCalls is how long before a time a request can have come that ended within it.
const beforeCalls = time.Hour

// sessionsOf are the decisions of a report's period, of those that somebody may see. What is not looked at, or not
// heard, stays nobody's, and a warning says so.
func sessionsOf(a *ask, q *report.Query) report.Sessions {
	if a.shelf.from.Requests == nil {
		return func(context.Context, func(*decision.Decision)) error { return nil }
	}
	f := decision.Filter{Since: q.From.Add(-beforeCalls), Until: q.To}
	if a.query.Tenant != "" {
		f.Tenant, f.Within = a.query.Tenant, a.within
	}
	return func(ctx context.Context, yield func(*decision.Decision)) error {
		for cursor, n := "", 0; ; {
			page, silent, err := a.shelf.from.Requests.List(ctx, f, cursor, mostRequests)
			if err != nil {
				return asked(err)
			}
			for i := range page.Decisions {
				yield(&page.Decisions[i])
			}
			n += len(page.Decisions)
			if cursor = page.Next; cursor == "" || n >= mostCalls {
				unheard(a, silent, cursor != "")
				return nil
			}
		}
	}
}

// unheard notes that decisions are missing.
func unheard(a *ask, silent []api.Silent, more bool) {
	if len(silent) > 0 {
		a.Notes = append(a.Notes, plural(int64(len(silent)), "gateway")+" not heard: calls there are "+report.Unattributed)
	}
	if more {
		a.Notes = append(a.Notes, fmt.Sprintf("only the newest %d requests are looked at: those before are %s", mostCalls,
			report.Unattributed))
	}
}

// reported is the period of a report, and where its rows are: in the ledger, or where its bounds or
// days part hours in records too.
func (s *Shelf) reported(q *Query) (of report.Query, rows report.Source, err error) {
	now := s.from.Now().UTC()
	if of, err = q.period(now, nil); err == nil || s.from.Exact == nil {
		return of, s.from.Ledger, err
	}
	source, since, err := s.from.Exact()
	if err != nil {
		return of, nil, err
	}
	of, err = q.period(now, since)
	source.Edges = of.Midnights()
	return of, source, err
}

// asksFor are the columns, the most rows, and the place of the row before them, nil for none.
func asksFor(q *Query) (by []string, limit int, after []string, err error) {
	by, limit = report.DefaultBy, someRows
	if q.By != "" {
		by = strings.Split(q.By, ",")
	}
	if text := q.Given["limit"]; text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostRows {
			return nil, 0, nil, fmt.Errorf("%w: limit must be 1 to %d", ErrQuery, mostRows)
		}
	}
	if text := q.Given["cursor"]; text != "" {
		plain, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(plain, &after) != nil || len(after) < len(by) || len(after) > len(by)+1 {
			return nil, 0, nil, fmt.Errorf("%w: the cursor is not one of this report", ErrQuery)
		}
	}
	return by, limit, after, nil
}

// place is where a row is in a report: what it is by, and why it was added where it is not what
// was metered. Those with the same values come in this order.
func place(r *report.Row) []string {
	if r.Correction == "" {
		return r.By
	}
	return append(slices.Clip(r.By), r.Correction)
}
