package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gateway/sluice/internal/money"
)

const keysFile = `
upstream: {endpoint: sandbox, region: us-east-1}
tenants:
  - id: a
    keys:
      - SLKC7UDJ22XKERJETIQ7IZRA
      - id: SLKC7UDJ22XKERJETIQ7IZRB
`

// TestKeySettings: a key is its id, or a mapping with what is set of it.
func TestKeySettings(t *testing.T) {
	c := mustParse(t, keysFile+`
        name: nightly batch
        owner: data@example.com
        expires: 2027-01-31
        networks: [10.1.2.3/8, "::ffff:192.0.2.1", 2001:db8::/32]
        budgets: [{period: month, usd: 50}, {period: day, usd: 5, on_exceed: notify, time_zone: Europe/Berlin}]
        limits: {requests_per_minute: 60, concurrent_requests: 4}
`)
	const plain, set = "SLKC7UDJ22XKERJETIQ7IZRA", "SLKC7UDJ22XKERJETIQ7IZRB"
	if diff := cmp.Diff([]string{plain, set}, c.Tenants[0].Keys); diff != "" {
		t.Error(diff)
	}
	want := map[string]*Key{set: {
		Name: "nightly batch", Owner: "data@example.com", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
		Networks: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
			netip.MustParsePrefix("2001:db8::/32"),
		},
		Budgets: []Budget{
			{Period: "month", USD: 50 * money.Dollar, OnExceed: "reject", TimeZone: "UTC"},
			{Period: "day", USD: 5 * money.Dollar, OnExceed: "notify", TimeZone: "Europe/Berlin"},
		},
		Limits: Limits{RequestsPerMinute: 60, ConcurrentRequests: 4},
	}}
	if diff := cmp.Diff(want, c.Tenants[0].KeySettings, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

// TestKeySettingsMistakes: each is told once, at its place (U12).
func TestKeySettingsMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"expires: 90d":                              "8:18 keys[1].expires: must be a day such as",
		"expires: 2027-02-30":                       "8:18 keys[1].expires: must be a day such as",
		"networks: [10.0.0.0/33]":                   "8:20 keys[1].networks[0]: must be a network",
		"networks: 10.0.0.0/8":                      "8:19 keys[1].networks: must be a list",
		"budgets: [{period: week, usd: 1}]":         "8:28 keys[1].budgets[0].period: ",
		"budgets: [{period: day}]":                  `8:19 keys[1].budgets[0]: needs the key "usd"`,
		"limits: {requests_per_minute: -1}":         "8:39 keys[1].limits.",
		"owner: \"a\\nb\"":                          "8:16 keys[1].owner: must be one line",
		"expire: 2027-01-31":                        `8:9 keys[1]: unknown key "expire"; did you mean "expires"?`,
		"tenant: a":                                 `8:9 keys[1]: unknown key "tenant"`,
		"- {name: x}":                               `8:9 keys[2]: needs the key "id", or is an id alone`,
		"- {id: SLKC7UDJ22XKERJETIQ7IZRA, name: x}": `8:9 keys[2]: `,
		"budgets: [{period: day, usd: 1, time_zone: Mars}]": "8:52 keys[1].budgets[0].time_zone: " +
			"there is no time zone",
		"budgets: [{period: day, usd: 2, hard_usd: 1, on_exceed: light_only}]": "" +
			"8:51 keys[1].budgets[0].hard_usd: ",
	} {
		indent := strings.Repeat(" ", 8)
		if strings.HasPrefix(text, "- ") {
			indent = strings.Repeat(" ", 6)
		}
		_, err := load(&decoder{env: testEnv}, "sluice.yaml", []byte(keysFile+indent+text+"\n"))
		if err == nil {
			t.Errorf("%s: valid", text)
			continue
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		first = strings.Replace(first, ": error: tenants[0].", " ", 1)
		if !strings.Contains(first, want) || !strings.HasSuffix(err.Error(), "\n1 error") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
