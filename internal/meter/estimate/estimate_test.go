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

// TestWrites: a model counts as one without output as long as all its answers are
// embeddings, and those that nobody has room for never do.
func TestWrites(t *testing.T) {
	var table Table
	want := func(model string, want bool) {
		t.Helper()
		if got := table.Writes(model); got != want {
			t.Errorf("%s: %v", model, got)
		}
	}
	want("m", true)
	table.ObserveWriting("m", false)
	want("m", false)
	table.ObserveWriting("m", true)
	table.ObserveWriting("m", false)
	want("m", true)
	for i := range maxModels + 50 {
		table.ObserveWriting(strings.Repeat("x", i+1), false)
	}
	want("x", false)
	want(strings.Repeat("x", maxModels+50), true)
	if n := len(table.writes); n != maxModels {
		t.Errorf("%d models", n)
	}
}

func TestBound(t *testing.T) {
	f := func(body string, m Model, want int64, proven bool) {
		t.Helper()
		var facts wire.Facts
		if err := facts.Read(wire.OpConverse, nil, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got, ok := Bound(&facts, m); got != want || ok != proven {
			t.Errorf("%s: %d %v, want %d %v", body, got, ok, want, proven)
		}
		if int64(facts.InputTokens) > want {
			t.Errorf("%s: the estimate %d is above the bound", body, facts.InputTokens)
		}
	}
	text := `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	f(text, Model{}, int64(len(text))+32+1024, true)
	f(text, Model{Context: 200_000}, int64(len(text))+32+1024, true)
	f(text, Model{Context: 500}, 500, true)
	tools := `{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"a"}},{"toolSpec":{"name":"b"}}]}}`
	f(tools, Model{}, int64(len(tools))+2*64+1024+3072, true)
	image := `{"messages":[{"role":"user","content":[{"image":{"source":{"bytes":"` + strings.Repeat("A", 50_000) +
		`"}}}]}]}`
	around := int64(len(image)-len(`{"source":{"bytes":""}}`)-50_000) + 32 + 1024
	f(image, Model{Dialect: "anthropic"}, around+4784, true)
	f(image, Model{Dialect: "llama"}, around+6404, true)
	f(image, Model{Dialect: "mistral"}, around+4160, true)
	f(image, Model{Dialect: "openai-compatible"}, around+16386, true)
	f(image, Model{Dialect: "nova", Context: 300_000}, around+128_000, true)
	f(image, Model{}, around+128_000, true)
	document := `{"messages":[{"role":"user","content":[{"document":{"format":"pdf","source":{"bytes":"AAAA"}}}]}]}`
	f(document, Model{Context: 200_000}, 200_000, true)
	f(document, Model{}, int64(len(document)-4)+32+1024+3004, false)
}

// TestImagesOfABodyTell: the dialect of the body is that of a model that nobody
// has listed.
func TestImagesOfABodyTell(t *testing.T) {
	var facts wire.Facts
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]}]}`
	if err := facts.Read(wire.OpInvoke, wire.DialectNamed("anthropic"), []byte(body)); err != nil {
		t.Fatal(err)
	}
	if n, ok := Bound(&facts, Model{}); facts.Images != 1 || !ok || n > int64(len(body))+32+1024+4784 {
		t.Errorf("%d images, bound %d, proven %v", facts.Images, n, ok)
	}
}

// TestEveryDialectOfImagesExists: a name that no dialect has would never be
// looked up.
func TestEveryDialectOfImagesExists(t *testing.T) {
	for name := range perImage {
		if wire.DialectNamed(name) == nil {
			t.Errorf("there is no dialect %s", name)
		}
	}
}

func FuzzBound(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`))
	f.Add([]byte(`{"system":[{"text":"x"}],"toolConfig":{"tools":[{"toolSpec":{"name":"a"}}]},"messages":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var facts wire.Facts
		if facts.Read(wire.OpConverse, nil, body) != nil {
			return
		}
		if n, proven := Bound(&facts, Model{}); proven && n < int64(facts.TextBytes) {
			t.Errorf("%d bytes of text, bound %d", facts.TextBytes, n)
		}
	})
}
