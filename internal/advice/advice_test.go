package advice

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

var start = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

const sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

// filled has rows whose savings were worked out by hand from the prices in the comments.
func filled(t *testing.T) *Book {
	t.Helper()
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	table, _ := record.Compile(cfg)
	b := NewBook(table, start, nil)
	dollars := func(cents int64) decision.Dollars { return decision.Dollars(money.Dollar * money.Pico(cents) / 100) }
	million := int64(1_000_000)
	for _, r := range []decision.Row{
		// 3.30 and 16.50 dollars a million as us., 3 and 15 as global., half of 3.30 and 16.50 in batch.
		{Root: "acme", Model: sonnet, Input: million, Output: million, Cost: dollars(1980)},
		{Root: "acme", Model: sonnet, Input: million, Output: million, Cost: dollars(990)}, // at a discount of 50 %
		// 0.80 and 3.20, and half of that in flex and batch; there is no global profile.
		{Root: "umbrella", Model: "amazon.nova-pro-v1:0", Input: 10 * million, Output: million, Cost: dollars(1120)},
		{Root: "umbrella", Model: "amazon.nova-pro-v1:0", Tier: "flex", Input: 10 * million, Cost: dollars(400)},
		// What reads a cache at 0.20 pays 0.40 in batch.
		{Root: "cached", Model: "amazon.nova-pro-v1:0", CacheRead: million, Cost: dollars(20)},
		{Root: "acme", Model: "stranger", Input: 5, Cost: dollars(5)},
		{Root: "acme", Model: sonnet, Input: 5},
		{Root: "done", Model: strings.Replace(sonnet, "us.", "global.", 1), Input: million, Cost: dollars(300)},
	} {
		b.Add(&r)
	}
	return b
}

func TestFindings(t *testing.T) {
	b := filled(t)
	want := map[string][2]string{
		"acme global profile": {"29.70", "2.70"}, "acme batch": {"29.70", "14.85"},
		"umbrella flex": {"11.20", "5.60"}, "umbrella batch": {"11.20", "5.60"}, // flex already costs what batch does
		"cached flex": {"0.20", "0.10"}, "done batch": {"3.00", "1.50"},
		// a tenth of the input for Claude, a quarter for Nova, in flex too
		"acme prompt cache": {"29.70", "4.455"}, "umbrella prompt cache": {"15.20", "9.00"},
		"done prompt cache": {"3.00", "2.70"},
	}
	for _, f := range b.Findings() {
		name := f.Tenant + " " + f.Lever.Name
		if w := want[name]; f.Cost.String() != w[0] || f.Saved.String() != w[1] {
			t.Errorf("%s: %s of %s, want %v", name, f.Saved.String(), f.Cost.String(), w)
		}
		delete(want, name)
	}
	if len(want) > 0 || b.Unpriced != 2 {
		t.Errorf("missing %v; %d without a price", want, b.Unpriced)
	}
}

// closed is a policy that leaves nothing open but batch.
type closed struct{}

func (closed) Open(tenant, lever, _ string) bool { return lever == Batch && tenant != "umbrella" }

// TestPolicy: what a policy has closed is no finding.
func TestPolicy(t *testing.T) {
	b := filled(t)
	b.policy, b.found = closed{}, map[key]*Finding{}
	for _, id := range []string{"acme", "umbrella"} {
		b.Add(&decision.Row{Root: id, Model: sonnet, Input: 1_000_000, Cost: decision.Dollars(money.Dollar)})
	}
	if all := b.Findings(); len(all) != 1 || all[0].Tenant != "acme" || all[0].Lever.Name != Batch {
		t.Errorf("%+v", all)
	}
}

// TestReport: of 73 hours a month is ten times as much, and a proof has the period itself.
func TestReport(t *testing.T) {
	r := Report{From: start, To: start.Add(73 * time.Hour), Findings: filled(t).Findings(), Unpriced: 2}
	f := func(holds ...string) {
		t.Helper()
		var b bytes.Buffer
		if err := r.WriteTable(&b); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		for _, text := range holds {
			if !strings.Contains(b.String(), text) {
				t.Errorf("no %q in\n%s", text, b.String())
			}
		}
	}
	f("$27.00", "$0.00 to $148.50", "2 rows without", `"saved_usd": "27.00"`, `"saved_low_usd": "0.00"`, "residency: any")
	var dollar money.Total
	dollar.Add(money.Dollar)
	r.Pulled = []Saved{
		{Tenant: "acme", Lever: Flex, Low: money.Total{}, High: dollar, Bounded: true, How: "an interval"},
		{Lever: "cascade c", Amount: dollar, Known: true, How: "an estimate"},
		{Tenant: "acme", Lever: "output cap", How: "quota"},
	}
	r.Headroom = []Headroom{{Gateway: "g", Upstream: "west", Held: 9, Cap: 1024, Freed: 7, Line: CapLine(1024)}}
	r.Injected = []Injected{{Gateway: "g", Tenant: "acme", Paid: "1.00", Saved: "3.00", Net: "2.00"}}
	f("$0.00 to $1.00  an interval", "all     cascade c   $1.00", "output cap  -", "output_tokens: {max: 1024}",
		`"saved_usd": null`, `"freed_tokens": 7`, `"net_usd": "2.00"`)
	r.Proof = true
	f("$29.70", "$27.00", "$2.70", `"per": "period"`, `"saved_usd": "2.70"`)
	r.Findings = nil
	f("nothing: no lever")
}
