package pairs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadLabels(t *testing.T) {
	got, err := ReadLabels(strings.NewReader(`{"id":"a","winner":"light"}

{"id":"b","winner":"escalation"}
{"id":"c","winner":"tie"}
  {"id":"d","light":0.25,"escalation":1}`))
	want := map[string]Verdict{"a": {1, 0}, "b": {0, 1}, "c": {1, 1}, "d": {0.25, 1}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if loss := got["d"].Loss(); loss != 0.75 {
		t.Errorf("loss %g", loss)
	}
	f := func(second, problem string) {
		t.Helper()
		_, err := ReadLabels(strings.NewReader(`{"id":"a","winner":"tie"}` + "\n" + second + "\n"))
		var bad *LabelError
		if !errors.As(err, &bad) || bad.Line != 2 || !strings.Contains(bad.Problem, problem) {
			t.Errorf("%s: %v, want %q", second, err, problem)
		}
	}
	f(`{"id":"a","winner":"tie"}`, "twice")
	f(`{"id":"b","winner":"partner"}`, `"partner"`)
	f(`{"winner":"tie"}`, "no id")
	f(`{"id":"b"}`, "needs winner")
	f(`{"id":"b","light":1}`, "needs winner")
	f(`{"id":"b","light":1,"escalation":1,"winner":"tie"}`, "needs winner")
	f(`{"id":"b","light":1.5,"escalation":1}`, "from 0 to 1")
	f(`{"id":"b","light":0,"escalation":-0.1}`, "from 0 to 1")
	f(`{"id":"b","winer":"tie"}`, "no label")
	f(`{"id":"b","winner":"tie"}{"id":"c","winner":"tie"}`, "more than one")
	f(`b,tie`, "no label")
	f(`{"id":"`+strings.Repeat("b", maxLabel)+`"}`, "too long")
}

// FuzzReadLabels takes nothing but verdicts from 0 to 1.
func FuzzReadLabels(f *testing.F) {
	f.Add(`{"id":"a","winner":"light"}` + "\n" + `{"id":"d","light":0.25,"escalation":1}`)
	f.Add(`{"id":"a","light":NaN,"escalation":1e999}`)
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := ReadLabels(strings.NewReader(text))
		if err != nil && len(labels) > 0 {
			t.Errorf("%v with %v", err, labels)
		}
		for id, v := range labels {
			if id == "" || !(v.Light >= 0 && v.Light <= 1 && v.Escalation >= 0 && v.Escalation <= 1) {
				t.Errorf("%q %+v", id, v)
			}
		}
	})
}
