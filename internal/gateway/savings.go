package gateway

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// baseline is that of a request's cascade, with what service says of the
// certificate.
func (l *Line) baseline(s *snapshot.Snapshot, c *config.Cascade) saving.Baseline {
	b := s.Baseline(c)
	if b.Quality.Bound && l.memory.Of(c.Name).Watch.Refuted(s.Artifacts[c.Name].Certificate) {
		b.Quality = saving.Quality{Why: "service has refuted the certificate"}
	}
	return b
}

// Savings is what each cascade saved on this gateway within saving.Window.
func (l *Line) Savings(now time.Time) []saving.Saving {
	s := l.Snapshot()
	baselines := make([]saving.Baseline, len(s.Config.Cascades))
	for i := range s.Config.Cascades {
		baselines[i] = l.baseline(s, &s.Config.Cascades[i])
	}
	return l.tally.Savings(baselines, s.Prices, now)
}

// tallyLeg counts an attempt of a cascade for its savings.
func (l *Line) tallyLeg(c *call, g *leg, end *record.End) {
	if c.plan.Cascade == nil {
		return
	}
	row := saving.Row{}
	row.Key, row.Add = record.Counted(g.start, end, c.snap.Prices)
	l.tally.Add(row.Key, row.Add)
	c.mu.Lock()
	c.attempts = append(c.attempts, row)
	c.mu.Unlock()
}

// saved is what a request saved, nil outside of cascades and when that is not
// measured.
func (l *Line) saved(c *call) *saving.Saving {
	if c.plan == nil || c.plan.Cascade == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := l.tally.Request(l.baseline(c.snap, c.plan.Cascade.Settings), c.snap.Prices, c.attempts)
	if s.NotMeasured != "" || s.Requests == 0 {
		return nil
	}
	return s
}
