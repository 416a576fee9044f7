package gateway

import (
	"reflect"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestPanicLeavesNothing: the edge answers a request in which the line panics, and the
// line keeps nothing of it, neither its deadline nor its count.
func TestPanicLeavesNothing(t *testing.T) {
	b := newBench(compiled(t, ""), func(*engine.Request) reply { panic("scripted") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic reached the edge")
			}
		}()
		b.line.Serve(b.ask(t.Context(), wire.OpConverse, `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`))
	}()
	if n := b.line.open.Load(); n != 0 {
		t.Errorf("%d requests are open", n)
	}
	if !reflect.ValueOf(&b.line.requests).Elem().FieldByName("first").IsNil() {
		t.Error("the request has not ended")
	}
}
