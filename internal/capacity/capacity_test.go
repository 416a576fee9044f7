package capacity

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

var began = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func block() *Block {
	return &Block{&config.Capacity{Name: "floor", Units: 2, Input: 1000, Output: 100}, "us-east-1"}
}

// TestGaugeKeepsToWhatUnitsServe has calls of random sizes come at random times, which use what was expected of them:
// in no time are more tokens taken than fit into it and a minute.
func TestGaugeKeepsToWhatUnitsServe(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		var g Gauge
		b, now := block(), began
		var input, output int64
		for range 300 {
			now = now.Add(time.Duration(random.Int64N(int64(20 * time.Second))))
			need := Need{Input: 1 + random.Int64N(1500), Most: 1 + random.Int64N(150)}
			taken, ok := g.Take(b, need, now)
			if !ok {
				continue
			}
			used := taken
			g.Settle(b, &taken, used.input, used.output, now)
			input, output = input+used.input, output+used.output
			minutes := now.Sub(began).Minutes() + 1
			if float64(input) > 2000*minutes || float64(output) > 200*minutes {
				t.Fatalf("seed %d: %d and %d tokens within %.1f minutes", seed, input, output, minutes)
			}
		}
		if input == 0 {
			t.Fatalf("seed %d: nothing fits", seed)
		}
	}
}

// TestGaugeSettles: what a call did not use is there again, once, and what it used beyond what was expected is not.
func TestGaugeSettles(t *testing.T) {
	var g Gauge
	b := block()
	f := func(need Need, want bool) Taken {
		t.Helper()
		taken, ok := g.Take(b, need, began)
		if ok != want {
			t.Errorf("%+v fits: %v, want %v", need, ok, want)
		}
		return taken
	}
	failed := f(Need{Input: 2000, Most: 200}, true)
	f(Need{Input: 1, Most: 1}, false)
	g.Settle(b, &failed, 0, 0, began)
	g.Settle(b, &failed, 0, 0, began)
	long := f(Need{Input: 10, Most: 1}, true)
	g.Settle(b, &long, 1991, 1, began)
	f(Need{Input: 10, Most: 1}, false)
	f(Need{Input: 9, Most: 1}, true)
	later, ok := g.Take(b, Need{Input: 1_000_000, Most: 1}, began.Add(2*time.Minute))
	if !ok || later.input != 1_000_000 {
		t.Error("a call that is larger than all of it never fits")
	}
}

// TestForeignARNs are problems: of a region that no upstream is in, and of an account that is not allowed.
func TestForeignARNs(t *testing.T) {
	f := func(arn, want string, accounts ...string) {
		t.Helper()
		c := &config.Config{Upstream: config.Upstream{Region: "us-east-1"}, AllowedAccounts: accounts,
			Upstreams: map[string]config.Upstream{"eu": {Region: "eu-west-1"}}, Capacity: []config.Capacity{{ARN: arn}}}
		_, problems := Compile(c)
		text := ""
		for _, p := range problems {
			text += p.Path + " " + p.Message
		}
		if (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", arn, text, want)
		}
	}
	const arn = ":123456789012:provisioned-model/floor"
	f("arn:aws:bedrock:us-east-1"+arn, "")
	f("arn:aws:bedrock:eu-west-1"+arn, "", "123456789012")
	f("arn:aws:bedrock:us-west-2"+arn, "capacity[0].arn is in region us-west-2, which no upstream is in")
	f("arn:aws:bedrock:us-east-1"+arn, "is of account 123456789012, which is not among allowed_accounts", "210987654321")
	f("", "")
}
