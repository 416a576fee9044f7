package guardrail_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/guardrail"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const config = `"guardrailConfig":{"guardrailVersion":"1","guardrailIdentifier":"gr\u0061bc"}`

// spliced is what a body of Converse becomes, with its turn.
func spliced(t testing.TB, body string) (string, guardrail.Turn) {
	t.Helper()
	var f wire.Facts
	if err := f.Read(wire.OpConverse, nil, []byte(body)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	turn := guardrail.Of(&f, []byte(body))
	return string(wire.ApplySplices(nil, []byte(body), turn.Splices)), turn
}

// TestTheNewTurnIsGuarded has the last thing that the user said put into guardContent, and
// nothing where that cannot be told apart.
func TestTheNewTurnIsGuarded(t *testing.T) {
	const (
		asked    = `{"role":"user","content":[{"text":"one"}]}`
		answered = `{"role":"assistant","content":[{"text":"two"}]}`
		called   = `{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"n","input":{"text":"x"}}}]}`
		returned = `{"toolResult":{"toolUseId":"1","content":[{"text":"r"}]}}`
		result   = `{"role":"user","content":[` + returned + `]}`
		document = `{"document":{"format":"txt","name":"d","source":{"bytes":"AA=="}}}`
		inS3     = `{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/k"}}}}`
		point    = `{"cachePoint":{"type":"default"}}`
		gif      = `{"image":{"format":"gif","source":{"bytes":"AA=="}}}`
		png      = `{"image":{"format":"png","source":{"bytes":"AA=="}}}`
	)
	user := func(blocks string) string { return `{"role":"user","content":[` + blocks + `]}` }
	of := func(messages ...string) string {
		return `{"messages":[` + strings.Join(messages, ",") + `],` + config + `}`
	}
	guarded := func(block string) string { return `{"guardContent":` + block + `}` }
	for name, c := range map[string]struct{ body, want string }{
		"a second question": {of(asked, answered, user(`{"text":"three"}`)),
			of(asked, answered, user(guarded(`{"text":{"text":"three"}}`)))},
		"two texts and a cache point": {of(asked, answered, user(`{"text":"a\"}"}, {"text":"b"},`+point)),
			of(asked, answered, user(guarded(`{"text":{"text":"a\"}"}}`)+`, `+guarded(`{"text":{"text":"b"}}`)+
				`,`+point))},
		"a picture": {of(asked, answered, user(png+`,{"text":"b"}`)),
			of(asked, answered, user(guarded(png)+`,`+guarded(`{"text":{"text":"b"}}`)))},
		"results of tools behind it": {of(asked, answered, user(`{"text":"three"}`), called, result),
			of(asked, answered, user(guarded(`{"text":{"text":"three"}}`)), called, result)},
		"a result of a tool beside it": {of(asked, called, user(returned+`,{"text":"t"}`)),
			of(asked, called, user(returned+`,`+guarded(`{"text":{"text":"t"}}`)))},
		"the role behind the content": {of(asked, answered, `{"content":[{"text":"x"}],"role":"user"}`),
			of(asked, answered, `{"content":[`+guarded(`{"text":{"text":"x"}}`)+`],"role":"user"}`)},
		"a begun answer behind it": {of(asked, answered, user(`{"text":"x"}`), answered),
			of(asked, answered, user(guarded(`{"text":{"text":"x"}}`)), answered)},
		"members with escapes": {of(asked, answered, user(`{"\u0074ext":"x"}`)),
			of(asked, answered, user(guarded(`{"text":{"\u0074ext":"x"}}`)))},

		"nothing before it":         {of(asked), ""},
		"only calls of tools":       {of(asked, called, result), ""},
		"no guardrail":              {`{"messages":[` + asked + `,` + answered + `,` + asked + `]}`, ""},
		"the caller says it":        {of(user(guarded(`{"text":{"text":"x"}}`)), answered, asked), ""},
		"said with an escape":       {of(user(`{"guard\u0043ontent":{"text":{"text":"x"}}}`), answered, asked), ""},
		"a document in it":          {of(asked, answered, user(document+`,{"text":"x"}`)), ""},
		"a picture of another kind": {of(asked, answered, user(gif)), ""},
		"a picture in S3":           {of(asked, answered, user(inS3)), ""},
		"what nobody knows":         {of(asked, answered, user(`{"text":"x"},{"hologram":{}}`)), ""},
		"two things in one":         {of(asked, answered, user(`{"text":"x",`+png[1:])), ""},
		"the system prompt says it": {`{"system":[` + guarded(`{"text":{"text":"x"}}`) + `],"messages":[` +
			asked + `,` + answered + `,` + asked + `],` + config + `}`, ""},
	} {
		want := c.want
		if want == "" {
			want = c.body
		}
		if got, _ := spliced(t, c.body); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestCachePointBehindTheTurn puts a point of the gateway and guardContent into one message.
func TestCachePointBehindTheTurn(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"b"}]},` +
		`{"role":"user","content":[{"text":"c"}]}],` + config + `}`)
	_, turn := spliced(t, string(body))
	end := bytes.Index(body, []byte(`"c"}`)) + len(`"c"}`)
	point := wire.Splice{Start: end, End: end, Text: []byte(`,{"cachePoint":{"type":"default"}}`)}
	got := wire.ApplySplices(nil, body, append(turn.Splices, point))
	want := `{"guardContent":{"text":{"text":"c"}}},{"cachePoint":{"type":"default"}}]}]`
	if !json.Valid(got) || !strings.Contains(string(got), want) {
		t.Errorf("got %s", got)
	}
}

// TestName finds guardrails where requests name them.
func TestName(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":[{"text":"a"}]}],` + config + `}`)
	var f wire.Facts
	if err := f.Read(wire.OpConverse, nil, body); err != nil {
		t.Fatal(err)
	}
	if got := guardrail.Name(&f, nil, body); got != "grabc" {
		t.Errorf("Converse: %q", got)
	}
	h := wire.Header{{Name: "x-amzn-bedrock-guardrailidentifier", Value: "gr2"}}
	if got := guardrail.Name(&wire.Facts{}, h, nil); got != "gr2" {
		t.Errorf("InvokeModel: %q", got)
	}
}

// TestID: what callers invent is no id.
func TestID(t *testing.T) {
	for name, want := range map[string]string{
		"abc123": "abc123", "": "", "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc123": "abc123",
		"arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:guardrail-profile/us.guardrail.v1:0": "",
		"ABC": "", "a b": "", "a-b": "", strings.Repeat("a", 33): "", "a/b": "b", "a\n": "",
	} {
		if got := guardrail.ID(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// FuzzTurn takes guardContent out again, and has the caller's body back.
func FuzzTurn(f *testing.F) {
	f.Add(`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"user","content":[{"text":"c"}]}],` +
		config + `}`)
	f.Add(`{"messages":[{"content":[{"text":1}],"role":"user"},[],3],"system":[{}],` + config + `}`)
	f.Fuzz(func(t *testing.T, text string) {
		body := []byte(text)
		var facts wire.Facts
		if facts.Read(wire.OpConverse, nil, body) != nil {
			return
		}
		turn := guardrail.Of(&facts, body)
		got := wire.ApplySplices(nil, body, turn.Splices)
		if !json.Valid(got) {
			t.Fatalf("%s became %s", text, got)
		}
		var again wire.Facts
		if err := again.Read(wire.OpConverse, nil, got); err != nil {
			t.Fatalf("%s became %s: %v", text, got, err)
		}
		if again.TextBytes != facts.TextBytes {
			t.Fatalf("%s became %s: %d bytes of text, were %d", text, got, again.TextBytes, facts.TextBytes)
		}
		if len(turn.Splices) > 0 && len(guardrail.Of(&again, got).Splices) > 0 {
			t.Fatalf("%s is guarded twice", got)
		}
	})
}
