// Command evaluation replays recorded answers of real models through the built
// gateway and measures what its cascade saves and what quality that costs.
//
// It starts bin/gateway again and again, and in its own process an upstream
// that serves the recorded answers with the recorded tokens. Models are
// renamed and ids shuffled, so that nothing can go by a name. For the
// certified rows the gateway observes TRAIN, `gateway calibrate` makes a
// certificate of pairs drawn from what it logged, and a gateway that enforces
// it answers the prompts of DATA that were not drawn. OUT gets one JSON line
// per request; README.md says how every figure follows from it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

type flags struct {
	data, train, out, report, bin string
	splits                        int
}

func main() {
	var f flags
	flag.StringVar(&f.data, "data", "", "`DIR` of prompts to send; default ../shared/cascade")
	flag.StringVar(&f.train, "train", "", "`DIR` to calibrate on; default that of -data")
	flag.StringVar(&f.out, "out", "evaluation.jsonl", "`FILE` for a line per request")
	flag.StringVar(&f.report, "report", "", "`FILE` for the report in Markdown")
	flag.StringVar(&f.bin, "bin", "bin/gateway", "the built gateway")
	flag.IntVar(&f.splits, "splits", 5, "how often each certified row goes through the gateway")
	flag.Parse()
	if f.data == "" {
		f.data = recorded.Dir()
	}
	if f.train == "" {
		f.train = f.data
	}
	for _, dir := range []string{f.data, f.train} {
		if found, _ := filepath.Glob(filepath.Join(dir, "*.jsonl")); len(found) == 0 {
			fmt.Fprintf(os.Stderr, "SKIPPED: NOTHING WAS EVALUATED: no recorded answers (*.jsonl) in %s\n", dir)
			return
		}
	}
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "evaluation:", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	data, err := readAll(f.data)
	if err != nil {
		return err
	}
	train, err := readAll(f.train)
	if err != nil {
		return err
	}
	b, err := newBench(f.bin)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	r, err := b.evaluate(data, train, f.splits)
	if err != nil {
		return err
	}
	if err := errors.Join(writeLines(f.out, r.lines), writeCertificates(f.out, r.trials)); err != nil {
		return err
	}
	r.bars = bars(r, data, train)
	free, err := b.free(f.data, f.train)
	if err != nil {
		return err
	}
	r.bars = append(r.bars, free...)
	fmt.Print(r.table())
	if f.report == "" {
		return nil
	}
	return os.WriteFile(f.report, []byte(r.document()), 0o644)
}

// free are the rows on the recorded chats of two folders.
func (b *bench) free(data, train string) ([]bar, error) {
	to, err := readChats(data)
	if err != nil {
		return nil, err
	}
	from, err := readChats(train)
	if err != nil {
		return nil, err
	}
	all, err := freeBars(to, from)
	if err != nil {
		return nil, err
	}
	for _, p := range chatPolicies {
		served, _, err := b.chats(p, from, to, freePairs)
		if err != nil {
			return nil, err
		}
		all = append(all, served)
	}
	timed, err := freeChecksBar(from)
	return append(all, timed), err
}

// bench is what all gateways of an evaluation share.
type bench struct {
	bin, dir string
	ids      renamed
	back     map[string]string // renamed to recorded
	rng      *rand.Rand
}

func newBench(bin string) (*bench, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-evaluation-")
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 1))
	ids := renamed{}.add(policies, rng).add(chatPolicies, rand.New(rand.NewPCG(2, 1)))
	return &bench{bin: bin, dir: dir, ids: ids, back: ids.recordedNames(), rng: rng}, nil
}

// evaluate sends everything.
func (b *bench) evaluate(data, train []recorded.Row, splits int) (*result, error) {
	answers := scriptOf(data)
	r := &result{}
	var err error
	if r.untrained, r.unsampled, err = b.untrained(data, answers); err != nil {
		return nil, err
	}
	if r.books, err = b.audit(data, answers); err != nil {
		return nil, err
	}
	if r.trials, err = b.certified(data, train, certifiedRows, splits); err != nil {
		return nil, err
	}
	r.lines = append(r.untrained, r.books.lines...)
	for _, t := range r.trials {
		r.lines = append(r.lines, t.lines...)
	}
	return r, nil
}

// untrained sends the prompts of each policy through a gateway that goes by
// agreement. Its books are those of the first policy.
func (b *bench) untrained(data []recorded.Row, answers script) (lines []line, books audited, err error) {
	up := startStandIn(answers, b.back)
	defer up.Close()
	var jobs []job
	for _, p := range policies {
		jobs = append(jobs, plan(questionsOf(usable(data, p)), p, b.rng)...)
	}
	b.rng.Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
	g, err := b.configure(setting{mode: "check", policies: policies}, up)
	if err != nil {
		return nil, books, err
	}
	if lines, err = b.replay(g, up, jobs); err != nil {
		return nil, books, err
	}
	for i := range lines {
		lines[i].Row = "untrained"
		if lines[i].Cascade == nova.name {
			books.lines = append(books.lines, lines[i])
		}
	}
	books.saving, err = g.saving(nova)
	return lines, books, err
}

// certified sends the certified rows, splits times each. A row that the
// recordings are too small for is left out.
func (b *bench) certified(data, train []recorded.Row, rows []row, splits int) ([]*trial, error) {
	from := usable(train, nova)
	if len(from) == 0 {
		return nil, nil
	}
	teacher := startStandIn(scriptOf(train), b.back)
	defer teacher.Close()
	log, err := b.observe(nova, teacher, questionsOf(from), b.rng)
	if err != nil {
		return nil, err
	}
	c := &certifying{train: pairsOf(train, nova), log: map[string]labelled{}, questions: questionsOf(usable(data, nova))}
	for _, r := range from {
		c.log[r.ID] = labelled{log[r.ID], labelOf(log[r.ID], r)}
	}
	c.data = startStandIn(scriptOf(data), b.back)
	defer c.data.Close()
	var trials []*trial
	for i := range rows {
		rng := drawing()
		for split := 1; split <= splits; split++ {
			t, err := b.certify(&rows[i], split, c, rng)
			if err != nil {
				return nil, err
			}
			if t == nil {
				break
			}
			trials = append(trials, t)
		}
	}
	return trials, nil
}
