package commitment

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
)

// Sum is what capacity came to in several times that follow each other.
type Sum struct {
	*config.Capacity
	Cost, Idle money.Total
	Long       time.Duration // for which it was paid
	Served     Tokens
	Windows    int64
	Shares     map[string]*money.Total // of Cost without Idle, by the tenant that used it
}

// Sums are those of all capacity, in the order of Bills. They are read day by day, so that no more than the hours of
// one day are in memory. They fail with what reading the ledger fails with.
func Sums(ctx context.Context, source report.Source, all []config.Capacity, q Query) ([]*Sum, error) {
	const day = 24 * time.Hour
	lines := withStorage(all)
	sums := make([]*Sum, len(lines))
	for i := range lines {
		sums[i] = &Sum{Capacity: &lines[i], Shares: map[string]*money.Total{}}
	}
	end := q.To
	if q.Now.Before(end) {
		end = q.Now
	}
	for at := q.From; at.Before(end); {
		of := q
		of.From, of.To = at, at.Truncate(day).Add(day)
		if end.Before(of.To) {
			of.To = end
		}
		bills, err := Bills(ctx, source, all, of)
		if err != nil {
			return nil, err
		}
		for i, b := range bills {
			sums[i].add(b)
		}
		at = of.To
	}
	return sums, nil
}

func (s *Sum) add(b *Bill) {
	s.Cost.Add(b.Cost)
	s.Idle.Add(b.Idle)
	s.Long += b.To.Sub(b.From)
	s.Windows += b.Windows
	s.Served = Tokens{s.Served.Input + b.Served.Input, s.Served.Output + b.Served.Output}
	for tenant, usd := range b.sharers() {
		if s.Shares[tenant] == nil {
			s.Shares[tenant] = &money.Total{}
		}
		s.Shares[tenant].Add(usd)
	}
}

// Storage reports whether it is what an imported model takes in storage.
func (s *Sum) Storage() bool { return s.Kind == config.CapacityImported && !inWindows(s.Capacity) }
