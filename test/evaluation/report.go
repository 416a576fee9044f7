package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/money"
)

type result struct {
	lines []line
	books money.Pico // all that the gateway says was spent
	bars  []bar
}

// bars measures every row of the table.
func bars(r *result, data, train []recorded.Row) []bar {
	nova, llama := policies[0], policies[1]
	pairs, from := pairsOf(data, nova), pairsOf(train, nova)
	all := []bar{
		agreementBar(bar{task: "Nova-class pair, 80/20, untrained agreement (stand-ins)", reach: "71 %", aim: "75 %"}, outcomes(r.lines, nova.name), easyShare, 0.71),
		agreementBar(bar{task: "Nova-class pair, natural mix, untrained agreement (stand-ins)", reach: "54 %", aim: "60 %"}, outcomes(r.lines, nova.name), natural, 0.54),
		agreementBar(bar{task: "Llama 3.1 8B + 70B, 80/20, untrained agreement", reach: "50 %", aim: "58 %"}, outcomes(r.lines, llama.name), easyShare, 0.50),
	}
	var issued, broken int
	complete := true
	f := func(name string, n int, share, reach float64, aim string) {
		c, ok := calibrations(from, pairs, n, share)
		issued, broken, complete = issued+c.issued, broken+c.broken, complete && ok && c.issued >= splits*9/10
		task := fmt.Sprintf("Nova-class pair, %s, certified 2 points, n = %d (stand-ins, offline)", name, n)
		all = append(all, certifiedBar(bar{task: task, reach: fmt.Sprintf("%.0f %%", 100*reach), aim: aim}, c, ok, reach))
	}
	f("80/20", 500, easyShare, 0.73, "77 %")
	f("80/20", 1000, easyShare, 0.78, "81 %")
	f("natural mix", 1000, natural, 0.62, "67 %")
	kept := bar{task: "certificates broken, over those issued, all rows above (offline)", reach: "≤ 10 %", aim: "≤ 10 %", verdict: notRunnable}
	if issued > 0 {
		kept.got = fmt.Sprintf("%d of %d", broken, issued)
	}
	if complete {
		kept.verdict = judged(broken*10 <= issued)
	}
	all = append(all, kept,
		bar{"pre-score APGR", "report", "0.66", "not built into this program; see cascade.md", notRunnable},
		booksBar(bar{task: "saving reported against the replayed ledger", reach: "within 1 point", aim: "0.1 point"}, r.lines, r.books))
	p99 := checksP99(usable(data, nova), nova)
	checks := bar{"time of all checks of a request, p99 (offline)", "< 1 ms", "< 200 µs", p99.Round(time.Microsecond).String(), judged(p99 < time.Millisecond)}
	if p99 == 0 {
		checks.got, checks.verdict = "", notRunnable
	}
	return append(all, checks)
}

// table is the bars in Markdown.
func (r *result) table() string {
	var b strings.Builder
	b.WriteString("| task | reach | aim | measured | |\n|---|---|---|---|---|\n")
	for _, x := range r.bars {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", x.task, x.reach, x.aim, x.got, x.verdict)
	}
	return b.String()
}

// document is docs/cascade-evaluation.md.
func (r *result) document() string {
	streams, reasons := 0, map[string]int{}
	for i := range r.lines {
		if r.lines[i].Stream {
			streams++
		}
		reasons[r.lines[i].Cascade+" "+r.lines[i].Reason]++
	}
	return fmt.Sprintf(head, len(r.lines), streams) + r.table() + tail + reasonTable(reasons)
}

func reasonTable(counts map[string]int) string {
	var b strings.Builder
	b.WriteString("\n| cascade | reason | requests |\n|---|---|---|\n")
	for _, p := range policies {
		for _, reason := range []string{"agree", "disagree", "unknown", "refusal", "repetition", "truncated_json", "empty", "light_error"} {
			if n := counts[p.name+" "+reason]; n > 0 {
				fmt.Fprintf(&b, "| %s | %s | %d |\n", p.name, reason, n)
			}
		}
	}
	return b.String()
}

const head = `# The cascade, evaluated

Written by ` + "`make eval`" + `, which replays recorded answers of real models through the built gateway. Do not edit.

%d requests, %d of them streamed, went through bin/gateway (cascades in mode check, untrained agreement) to an upstream that
serves the recorded answer of each model with the recorded tokens. Models were renamed, ids shuffled. The answer that each
caller got was compared, byte for byte, with the recorded answer of the model that the gateway says has served.

**Stand-ins: gpt-4o-mini and Gemini 1.5 flash take the place of a pair of the class of Nova Lite, at Nova Lite's price.** Every
row marked so rests on that. Escalation is Claude 3.5 Sonnet v2. Llama 3.1 8B and 70B are charged at $0.22 and $0.72 per
million tokens. Tokens are estimated as bytes / 4. Brackets are 95 %% paired bootstrap intervals. "80/20" weighs GSM8K 80 %%.
A row passes when it reaches the saving and, for agreement, the lower bound of the accuracy difference is at least -1.5 points.

`

const tail = `
Certified rows did **not** go through the gateway: thresholds are calibrated on n pairs drawn from TRAIN, 200 times, and measured
on all prompts of DATA that were not drawn. One batch of 50 says little: its mean moves by points with the seed, so the mean of
four batches is held against the bar. Where both are one folder these parts mirror each other, and at 80/20 few easy
prompts are left, so that more certificates count as broken than are; [cascade.md](cascade.md) has the measure against
the true loss. The order of risk was chosen on these prompts; on others, savings may be a little lower.

The books row compares what the gateway's own report says was spent with the stand-in's log of every leg.

` + "`make eval DATA=DIR TRAIN=DIR OUT=FILE`" + ` does the same for other prompts; OUT has one line per request, with its legs.

Why the answers were served, or escalated:
`
