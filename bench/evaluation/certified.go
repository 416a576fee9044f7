package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/recorded"
)

// row is a certified row of the table.
type row struct {
	mix        string
	n          int     // labelled pairs
	share      float64 // of the easy prompts
	reach, aim float64 // saving
}

var certifiedRows = []row{
	{"80/20", 500, easyShare, 0.73, 0.77},
	{"80/20", 1000, easyShare, 0.78, 0.81},
	{"natural mix", 1000, natural, 0.62, 0.67},
}

func (r *row) name() string { return fmt.Sprintf("certified %s n=%d", r.mix, r.n) }

// observe has the gateway watch the questions in mode observe, and returns what
// it wrote into its own log of pairs, by the id of the question. A shadow that
// the gateway found no time for is asked for again.
func (b *bench) observe(p policy, up *standIn, questions []question, rng *rand.Rand) (map[string]*pairs.Pair, error) {
	log := map[string]*pairs.Pair{}
	for round := 0; len(questions) > 0; round++ {
		if round == maxRounds {
			return nil, fmt.Errorf("%d questions were not shadowed in %d rounds", len(questions), round)
		}
		g, err := b.configure(setting{mode: "observe", policies: []policy{p}, shadow: 1}, up)
		if err != nil {
			return nil, err
		}
		lines, err := b.replay(g, up, plan(questions, p, rng))
		if err != nil {
			return nil, err
		}
		if err := g.readPairs(p, lines, log); err != nil {
			return nil, err
		}
		var again []question
		for _, q := range questions {
			if log[q.id] == nil {
				again = append(again, q)
			}
		}
		questions = again
	}
	return log, nil
}

const maxRounds = 10

func (g *gateway) readPairs(p policy, lines []line, log map[string]*pairs.Pair) error {
	questions := make(map[string]string, len(lines))
	for i := range lines {
		questions[lines[i].requestID] = lines[i].ID
	}
	f, err := os.Open(pairs.File(filepath.Join(g.dir, "data", "pairs"), p.name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = pairs.Read(f, func(p *pairs.Pair) error {
		log[questions[p.ID]] = p
		return nil
	})
	return err
}

// label is a line of the file of labels: how good a person finds each answer.
type label struct {
	ID         string  `json:"id"` // of the pair
	Light      float64 `json:"light"`
	Escalation float64 `json:"escalation"`
}

// labelled is a pair from the log of a gateway, with its label.
type labelled struct {
	*pairs.Pair
	label label
}

func labelOf(p *pairs.Pair, r *recorded.Row) label {
	return label{p.ID, r.Answers[nova.light].Quality(), r.Answers[nova.escalation].Quality()}
}

// certificate is what `gateway calibrate` wrote, the zero value when it refused.
type certificate struct {
	Hash      string
	Threshold float64

	file []byte
}

// calibrate runs the command on a log of the drawn pairs and a file of their
// labels. A refusal writes no file and ends with 1; everything else is an error.
func (g *gateway) calibrate(p policy, drawn []labelled, more ...string) (c certificate, err error) {
	log := pairs.Log{Dir: g.file("drawn")}
	var labels bytes.Buffer
	enc := json.NewEncoder(&labels)
	for i := range drawn {
		if err := errors.Join(log.Append(drawn[i].Pair), enc.Encode(&drawn[i].label)); err != nil {
			return c, err
		}
	}
	if err := os.WriteFile(g.file("labels.jsonl"), labels.Bytes(), 0o600); err != nil {
		return c, err
	}
	file := g.file("cert.json")
	said, err := g.run(append([]string{"calibrate", "--config", g.config(), "--cascade", p.name,
		"--pairs", pairs.File(log.Dir, p.name), "--labels", g.file("labels.jsonl"), "--out", file}, more...)...)
	if writeErr := os.WriteFile(g.file("calibration.txt"), said, 0o600); writeErr != nil {
		return c, writeErr
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if c.file, err = os.ReadFile(file); err != nil {
		return c, err
	}
	return c, json.Unmarshal(c.file, &c)
}

// writeCertificates puts the certificates beside OUT, one line each.
func writeCertificates(out string, trials []*trial) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, t := range trials {
		if t.Hash == "" {
			continue
		}
		if err := enc.Encode(json.RawMessage(t.file)); err != nil {
			return err
		}
	}
	return os.WriteFile(out+".certificates", b.Bytes(), 0o600)
}

// trial is one certified row with one draw of pairs, through the gateway.
type trial struct {
	row   *row
	split int
	certificate
	offline float64 // the threshold that the offline rows would take
	lines   []line
}

// certify calibrates on n pairs of TRAIN and serves what is left of DATA. It
// returns nil when there are too few prompts for the row.
func (b *bench) certify(r *row, split int, c *certifying, rng *rand.Rand) (*trial, error) {
	drawn, used := drawPairs(c.train, r.n, r.share, rng)
	rest := c.rest(used)
	if len(drawn) < r.n || !enough(len(rest), easyOnes(rest), r.share) {
		return nil, nil
	}
	g, err := b.configure(setting{mode: "enforce", policies: []policy{nova}, certificate: "cert.json"}, c.data)
	if err != nil {
		return nil, err
	}
	t := &trial{row: r, split: split, offline: thresholdOf(drawn, r.share)}
	if t.certificate, err = g.calibrate(nova, c.pairs(drawn, r.share)); err != nil {
		return nil, err
	}
	t.lines, err = b.replay(g, c.data, plan(rest, nova, b.rng))
	for i := range t.lines {
		l := &t.lines[i]
		l.Row, l.Split, l.Certificate = r.name(), split, t.Hash
	}
	return t, err
}

// certifying is what all certified rows share.
type certifying struct {
	train     []pair              // as the offline rows have them
	log       map[string]labelled // of TRAIN, by id
	questions []question          // of DATA
	data      *standIn
}

// rest are the questions whose prompt does not stand in what calibrates.
func (c *certifying) rest(used map[string]bool) []question {
	var out []question
	for _, q := range c.questions {
		if !used[q.prompt] {
			out = append(out, q)
		}
	}
	return out
}

func easyOnes(questions []question) int {
	n := 0
	for _, q := range questions {
		if easy(q.task) {
			n++
		}
	}
	return n
}

// pairs are the lines of the log for a draw, with the weights of the mix.
func (c *certifying) pairs(drawn []pair, share float64) []labelled {
	out := make([]labelled, len(drawn))
	for i, w := range weighed(drawn, share) {
		out[i] = c.log[drawn[i].id]
		one := *out[i].Pair
		one.Weight, out[i].Pair = w.Weight, &one
	}
	return out
}
