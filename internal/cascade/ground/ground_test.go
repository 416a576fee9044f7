package ground_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// FuzzLook has no text break the reader, and the shares stay within their bounds.
func FuzzLook(f *testing.F) {
	for _, c := range cases(f, "cases.jsonl") {
		f.Add(c.Context, c.Question, c.Answer)
	}
	f.Add("<doc>“5 万", "3月", "“「3月 14h3")
	f.Fuzz(func(t *testing.T, context, question, answer string) {
		c := retrieval{Form: "tags", Context: context, Question: question, Answer: answer}
		op, _, body := c.request(t)
		var facts wire.Facts
		if facts.Read(op, nil, []byte(body)) != nil {
			return
		}
		got := ground.Look(ground.Read(&facts, []byte(body)), answer)
		for _, s := range []ground.Share{got.Numbers, got.Names, got.Quotes, got.Links, got.Citations, got.Words} {
			if s.Found < 0 || s.Found > s.Of {
				t.Errorf("%+v", got)
			}
		}
	})
}

// FuzzRead has no body break the reader of requests.
func FuzzRead(f *testing.F) {
	for _, c := range cases(f, "cases.jsonl") {
		_, _, body := c.request(f)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, op := range []wire.Operation{wire.OpConverse, wire.OpInvoke} {
			var facts wire.Facts
			if facts.Read(op, wire.DialectNamed("anthropic"), []byte(body)) == nil {
				ground.Look(ground.Read(&facts, []byte(body)), "It is 5 km to Bremen.")
			}
		}
	})
}

// long is a request with so much supplied text, and an answer of the other size.
func long(tb testing.TB, supplied, answer int, table bool) (facts *wire.Facts, body []byte, said string) {
	tb.Helper()
	var text, reply strings.Builder
	all := cases(tb, "cases.jsonl")
	all = slices.DeleteFunc(all, func(c retrieval) bool { return c.Lang != "en" && !table })
	for i := 0; text.Len() < supplied; i++ {
		if table {
			fmt.Fprintf(&text, "%d,%d.%02d,2024-%02d-%02d,%d%%\n", i, i*37%9973, i%100, i%12+1, i%28+1, i%100)
			continue
		}
		text.WriteString(all[i%len(all)].Context + "\n")
	}
	for i := 0; reply.Len() < answer; i++ {
		reply.WriteString(all[i*7%len(all)].Answer + " ")
	}
	c := retrieval{Form: "converse-document", Context: text.String(), Question: "How long is the warranty on the X200?"}
	op, _, raw := c.request(tb)
	facts = new(wire.Facts)
	if err := facts.Read(op, nil, []byte(raw)); err != nil {
		tb.Fatal(err)
	}
	return facts, []byte(raw), reply.String()
}

func BenchmarkLook(b *testing.B) {
	for _, size := range []struct{ supplied, answer int }{{4 << 10, 500}, {100 << 10, 8 << 10}} {
		for _, table := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dk-%d-table=%v", size.supplied>>10, size.answer, table), func(b *testing.B) {
				facts, body, answer := long(b, size.supplied, size.answer, table)
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					ground.Look(ground.Read(facts, body), answer)
				}
			})
		}
	}
}

// TestAllocations bounds what a look allocates, whatever the source has.
func TestAllocations(t *testing.T) {
	few, body, answer := long(t, 4<<10, 500, false)
	small := testing.AllocsPerRun(5, func() { ground.Look(ground.Read(few, body), answer) })
	many, large, _ := long(t, 400<<10, 500, false)
	if n := testing.AllocsPerRun(5, func() { ground.Look(ground.Read(many, large), answer) }); n > small+100 {
		t.Errorf("%v allocations for 4 KiB, %v for 400", small, n)
	}
}
