package estimate

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestQuantileHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		var ratios []int64
		n := rapid.IntRange(enough, 3*window).Draw(t, "answers")
		seed := rapid.Int64Range(1, 1<<30).Draw(t, "seed")
		for range n {
			seed = (seed*1_103_515_245 + 12_345) & (1<<31 - 1)
			billed := 500 + seed%1500
			table.Observe("m", "d", 1000, billed)
			ratios = append(ratios, billed)
		}
		got := table.Likely("m", "d", 1000, 1<<40)
		// The calibration is of the last multiple of every, or of the first hundred.
		at := max(enough, n/every*every)
		last := slices.Clone(ratios[max(0, at-window):at])
		slices.Sort(last)
		above := 0
		for _, r := range last {
			if r > got {
				above++
			}
		}
		if above*100 > len(last) {
			t.Fatalf("%d of %d answers are above %d", above, len(last), got)
		}
		if !slices.Contains(last, got) {
			t.Fatalf("%d is none of the ratios", got)
		}
	})
}

func TestUntilThereIsEnough(t *testing.T) {
	var table Table
	for i := range enough {
		if got := table.Likely("m", "", 100, 5000); got != 5000 {
			t.Fatalf("after %d answers: %d, want the bound", i, got)
		}
		table.Observe("m", "", 100, 130)
	}
	if got := table.Likely("m", "", 200, 5000); got != 260 {
		t.Errorf("got %d, want 260", got)
	}
	if got := table.Likely("m", "", 200, 220); got != 220 {
		t.Errorf("above the bound: %d", got)
	}
	if got := table.Likely("other", "", 200, 999); got != 999 {
		t.Errorf("another model: %d", got)
	}
}

func TestModelsAreBounded(t *testing.T) {
	var table Table
	for i := range maxModels + 50 {
		table.Observe(strings.Repeat("m", i+1), "", 1, 1)
	}
	if n := len(table.models); n != maxModels {
		t.Errorf("%d models", n)
	}
}

func TestBound(t *testing.T) {
	f := func(body string, context, want int64, proven bool) {
		t.Helper()
		var facts wire.Facts
		if err := facts.Read(wire.OpConverse, nil, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got, ok := Bound(&facts, context); got != want || ok != proven {
			t.Errorf("%s: %d %v, want %d %v", body, got, ok, want, proven)
		}
		if int64(facts.InputTokens) > want {
			t.Errorf("%s: the estimate %d is above the bound", body, facts.InputTokens)
		}
	}
	text := `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	f(text, 0, int64(len(text))+32+1024, true)
	f(text, 200_000, int64(len(text))+32+1024, true)
	f(text, 500, 500, true)
	image := `{"messages":[{"role":"user","content":[{"image":{"source":{"bytes":"` + strings.Repeat("A", 50_000) + `"}}}]}]}`
	f(image, 0, int64(len(image)-len(`{"source":{"bytes":""}}`)-50_000)+8192+32+1024, true)
	document := `{"messages":[{"role":"user","content":[{"document":{"format":"pdf","source":{"bytes":"AAAA"}}}]}]}`
	f(document, 200_000, 200_000, true)
	f(document, 0, int64(len(document)-4)+32+1024+3004, false)
}

func FuzzBound(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`))
	f.Add([]byte(`{"system":[{"text":"x"}],"toolConfig":{"tools":[{"toolSpec":{"name":"a"}}]},"messages":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var facts wire.Facts
		if facts.Read(wire.OpConverse, nil, body) != nil {
			return
		}
		if n, proven := Bound(&facts, 0); proven && n < int64(facts.TextBytes) {
			t.Errorf("%d bytes of text, bound %d", facts.TextBytes, n)
		}
	})
}
