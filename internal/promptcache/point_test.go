package promptcache

import (
	"cmp"
	"hash/maphash"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// pointed is a body with a point behind the longest prefix that can have one, "" without one.
func pointed(t *testing.T, op wire.Operation, body string, ttl time.Duration) string {
	t.Helper()
	f := &wire.Facts{}
	var d *wire.Dialect
	if op.IsInvoke() {
		d = wire.DialectNamed("anthropic")
	}
	if err := f.Read(op, d, []byte(body)); err != nil {
		t.Fatal(err)
	}
	var e ends
	e.read(new(maphash.Hash), f, []byte(body))
	for i := e.n - 1; i >= 0; i-- {
		if tail, ok := tailOf([]byte(body), &e.all[i]); ok && formOf(f).takes(&tail) {
			return string(wire.ApplySplices(nil, []byte(body), formOf(f).splice(nil, &tail, ttl)))
		}
	}
	return ""
}

// TestPointsAreSpliced has in each body, by a mark, where the texts belong that are put in.
func TestPointsAreSpliced(t *testing.T) {
	const (
		short, long = 5 * time.Minute, time.Hour
		block       = `,{"cachePoint":{"type":"default"}}`
		member      = `,"cache_control":{"type":"ephemeral"}`
		begin       = `[{"type":"text","text":`
		thought     = `{"role":"assistant","content":[{"type":"thinking","thinking":"x"}]}`
		reasoned    = `{"role":"assistant","content":[{"reasoningContent":{"x":1}}]}`
	)
	for _, c := range []struct {
		op   wire.Operation
		ttl  time.Duration
		body string
		puts []string
	}{
		{wire.OpConverse, short, `{"messages":[{"role":"user","content":[{"text":"a"} ‸] }]}`, []string{block}},
		{wire.OpConverse, long, `{"messages":[{"content":[{"toolResult":{"content":[{"text":""}]}}‸],"role":"user"}]}`,
			[]string{`,{"cachePoint":{"type":"default","ttl":"1h"}}`}},
		{wire.OpConverse, short, `{"system":[{"text":"s"}‸],"messages":[` + reasoned + `]}`, []string{block}},
		{wire.OpConverse, short, `{"toolConfig":{"tools":[{"toolSpec":{"name":"f"}}‸]},"messages":[]}`, []string{block}},
		{wire.OpConverse, short, `{"system":[],"messages":[{"role":"user","content":[{"text":""}]}]}`, nil},
		{wire.OpInvoke, short, `{"messages":[{"role":"user","content":‸"say \"hi\""‸}]}`, []string{begin, member + "}]"}},
		{wire.OpInvoke, long, `{"messages":[{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"‸} ]}]}`,
			[]string{`,"cache_control":{"type":"ephemeral","ttl":"1h"}`}},
		{wire.OpInvoke, short, `{"system":‸"be kind"‸,"messages":[` + thought + `]}`, []string{begin, member + "}]"}},
		{wire.OpMessages, short, `{"model":"m","tools":[{"name":"f","input_schema":{}‸}],"messages":[{"content":""}]}`,
			[]string{member}},
		{wire.OpInvoke, short, `{"tools":[{"name":"f","defer_loading":true}],"messages":[]}`, nil},
	} {
		want := ""
		for _, put := range c.puts {
			before, after, _ := strings.Cut(c.body, "‸")
			c.body, want = before+after, cmp.Or(want, c.body)
			want = strings.Replace(want, "‸", put, 1)
		}
		if got := pointed(t, c.op, c.body, c.ttl); got != want {
			t.Errorf("%s\n got %s\nwant %s", c.body, got, want)
		}
	}
}

func TestDifferences(t *testing.T) {
	const rest = " is the time, and these are the rules of the house, which nobody may break or bend: " +
		"be kind, be brief, be right"
	for _, c := range []struct {
		a, b   string
		offset int
		kind   string
	}{
		{`"2026-11-29T10:00:00Z` + rest, `"2026-11-29T10:00:01Z` + rest, 1, "timestamp"},
		{`"At 09:59:59` + rest, `"At 10:00:00` + rest, 4, "timestamp"},
		{`"At 1764410400` + rest, `"At 1764410401` + rest, 4, "timestamp"},
		{`"[6ba7b810-9dad-11d1-80b4-00c04fd430c8]` + rest, `"[6ba7b811-9dad-11d1-80b4-00c04fd430c8]` + rest, 2, "uuid"},
		{`"No. 7` + rest, `"No. 12` + rest, 5, "number"},
		{`"For Ann` + rest, `"For Bob` + rest, 5, "other"},
		{`"` + rest + rest, `"` + rest + rest, 0, ""},
		{`"Quite another prompt` + rest[50:], `"And one more` + rest, 0, ""},
	} {
		offset, kind, near := difference([]byte(c.a), []byte(c.b))
		if offset != c.offset || kind != c.kind || near != (kind != "") {
			t.Errorf("%.40s: %d %q %v, want %d %q", c.b, offset, kind, near, c.offset, c.kind)
		}
	}
}
