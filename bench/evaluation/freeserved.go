package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// The cascades of chats, with a second opinion and without.
var chatPolicies = []policy{
	{"chat", openAI, chatLight, chatSecond, chatFull},
	{"chat-lone", openAI, chatLight, "", chatFull},
}

// asking gives chats a prompt each, all of one length: the recordings have none.
func asking(rows []recorded.Row) []recorded.Row {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Prompt = fmt.Sprintf("Do as in task %x", sha256.Sum256([]byte(out[i].ID)))
	}
	return out
}

// labelOfChat is a person's label that says whether answers are adequate.
func labelOfChat(r *recorded.Row, id string, from float64) label {
	l := label{ID: id}
	if r.Answers[chatFull].Scores[firstJudge] < from {
		return l // nothing is lost
	}
	l.Escalation = 1
	if r.Answers[chatLight].Scores[firstJudge] >= from {
		l.Light = 1
	}
	return l
}

// chats sends recorded chats through gateways: one that observes those of train, from
// whose log the command makes a score and a certificate of n, and one that enforces them for
// the chats of data that were not drawn, each in every operation over both versions of HTTP.
// Its bar compares each answer with what the checks make of the recorded texts.
func (b *bench) chats(p policy, train, data []recorded.Row, n int) (bar, []line, error) {
	all := bar{task: "model served, " + p.name + ", gateway against the offline checks", reach: "all equal"}
	train, data = asking(train), asking(data)
	if len(train) < n || len(data) < least {
		all.verdict = notRunnable
		return all, nil, nil
	}
	up := startStandIn(scriptOf(slices.Concat(train, data)), b.back)
	defer up.Close()
	log, err := b.observe(p, up, questionsOf(pointers(train)), b.rng)
	if err != nil {
		return all, nil, err
	}
	var drawn []labelled
	used := map[string]bool{}
	for _, i := range drawing().Perm(len(train))[:n] {
		r := &train[i]
		drawn, used[r.ID] = append(drawn, labelled{log[r.ID], labelOfChat(r, log[r.ID].ID, 5)}), true
	}
	rest := slices.DeleteFunc(questionsOf(pointers(data)), func(q question) bool { return used[q.id] })
	lines, checks, err := b.enforceChats(p, up, drawn, rest)
	if err != nil || checks == nil {
		all.got, all.verdict = "nothing certified", missed
		return all, lines, err
	}
	byID := scorerOf(data)
	same, light := 0, 0
	for i := range lines {
		served := lines[i].served == chatLight
		if served {
			light++
		}
		if served == serves(checks, p, byID[lines[i].ID]) {
			same++
		}
	}
	all.got = fmt.Sprintf("%d of %d, %d by light", same, len(lines), light)
	all.verdict = judged(same == len(lines) && light > 0)
	return all, lines, nil
}

func pointers(rows []recorded.Row) []*recorded.Row {
	out := make([]*recorded.Row, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	return out
}

// enforceChats certifies from what was drawn and sends the rest. checks are those of what
// the command wrote, nil when it refused.
func (b *bench) enforceChats(
	p policy, up *standIn, drawn []labelled, rest []question,
) ([]line, *cascade.Checks, error) {
	s := setting{mode: "enforce", policies: []policy{p}, certificate: "cert.json", score: "chat.score"}
	g, err := b.configure(s, up)
	if err != nil {
		return nil, nil, err
	}
	c, err := g.calibrate(p, drawn, "--train-score", g.file(s.score))
	if err != nil || c.Hash == "" {
		return nil, nil, err
	}
	data, err := os.ReadFile(g.file(s.score))
	if err != nil {
		return nil, nil, err
	}
	order, err := score.DecodeModel(data)
	if err != nil {
		return nil, nil, err
	}
	lines, err := b.replay(g, up, planAll(rest, p, b.rng))
	for i := range lines {
		lines[i].Row, lines[i].Certificate = "certified "+p.name, c.Hash
	}
	return lines, &cascade.Checks{Certified: &cascade.Threshold{AtMost: c.Threshold, Order: order}}, err
}

// serves is whether checks serve the light answer to a recorded chat.
func serves(checks *cascade.Checks, p policy, r *recorded.Row) bool {
	var req answer.Request
	one := *checks.Certified
	one.Prompt = r.Prompt + "\n" // as the gateway joins the texts of a request
	c := cascade.Checks{Certified: &one}
	light, second := &answer.Answer{Text: r.Answers[p.light].Output}, (*answer.Answer)(nil)
	if p.partner != "" {
		second = &answer.Answer{Text: r.Answers[p.partner].Output}
	}
	return !c.Alone(&req, light).Escalate && !c.Beside(&req, light, second).Escalate
}

// longAnswer is the size of the answers whose checks are timed.
const longAnswer = 8 << 10

// freeChecksBar is the time of all checks of two answers of 8 KB, with a score.
func freeChecksBar(rows []recorded.Row) (bar, error) {
	b := bar{task: "time of all checks of answers of 8 KB with a score, p99 (offline)", reach: "< 1 ms", aim: "< 300 µs"}
	if len(rows) < freePairs {
		b.verdict = notRunnable
		return b, nil
	}
	r := &freeRows[0]
	chats, err := chatsOf(rows, r)
	if err != nil {
		return b, err
	}
	checks, err := r.checks(chats[:freePairs])
	if err != nil || checks == nil {
		b.verdict = notRunnable
		return b, err
	}
	var req answer.Request
	long := func(a *answer.Answer) *answer.Answer {
		return &answer.Answer{Text: strings.Repeat(a.Text+"\n\n", longAnswer/(len(a.Text)+2)+1)[:longAnswer]}
	}
	took := make([]time.Duration, len(chats))
	for i := range chats {
		one, two := long(chats[i].light), long(chats[i].second)
		took[i] = time.Hour
		for range 5 { // the least, because a busy machine adds time but takes none away
			start := time.Now()
			checks.Alone(&req, one)
			checks.Beside(&req, one, two)
			took[i] = min(took[i], time.Since(start))
		}
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	b.got, b.verdict = p99.Round(time.Microsecond).String(), judged(p99 < time.Millisecond)
	return b, nil
}
