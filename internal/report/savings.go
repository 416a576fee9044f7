package report

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// cascadeColumn is what rows must be grouped by so that they have savings.
const cascadeColumn = "cascade"

// partsRequests are the columns that part the legs of one request: what is saved cannot be
// told of such a row.
func partsRequests() []string {
	return []string{
		"model", "base_model", "path", "tier", "scope", "region", "latency", "context", "price_version", classColumn,
		SessionColumn,
	}
}

// answers are the rows of the ledger that one row of a report is of.
type answers map[record.RowKey]record.Counters

// Rows implements saving.Source.
func (a answers) Rows(
	_ context.Context, _, _ time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	for k, c := range a {
		if err := yield(k, c); err != nil {
			return err
		}
	}
	return nil
}

// saves reports whether rows have savings.
func (s *sums) saves() bool {
	return s.query.Savings != nil && s.at(cascadeColumn) >= 0 &&
		!slices.ContainsFunc(partsRequests(), func(name string) bool { return s.at(name) >= 0 })
}

// answer counts what was metered in a row of a cascade.
func (r *Row) answer(k *record.RowKey, c *record.Counters) (ok bool) {
	if k.Cascade == "" || r.Correction != "" {
		return true
	}
	if r.answers == nil {
		r.answers = answers{}
	}
	r.answers[*k], ok = r.answers[*k].Plus(*c) // a source may yield a row in parts
	return ok
}

// save works out what the cascade of each row saved.
func (s *sums) save(ctx context.Context) error {
	s.saving = false // of corrections, which are added next, nothing is measured
	at := s.at(cascadeColumn)
	for _, r := range s.rows {
		if r.answers == nil {
			continue
		}
		q := *s.query.Savings
		other := func(b saving.Baseline) bool { return b.Cascade != r.By[at] }
		q.Baselines = slices.DeleteFunc(slices.Clone(q.Baselines), other)
		all, err := saving.Of(ctx, r.answers, q)
		if err != nil {
			return err
		}
		r.answers, r.saved = nil, &all[0]
	}
	return nil
}

// savedFigure is a figure of savings, of what the row's cascade saved: "" where that is not measured.
func savedFigure(name string) figure[Row] {
	of := savingFigures[slices.IndexFunc(savingFigures, func(f figure[saving.Saving]) bool { return f.name == name })]
	return figure[Row]{name, func(r *Row) string {
		if r.saved == nil {
			return ""
		}
		return of.text(r.saved)
	}, of.kind}
}
