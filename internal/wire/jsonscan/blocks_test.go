package jsonscan_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// TestBlocks finds the same tokens, and the same faults at the same places, as a scan word by word,
// wherever what needs care lies in a block.
func TestBlocks(t *testing.T) {
	part := rapid.SampledFrom([]string{
		"a", "bcdefgh", strings.Repeat("plain text ", 6), `\n`, `\"`, `\\`, `\\\\\\\\\"`, `\/`,
		`\u0061`, `\ud83d\ude00`, "é", "世", "😀", `","`, "\x7f", `\t`, `", "n": "`, "\",\n\"",
	})
	wrong := rapid.SampledFrom([]string{
		"", "", "", "\n", `\x`, `\u12`, "\\\n", `\`, `"`, "\xff", "\xc2", "\xe4\xb8", "\xed\xa0\x80", "\x80",
	})
	rapid.Check(t, func(t *rapid.T) {
		half := rapid.SliceOfN(part, 0, 40)
		text := `["` + strings.Join(half.Draw(t, "before"), "") + wrong.Draw(t, "wrong") +
			strings.Join(half.Draw(t, "after"), "") + `"]`
		text = text[:len(text)-rapid.IntRange(0, 2).Draw(t, "cut")]
		var blocks, words jsonscan.Scanner
		blocks.Reset([]byte(text))
		words.Reset([]byte(text))
		words.ByWord()
		for {
			got, want := blocks.Next(), words.Next()
			if got != want || blocks.Coded() != words.Coded() {
				t.Fatalf("%q: %+v, want %+v", text, got, want)
			}
			if want.Kind == jsonscan.Invalid && *blocks.Err() != *words.Err() {
				t.Fatalf("%q: %+v, want %+v", text, blocks.Err(), words.Err())
			}
			if want.Kind == jsonscan.Invalid || want.Kind == jsonscan.End {
				return
			}
		}
	})
}
