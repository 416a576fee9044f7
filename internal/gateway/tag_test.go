package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const record = "01JD00000000000000000000AA"

func TestTagHeader(t *testing.T) {
	check := func(have, want string) {
		t.Helper()
		h := wire.Header{{Name: "accept", Value: "x"}}
		if have != "" {
			h = append(h, wire.Field{Name: "x-amzn-bedrock-request-metadata", Value: have})
		}
		before := append(wire.Header(nil), h...)
		got, splices := tag(&wire.Facts{Op: wire.OpInvoke}, nil, h, record)
		if !cmp.Equal(before, h) || len(splices) > 0 || got.Get("accept") != "x" || got.Count(metadataHeader) > 1 {
			t.Errorf("%s: %v", have, got)
		}
		if got := got.Get(metadataHeader); got != want {
			t.Errorf("%s: %s, want %s", have, got, want)
		}
	}
	check("", `{"sluice-record":"`+record+`"}`)
	check(" { } ", ` {"sluice-record":"`+record+`" } `)
	check(`{"team":"\u00e9"}`, `{"sluice-record":"`+record+`","team":"\u00e9"}`)
	check(`{"sluice-record":"another's","a":"b"}`, `{"a":"b","sluice-record":"`+record+`"}`)
	check(`{"a":1}`, `{"a":1}`)
	check("not json", "not json")
	check("null", "null")
	full, _ := json.Marshal(map[string]string{"a": strings.Repeat("x", maxMetadataHeader)})
	check(string(full), string(full))
}

func TestTagBody(t *testing.T) {
	const body = `{"messages":[]}`
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		var f wire.Facts
		if err := f.Read(op, wire.DialectNamed(""), []byte(body)); err != nil {
			t.Fatal(err)
		}
		h, splices := tag(&f, []byte(body), nil, record)
		if got := string(wire.ApplySplices(nil, []byte(body), splices)); got != `{"requestMetadata":{"sluice-record":"`+record+`"},"messages":[]}` || h != nil {
			t.Errorf("%s %v", got, h)
		}
	}
	if h, splices := tag(&wire.Facts{Op: wire.OpCountTokens}, []byte(body), nil, record); h != nil || splices != nil {
		t.Errorf("%v %v", h, splices)
	}
}
