package check

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/simulate"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// usual is a request of support or search, for which costs are named: its tokens in and
// out are those of docs/observe.md.
func usual() simulate.Workload { return simulate.Workload{Requests: 1, Input: 1800, Output: 250} }

// observing says what each cascade that observes will cost, and whose answers its judge
// never sees.
func observing(s *snapshot.Snapshot, now time.Time) (notes []string) {
	prices := simulate.ListPrices(s.Config.Prices, s.Prices, now)
	for i := range s.Config.Cascades {
		c := &s.Config.Cascades[i]
		if c.Mode != "observe" || c.Shadow.Tenant == "" || c.Shadow.Fraction <= 0 {
			continue
		}
		cost, err := costOf(s, c, prices)
		if err != nil {
			cost = "what a pair costs is not known: " + err.Error()
		}
		notes = append(notes, fmt.Sprintf("cascade %s observes: %s", c.Name, cost))
		if without := unjudged(s, c); len(without) > 0 {
			notes = append(notes, fmt.Sprintf("cascade %s observes: answers to %s are not judged, because they may not use %s",
				c.Name, strings.Join(without, ", "), c.Shadow.Judge))
		}
	}
	return notes
}

func costOf(s *snapshot.Snapshot, c *config.Cascade, prices *simulate.PriceList) (string, error) {
	find := func(name string) (*simulate.Model, error) {
		if name == "" || name == config.JudgeKeys {
			return nil, nil
		}
		m, err := prices.Find(s.Router.Resolve(name))
		return &m, err
	}
	light, err := find(c.Light)
	escalation, err2 := find(c.Escalation)
	partner, err3 := find(c.Partner)
	judge, err4 := find(c.Shadow.Judge)
	if err = errors.Join(err, err2, err3, err4); err != nil {
		return "", err
	}
	work := usual()
	r, err := simulate.Run(work, nil, simulate.Setup{Light: *light, Escalation: *escalation, Partner: partner})
	if err != nil {
		return "", err
	}
	o := r.Observe(simulate.Observing{
		Days: 1, Fraction: new(big.Rat).SetFloat64(c.Shadow.Fraction), Judge: judge, Compares: c.Shadow.Adequate == 0,
		Again: new(big.Rat).SetFloat64(c.Shadow.SecondReadings),
	})
	most := ""
	if c.Shadow.USDPerDay > 0 {
		most = fmt.Sprintf(", never more than $%s a day", c.Shadow.USDPerDay)
	}
	return fmt.Sprintf("at %d input and %d output tokens %s%s (gateway simulate --observe, for your requests)",
		work.Input, work.Output, o.Each(), most), nil
}

// unjudged are the tenants beside the payer that may not use a cascade's judge.
func unjudged(s *snapshot.Snapshot, c *config.Cascade) (tenants []string) {
	judge := judgeOf(s, c)
	for i := range s.Config.Tenants {
		id := s.Config.Tenants[i].ID
		if t := s.Tenants.Lookup(id); judge != "" && id != c.Shadow.Tenant && t != nil && !t.AllowsModel(judge) {
			tenants = append(tenants, id)
		}
	}
	return tenants
}

// judgeOf is the model that judges, "" when keys alone do.
func judgeOf(s *snapshot.Snapshot, c *config.Cascade) string {
	if c.Shadow.Judge == config.JudgeKeys {
		return ""
	}
	return s.Router.Resolve(c.Shadow.Judge)
}
