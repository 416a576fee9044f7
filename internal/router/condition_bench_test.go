package router

import (
	"strings"
	"testing"
	"time"
)

func BenchmarkCondition(b *testing.B) {
	text := strings.Repeat("the quick brown fox jumps over it. ", 56) // 1.95 KB
	in := &Input{
		Asked: "auto", Now: time.Unix(0, 0),
	}
	in.says(`{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]}`)
	for name, source := range map[string]string{
		"model":   `request.model == "auto"`,
		"number":  `request.input_tokens > 3000`,
		"numbers": `request.input_tokens > 3000 || request.tools > 2 || request.turns > 8`,
		"text":    `request.input_tokens > 3000 || request.text.contains("prove") || request.tools > 2`,
	} {
		cond, problems := newConditions().compile("x", "x", source)
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v := &view{in: in}
				if matched, err := cond.eval(v); err != nil || matched != (name == "model") {
					b.Fatal(matched, err)
				}
			}
		})
	}
}
