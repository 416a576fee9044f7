package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	throttles = `rules: [{error: {status: 429, type: ThrottlingException, message: slow down}}]`
	counts    = `rules: [{answer: {text: hello, input_tokens: 100, output_tokens: 10}}]`
	breaksOff = `rules:
  - {match: {operation: converse-stream}, fault: {cut_after_frames: 2}}
  - {match: {operation: converse}, fault: {cut_in_body: true}}
`
	// byRegion prices one model, in each region otherwise.
	byRegion = `
per: million
effective: 2026-01-01
source: test
prices:
  - {models: [amazon.nova-lite-v1:0], regions: [us-east-1], input: 300, output: 300}
  - {models: [amazon.nova-lite-v1:0], regions: [us-east-2], input: 600, output: 600}
`
)

// pooledGateway runs a gateway with a pool of upstreams, by their URLs, in the order in which they are listed, each in
// a region of its own.
func pooledGateway(t *testing.T, tenant string, urls ...string) (*harness.Gateway, harness.Key) {
	t.Helper()
	regions := []string{"us-east-1", "us-west-2", "us-east-2"}
	yaml := fmt.Sprintf("upstream: {region: %s, endpoint: %q}\nupstreams:\n", regions[0], urls[0])
	members := "{upstream: default}"
	for i, url := range urls[1:] {
		yaml += fmt.Sprintf("  m%d: {region: %s, endpoint: %q}\n", i+1, regions[i+1], url)
		members += fmt.Sprintf(", {upstream: m%d}", i+1)
	}
	key := harness.NewKey(t, "acme")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "book.yaml"), []byte(byRegion), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml += fmt.Sprintf(`pools: {all: {order: listed, members: [%s]}}
prices: [book.yaml]
tenants: [{id: acme, keys: [%s], upstream: all%s}]
`, members, key.KeyID, tenant)
	return harness.Start(t, harness.Config{Dir: dir, YAML: yaml}), key
}

// askLite asks Nova Lite by an operation, and returns the answer's head and body as far as it comes.
func askLite(t *testing.T, g *harness.Gateway, key harness.Key, op string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", g.URL()+"/model/amazon.nova-lite-v1:0/"+op,
		strings.NewReader(converse("hello")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// TestPools: of three members of a pool, one throttles and one refuses connections. All calls are served by the third,
// priced by its region; each attempt is in the books; who is out, and until when, can be seen.
func TestPools(t *testing.T) {
	busy, good := harness.StartSandbox(t, throttles), harness.StartSandbox(t, counts)
	g, key := pooledGateway(t, "", busy.URL(), "http://"+harness.FreeAddr(t), good.URL())
	for i, op := range []string{"converse", "converse-stream", "converse", "converse"} {
		res, body := askLite(t, g, key, op)
		want := "us-east-2"
		if i == 0 {
			want = "us-east-1 throttled, us-west-2 not_sent, us-east-2"
		}
		if got := res.Header.Get("X-Sluice-Region"); res.StatusCode != 200 || !strings.HasSuffix(got, "us-east-2") ||
			i == 0 && got != want {
			t.Errorf("%s: %d by %q, want %q: %s", op, res.StatusCode, got, want, body)
		}
	}
	if n := len(good.Log()); n != 4 {
		t.Errorf("%d calls were billed, want 4", n)
	}
	harness.Eventually(t, 10*time.Second, func() (bool, string) {
		rows := g.Report("tenant")
		ok := len(rows) == 1 && rows[0].Requests == 4 && rows[0].Input == 400 && rows[0].Output == 40 &&
			rows[0].Cost == "0.264" && rows[0].Unknown == 0 && rows[0].Legs >= 6
		return ok, fmt.Sprint(rows)
	})
	if n := g.Metric(`sluice_pool_calls_total{outcome="throttled",pool="all",upstream="",why="listed"}`); n < 1 {
		t.Error("the metric has no call that went on:", n)
	}
	out := harness.Run(t, 0, nil, "requests", "--config", g.ConfigFile(), "--format", "json")
	for _, want := range []string{`"reason":"pool_throttled"`, `"reason":"pool_not_sent"`, `"region":"us-east-2"`} {
		if !strings.Contains(strings.ReplaceAll(out, `": "`, `":"`), want) {
			t.Errorf("the decisions lack %s: %s", want, out)
		}
	}
	text := harness.Run(t, 0, nil, "explain", "--config", g.ConfigFile(), "--tenant", "acme", "--model",
		"amazon.nova-lite-v1:0", "--input", "10")
	if !strings.Contains(text, "pool all: default or m1 or m2") {
		t.Error(text)
	}
}

// TestPoolReadiness: /readyz and a metric tell which members are out, why, and when they are asked again; that does not
// make a gateway unready.
func TestPoolReadiness(t *testing.T) {
	good := harness.StartSandbox(t, counts)
	g, key := pooledGateway(t, "", "http://"+harness.FreeAddr(t), good.URL())
	harness.Eventually(t, 30*time.Second, func() (bool, string) {
		askLite(t, g, key, "converse") // it is out for longer each time
		status, r := g.Readyz()
		said, metric := r.Degraded["pools"], g.Metric(`sluice_pool_member_out{model="",reason="not_sent",upstream=""}`)
		ok := status == 200 && r.Ready && metric == 1 &&
			strings.Contains(said, "upstream default, all models: not_sent since") && strings.Contains(said, "asked again at")
		return ok, fmt.Sprint(status, r, metric)
	})
}

// TestPoolNeverTwice: a member that breaks off after the first byte may have billed the call, which no other one gets.
func TestPoolNeverTwice(t *testing.T) {
	broken, good := harness.StartSandbox(t, breaksOff), harness.StartSandbox(t, counts)
	g, key := pooledGateway(t, "", broken.URL(), good.URL())
	for _, op := range []string{"converse-stream", "converse"} {
		askLite(t, g, key, op)
	}
	if n := len(good.Log()); n != 0 {
		t.Errorf("%d calls were sent twice", n)
	}
	harness.Eventually(t, 10*time.Second, func() (bool, string) {
		rows := g.Report("tenant")
		return len(rows) == 1 && rows[0].Unknown == 2 && rows[0].Legs == 2, fmt.Sprint(rows)
	})
}

// TestPoolResidencyHolds: the only member that works is in a region to which the tenant's requests must not go.
func TestPoolResidencyHolds(t *testing.T) {
	busy, good := harness.StartSandbox(t, throttles), harness.StartSandbox(t, counts)
	g, key := pooledGateway(t, ", residency: region", busy.URL(), good.URL())
	if res, body := askLite(t, g, key, "converse"); res.StatusCode != 429 || len(good.Log()) != 0 {
		t.Errorf("%d %s; %d calls went abroad", res.StatusCode, body, len(good.Log()))
	}
}

// TestQuotas: calls are held to what the account of an upstream may use in a minute, by the most that each can take and
// in the end by what it took. What has no room there goes to another member, and is refused without one.
func TestQuotas(t *testing.T) {
	const quota = "\n  quotas: [{models: [amazon.nova-lite*], tokens_per_minute: 1500, wait: 0s}]"
	limited := func(second string) (*harness.Gateway, harness.Key, *harness.Sandbox) {
		first := harness.StartSandbox(t, counts)
		key := harness.NewKey(t, "acme")
		return harness.Start(t, harness.Config{YAML: fmt.Sprintf(`upstream:
  region: us-east-1
  endpoint: %q%s
%s
tenants: [{id: acme, keys: [%s], output_tokens: {default: 1000}}]
`, first.URL(), quota, second, key.KeyID)}), key, first
	}
	g, key, first := limited("")
	var body string
	var res *http.Response
	for range 500 { // a minute may end meanwhile
		if res, body = askLite(t, g, key, "converse"); res.StatusCode != 200 {
			break
		}
	}
	if res.StatusCode != 429 || !strings.Contains(body, "The quota of model amazon.nova-lite-v1:0 per minute is used up") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	used, calls := g.Metric(`sluice_quota_used_tokens_total{models="amazon.nova-lite*",upstream=""}`), len(first.Log())
	if used != float64(110*calls) || calls == 0 {
		t.Errorf("%d calls took %g tokens of quota", calls, used)
	}
	if most := g.Metric(`sluice_quota_headroom_cap{models="amazon.nova-lite*",upstream=""}`); most != 16 {
		t.Error("the cap that answers of 10 tokens keep to:", most)
	}
	second := harness.StartSandbox(t, counts)
	g, key, first = limited(fmt.Sprintf(`upstreams: {west: {region: us-west-2, endpoint: %q}}
pools: {all: {order: listed, members: [{upstream: default}, {upstream: west}]}}
model_upstreams: {"*": all}`, second.URL()))
	for range 20 {
		if res, body = askLite(t, g, key, "converse"); res.StatusCode != 200 {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	if a, b := len(first.Log()), len(second.Log()); a == 0 || b == 0 || a+b != 20 {
		t.Errorf("%d calls went to the first member and %d to the second", a, b)
	}
	res, body = sendBearer(t, g, key, "POST", "/model/amazon.nova-lite-v1:0/converse",
		`{"inferenceConfig":{"maxTokens":4000},"messages":[{"role":"user","content":[{"text":"hello"}]}]}`)
	if res.StatusCode != 200 {
		t.Errorf("the second member has no quota: %d %s", res.StatusCode, body)
	}
}

// TestPoolMistakes: each mistake in a pool is told at its place.
func TestPoolMistakes(t *testing.T) {
	_, said := harness.RunBoth(t, 2, nil, "check", "--config", harness.File(t, "sluice.yaml",
		"upstream: {region: us-east-1, quotas: [{models: [\"*\"]}, {models: [\"*\"], tokens_per_minute: 5, burndown: 0}]}\n"))
	for _, want := range []string{"needs tokens_per_minute or requests_per_minute", "must be from 1 to 1000, not 0"} {
		if !strings.Contains(said, want) {
			t.Error(said, "want", want)
		}
	}
	f := func(pools, tenant, want string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "sluice.yaml")
		text := fmt.Sprintf(`upstream: {region: us-east-1}
upstreams:
  {west: {region: us-west-2}, gov: {region: us-gov-west-1}, eu: {region: eu-west-1}, m: {kind: mantle, region: us-east-1}}
pools:
  %s
model_upstreams: {"*": all}
tenants: [{id: acme%s}]
`, pools, tenant)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, said = harness.RunBoth(t, 2, nil, "check", "--config", file)
		if !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %s", pools, said, want)
		}
	}
	f(`all: {members: [{upstream: wets}]}`, "",
		`there is no upstream "wets"; a member is one of default, eu, gov, m, west; did you mean "west"?`)
	f(`all: {members: [{upstream: west}, {upstream: west}]}`, "",
		`5:48: error: pools["all"].members[1].upstream: upstream "west" is in this pool already`)
	f(`all: {members: [{upstream: west, weight: 0}]}`, "", "must be from 1 to 1000, not 0")
	f(`all: {members: []}`, "", "needs at least one member")
	f(`all: {members: [{upstream: m}]}`, "", "is of kind mantle, which has other operations than members of pools")
	f(`all: {members: [{upstream: west}, {upstream: gov}]}`, "",
		"region us-gov-west-1 is in another partition of AWS than us-west-2")
	f("all: {members: [{upstream: west}]}\n  west: {members: [{upstream: eu}]}", "",
		"the name west of the pool is that of an upstream")
	f(`all: {members: [{upstream: west}, {upstream: default}]}`, ", residency: geo, upstream: eu",
		`no member of the pool "all", which takes the models "*", is within geo of eu-west-1: they are refused`)
}
