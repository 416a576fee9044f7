package silence

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

const after = 15 * time.Second

// TestSilence: a ping comes after each time of silence, but never within an event, during a write, or after the end.
func TestSilence(t *testing.T) {
	f := func(want string, parts ...any) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			out := &slow{}
			w := New(out, []byte("ping\n\n"), after)
			for _, part := range parts {
				switch part := part.(type) {
				case time.Duration:
					time.Sleep(part)
				case string:
					if _, err := io.WriteString(w, part); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.Stop()
			time.Sleep(time.Hour)
			if got := out.String(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	f("")
	f("", after-1)
	f("ping\n\n", after+1)
	f("ping\n\nping\n\na\n\n", 2*after+1, "a\n\n")
	f("a\n\nb\n\n", after-1, "a\n\n", after-1, "b\n\n", after-1)
	f("a\n\nping\n\nb\n\n", "a\n\n", 2*after-1, "b\n\n")
	f("a\nb\n\nping\n\n", "a", after+1, "\nb", after+1, "\n", after+1, "\n", after+1)
	f("slow\n\nb\n\n", "slow\n\n", after-1, "b\n\n")
	f("slow\n\nping\n\n", "slow\n\n", after+1)
}

// slow takes three times the silence for what begins with "slow".
type slow struct{ bytes.Buffer }

func (s *slow) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("slow")) {
		time.Sleep(3*after + after/2)
	}
	return s.Buffer.Write(p)
}

// TestBroken: after a ping that could not be written, nothing can.
func TestBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		w := New(broken{gone}, []byte("ping\n\n"), after)
		defer w.Stop()
		time.Sleep(after)
		if n, err := w.Write([]byte("a")); n != 0 || !errors.Is(err, gone) {
			t.Error(n, err)
		}
	})
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }
