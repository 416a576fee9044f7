package standing

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// TestOf has a member of another account that is out for a model, a quota that two roles have asked for, one that
// nobody has, one that the configuration has no more, and a capacity whose calls spilled.
func TestOf(t *testing.T) {
	const arn = "arn:aws:iam::210987654321:role/bedrock"
	since := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	out := failover.Out{Upstream: "west", Model: "m", Why: failover.Throttled, Since: since, Until: since.Add(time.Second)}
	c := &config.Config{
		Upstream: config.Upstream{Region: "us-east-1", Quotas: []pools.Quota{
			{Patterns: []string{"a*", "b*"}, TokensPerMinute: 100, Burndown: 5},
		}},
		Upstreams: map[string]config.Upstream{"west": {
			Region: "us-west-2", Role: role.Role{ARN: arn},
			Quotas: []pools.Quota{{Patterns: []string{"c"}, RequestsPerMinute: 7}},
		}},
		Pools: map[string]pools.Pool{"p": {Order: pools.ByWeight, Members: []pools.Member{
			{Weight: 3}, {Upstream: "west", Weight: 1},
		}}},
	}
	states := []quota.State{
		{Key: quota.Key{Models: "gone"}}, {Key: quota.Key{Upstream: "west", Models: "c"}, Requests: 2},
		{Key: quota.Key{Upstream: "west", Models: "c", Role: arn}, Requests: 3},
	}
	got := Of(c, []failover.Out{out}, states, []telemetry.CapacityCalls{
		{Capacity: "floor", Outcome: "served", Calls: 4}, {Capacity: "floor", Outcome: "full", Calls: 5},
	})
	if want := []Member{
		{Pool: "p", Order: "weights", Upstream: "default", Region: "us-east-1", Weight: 3},
		{
			Pool: "p", Order: "weights", Upstream: "west", Region: "us-west-2", Account: "210987654321", Role: arn, Weight: 1,
			Out: []failover.Out{out},
		},
	}; !reflect.DeepEqual(got.Members, want) {
		t.Errorf("%+v", got.Members)
	}
	if want := []quota.State{
		{Key: quota.Key{Upstream: "default", Models: "a* b*"}, Least: 5, Most: 5, Limits: quota.Limits{Tokens: 100}},
		{Key: quota.Key{Upstream: "west", Models: "c"}, Requests: 2},
		{Key: quota.Key{Upstream: "west", Models: "c", Role: arn}, Requests: 3},
	}; !reflect.DeepEqual(got.Quotas, want) {
		t.Errorf("%+v", got.Quotas)
	}
	if want := map[string]Calls{"floor": {4, map[string]int64{"full": 5}}}; !reflect.DeepEqual(got.Spills, want) {
		t.Errorf("%+v", got.Spills)
	}
	if empty := Of(&config.Config{}, nil, nil, nil); len(empty.Members)+len(empty.Quotas)+len(empty.Capacity) != 0 {
		t.Errorf("%+v", empty)
	}
}
