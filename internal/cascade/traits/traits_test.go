package traits

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
)

func of(prompt, light string) Row { return Of(Ask(prompt), light, nil) }

// TestMisses has what requests of many kinds ask for, each with an answer that has it and
// one that does not.
func TestMisses(t *testing.T) {
	const (
		list  = "Here you are.\n- red\n- green\n- blue\n"
		prose = "Red, green and blue are the colours that you could take for it."
		table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
		fence = "Use this.\n```go\nfunc main() {}\n```\n"
		es    = "El informe es muy largo, pero para este caso hay una versión corta que se puede leer por la mañana."
		de    = "Der Bericht ist nicht kurz, aber für den Leser und die Leserin wird eine kurze Fassung auch noch gedruckt."
		en    = "The report is long, but there is a short version of it that you can read in the morning with this."
		zh    = "这份报告很长，不过有一个简短的版本，早上可以读完。"
	)
	five := strings.Repeat("1. an idea\n", 5)
	f := func(feature int, prompt, has, lacks string) {
		t.Helper()
		good, bad := of(prompt, has)[feature], of(prompt, lacks)[feature]
		if good >= bad {
			t.Errorf("%q: %v for %q, %v for %q", prompt, good, has, bad, lacks)
		}
		if neutral := of("", lacks)[feature]; neutral != 0 {
			t.Errorf("%q without a request: %v", lacks, neutral)
		}
	}
	f(missesList, "Give me a bullet list of colours", list, prose)
	f(missesList, "Haz una lista de colores", list, prose)
	f(missesList, "Erstelle eine Liste der Farben", list, prose)
	f(missesTable, "Show it as a table.", table, list)
	f(missesTable, "Présente-le dans un tableau", table, prose)
	f(missesCode, "Write a Python function that adds", fence, prose)
	f(missesJSON, "Reply in JSON only", `{"a": 1}`, prose)
	f(missesJSON, "Reply in JSON only", "```json\n[1]\n```", prose)
	f(missesItems, "Give me five ideas for a name", five, list)
	f(missesItems, "Give me 5 short examples", five, strings.Repeat("- one\n", 12))
	f(missesItems, "Dame cinco ejemplos", five, prose)
	f(missesItems, "Nenne drei Gründe", list, five+five)
	f(missesWords, "Explain it in 20 words", strings.Repeat("word ", 21), strings.Repeat("word ", 200))
	f(missesWords, "Explain it in two sentences", strings.Repeat("word ", 30), strings.Repeat("word ", 400))
	f(missesAnswers, "Answer these:\n1. Who?\n2. When?\n3. Where?\n4. Why?", "1. A.\n2. B.\n3. C.\n4. D.", prose)
	f(missesLanguage, es, es, en)
	f(missesLanguage, en, en, de)
	f(missesLanguage, en+" Answer in German.", de, en)
	f(missesLanguage, "Translate this into Spanish: "+en, es, en)
	f(missesLanguage, zh, zh, en)
	f(missesLanguage, es+" Responde en inglés.", en, es)
}

// TestInstructionsOfLongRequests stand before or behind what they are about.
func TestInstructionsOfLongRequests(t *testing.T) {
	text := strings.Repeat("The colours of the year were chosen by readers. ", 200)
	for what, prompt := range map[string]string{
		"before": "Make a table of this.\n" + text, "behind": text + "\nMake a table of this.",
	} {
		if !Ask(prompt).table {
			t.Errorf("%s: no table", what)
		}
	}
	if a := Ask(text + "Answer with a table." + text); a.table {
		t.Error("the text itself asks for a table")
	}
}

// TestLight counts what answers look like.
func TestLight(t *testing.T) {
	f := func(feature int, more, less string) {
		t.Helper()
		if a, b := of("", more)[feature], of("", less)[feature]; a <= b {
			t.Errorf("feature %d: %v for %q, %v for %q", feature, a, more, b, less)
		}
	}
	f(lightBytes, "more than that", "that")
	f(lightRepeats, strings.Repeat("one and the same ", 9), "none of these words was said before in this text here")
	f(lightDistinct, "none of these words was said before", strings.Repeat("one and the same ", 9))
	f(lightBullets, "- a\n* b\n+ c", "a\nb\nc")
	f(lightItems, "1. a\n2) b", "a\nb")
	f(lightHeadings, "# a\ntext\n**b**\n", "a\ntext")
	f(lightCode, "```\n# no heading\n```", "# a heading")
	f(lightRows, "|a|\n|b|", "a\nb")
	f(lightNumbers, "from 3 to 1,000.5 by 7", "from three")
	f(lightNames, "we met Anna and Boris there", "we met there. Nobody")
	f(lightForeign, "über Größe", "size")
	f(lightStop, "it ends.", "it does not end")
	f(lightStop, "它结束了。", "它没有")
	f(lightAsk, "does it?", "it does.")
	f(lightOpen, "the next are:", "the next are.")
	f(lightOpenFence, "```\ncode", "```\ncode\n```")
	f(lightStartsSorry, "I'm sorry, there is none.", "There is none in this house, sorry.")
	f(lightStartsOpen, "Sure! It is.", "It is.")
	f(lightCues+int(cueRefuse), "we are unable to say", "we are able to say")
	f(lightCues+int(cueOmit), "// add your code here, your code here", "code")
	if h := of("", "```\n# code\n- x\n```")[lightHeadings]; h != 0 {
		t.Errorf("code has %v headings", h)
	}
}

// TestBeside compares with a second opinion.
func TestBeside(t *testing.T) {
	const light = "The order of Anna Smith was sent on 3 May and will arrive in two days."
	row := func(second string) Row { return Of(Ask(""), light, &second) }
	near := row("The order of Anna Smith was sent on 3 May; it arrives tomorrow.")
	far := row("We have no such parcel, number 77, Berlin.")
	for _, feature := range []int{pairRuns, pairRuns + 1, pairRuns + 2, pairNumbers, pairNames, pairContained} {
		if near[feature] <= far[feature] {
			t.Errorf("feature %d: %v for a like answer, %v for another", feature, near[feature], far[feature])
		}
	}
	same := row(light)
	if same[PairThere] != 1 || same[pairLonger] != 0 || same[pairContained] != 1 {
		t.Errorf("beside itself: %v", same[PairThere:askedBytes])
	}
	if same.Alone() != of("", light) {
		t.Error("without the second opinion it is another answer")
	}
}

// TestSetIsNamed holds the features of some texts. Where they change, scores and logs of
// before are of no use: raise Set.
func TestSetIsNamed(t *testing.T) {
	const want = "traits-1 65 7dcd"
	h := fnv.New32a()
	second := "Ja, es sind 3,5 Meter.\n| a | b |\n1. x\n\nLet me know!"
	mixed := strings.Repeat("中文 and English. ", 40)
	for _, text := range []string{"", "Sure: I'm sorry, Mr. Bean owes $1,000.50 — très bien?\n```\nx", mixed} {
		for _, prompt := range []string{"", "List 3 ideas in French.\n1. a?\n2. b?"} {
			fmt.Fprintf(h, "%.5v", Of(Ask(prompt), text, &second))
		}
	}
	if got := fmt.Sprintf("%s %d %04x", Set, Count, h.Sum32()&0xffff); got != want {
		t.Errorf("the features are %q, were %q", got, want)
	}
}

// TestLongTexts reads the start and the end of what is too long.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("word ", scanned)
	x := of("", "- first\n"+long+"\n- last")
	if x[lightBullets] != logOf(2) || x[lightBytes] != logOf(len(long)+len("- first\n\n- last")) {
		t.Errorf("%v bullets of %v bytes", x[lightBullets], x[lightBytes])
	}
}

func FuzzOf(f *testing.F) {
	f.Add("ask 3 ideas", "- a\n1. b\x80", "```")
	f.Add("", "1.", "|")
	f.Fuzz(func(t *testing.T, prompt, light, second string) {
		for i, v := range Of(Ask(prompt), light, &second) {
			if v != v || v > 1e6 || v < -1e6 {
				t.Errorf("feature %d is %v", i, v)
			}
		}
	})
}

func BenchmarkOf(b *testing.B) {
	a := strings.Repeat("The order of Anna Smith was sent on 3 May. ", 190)
	c := strings.Repeat("It arrives on Monday, they say, at 9. ", 215)
	asked := Ask(a)
	b.ReportAllocs()
	for b.Loop() {
		Of(asked, a, &c)
	}
}
