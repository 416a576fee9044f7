package jsontree_test

import (
	"encoding/json"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

func TestValues(t *testing.T) {
	var d jsontree.Doc
	v, err := d.Parse([]byte(` {"a":[1,{"b\u0062":"x\ny"},null],"n":64.0,"t":true,"e":{}} `))
	if err != nil {
		t.Fatal(err)
	}
	var inner jsontree.Value
	for e := range v.Get("a").All() {
		if e.IsObject() {
			inner = e
		}
	}
	if got := inner.Get("bb"); got.Text() != "x\ny" || got.Path() != "a[1].bb" || string(got.Raw()) != `"x\ny"` {
		t.Errorf("%q at %s", got.Text(), got.Path())
	}
	if n, ok := v.Get("n").Int(); n != 64 || !ok {
		t.Errorf("n is %d, %v", n, ok)
	}
	if v.Get("a").Len() != 3 || v.Get("e").Len() != 0 || !v.Get("t").IsTrue() || v.Get("x").Get("y").Present() {
		t.Error("lengths, literals, or what is absent")
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{"a":1}x`, `{"a":}`, `[1,]`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":1}}`, `tru`,
		`"\ud8"`, "\"\xff\"",
	} {
		var d jsontree.Doc
		if _, err := d.Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// FuzzParse compares with encoding/json: what the tree takes is JSON, and its values are at their places.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"x"},null],"n":64.0}`))
	f.Add([]byte(`[[[]]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d jsontree.Doc
		v, err := d.Parse(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		var walk func(v jsontree.Value) int
		walk = func(v jsontree.Value) (n int) {
			if !json.Valid(v.Raw()) {
				t.Fatalf("%q at %s", v.Raw(), v.Path())
			}
			for c := range v.All() {
				n++
				walk(c)
			}
			if n != v.Len() {
				t.Fatalf("%d of %d children", n, v.Len())
			}
			return n
		}
		walk(v)
	})
}
