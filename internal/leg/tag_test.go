package leg

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

var recordTags = []wire.Pair{{Key: "sluice-record", Value: "01JD"}, {Key: "sluice-owner", Value: "acme k direct"}}

func TestTagHeader(t *testing.T) {
	check := func(have, want string) {
		t.Helper()
		h := wire.Header{{Name: "accept", Value: "x"}}
		if have != "" {
			h = append(h, wire.Field{Name: "x-amzn-bedrock-request-metadata", Value: have})
		}
		before := append(wire.Header(nil), h...)
		got, splices := tag(&wire.Facts{Op: wire.OpInvoke}, nil, h, recordTags)
		if !cmp.Equal(before, h) || len(splices) > 0 || got.Get("accept") != "x" || got.Count(metadataHeader) > 1 {
			t.Errorf("%s: %v", have, got)
		}
		if got := got.Get(metadataHeader); got != want {
			t.Errorf("%s: %s, want %s", have, got, want)
		}
	}
	check("", `{"sluice-record":"01JD","sluice-owner":"acme k direct"}`)
	check(" { } ", ` {"sluice-record":"01JD","sluice-owner":"acme k direct" } `)
	check(`{"team":"\u00e9"}`, `{"sluice-record":"01JD","sluice-owner":"acme k direct","team":"\u00e9"}`)
	check(`{"sluice-record":"another's","a":"b"}`, `{"a":"b","sluice-owner":"acme k direct","sluice-record":"01JD"}`)
	var many []string
	for i := range maxMetadataPairs - 1 {
		many = append(many, fmt.Sprintf(`"k%d":""`, i))
	}
	check("{"+strings.Join(many, ",")+"}", `{"sluice-record":"01JD",`+strings.Join(many, ",")+"}")
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
		h, splices := tag(&f, []byte(body), nil, recordTags)
		if got := string(wire.ApplySplices(nil, []byte(body),
			splices)); got != `{"requestMetadata":{"sluice-record":"01JD","sluice-owner":"acme k direct"},"messages":[]}` ||
			h != nil {
			t.Errorf("%s %v", got, h)
		}
	}
	if h, splices := tag(&wire.Facts{Op: wire.OpCountTokens}, []byte(body), nil, recordTags); h != nil || splices != nil {
		t.Errorf("%v %v", h, splices)
	}
}

// TestBodyHash gives the hash of the caller's body on only while that is what is
// sent.
func TestBodyHash(t *testing.T) {
	sum := sha256.Sum256([]byte(`{"a":1}`))
	r := &Request{
		Caller: &tenant.Identity{Tenant: &tenant.Tenant{}}, Body: []byte(`{"a":1}`), BodyHash: &sum,
		Target: wire.Target{Op: wire.OpGetAsyncInvoke},
	}
	var shaped outgoing
	out := &shaped.shaped
	if shaped.shape(r, &Plan{}, nil); out.BodyHash != &sum || string(out.Body) != `{"a":1}` {
		t.Errorf("unchanged: %s, hash %p, want %p", out.Body, out.BodyHash, &sum)
	}
	p := &Plan{Limit: wire.Limit{Splices: []wire.Splice{{Start: 5, End: 6, Text: []byte("2")}}}}
	if shaped.shape(r, p, p.splices(r)); out.BodyHash != nil || string(out.Body) != `{"a":2}` {
		t.Errorf("changed: %s, hash %p, want none", out.Body, out.BodyHash)
	}
}
