package cascade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/calibrate"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/test/harness"
)

const settings = `
upstream: {region: us-east-1, endpoint: sandbox}
tenants: [{id: acme}, {id: platform}]
aliases: {auto: us.anthropic.claude-sonnet-4-5-20250929-v1:0}
cascades:
  - name: support
    match: request.model == "auto"
    mode: observe
    shadow: {tenant: platform, fraction: 1}
    light: amazon.nova-micro-v1:0
    partner: us.meta.llama3-1-8b-instruct-v1:0
    escalation: us.anthropic.claude-sonnet-4-5-20250929-v1:0
    target: {max_quality_loss: 0.02, confidence: 0.9}
`

// bench is a configuration and a log of pairs for it.
type bench struct{ config, dir string }

// newBench logs n pairs. Every fourth is one where the light models disagree and
// are wrong. Changes are made to each.
func newBench(t *testing.T, n int, changes ...func(i int, p *pairs.Pair)) *bench {
	t.Helper()
	return newBenchOf(t, settings, n, changes...)
}

func newBenchOf(t *testing.T, settings string, n int, changes ...func(i int, p *pairs.Pair)) *bench {
	t.Helper()
	b := &bench{config: harness.File(t, "sluice.yaml", settings)}
	b.dir = filepath.Dir(b.config)
	cfg, err := command.Load(b.config)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := command.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	bound := snap.Binding(&cfg.Cascades[0], time.Now())
	var log bytes.Buffer
	for i := range n {
		p := pairOf(i, &bound)
		for _, change := range changes {
			change(i, p)
		}
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(append(line, '\n'))
	}
	b.write(t, "pairs.jsonl", log.String())
	return b
}

func pairOf(i int, bound *certify.Binding) *pairs.Pair {
	prompt, label := fmt.Sprintf("say hello to %04d", i), "same"
	light, second := "the answer is 42", "I say the answer is 42"
	if i%4 == 0 {
		prompt, label = fmt.Sprintf("prove the theorem %04d", i), "different"
		light, second = "the answer is 41", "the answer is 43"
	}
	own, other := &answer.Answer{Text: light}, &answer.Answer{Text: second}
	in := score.Input{
		Light: own, Partner: other,
		LightK: answer.KeyOf(&answer.Request{}, own), PartK: answer.KeyOf(&answer.Request{}, other),
	}
	risk := score.Untrained(&in)
	return &pairs.Pair{
		Version: pairs.Version, Time: time.Unix(int64(i), 0).UTC(), ID: fmt.Sprint(i),
		Cascade: bound.Cascade, Route: "support acme 0",
		PolicyHash: bound.PolicyHash, PricesHash: bound.PricesHash, TextBytes: len(prompt), Risk: &risk,
		Partner: answer.Agree(in.LightK, in.PartK).String(), Label: label,
		Light: pairs.Leg{Model: bound.Models[0], Cost: 6}, Second: &pairs.Leg{Model: bound.Models[1], Cost: 4},
		Escalation: pairs.Leg{Model: bound.Models[2], Cost: 100},
		Content:    &pairs.Content{Prompt: prompt, Light: light, Second: second},
	}
}

func (b *bench) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(b.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// calibrate runs the command and returns what it prints, without the directory.
func (b *bench) calibrate(t *testing.T, more ...string) (string, error) {
	t.Helper()
	args := []string{"calibrate", "--config", b.config, "--cascade", "support", "--pairs", b.file("pairs.jsonl")}
	out, err := harness.Execute(t, Commands(), append(args, more...)...)
	return strings.ReplaceAll(out, b.dir+"/", ""), err
}

// TestCalibrate certifies the untrained order, behind a pre-score trained on the earlier
// pairs, and with a score for free text. The golden files hold what it prints.
func TestCalibrate(t *testing.T) {
	b := newBench(t, 2000)
	b.write(t, "labels.jsonl", `{"id":"3","winner":"tie"}`+"\n"+`{"id":"stray","winner":"light"}`+"\n")
	f := func(golden string, files []string, more ...string) {
		t.Helper()
		out, err := b.calibrate(t, more...)
		if err != nil {
			t.Fatal(err)
		}
		harness.Golden(t, golden, out)
		for _, name := range files {
			if data, err := os.ReadFile(b.file(name)); err != nil || len(data) == 0 {
				t.Errorf("%s: %d bytes, %v", name, len(data), err)
			}
		}
	}
	f("calibrate.txt", []string{"cert", "svg"},
		"--labels", b.file("labels.jsonl"), "--out", b.file("cert"), "--svg", b.file("svg"))
	f("calibrate-trained.txt", []string{"pre", "cert2"}, "--train-pre-score", b.file("pre"), "--out", b.file("cert2"))
	b = newBench(t, 2000, unkeyed)
	f("calibrate-score.txt", []string{"score", "cert3"}, "--train-score", b.file("score"), "--out", b.file("cert3"))
}

// unkeyed makes most pairs ones of free text. Every eighth light answer is bad, and
// looks it.
func unkeyed(i int, p *pairs.Pair) {
	if i%10 == 9 {
		return
	}
	text := fmt.Sprintf("There are three ways to room %d.\n- The stairs.\n- The lift.\n- The ramp.\nAll are open.", i)
	p.Label, p.Judge = "unknown", pairs.Won("tie")
	if i%8 == 0 {
		p.Judge = pairs.Won("escalation")
		text = fmt.Sprintf("It depends on what you have in mind, room %d or another, and on whom you ask", i)
	}
	second := &answer.Answer{Text: "Take the stairs, or the lift next to them"}
	in := score.Input{Light: &answer.Answer{Text: text}, Partner: second}
	p.Risk, p.Partner, p.FeatureSet, p.Features = nil, "unknown", score.FeatureSet, score.Features(&in)
}

// TestCalibrateGrades prints what grades show, and how far a short log is.
func TestCalibrateGrades(t *testing.T) {
	graded := strings.Replace(settings, "fraction: 1}",
		"fraction: 1, judge: mistral.mistral-large-3-675b-instruct, adequate: 5}", 1)
	f := func(golden string, n int, refused bool) {
		t.Helper()
		b := newBenchOf(t, graded, n, func(i int, p *pairs.Pair) {
			p.Time = time.Unix(int64(i)*1000, 0).UTC()
			p.Grades = &pairs.Grades{
				Judge: "mistral.mistral-large-3-675b-instruct", Rubric: rubric.Hash(),
				Reading: pairs.Reading{Light: 7, Escalation: 8}, Cost: 5_000_000_000,
			}
			switch {
			case p.Label == "different":
				p.Label, p.Partner, p.Grades.Light = "unknown", "different", 4
			case i%3 > 0:
				p.Grades = nil // equal keys
			}
			if i%10 < 4 && p.Grades != nil {
				again := p.Grades.Reading
				again.Escalation++
				p.Grades.Again = &again
			}
		})
		out, err := b.calibrate(t)
		if (err != nil) != refused {
			t.Fatal(err)
		}
		harness.Golden(t, golden, out)
	}
	f("calibrate-grades.txt", 1200, false)
	f("calibrate-progress.txt", 312, true)
}

// TestCalibrateRefuses has what is not proven fail without a certificate, and
// mistakes of the user's as such.
func TestCalibrateRefuses(t *testing.T) {
	b := newBench(t, 90)
	f := func(want string, users bool, more ...string) {
		t.Helper()
		_, err := b.calibrate(t, append(more, "--out", b.file("cert"))...)
		var invalid command.InvalidError
		if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &invalid) != users {
			t.Errorf("%v: %v, want %q", more, err, want)
		}
		if _, err := os.Stat(b.file("cert")); err == nil {
			t.Errorf("%v wrote a certificate", more)
		}
	}
	f("more pairs needed", false)
	f("cannot train", false, "--train-score", b.file("score"))
	f("above the ceiling", false, "--min-saving", "0.999")
	f("--min-saving", true, "--min-saving", "1.5")
	f("--train-share", true, "--train-share", "0")
	f("no cascade", true, "--cascade", "nobody")
	f("no such file", true, "--labels", b.file("nothing"))
	f("no such file", true, "--pairs", b.file("nothing"))
	b.write(t, "labels.jsonl", `{"id":"x","winner":"nobody"}`)
	f("labels.jsonl: line 1", true, "--labels", b.file("labels.jsonl"))
}

// TestJudgeIsReported says how often humans agree with a judge, or that too few of
// them can tell.
func TestJudgeIsReported(t *testing.T) {
	f := func(agree, disagree int, want string) {
		t.Helper()
		b := newBench(t, agree+disagree+1, func(i int, p *pairs.Pair) {
			p.Judge = pairs.Won("tie")
			if i >= agree && i < agree+disagree {
				p.Judge = pairs.Won("light")
			}
		})
		labels := ""
		for i := range agree + disagree {
			labels += fmt.Sprintf("{\"id\":\"%d\",\"winner\":\"tie\"}\n", i)
		}
		b.write(t, "labels.jsonl", labels)
		out, err := b.calibrate(t, "--labels", b.file("labels.jsonl"))
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%d of %d: %v, %s, want %q", agree, agree+disagree, err, out, want)
		}
	}
	f(40, 10, "on 80.0 % of 50 pairs; mean loss 0.00 points by humans, -20.00 by the judge")
	f(39, 11, "on 78.0 %")
	f(10, 10, "warning: the judge is checked on 20 pairs")
}

// TestAdvice recommends what saves most, by more than other pairs may turn round, and the
// simplest where there is no difference.
func TestAdvice(t *testing.T) {
	f := func(want string, with, keys, without float64) {
		t.Helper()
		if got := advice(&calibrate.Second{With: with, Keys: keys, Without: without, Cost: 0.04}); got != want {
			t.Errorf("%v, %v, %v: %q, want %q", with, keys, without, got, want)
		}
	}
	f("no advice: nothing is certified either way", 0, 0, 0)
	f("keep the partner: it saves 6.0 points more", 0.77, 0, 0.71)
	f("keep the partner: it saves 50.0 points more", 0.5, 0.5, 0)
	f("leave the partner out: it makes no difference, and each request waits for it", 0.587, 0, 0.591)
	f("leave the partner out: it makes no difference, and each request waits for it", 0.591, 0.2, 0.587)
	f("leave the partner out: that saves 9.0 points more", 0.5, 0.4, 0.59)
	f("keep the partner and leave the score out (--train-score): that saves 23.0 points more", 0.42, 0.65, 0.1)
}
