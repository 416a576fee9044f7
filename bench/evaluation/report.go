package main

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

type result struct {
	untrained []line
	unsampled audited // its books
	books     audited
	trials    []*trial
	lines     []line // all of them
	bars      []bar
}

// bars measures every row of the table.
func bars(r *result, data, train []recorded.Row) []bar {
	score := scorerOf(data)
	offline, from := pairsOf(data, nova), pairsOf(train, nova)
	all := []bar{
		agreementBar(
			bar{task: "Nova-class pair, 80/20, untrained agreement (stand-ins)", reach: "71 %", aim: "75 %"},
			score.outcomes(r.untrained, nova), easyShare, 0.71),
		agreementBar(
			bar{task: "Nova-class pair, natural mix, untrained agreement (stand-ins)", reach: "54 %", aim: "60 %"},
			score.outcomes(r.untrained, nova), natural, 0.54),
		agreementBar(
			bar{task: "Llama 3.1 8B + 70B, 80/20, untrained agreement", reach: "50 %", aim: "58 %"},
			score.outcomes(r.untrained, llama), easyShare, 0.50),
		agreementBar(
			bar{task: "Gemini 1.5 flash + Llama 3.1 70B to pro, MMLU-Pro, untrained agreement", reach: "report"},
			score.outcomes(r.untrained, choices), natural, noBar),
	}
	for i := range certifiedRows {
		all = append(all, score.servedBar(&certifiedRows[i], r.trials))
	}
	all = append(all, sameBar(offline, r.trials))
	all = append(all, offlineBars(offline, from)...)
	all = append(all, choicesBar(pairsOf(data, choices), pairsOf(train, choices)))
	all = append(all, preScoreBars(data, train)...)
	reported := bar{task: "saving reported against the replayed ledger (`gateway report savings`)"}
	reported.reach, reported.aim = "within 1 point", "0.1 point"
	alone := bar{task: "the same without a sample of what light answered, of which the command warns", reach: "report"}
	all = append(all, booksBar(reported, r.books, score), unsampledBar(alone, r.unsampled, score))
	return append(all, checksBar(checksP99(usable(data, nova), nova)))
}

func checksBar(p99 time.Duration) bar {
	b := bar{task: "time of all checks of a request, p99 (offline)", reach: "< 1 ms", aim: "< 200 µs"}
	b.verdict = notRunnable
	if p99 > 0 {
		b.got, b.verdict = p99.Round(time.Microsecond).String(), judged(p99 < time.Millisecond)
	}
	return b
}

// servedBar is a certified row as the gateway served it.
func (s scorer) servedBar(r *row, trials []*trial) bar {
	b := bar{
		task:  fmt.Sprintf("Nova-class pair, %s, certified 2 points, n = %d (stand-ins)", r.mix, r.n),
		reach: percent(r.reach), aim: percent(r.aim),
	}
	var savings []float64
	var loss float64
	issued, broken := 0, 0
	for _, t := range trials {
		if t.row != r {
			continue
		}
		m := meanOf(s.outcomes(t.lines, nova), r.share)
		savings = append(savings, m.saving)
		if t.Hash == "" {
			continue
		}
		issued++
		loss -= m.gain
		if -m.gain > maxLoss {
			broken++
		}
	}
	if len(savings) == 0 {
		b.got, b.verdict = "too few prompts", notRunnable
		return b
	}
	var sum float64
	for _, x := range savings {
		sum += x
	}
	mean := sum / float64(len(savings))
	b.got = fmt.Sprintf("%.1f %% (%.1f to %.1f in %d draws); %d issued; %d broken",
		100*mean, 100*slices.Min(savings), 100*slices.Max(savings), len(savings), issued, broken)
	if issued > 0 {
		b.got += fmt.Sprintf("; loss %.2f points", 100*loss/float64(issued))
	}
	b.verdict = judged(mean >= r.reach)
	return b
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// sameBar compares each answer of an enforcing gateway with what the offline
// rows make of the same draw: their own threshold on their own risks.
func sameBar(offline []pair, trials []*trial) bar {
	b := bar{task: "model served, gateway against the offline rows", reach: "all equal"}
	risks := make(map[string]*pair, len(offline))
	for i := range offline {
		risks[offline[i].id] = &offline[i]
	}
	same, all := 0, 0
	for _, t := range trials {
		for i := range t.lines {
			all++
			light := risks[t.lines[i].ID].Risk <= t.offline
			if light == (t.lines[i].served == nova.light) {
				same++
			}
		}
	}
	if all == 0 {
		b.verdict = notRunnable
		return b
	}
	b.got, b.verdict = fmt.Sprintf("%d of %d", same, all), judged(same == all)
	return b
}

// offlineBars are the certified rows over many re-splits, computed.
func offlineBars(pairs, from []pair) []bar {
	var all []bar
	var issued, broken int
	complete := true
	for i := range certifiedRows {
		r := &certifiedRows[i]
		c, ok := calibrations(from, pairs, r.n, r.share)
		issued, broken, complete = issued+c.issued, broken+c.broken, complete && (!ok || c.issued >= splits*9/10)
		task := fmt.Sprintf("Nova-class pair, %s, certified 2 points, n = %d (stand-ins, offline)", r.mix, r.n)
		all = append(all, certifiedBar(bar{task: task, reach: percent(r.reach), aim: percent(r.aim)}, c, ok, r.reach))
	}
	kept := bar{task: "certificates broken, over those issued, all rows above (offline)", verdict: notRunnable}
	kept.reach, kept.aim = "≤ 10 %", "≤ 10 %"
	if issued > 0 {
		kept.got, kept.verdict = fmt.Sprintf("%d of %d", broken, issued), judged(complete && broken*10 <= issued)
	}
	return append(all, kept)
}

// choicesBar is the certified row of multiple-choice questions, over as many re-splits.
func choicesBar(pairs, from []pair) bar {
	const labelled, reach, aim = 1000, 0.15, 0.25
	task := "Gemini 1.5 flash + Llama 3.1 70B to pro, MMLU-Pro, certified 2 points, n = 1000 (offline)"
	c, ok := calibrations(from, pairs, labelled, natural)
	return certifiedBar(bar{task: task, reach: percent(reach), aim: percent(aim)}, c, ok, reach)
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
	reasons, shapes := map[[3]string]int{}, map[string]int{}
	for i := range r.lines {
		l := &r.lines[i]
		reasons[[3]string{l.Row, l.Cascade, l.Reason}]++
		shapes[l.Operation+", "+l.HTTP]++
	}
	return fmt.Sprintf(head, len(r.lines)) + r.table() + tail + reasonTable(reasons) + shapeTable(shapes)
}

func reasonTable(counts map[[3]string]int) string {
	var b strings.Builder
	b.WriteString("\n| row | cascade | reason | requests |\n|---|---|---|---|\n")
	byName := func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }
	for _, k := range slices.SortedFunc(maps.Keys(counts), byName) {
		fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", k[0], k[1], k[2], counts[k])
	}
	return b.String()
}

func shapeTable(counts map[string]int) string {
	var b strings.Builder
	b.WriteString("\nHow they were asked:\n\n| operation | requests |\n|---|---|\n")
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "| %s | %d |\n", k, counts[k])
	}
	return b.String()
}

// head and tail are the text around the tables. Head has a verb for the number
// of requests.
var (
	//go:embed head.md
	head string
	//go:embed tail.md
	tail string
)
