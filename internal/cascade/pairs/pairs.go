// Package pairs keeps the log of labelled pairs: requests that both the light
// and the escalation model answered. `gateway calibrate` reads what a gateway
// that observes wrote. docs/format/pairs.md describes the lines.
//
// A line contains no text of a request or an answer, and no hash of one either,
// because the hash of a short answer reveals the answer. Content is there only when
// the operator switched it on.
package pairs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Version is that of the lines that are written. It is raised when a member changes
// its meaning or one is added that readers have to know.
const Version = 3

// oldest is the first version that is still read: its lines have no grades and no
// features.
const oldest = 2

// Pair is one line.
type Pair struct {
	Version int       `json:"v"`
	Time    time.Time `json:"time"`
	ID      string    `json:"id"` // of the request, for a file of human labels
	Cascade string    `json:"cascade"`
	Tenant  string    `json:"tenant"` // whose request it was
	Route   string    `json:"route"`  // as score.Input has it
	// PolicyHash and PricesHash are those of a certify.Binding: a certificate
	// can be made only from pairs that have the same.
	PolicyHash string `json:"policy_hash"`
	PricesHash string `json:"prices_hash"`
	// SchemaHash is that of the request's response schema and tools, "" without
	// any; certify.Binding has the set.
	SchemaHash string `json:"schema_hash"`

	Operation string `json:"operation"`
	Turns     int    `json:"turns"`
	TextBytes int    `json:"text_bytes"`
	// Veto is the check that keeps the light answer from being served whatever
	// the threshold, "" for none.
	Veto string `json:"veto,omitempty"`
	// Risk is the light answer's risk by score.Untrained; nil is score.Never: it
	// cannot be compared with a second opinion.
	Risk *float64 `json:"risk"`
	// Scored is the risk by the score file that the cascade names, nil without one.
	Scored *Scored `json:"scored,omitempty"`
	// Partner is whether light answer and second opinion agree, Label whether light
	// and escalation answer do: same, different, unknown.
	Partner string `json:"partner"`
	Label   string `json:"label"`
	KeyKind string `json:"key_kind"` // of the light answer, answer.Kind
	// Weight is how many requests the pair represents, relative to the others of
	// the log; 0 counts as 1. Gateways write none: it is for logs that were joined
	// after sampling at different fractions.
	Weight float64 `json:"weight,omitempty"`
	// Judge is a judge model's verdict on light and escalation answer, nil when none
	// was asked or its reply could not be read.
	Judge *Verdict `json:"judge,omitempty"`
	// JudgeCost is what judge models cost beside Grades: comparing, and readings of which
	// no grade came.
	JudgeCost money.Pico `json:"judge_cost_pico_usd,omitempty"`
	// Grades are a judge model's, of each answer by itself, nil when none was asked
	// or a reply could not be read.
	Grades *Grades `json:"grades,omitempty"`
	// Features are what the score for free text reads of request and answers, in the
	// order of the feature set that FeatureSet names; nil when the light answer could
	// not be read. They have counts and shares, and no text. EscalationFeatures are
	// those of the escalation answer, with the light one as its second opinion.
	FeatureSet         string    `json:"feature_set,omitempty"`
	Features           []float32 `json:"features,omitempty"`
	EscalationFeatures []float32 `json:"escalation_features,omitempty"`

	Light      Leg  `json:"light"`
	Second     *Leg `json:"second,omitempty"` // the partner
	Escalation Leg  `json:"escalation"`

	Content *Content `json:"content,omitempty"`
}

// LightCost is the cost of the light and the partner call together.
func (p *Pair) LightCost() money.Pico {
	if p.Second == nil {
		return p.Light.Cost
	}
	return p.Light.Cost + p.Second.Cost
}

// Scored is a risk by a trained score.
type Scored struct {
	File string   `json:"file"` // score.FileHash
	Risk *float64 `json:"risk"` // nil is Never, as in Pair
}

// Leg is what one model used.
type Leg struct {
	Model  string     `json:"model"`
	Input  int64      `json:"input_tokens"`
	Output int64      `json:"output_tokens"`
	Cost   money.Pico `json:"cost_pico_usd"`
}

// Content is the text of request and answers, for training.
type Content struct {
	Prompt     string `json:"prompt"`
	Light      string `json:"light"`
	Second     string `json:"second,omitempty"`
	Escalation string `json:"escalation"`
}

// Log appends to one file per cascade under a directory. It is safe for
// concurrent use; two processes must not write one directory.
type Log struct {
	Dir string

	mu sync.Mutex // one line at a time
}

// File returns the path of a cascade's log. The name is escaped, so that it is one
// file name whatever the cascade is called.
func File(dir, cascade string) string {
	name := make([]byte, 0, len(cascade))
	for i := range len(cascade) {
		switch c := cascade[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			name = append(name, c)
		default:
			name = fmt.Appendf(name, "%%%02X", c)
		}
	}
	return filepath.Join(dir, string(name)+".jsonl")
}

// Append writes one line. Read skips a line that a crash left incomplete.
func (l *Log) Append(p *Pair) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(File(l.Dir, p.Cascade), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// sound reports whether the line is of a version that is known and every number is
// in its range.
func (p *Pair) sound() bool {
	return p.Version >= oldest && p.Version <= Version && p.Weight >= 0 &&
		(p.Judge == nil || p.Judge.valid()) && (p.Grades == nil || p.Grades.valid())
}

// maxLine bounds a line: prompt and three answers, escaped.
const maxLine = 32 << 20

// Read calls each with the pairs in the order of the log. Lines that are
// incomplete, of another version, of negative weight, or with a judge's verdict or
// grade out of range are counted as skipped.
func Read(r io.Reader, each func(*Pair) error) (skipped int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var p Pair
		if json.Unmarshal(lines.Bytes(), &p) != nil || !p.sound() {
			skipped++
			continue
		}
		if err := each(&p); err != nil {
			return skipped, err
		}
	}
	return skipped, lines.Err()
}
