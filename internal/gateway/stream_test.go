package gateway

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// All frames that are there leave in one Read, and END is in the books before the
// last of them. Otherwise a Read takes one frame.
func TestFramesThatAreThereLeaveTogether(t *testing.T) {
	s := compiled(t, "    mode: rules\n")
	f := func(name string, r reply, room, reads int) {
		t.Helper()
		b := newBench(s, func(*engine.Request) reply { return r })
		res := b.line.Serve(b.ask(context.Background(), wire.OpConverseStream, hello))
		if res.Stream == nil || !res.Begun {
			t.Fatalf("%s: %d %s", name, res.Status, res.Body)
		}
		defer res.Stream.Close()
		want := bytes.Join(r.frames(&engine.Request{Op: wire.OpConverseStream}), nil)
		var got []byte
		n, p := 0, make([]byte, room)
		for {
			read, err := res.Stream.Read(p)
			if got = append(got, p[:read]...); err != nil {
				if err != io.EOF {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			n++
			if ends := len(b.books.ends); len(got) == len(want) && ends != 1 {
				t.Errorf("%s: %d ENDs when the last frame leaves", name, ends)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes: %d, want %d", name, len(got), len(want))
		}
		if n != reads {
			t.Errorf("%s: %d reads, want %d", name, n, reads)
		}
	}
	frames := (&reply{text: "hello"}).frames(&engine.Request{Op: wire.OpConverseStream})
	all := len(bytes.Join(frames, nil))
	f("apart", reply{text: "hello"}, 4096, len(frames))
	f("together", reply{text: "hello", together: true}, 4096, 1)
	f("just enough room", reply{text: "hello", together: true}, all, 1)
	f("less room", reply{text: "hello", together: true}, all-1, 2)
}
