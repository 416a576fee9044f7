package succession

import (
	"errors"
	"net"
	"testing"
)

// TestFitting: of the sockets that are there, the first one with the port of the configuration
// is listened on, and the others are closed.
func TestFitting(t *testing.T) {
	open := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	a, b, c := open(), open(), open()
	if got := fitting(b.Addr().String(), nil, a, b); got != b {
		t.Errorf("%v, want %v", got, b.Addr())
	}
	if got := fitting("127.0.0.1:0", b, c); got != b {
		t.Errorf("%v, want %v", got, b.Addr())
	}
	for _, closed := range []net.Listener{a, c} {
		if err := closed.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v was left open: %v", closed.Addr(), err)
		}
	}
	if got := fitting(a.Addr().String(), nil, b); got != nil {
		t.Errorf("%v has another port", got.Addr())
	}
}
