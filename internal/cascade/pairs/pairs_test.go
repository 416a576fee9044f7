package pairs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLog(t *testing.T) {
	l := Log{Dir: filepath.Join(t.TempDir(), "pairs")}
	risk := 0.5
	want := []*Pair{
		{
			Version: Version, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), ID: "a", Cascade: "../x y", Risk: &risk,
			Label: "same", Light: Leg{Model: "m", Input: 1, Output: 2, Cost: 1 << 60},
		},
		{
			Version: Version, ID: "b", Cascade: "../x y", Second: &Leg{Model: "p"}, Weight: 2.5,
			Content: &Content{Prompt: "line\nline"}, FeatureSet: "f1", Features: []float32{0, 1.5},
			Grades: &Grades{Judge: "j", Rubric: "r", Reading: Reading{4, 9}, Again: &Reading{5, 9}, Cost: 7},
		},
		{Version: oldest, ID: "c", Cascade: "../x y"},
	}
	for _, p := range want {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(l.Dir, "*"))
	if err != nil || len(files) != 1 || files[0] != File(l.Dir, "../x y") {
		t.Fatalf("%v %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, `{"v":99}`+"\n"+`{"v":2,"weight":-1}`+"\n"+`{"v":3,"grades":{"light":5,"escalation":11}}`+"\n"+`{"v":1,"ti`...)
	var got []*Pair
	skipped, err := Read(bytes.NewReader(data), func(p *Pair) error { got = append(got, p); return nil })
	if diff := cmp.Diff(want, got); diff != "" || skipped != 4 || err != nil {
		t.Errorf("skipped %d, %v: %s", skipped, err, diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"v":1,"risk":0.5,"light":{"cost_pico_usd":3}}`)
	f.Add("{\"v\":1}\n{")
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		skipped, err := Read(strings.NewReader(s), func(p *Pair) error { n++; return nil })
		if err == nil && n+skipped > strings.Count(s, "\n")+1 {
			t.Errorf("%d pairs and %d skipped in %q", n, skipped, s)
		}
	})
}
