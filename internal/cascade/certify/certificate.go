package certify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// certificateVersion is raised when a field changes its meaning.
const certificateVersion = 2

// The roles of score files, named as the configuration names them.
const (
	RoleScore    = "score"     // ranks light answers; without it the order is score.Untrained's
	RolePreScore = "pre_score" // sends requests directly to the escalation model
)

// Binding is what a certificate is valid for. When any of it changes, the measured
// loss is no evidence any more.
type Binding struct {
	Cascade    string            `json:"cascade"`
	Models     []string          `json:"models"`      // ids of light, partner ("" for none) and escalation
	PricesHash string            `json:"prices_hash"` // of the prices of these models
	PolicyHash string            `json:"policy_hash"` // of rules, vetoes, agreement and caps
	Schemas    []string          `json:"schemas"`     // of the pairs' requests, hashed; "" is a request without one
	Scores     map[string]string `json:"scores"`      // hash per score file, by role; empty without a score
	// Rubric is the hash of the words by which a judge grades answers, Adequate the grade
	// from which on one is adequate; "" and 0 where no judge grades.
	Rubric   string `json:"rubric,omitempty"`
	Adequate int    `json:"adequate,omitempty"`
}

// Certificate is the proof that a threshold keeps the loss below a bound. Make
// one with Issue, which sorts the schemas; read one with ParseCertificate.
type Certificate struct {
	Version int `json:"version"`
	Binding
	Threshold float64   `json:"threshold"`
	Steps     []float64 `json:"steps"` // certified thresholds from conservative to Threshold, to step back to
	N         int       `json:"n"`
	MaxLoss   float64   `json:"max_loss"`
	Bound     float64   `json:"bound"`
	Delta     float64   `json:"delta"`
	Test      string    `json:"test"`
	Saving    float64   `json:"saving"`
	Created   time.Time `json:"created"`
	Hash      string    `json:"hash"` // of the contents without it
	// Labels are the pairs by who labelled them: human, judge, keys.
	Labels map[string]int `json:"labels,omitempty"`
	// Routes are those with enough pairs to tell whether their requests become others,
	// ascending.
	Routes []Traffic `json:"routes,omitempty"`
}

// Issue makes the certificate of a report of Calibrate that certified.
func Issue(r *Report, o Options, b Binding, created time.Time) *Certificate {
	if r.Certified < 0 {
		panic("BUG: a certificate for nothing certified")
	}
	at := r.Curve[r.Certified]
	b.Schemas = slices.Compact(slices.Sorted(slices.Values(b.Schemas)))
	c := &Certificate{
		Version: certificateVersion, Binding: b, Threshold: at.Threshold, N: r.N, MaxLoss: o.MaxLoss, Bound: r.Bound,
		Delta: o.Delta, Test: r.Test, Saving: at.Saving, Created: created.UTC().Truncate(time.Second),
	}
	c.Labels, c.Routes = o.Labels, o.Routes
	for i, p := range r.Curve[:r.Certified+1] {
		if p.Saving > 0 || i == r.Certified { // a step that saves nothing is worse than none
			c.Steps = append(c.Steps, p.Threshold)
		}
	}
	c.Hash = c.digest()
	return c
}

// digest hashes the contents without the hash. Maps are written in sorted
// order, so the same contents give the same bytes.
func (c *Certificate) digest() string {
	bare := *c
	bare.Hash = ""
	data, err := json.Marshal(&bare)
	if err != nil {
		panic("BUG: a certificate does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Encode writes the certificate as JSON.
func (c *Certificate) Encode() []byte {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic("BUG: a certificate does not marshal: " + err.Error())
	}
	return append(data, '\n')
}

// ParseCertificate reads what Encode wrote. A changed byte of the contents is
// a *Void with Reason "contents".
func ParseCertificate(data []byte) (*Certificate, error) {
	var c Certificate
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if c.Version != certificateVersion {
		return nil, &Void{Reason: "version", Was: fmt.Sprint(c.Version), Is: fmt.Sprint(certificateVersion)}
	}
	if c.Hash != c.digest() {
		return nil, &Void{Reason: "contents", Was: c.Hash, Is: c.digest()}
	}
	if !c.sound() {
		return nil, errors.New("certificate: it does not say whole how long the requests of its routes were")
	}
	return &c, nil
}

// Void is why a certificate is not valid any more.
type Void struct {
	Reason string // version, contents, pairs, target, cascade, models, prices, policy, rubric, adequate grade or scores
	Was    string
	Is     string
}

func (e *Void) Error() string {
	return fmt.Sprintf("certificate is void: %s changed from %q to %q", e.Reason, e.Was, e.Is)
}

// Covers reports whether the pairs had requests with this response schema. A schema
// that none of them had is not certified.
func (c *Certificate) Covers(schema string) bool {
	_, known := slices.BinarySearch(c.Schemas, schema)
	return known
}

// Valid reports whether the certificate is valid for what is configured now. The
// schemas are checked with each request: see Covers. The error is a *Void.
func (c *Certificate) Valid(now Binding) error {
	if need := MinPairs(c.MaxLoss, c.Delta); c.N < need {
		return &Void{"pairs", fmt.Sprint(c.N), fmt.Sprintf("at least %d", need)}
	}
	if c.Bound > c.MaxLoss+1e-9 {
		return &Void{"target", fmt.Sprint(c.Bound), fmt.Sprint(c.MaxLoss)}
	}
	if !slices.Equal(c.Models, now.Models) {
		return &Void{"models", strings.Join(c.Models, " "), strings.Join(now.Models, " ")}
	}
	for _, f := range [...]struct{ reason, was, is string }{
		{"cascade", c.Cascade, now.Cascade},
		{"prices", c.PricesHash, now.PricesHash},
		{"policy", c.PolicyHash, now.PolicyHash},
		{"rubric", c.Rubric, now.Rubric},
		{"adequate grade", fmt.Sprint(c.Adequate), fmt.Sprint(now.Adequate)},
	} {
		if f.was != f.is {
			return &Void{f.reason, f.was, f.is}
		}
	}
	if !maps.Equal(c.Scores, now.Scores) {
		return &Void{"scores", fmt.Sprint(c.Scores), fmt.Sprint(now.Scores)}
	}
	return nil
}
