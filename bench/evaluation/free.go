package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/calibrate"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// The recorded chat models and the judges of their answers, as the file names them.
const (
	chatLight  = "gpt-3.5-turbo-0125"
	chatSecond = "reka-flash-20240226"
	chatFull   = "Qwen1.5-72B-Chat-greedy"

	firstJudge = "gpt-4o-2024-05-13"
	otherJudge = "gpt-4-turbo-2024-04-09"
)

// freeRow is a row of the table on free text: certificates of n pairs that an answer's
// adequacy falls by at most loss.
type freeRow struct {
	task       string
	second     bool // there is a second opinion
	judge      string
	from       int // grade of an adequate answer
	loss       float64
	reach, aim float64 // saving; 0 for none
	counts     bool    // its certificates count in the row of those that are broken
}

// freePairs is how many pairs each certificate is made of.
const freePairs = 400

var freeRows = []freeRow{
	{"chat, certified 3 points of adequacy", true, firstJudge, 5, 0.03, 0.45, 0.60, true},
	{"the same without second opinion", false, firstJudge, 5, 0.03, 0.40, 0.57, true},
	{"chat, certified 2 points of adequacy", true, firstJudge, 5, 0.02, noBar, 0.40, true},
	{"chat, adequate from grade 7 on, 3 points", true, firstJudge, 7, 0.03, noBar, 0.35, false},
	{"chat, judged by the other judge, 3 points", true, otherJudge, 5, 0.03, noBar, 0.35, false},
}

// chat is one recorded task as a cascade would log and serve it.
type chat struct {
	id            string
	line          []byte // of the log of pairs
	light, second *answer.Answer
	grades        pairs.Reading
	spent, full   float64 // pico-dollars: light call and second opinion, escalation call
}

// readChats reads the recorded chats of a folder; there may be none.
func readChats(dir string) ([]recorded.Row, error) {
	if found, _ := filepath.Glob(filepath.Join(dir, "free", "chat.jsonl")); len(found) == 0 {
		return nil, nil
	}
	return recorded.Read(filepath.Join(dir, "free"), "chat")
}

// chatsOf makes of recorded rows what a gateway in mode observe would log, with the
// grades of a judge.
func chatsOf(rows []recorded.Row, r *freeRow) ([]chat, error) {
	var out []chat
	for i := range rows {
		light, second, full := rows[i].Answers[chatLight], rows[i].Answers[chatSecond], rows[i].Answers[chatFull]
		c := chat{id: rows[i].ID, light: &answer.Answer{Text: light.Output}}
		c.grades = pairs.Reading{Light: int(light.Scores[r.judge]), Escalation: int(full.Scores[r.judge])}
		if min(c.grades.Light, c.grades.Escalation) < pairs.LowestGrade {
			continue
		}
		p := chatPair(rows[i].InTokens, light, full)
		p.ID, p.Time = c.id, time.Unix(int64(i), 0).UTC()
		p.Grades = &pairs.Grades{Judge: r.judge, Rubric: chatRubric, Reading: c.grades}
		in := score.Input{Light: c.light}
		if r.second {
			c.second = &answer.Answer{Text: second.Output}
			in.Partner = cascade.Opinion(&answer.Request{}, c.second, nil)
			p.Second = &pairs.Leg{Model: chatSecond, Cost: cost(chatSecond, rows[i].InTokens, second.OutTokens)}
		}
		rank(p, &in, full.Output)
		c.spent, c.full = float64(p.LightCost()), float64(p.Escalation.Cost)
		line, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		c.line = append(line, '\n')
		out = append(out, c)
	}
	return out, nil
}

const chatRubric = "recorded"

func chatPair(in int, light, full recorded.Answer) *pairs.Pair {
	return &pairs.Pair{
		Version: pairs.Version, Cascade: "chat", Label: answer.Unknown.String(),
		Light:      pairs.Leg{Model: chatLight, Cost: cost(chatLight, in, light.OutTokens)},
		Escalation: pairs.Leg{Model: chatFull, Cost: cost(chatFull, in, full.OutTokens)},
	}
}

// rank notes what the checks find in the answers, as package shadow does.
func rank(p *pairs.Pair, in *score.Input, full string) {
	var req answer.Request
	p.Veto = string(answer.Check(&req, in.Light, nil, answer.Options{}).Veto)
	in.LightK = answer.KeyOf(&req, in.Light)
	if in.Partner != nil {
		in.PartK = answer.KeyOf(&req, in.Partner)
	}
	if risk := score.Untrained(in); risk != score.Never {
		p.Risk = &risk
	}
	strong := &answer.Answer{Text: full}
	p.FeatureSet, p.Features = score.FeatureSet, score.Features(in)
	beside := score.Input{Light: strong, Partner: in.Light, LightK: answer.KeyOf(&req, strong)}
	p.EscalationFeatures = score.Features(&beside)
}

// binding is what certificates of the row are about.
func (r *freeRow) binding() certify.Binding {
	b := certify.Binding{
		Cascade: "chat", Models: []string{chatLight, "", chatFull}, Scores: map[string]string{},
		Rubric: chatRubric, Adequate: r.from,
	}
	if r.second {
		b.Models[1] = chatSecond
	}
	return b
}

// checks are those of a gateway with the certificate of the drawn chats, nil when it was
// refused.
func (r *freeRow) checks(drawn []chat) (*cascade.Checks, error) {
	var log bytes.Buffer
	for i := range drawn {
		log.Write(drawn[i].line)
	}
	b := r.binding()
	read, err := calibrate.ReadLog(&log, &b, calibrate.Labels{})
	if err != nil {
		return nil, err
	}
	found, err := calibrate.Run(calibrate.Input{
		Log: read, Binding: b, Options: certify.Options{MaxLoss: r.loss, Delta: 0.1},
		Training: calibrate.Training{Score: true},
	})
	if err != nil || found.Certificate == nil {
		return nil, nil //nolint:nilerr // that nothing is certified is a result
	}
	order, err := score.DecodeModel(found.Trained.Score)
	if err != nil {
		return nil, err
	}
	return &cascade.Checks{Certified: &cascade.Threshold{AtMost: found.Certificate.Threshold, Order: order}}, nil
}

// serve is what checks make of a chat.
func (r *freeRow) serve(checks *cascade.Checks, c *chat) outcome {
	var req answer.Request
	o := outcome{spent: c.spent, full: c.full}
	d := checks.Alone(&req, c.light)
	if !d.Escalate {
		d = checks.Beside(&req, c.light, c.second)
	}
	if d.Escalate {
		o.spent += c.full
		return o
	}
	o.light, o.gain = 1, -c.grades.Adequate(r.from).Loss()
	return o
}

// measure certifies from n of the chats of train, splits times, and serves all chats of
// data that were not used.
func (r *freeRow) measure(train, data []chat) (c certified, ok bool, err error) {
	rng := drawing()
	for k := range splits {
		drawn, used := drawChats(train, freePairs, rng)
		rest := slices.DeleteFunc(slices.Clone(data), func(c chat) bool { return used[c.id] })
		if len(drawn) < freePairs || len(rest) < least {
			return certified{}, false, nil
		}
		checks, err := r.checks(drawn)
		if err != nil {
			return c, false, err
		}
		if checks == nil {
			continue
		}
		xs := make([]outcome, len(rest))
		for i := range rest {
			xs[i] = r.serve(checks, &rest[i])
		}
		m := meanOf(xs, natural)
		c.add(k, m, r.loss)
	}
	return c, true, nil
}

func drawChats(from []chat, n int, rng *rand.Rand) (drawn []chat, used map[string]bool) {
	used = map[string]bool{}
	for _, i := range rng.Perm(len(from)) {
		if len(drawn) < n {
			drawn, used[from[i].id] = append(drawn, from[i]), true
		}
	}
	return drawn, used
}

// freeBars are the rows on free text.
func freeBars(data, train []recorded.Row) ([]bar, error) {
	var all []bar
	broken := bar{task: "certificates on chats broken, over those issued", verdict: notRunnable}
	broken.reach, broken.aim = "≤ 10 %", "≤ 5 %"
	issued, failed := 0, 0
	for i := range freeRows {
		r := &freeRows[i]
		b := bar{task: fmt.Sprintf("%s, n = %d (stand-ins, offline)", r.task, freePairs)}
		b.reach, b.aim = "report", percent(r.aim)
		if r.reach != noBar {
			b.reach = percent(r.reach)
		}
		from, err := chatsOf(train, r)
		if err != nil {
			return nil, err
		}
		to, err := chatsOf(data, r)
		if err != nil {
			return nil, err
		}
		c, ok, err := r.measure(from, to)
		if err != nil {
			return nil, err
		}
		if r.counts {
			issued, failed = issued+c.issued, failed+c.broken
		}
		b = certifiedBar(b, c, ok, r.reach)
		if ok && r.reach == noBar {
			b.verdict = reported
		}
		all = append(all, b)
	}
	if issued > 0 {
		broken.got, broken.verdict = fmt.Sprintf("%d of %d", failed, issued), judged(failed*10 <= issued)
	}
	return append(all, broken), nil
}
