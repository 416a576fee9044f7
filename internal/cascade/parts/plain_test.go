package parts

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPlainIsDecoded reads bodies that are nearly what the readers of plain ones know, and
// finds what the decoder finds, or leaves them to it.
func TestPlainIsDecoded(t *testing.T) {
	values := []string{
		`"text"`, `""`, `"two\nlines \"quoted\" \u00e9 \ud83d"`, `null`, `7`, `true`, `[]`, `{}`, `[{}]`, `[{"text":"in"}]`,
		`{"type":"object","properties":{"a":{"type":"string"}}}`, "\"\xff\"",
	}
	names := []string{
		"output", "message", "content", "text", "stopReason", "role", "usage", "toolUse", "reasoningContent", "Text",
		"MESSAGE", "stop\\u0052eason", "toolSpec", "name", "inputSchema", "json", "description", "cachePoint", "Name",
	}
	answers, lists := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		value := func() string { return rapid.SampledFrom(values).Draw(t, "value") }
		extra := func() string {
			switch rapid.IntRange(0, 15).Draw(t, "extra") {
			case 0:
				return `,"` + rapid.SampledFrom(names).Draw(t, "name") + `":` + value()
			case 1:
				return ` , "usage" : {"inputTokens":1}`
			}
			return ""
		}
		text := func() string {
			if rapid.IntRange(0, 9).Draw(t, "string") > 0 {
				return rapid.SampledFrom(values[:3]).Draw(t, "text")
			}
			return value()
		}
		body := `{"output":{"message":{"role":"assistant","content":[{"text":` + text() + extra() + `},{"text":` + text() +
			`}]` + extra() + `}` + extra() + `},"stopReason":` + text() + extra() + `}`
		cut := body[:len(body)-rapid.SampledFrom([]int{0, 0, 0, 1, 20}).Draw(t, "cut")]
		if got := plainAnswer([]byte(cut)); got != nil {
			answers++
			if diff := cmp.Diff(decodedAnswer([]byte(cut)), got); diff != "" {
				t.Fatalf("%s: %s", cut, diff)
			}
		}
		tool := func() string {
			return `{"toolSpec":{"name":` + text() + extra() + `,"inputSchema":{"json":` +
				rapid.SampledFrom(append(values, values[10], values[10], `{"a":[ 1 , 2 ]}`)).Draw(t, "schema") + extra() + `}}` +
				extra() + `}`
		}
		list := `[` + tool() + `,` + tool() + `]`
		if got, ok := plainTools([]byte(list)); ok {
			lists++
			if diff := cmp.Diff(decodedTools([]byte(list)), got); diff != "" {
				t.Fatalf("%s: %s", list, diff)
			}
		}
	})
	t.Logf("%d answers and %d lists were plain", answers, lists)
}

// TestPlainAllocates little: the answer, its texts and why it ended.
func TestPlainAllocates(t *testing.T) {
	text, _ := json.Marshal(strings.Repeat("Three \"risks\" stand out.\n", 40)) //nolint:errchkjson // a string
	body := []byte(`{"metrics":{"latencyMs":812},"output":{"message":{"role":"assistant","content":[{"text":` +
		string(text) + `}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2}}`)
	if diff := cmp.Diff(decodedAnswer(body), plainAnswer(body)); diff != "" {
		t.Fatal(diff)
	}
	if n := testing.AllocsPerRun(100, func() { plainAnswer(body) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
	list := []byte(`[{"toolSpec":{"name":"look","description":"d","inputSchema":{"json":{"type":"object"}}}}]`)
	if n := testing.AllocsPerRun(100, func() { plainTools(list) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}
