package command

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/posted"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/statement"
)

// CompleteQuery gives a query what a report needs besides the counters of its source: the
// tenants and models of the configuration, corrections, prices, and how far the gateways
// of a shared ledger are.
func CompleteQuery(ctx context.Context, cfg *config.Config, source report.Source, q *report.Query) (err error) {
	if q.Gateways, err = Gateways(ctx, source, q.Now); err != nil {
		return err
	}
	q.Tenants, q.Models = report.TenantsOf(cfg.Tenants), cfg.Behind
	table, err := Prices(cfg)
	if err != nil {
		return err
	}
	return CorrectQuery(ctx, cfg, table, source, q)
}

// CorrectQuery gives a query the corrections, and the prices of the table and of the data
// directory, alone.
func CorrectQuery(
	ctx context.Context, cfg *config.Config, table *record.PriceBook, source report.Source, q *report.Query,
) (err error) {
	if dir, ever := Corrected(cfg); ever {
		if q.Corrections, err = audit.ByHand(dir, closings(ctx, source)); err != nil {
			return err
		}
	}
	q.Prices = priceVersions(cfg.DataDir, table)
	return nil
}

// closings finds which months of a root are closed in a ledger, each root once.
func closings(ctx context.Context, source report.Source) func(root string) (ledger.Closings, error) {
	marks, is := source.(statement.Marks)
	known := map[string]ledger.Closings{}
	return func(root string) (all ledger.Closings, err error) {
		all, seen := known[root]
		if is && !seen {
			all, err = marks.Closings(ctx, root)
			known[root] = all
		}
		return all, err
	}
}

// priceVersions finds what price versions say, in the archive of the data directory and in
// a table.
func priceVersions(dataDir string, table *record.PriceBook) report.Prices {
	read := sync.OnceValues(func() (*prices.Versions, error) { return prices.ReadVersions(dataDir, table) })
	return func(version string) (charged, list *config.Rates, ok bool) {
		known, err := read() // when a report first has a unit price
		if err != nil {
			return nil, nil, false
		}
		m, err := known.Show(version)
		if err != nil {
			return nil, nil, false
		}
		return m.Rates, cmp.Or(m.List, m.Rates), true
	}
}

// Late is how long after its last word a gateway counts as behind: several times as long
// as it takes to say the next one.
const Late = 5 * time.Second

// Gateways are those that post to a shared ledger, and how far they are: none of another ledger.
func Gateways(ctx context.Context, source report.Source, now time.Time) (all []report.Gateway, err error) {
	shared, is := source.(*redis.Ledger)
	if !is {
		return nil, nil
	}
	known, err := posted.NewBoard(shared).All(ctx)
	for _, g := range known {
		all = append(all, report.Gateway{Name: g.Name, UpTo: g.UpTo, Behind: now.Sub(g.UpTo) > Late})
	}
	return all, err
}
