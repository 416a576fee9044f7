package budget

import (
	"maps"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestM20Heed: what other gateways demand of a tenant, or of one above it, is held
// beside its own limits, and no more once it is withdrawn.
func TestM20Heed(t *testing.T) {
	p, err := Compile([]config.Tenant{
		{ID: "acme/app", Limits: config.Limits{RequestsPerMinute: 60}},
		{ID: "beta", Budgets: []config.Budget{{Period: "month", USD: 9 * money.Dollar, TimeZone: "UTC"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	most := func(tenant string, unit record.Unit) (normal, light int64) {
		normal, light = unlimited, unlimited
		policy := p.For(tenant)
		for i := range policy.limits {
			if l := &policy.limits[i]; l.unit == unit {
				normal, light = min(normal, l.of(Normal)), min(light, l.of(LightOnly))
			}
		}
		return normal, light
	}
	want := func(when, tenant string, unit record.Unit, wantNormal, wantLight int64) {
		t.Helper()
		if normal, light := most(tenant, unit); normal != wantNormal || light != wantLight {
			t.Errorf("%s: %s goes to %d and %d, want %d and %d", when, tenant, normal, light, wantNormal, wantLight)
		}
	}
	want("alone", "acme/app", record.UnitUSD, unlimited, unlimited)
	month := peers.Rule{Unit: record.UnitUSD, Period: "month", Zone: "UTC", Hard: 8, Light: 5}
	if err := p.Heed(map[string][]peers.Rule{
		"acme":     {month, {Unit: record.UnitConcurrent, Zone: "UTC", Hard: 2, Light: unlimited}},
		"acme/app": {{Unit: record.UnitRequests, Period: "minute", Zone: "UTC", Hard: 7, Light: unlimited}},
		"beta":     {month},
	}); err != nil {
		t.Fatal(err)
	}
	want("heeded", "acme/app", record.UnitUSD, 5, 8)
	want("heeded", "acme/app", record.UnitConcurrent, 2, 2)
	want("heeded", "acme/app", record.UnitRequests, 7, 7)
	want("heeded", "beta", record.UnitUSD, 5, 8)
	if !p.For("acme/app").Strict() {
		t.Error("a budget of another gateway is not strict")
	}
	own := maps.Collect(p.Rules())
	if len(own["acme/app"]) != 1 || own["acme/app"][0].Hard != 60 || own["beta"][0].Hard != 9_000_000_000 {
		t.Errorf("what others demand is declared as one's own: %+v", own)
	}
	if err := p.Heed(map[string][]peers.Rule{"beta": {{Zone: "Nowhere/Here"}, month}}); err == nil {
		t.Error("an unknown time zone is no error")
	}
	want("beside an unknown zone", "beta", record.UnitUSD, 5, 8)
	if err := p.Heed(nil); err != nil {
		t.Fatal(err)
	}
	want("withdrawn", "beta", record.UnitUSD, 9_000_000_000, 9_000_000_000)
	if got := p.For("acme/app"); len(got.limits) != 1 || got.Strict() {
		t.Errorf("withdrawn: %+v", got.limits)
	}
}
