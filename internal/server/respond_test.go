package server

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// waiting is a stream whose every Read must come after a Wait.
type waiting struct {
	io.Reader
	waits, left int // left is how many Waits there are before the one that panics
}

func (w *waiting) Wait() {
	w.waits++
	if w.left--; w.left < 0 {
		panic("waited too often")
	}
}

func (w *waiting) Close() error { return nil }

// TestStreamWaitsBeforeItReads: each Read is one Write, behind a Wait, and an end by
// an error or a panic reaches fasthttp, which then cuts the answer.
func TestStreamWaitsBeforeItReads(t *testing.T) {
	s := start(t, Options{})
	broken := errors.New("broken")
	f := func(name string, in io.Reader, left int, want error, text string, waits int) {
		t.Helper()
		w := &waiting{Reader: in, left: left}
		var out bytes.Buffer
		_, err := (&stream{server: s, id: "x", inner: w, after: func() {}}).WriteTo(&out)
		if !errors.Is(err, want) || out.String() != text || w.waits != waits {
			t.Errorf("%s: %q and %v after %d waits, want %q and %v after %d", name, &out, err, w.waits, text, want, waits)
		}
	}
	abc := func() io.Reader { return iotest.OneByteReader(strings.NewReader("abc")) }
	f("whole", abc(), 9, nil, "abc", 4)
	f("end with the last bytes", iotest.DataErrReader(abc()), 9, nil, "abc", 3)
	f("error", io.MultiReader(abc(), iotest.ErrReader(broken)), 9, broken, "abc", 4)
	f("panic", abc(), 2, errStreamPanic, "ab", 3)
}

// TestOverloaded is E11: while there are too many requests, a new one is refused with a pause to
// wait, in the dialect of its caller. Its connection stays.
func TestOverloaded(t *testing.T) {
	asked := 0
	s, err := New(withDefaults(Options{
		Listen: "127.0.0.1:0", Log: discard(), OnRefusal: func(string, netip.Addr, *wire.Error) {},
		Handler: handlerFunc(func(*gateway.Request) *gateway.Response { asked++; return &gateway.Response{Status: 200} }),
		Limits:  config.EdgeLimits{MaxQueueDelay: time.Millisecond},
		Translate: func(req *gateway.Request, res *gateway.Response) *gateway.Response {
			res.Body = []byte("in the dialect of " + req.Target)
			return res
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.watcher.Close()
	defer s.ln.Close()
	for moment := time.Now(); !s.shed.Observe(moment, time.Second, 2000); {
		moment = moment.Add(10 * time.Millisecond)
	}
	body := s.newBody(&head{}, nil, &pool.Account{})
	res, panicked := s.answer(&gateway.Request{ID: "x", Target: "/v1/messages"}, &body)
	if res.Status != 503 || res.Header.Get("retry-after") != "1" || panicked || asked != 0 ||
		string(res.Body) != "in the dialect of /v1/messages" {
		t.Errorf("%+v after %d requests", res, asked)
	}
}
