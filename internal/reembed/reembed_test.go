package reembed

import (
	"encoding/binary"
	"testing"
)

func TestAgain(t *testing.T) {
	table := New()
	for _, c := range []struct {
		tenant, model, body string
		again               bool
	}{
		{"acme", "titan", "a", false}, {"acme", "titan", "a", true}, {"acme", "titan", "b", false},
		{"acme", "cohere", "a", false}, {"beta", "titan", "a", false}, {"acme", "titan", "a", true},
	} {
		if got := table.Again(c.tenant, c.model, []byte(c.body)); got != c.again {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// TestTableIsBounded: what was not embedded for long is forgotten, what comes now and then is not.
func TestTableIsBounded(t *testing.T) {
	table := New()
	text := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	for i := range 3 * mostOf {
		table.Again("acme", "titan", text(i))
		if i%(mostOf/2) == 0 && !table.Again("acme", "titan", text(0)) {
			t.Fatalf("the first text is forgotten after %d", i)
		}
	}
	if n := len(table.newer) + len(table.old); n > 2*mostOf {
		t.Errorf("%d texts are kept", n)
	}
	if table.Again("acme", "titan", text(1)) {
		t.Error("a text of long ago is known")
	}
}
