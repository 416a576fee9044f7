package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestPriceVersionOutlivesItsFile: what a version in a record meant can be asked after the price file has changed, by
// list price and by what was charged.
func TestPriceVersionOutlivesItsFile(t *testing.T) {
	body := `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn",` +
		`"usage":{"inputTokens":100,"outputTokens":10,"totalTokens":110}}`
	upstream := harness.StartScripted(t, map[string]harness.Play{goodModel: writes(answerWith(200, jsonHeader, body))})
	key := harness.NewKey(t, "acme")
	own := func(input string) string {
		return harness.File(t, "own.yaml", "per: million\nprices:\n  - {models: [\""+goodModel+
			"\"], effective: 2026-01-01, scopes: {region: 1, geo: 1, global: 1}, input: "+input+", output: 8}\n")
	}
	config := func(file string) string {
		return fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\nprices: [%q]\n"+
			"discounts: [{percent: 10, from: 2026-01-01}]\n", upstream.URL(), key.KeyID, file)
	}
	gw := harness.Start(t, harness.Config{YAML: config(own("2.5"))})
	command := func(args ...string) string {
		t.Helper()
		return harness.Run(t, 0, nil, append(args, "--config", gw.ConfigFile())...)
	}
	gw.Post(t, key.BearerCredential, goodCall, ask)
	var version string
	harness.Eventually(t, time.Minute, func() (bool, string) {
		for _, line := range strings.Split(command("report", "--by", "price_version", "--format", "csv"), "\n")[1:] {
			if cells := strings.Split(line, ","); len(cells) > 3 {
				version = cells[2]
			}
		}
		return strings.HasSuffix(version, "-10%"), version
	})
	gw.Stop()
	gw.Write(config(own("7")))
	shown := command("prices", "show", version)
	wantText(t, shown, "version    "+version, "input           2.25\n", "output          7.2\n",
		"list price\n", "  input           2.5\n")
	wantText(t, command("prices", "list", goodModel), " 6.3 ")
	harness.Run(t, 2, nil, "prices", "show", "2026-01-01-00000000-10%", "--config", gw.ConfigFile())
}

// offer is a fixture of AWS's price list.
func offer(t *testing.T, old, changed string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "internal/meter/prices/testdata/AmazonBedrock.json"))
	if err != nil {
		t.Fatal(err)
	}
	return harness.File(t, "index.json", strings.Replace(string(data), old, changed, 1))
}

// TestImportedPrices: prices of an offer are shown before they are written, and a file that cannot be right is refused
// with file, line and column.
func TestImportedPrices(t *testing.T) {
	out := filepath.Join(t.TempDir(), "aws.yaml")
	diff, notes := harness.RunBoth(t, 0, nil, "prices", "import", offer(t, "", ""), "--out", out)
	wantText(t, diff, "+ us.amazon.nova-pro-v1:0 optimized: input 1, output 4\n",
		"~ eu.amazon.nova-pro-v1:0: cache_write_5m none -> 1.05\n", " prices change\n")
	wantText(t, notes, "1 left out: it is provisioned throughput, billed by the hour\n",
		"names without an id: Model of Tomorrow\n",
		"index.json:737:9: warning: usagetype USE1-NovaPro-input-tokens-weekend is not read")
	again := harness.Run(t, 0, nil, "prices", "diff", out)
	if again != diff {
		t.Errorf("the file changes\n%s, not\n%s", again, diff)
	}
	bad := offer(t, `"USD" : "0.0008000000"`, `"USD" : "0.8000000000"`)
	_, refused := harness.RunBoth(t, 2, nil, "prices", "import", bad, "--out", out+".not")
	place := regexp.MustCompile(regexp.QuoteMeta(bad) +
		`:[0-9]+:[0-9]+: error: amazon.nova-pro-v1:0 us-east-1: input is 800, 0.8 before`)
	if !place.MatchString(refused) {
		t.Errorf("%s", refused)
	}
	if _, err := os.Stat(out + ".not"); err == nil {
		t.Error("a file was written")
	}
	harness.RunBoth(t, 0, nil, "prices", "import", bad, "--out", out+".forced", "--force")
}

// TestCheckDoubtsPrices: M12, check says what an own price may take away, and in which unit it may be.
func TestCheckDoubtsPrices(t *testing.T) {
	own := harness.File(t, "own.yaml", `per: million
effective: 2026-01-02
prices:
  - {models: ["anthropic.claude-sonnet-4-5-20250929-v1:0"], input: 2.5, output: 12}
  - {models: ["amazon.nova-pro-v1:0"], scopes: {us: 1}, input: 0.0008, output: 0.0032}
  - {models: ["meta.llama3-3-70b-instruct-v1:0"], scopes: {us: 1}, input: 0.72, output: 720}
`)
	file := harness.File(t, "sluice.yaml", fmt.Sprintf("upstream: {endpoint: sandbox}\nprices: [%q]\n", own))
	_, warnings := harness.RunBoth(t, 0, nil, "check", "--config", file)
	for _, want := range []string{
		":4:5: warning: prices[0]: names no scopes, so that anthropic.claude-sonnet-4-5-20250929-v1:0 costs",
		":5:5: warning: prices[1]: amazon.nova-pro-v1:0: a price is 1000 times off the one it overrides",
		":6:5: warning: prices[2]: output is 1000 times off input: are both in the unit that per names?",
	} {
		wantText(t, warnings, own+want)
	}
}
