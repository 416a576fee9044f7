package pairs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Verdict is how good the two answers of a pair are, each from 0 to 1.
type Verdict struct {
	Light      float64 `json:"light"`
	Escalation float64 `json:"escalation"`
}

// Loss is the quality given up when the light answer is served, -1 to 1.
func (v Verdict) Loss() float64 { return v.Escalation - v.Light }

func (v Verdict) valid() bool {
	return min(v.Light, v.Escalation) >= 0 && max(v.Light, v.Escalation) <= 1
}

// Won is the verdict that prefers the named answer: "light", "escalation", or "tie"
// for neither. It is nil for any other name.
func Won(winner string) *Verdict {
	v, known := winners[winner]
	if !known {
		return nil
	}
	return &v
}

// winners are the verdicts that a label may name instead of two qualities.
var winners = map[string]Verdict{"light": {1, 0}, "escalation": {0, 1}, "tie": {1, 1}}

// LabelError is an invalid line in a file of labels.
type LabelError struct {
	Line    int // from 1
	Problem string
}

func (e *LabelError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// ReadLabels reads a file of labels: a JSON object on each line, with the id of
// a pair and either "winner" (light, escalation, tie) or both "light" and
// "escalation", from 0 to 1. Empty lines are skipped. It fails with a
// *LabelError, also when an id is named twice.
func ReadLabels(r io.Reader) (map[string]Verdict, error) {
	labels := map[string]Verdict{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLabel)
	line := 0
	for lines.Scan() {
		line++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		id, verdict, err := parseLabel(lines.Bytes())
		if _, twice := labels[id]; err == nil && twice {
			err = fmt.Errorf("id %q is named twice", id)
		}
		if err != nil {
			return nil, &LabelError{line, err.Error()}
		}
		labels[id] = verdict
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, &LabelError{line + 1, "it is too long"}
	}
	return labels, lines.Err()
}

// maxLabel bounds a line of a file of labels.
const maxLabel = 64 << 10

func parseLabel(line []byte) (id string, v Verdict, err error) {
	var label struct {
		ID                string
		Winner            *string
		Light, Escalation *float64
	}
	in := json.NewDecoder(bytes.NewReader(line))
	in.DisallowUnknownFields()
	if err := in.Decode(&label); err != nil {
		return "", v, fmt.Errorf("it is no label: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return "", v, errors.New("there is more than one object")
	}
	graded := label.Light != nil && label.Escalation != nil
	switch {
	case label.ID == "":
		return "", v, errors.New("it has no id")
	case label.Winner != nil && label.Light == nil && label.Escalation == nil:
		v, known := winners[*label.Winner]
		if !known {
			return "", v, fmt.Errorf("winner is %q; it is light, escalation or tie", *label.Winner)
		}
		return label.ID, v, nil
	case label.Winner != nil || !graded:
		return "", v, errors.New("it needs winner, or light and escalation")
	}
	v = Verdict{*label.Light, *label.Escalation}
	if !v.valid() {
		return "", v, errors.New("light and escalation are from 0 to 1")
	}
	return label.ID, v, nil
}
