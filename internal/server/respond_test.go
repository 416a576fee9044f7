package server

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
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
