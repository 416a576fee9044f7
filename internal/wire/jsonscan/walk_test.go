package jsonscan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

var walkTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "", Role: 1},
	{Path: "max", Role: 2},
	{Path: "list[]", Role: 3},
	{Path: "list[].text", Role: 4},
	{Path: "tools[].**", Role: 5},
	{Path: "tools[].mark", Role: 6},
	{Path: "map.*.n", Role: 7},
	{Path: "grid[][]", Role: 8},
})

func walk(text string) string {
	var w jsonscan.Walker
	w.Reset(walkTree, []byte(text))
	var out strings.Builder
	for m := w.Next(); m.Role != 0; m = w.Next() {
		fmt.Fprintf(&out, "%d=%s ", m.Role, text[m.Start:m.End])
	}
	if err := w.Err(); err != nil {
		out.WriteString(err.Error())
	}
	return strings.TrimSpace(out.String())
}

func TestWalk(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := walk(text); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	f(`7`, `1=7`)
	f(`{}`, `1={ 1={}`)
	f(`{"max":5}`, `1={ 2=5 1={"max":5}`)
	f(`{"ma\u0078":5}`, `1={ 2=5 1={"ma\u0078":5}`)
	f(`{"Max":5,"x":{"max":6},"y":[{"max":7}]}`, `1={ 1={"Max":5,"x":{"max":6},"y":[{"max":7}]}`)
	f(`{"list":["a",{"text":"b","x":[1,{"text":"c"}]},2]}`,
		`1={ 3="a" 3={ 4="b" 3={"text":"b","x":[1,{"text":"c"}]} 3=2 1={"list":["a",{"text":"b","x":[1,{"text":"c"}]},2]}`)
	f(`{"tools":[{"a":"1","b":{"c":["2",3,{"d":"4"}]},"mark":"5"},"6"],"z":"7"}`,
		`1={ 5="1" 5="2" 5="4" 6="5" 5="6" 1={"tools":[{"a":"1","b":{"c":["2",3,{"d":"4"}]},"mark":"5"},"6"],"z":"7"}`)
	f(`{"map":{"a":{"n":1},"b":{"n":2,"m":3}},"grid":[[1],[2,3]]}`,
		`1={ 7=1 7=2 8=1 8=2 8=3 1={"map":{"a":{"n":1},"b":{"n":2,"m":3}},"grid":[[1],[2,3]]}`)
	f(`{"max":1,"max":2}`, `1={ 2=1 duplicate member "max" at byte 9`)
	f(`{"max":1,"m\u0061x":2}`, `1={ 2=1 duplicate member "max" at byte 9`)
	f(`{"other":1,"other":2}`, `1={ 1={"other":1,"other":2}`)
	f(`{"list":[{"text":"a","text":"b"}]}`, `1={ 3={ 4="a" duplicate member "text" at byte 21`)
	f(`{"list":[`, `1={ the JSON text ends early at byte 9`)
}

func TestWalkAllowsDuplicatesWhenAsked(t *testing.T) {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(walkTree, []byte(`{"max":1,"max":2}`))
	n := 0
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Role == 2 {
			n++
		}
	}
	if n != 2 || w.Err() != nil {
		t.Errorf("matched %d times, %v", n, w.Err())
	}
}

func FuzzWalkEndsAsCheckDoes(f *testing.F) {
	f.Add([]byte(`{"list":[{"text":"a"}],"tools":[{"x":{"y":"z"}}],"map":{"a":{"n":1}},"grid":[[[]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w jsonscan.Walker
		w.AllowDuplicates = true
		w.Reset(walkTree, data)
		for m := w.Next(); m.Role != 0; m = w.Next() {
			if m.Start < 0 || m.End <= m.Start || m.End > len(data) {
				t.Fatalf("%q: match %+v", data, m)
			}
		}
		if got, want := w.Err() == nil, jsonscan.Check(data) == nil; got != want {
			t.Fatalf("%q: walk %v, check %t", data, w.Err(), want)
		}
	})
}
