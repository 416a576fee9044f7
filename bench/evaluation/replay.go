package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"

	"github.com/sluice-gateway/sluice/internal/money"
)

// line is one request in OUT.
type line struct {
	ID          string `json:"id"`
	Task        string `json:"task"`
	Row         string `json:"row"`   // what it belongs to: untrained, certified 80/20 n=500, …
	Split       int    `json:"split"` // which draw of calibration pairs, from 1; 0 without
	Cascade     string `json:"cascade"`
	Tag         string `json:"request"` // the shuffled id
	Operation   string `json:"operation"`
	HTTP        string `json:"http"`
	Path        string `json:"path"`
	ServedModel string `json:"served_model"`
	Reason      string `json:"reason"`
	Certificate string `json:"certificate"` // its hash, "" without
	SHA256      string `json:"sha256"`
	Legs        []leg  `json:"legs"`

	requestID string // the gateway's
	policy    policy
	served    string // the model as recorded
}

type leg struct {
	Model  string          `json:"model"`
	Input  int             `json:"input_tokens"`
	Output int             `json:"output_tokens"`
	Cost   json.RawMessage `json:"cost_usd"`

	cost money.Pico
}

// job is one request to send.
type job struct {
	question question
	policy   policy
	tag      string
	op, http string
}

// plan makes a request for each question, in a shuffled order, each in one of
// the shapes that callers use.
func plan(questions []question, p policy, rng *rand.Rand) []job {
	jobs := make([]job, len(questions))
	for i, k := range rng.Perm(len(questions)) {
		jobs[i] = job{
			question: questions[k], policy: p, tag: "Root=1-" + token(rng, 4) + "-" + token(rng, 12),
			op: operations[rng.IntN(len(operations))], http: []string{http1, http2}[rng.IntN(2)],
		}
	}
	return jobs
}

// planAll sends each question in every way.
func planAll(questions []question, p policy, rng *rand.Rand) []job {
	var jobs []job
	for _, op := range operations {
		for _, http := range []string{http1, http2} {
			for _, j := range plan(questions, p, rng) {
				j.op, j.http = op, http
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

// callers is how many requests are under way at a time. Not more shadows than
// that can be under way, so that the gateway drops none.
const callers = 8

// replay sends all jobs and returns a line for each, in their order, with the
// legs that the stand-in saw by the time that the gateway had stopped.
func (b *bench) replay(g *gateway, up *standIn, jobs []job) ([]line, error) {
	if err := g.start(); err != nil {
		return nil, err
	}
	lines, errs := make([]line, len(jobs)), make([]error, len(jobs))
	next := make(chan int)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range next {
				if lines[i], errs[i] = g.ask(&jobs[i]); errs[i] == nil {
					errs[i] = b.verify(&lines[i], &jobs[i], up)
				}
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	all.Wait()
	if err := errors.Join(append(errs, g.stop())...); err != nil {
		return nil, err
	}
	for i := range lines {
		lines[i].Legs = legsOf(up.callsOf(lines[i].Tag))
	}
	return lines, nil
}

// ask sends one request and reads the answer to its end.
func (g *gateway) ask(j *job) (line, error) {
	body := bytes.NewReader(ask(j.op, j.policy.dialect, j.question.prompt))
	req, err := http.NewRequest(http.MethodPost, g.url+"/model/ask-"+j.policy.name+"/"+j.op, body)
	if err != nil {
		return line{}, err
	}
	req.Header.Set("Authorization", "Bearer "+g.bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(tagHeader, j.tag)
	res, err := g.clients[j.http].Do(req)
	if err != nil {
		return line{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return line{}, fmt.Errorf("%s: status %d, %w: %.300s", j.question.id, res.StatusCode, err, raw)
	}
	text, err := textOf(j.op, raw)
	if err != nil {
		return line{}, fmt.Errorf("%s: %s: %w", j.question.id, j.op, err)
	}
	sum := sha256.Sum256([]byte(text))
	return line{
		ID: j.question.id, Task: j.question.task, Cascade: j.policy.name, Tag: j.tag, Operation: j.op, HTTP: res.Proto,
		policy: j.policy, Path: res.Header.Get("x-sluice-path"), Reason: res.Header.Get("x-sluice-reason"),
		ServedModel: res.Header.Get("x-sluice-model"),
		SHA256:      hex.EncodeToString(sum[:]), requestID: res.Header.Get("x-sluice-request-id"),
	}, nil
}

// verify compares what the caller got with what the model that the gateway
// names has answered.
func (b *bench) verify(l *line, j *job, up *standIn) error {
	l.served = b.back[l.ServedModel]
	want := sha256.Sum256([]byte(up.script[j.question.prompt][l.served].text))
	if l.SHA256 != hex.EncodeToString(want[:]) {
		return fmt.Errorf("%s: the caller got what %s (%s) did not answer", l.ID, l.ServedModel, l.served)
	}
	if l.HTTP != j.http {
		return fmt.Errorf("%s: answered over %s, asked over %s", l.ID, l.HTTP, j.http)
	}
	return nil
}

func legsOf(calls []call) []leg {
	legs := make([]leg, len(calls))
	for i, c := range calls {
		p := cost(c.model, c.in, c.out)
		legs[i] = leg{c.renamed, c.in, c.out, json.RawMessage(p.String()), p}
	}
	return legs
}

func writeLines(path string, lines []line) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
