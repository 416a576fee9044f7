package test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestNewBudgetOfAKey: a budget that a key gets at run time or in the file, after it has
// spent, counts what it spent in its period; that of a rotated one too.
func TestNewBudgetOfAKey(t *testing.T) {
	for _, name := range []string{"embedded", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			f := keyLedgers(t)[name]()
			issued := f.api(0, 201, "POST", "", `{"tenant":"acme/app"}`)
			f.settled(issued)
			for n := range 20 { // two dollars each
				for _, key := range []harness.Key{issued, f.listed} {
					a := f.gateways[n%len(f.gateways)].Post(t, key.BearerCredential, lightCall, ask)
					if a.Status != 200 {
						t.Fatalf("%d %s", a.Status, a.Body)
					}
				}
			}
			rotated := f.api(0, 201, "POST", "/"+issued.KeyID+"/rotate", "")
			f.api(0, 200, "PATCH", "/"+rotated.KeyID, `{"budgets":[{"period":"month","usd":"2.5"}]}`)
			for _, gw := range f.gateways {
				gw.Write(strings.Replace(f.yaml(), "keys: ["+f.listed.KeyID+"]",
					"keys: [{id: "+f.listed.KeyID+", budgets: [{period: month, usd: 2.5}]}]", 1))
			}
			for what, key := range map[string]harness.Key{"issued": rotated, "of the file": f.listed} {
				for n := 0; ; n++ {
					time.Sleep(time.Second)
					a := f.gateways[0].Post(t, key.BearerCredential, lightCall, ask)
					if a.Status == 400 && strings.Contains(string(a.Body), "of this key is used up") {
						break
					}
					if n == 12 { // 14 calls alone would use the budget up
						t.Fatalf("%s: the budget does not count what was spent before: %d %s", what, a.Status, a.Body)
					}
				}
			}
			for _, gw := range f.gateways {
				gw.Stop()
			}
			wantText(t, harness.Run(t, 0, nil, "verify", "--config", f.gateways[0].ConfigFile()), "\n0 differences")
		})
	}
}
