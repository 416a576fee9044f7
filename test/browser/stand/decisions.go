package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision"
)

// requests is how many single requests the stand knows.
const requests = 1500

// decided is a log of the last requests of all tenants, two minutes apart.
func decided(dir string, tenants []config.Tenant) (*decision.Log, error) {
	log, err := decision.Open(decision.Options{
		File: filepath.Join(dir, "decisions.db"), Keep: 35 * 24 * time.Hour, MaxBytes: 1 << 30,
		Log: slog.New(slog.DiscardHandler), Now: clock, Dropped: func(int) {},
	})
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(7, 8))
	for i := range requests {
		at := now.Add(-2 * time.Minute * time.Duration(requests-i))
		var id ulid.ULID
		if err := id.SetTime(ulid.Timestamp(at)); err != nil {
			return nil, err
		}
		id[15], id[14] = byte(i), byte(i>>8)
		d := request(id.String(), at, tenants[r.IntN(len(tenants))].ID, r)
		log.Add(&d)
	}
	return log, nil
}

func request(id string, at time.Time, of string, r *rand.Rand) decision.Decision {
	known := func(n int) decision.Count { return decision.Count{N: int64(n), Known: true} }
	took := decision.Microseconds(150_000 + r.IntN(900_000))
	leg := decision.Leg{
		Model: light, Path: "light", Region: "us-east-1", Status: 200, Outcome: "completed",
		Stop: "end_turn", Is: decision.FateServed,
		Tokens: decision.Tokens{Input: known(200 + r.IntN(3000)), Output: known(20 + r.IntN(900))}, CostState: "known",
		Cost: decision.Dollars(1_000_000 * int64(40+r.IntN(400))), Began: at, Took: took, UpstreamID: "aws-" + id,
	}
	d := decision.Decision{
		ID: id, Received: at, Gateway: "gw-1:8080", Tenant: of, Key: "SLKKEY0", Method: "POST", Operation: "Converse",
		Asked:  "auto",
		Served: light, Cascade: "support", Path: "light", Status: 200, CostState: "known", FirstByte: took / 3,
		Duration: took + decision.Microseconds(300+r.IntN(900)),
	}
	switch n := r.IntN(20); {
	case n < 3:
		second := leg
		second.Index, second.Model, second.Path, second.Reason = 1, large, "escalated", fmt.Sprint("veto:", n)
		second.Cost *= 40
		leg.Is = decision.FateWasted
		d.Path, d.Served, d.Reason = "escalated", large, []string{"disagree", "rule:long", "veto:schema"}[n]
		d.Legs, d.Duration = []decision.Leg{leg, second}, d.Duration*2
		d.Cost = leg.Cost + second.Cost
		return d
	case n == 3:
		leg.Stop, leg.Tokens.Output, d.Cut = "max_tokens", known(500), 3500
	case n == 4:
		leg.Status, leg.Outcome, leg.Error, leg.Is = 429, "failed", "ThrottlingException", 0
		d.Status, d.Error, leg.Cost = 429, "ThrottlingException", 0
	}
	d.Legs, d.Cost = []decision.Leg{leg}, leg.Cost
	return d
}
