package h2guard

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func frame(typ, flags byte, payload int) []byte {
	b := []byte{byte(payload >> 16), byte(payload >> 8), byte(payload), typ, flags, 0, 0, 0, 1}
	return append(b, make([]byte, payload)...)
}

func TestFloods(t *testing.T) {
	start := time.Unix(1000, 0)
	f := func(want string, times int, frames ...[]byte) {
		t.Helper()
		g := &Guard{}
		in := append([]byte(Preface), frame(frameSettings, 0, 6)...)
		for range times {
			in = append(in, bytes.Join(frames, nil)...)
		}
		if got := g.Received(in, start); got != want {
			t.Errorf("%d x %x: flood %q, want %q", times, frames[0][:5], got, want)
		}
	}
	f("", 49, frame(frameSettings, 0, 0))
	f("settings", 50, frame(frameSettings, 0, 0))
	f("", 50, frame(framePing, 0, 8))
	f("ping", 51, frame(framePing, 0, 8))
	f("", 200, frame(framePriority, 0, 5))
	f("priority", 201, frame(framePriority, 0, 5))
	f("", 250, frame(frameReset, 0, 4))
	f("reset", 251, frame(frameReset, 0, 4))
	f("", 2000, frame(frameWindowUpdate, 0, 4))
	f("window_update", 2001, frame(frameWindowUpdate, 0, 4))
	f("", 100, frame(0x1f, 0, 3))
	f("unknown_type", 101, frame(0x1f, 0, 3))
	f("", 10, frame(frameData, 0, 0))
	f("empty_frames", 11, frame(frameData, 0, 0))
	f("", 100, frame(frameData, flagEndStream, 0))
	f("", 1000, frame(frameData, 0, 0), frame(frameData, 0, 1))
	f("", 64, frame(frameContinuation, 0, 9))
	f("continuation", 65, frame(frameContinuation, 0, 9))
	f("empty_frames", 11, frame(frameContinuation, 0, 0))
	f("", 250, frame(frameHeaders, flagEndHeaders, 9))
	f("unserved_headers", 251, frame(frameHeaders, flagEndHeaders, 9))
}

func TestServedRequestsAreNoFlood(t *testing.T) {
	g := &Guard{}
	g.Received([]byte(Preface), time.Unix(1000, 0))
	for i := range 5000 {
		if flood := g.Received(frame(frameHeaders, flagEndHeaders|flagEndStream, 40), time.Unix(1000, 0)); flood != "" {
			t.Fatalf("request %d: %s", i, flood)
		}
		g.Served()
	}
}

func TestWindowUpdatesFollowDataSent(t *testing.T) {
	g := &Guard{}
	g.Received([]byte(Preface), time.Unix(1000, 0))
	g.Sent(bytes.Repeat(frame(frameData, 0, 100), 50))
	updates := bytes.Repeat(frame(frameWindowUpdate, 0, 4), 2500)
	if flood := g.Received(updates, time.Unix(1000, 0)); flood != "" {
		t.Errorf("2,500 updates for 50 DATA frames: %s", flood)
	}
	if flood := g.Received(frame(frameWindowUpdate, 0, 4), time.Unix(1000, 0)); flood != "window_update" {
		t.Errorf("one more: %q", flood)
	}
}

func TestWindowForgets(t *testing.T) {
	g := &Guard{}
	g.Received([]byte(Preface), time.Unix(1000, 0))
	for i := range 20 {
		now := time.Unix(1000+int64(i)*10, 0)
		if flood := g.Received(bytes.Repeat(frame(framePing, 0, 8), 50), now); flood != "" {
			t.Fatalf("window %d: %s", i, flood)
		}
	}
}

// However a stream is cut into reads, the same frame completes the flood.
func TestAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(40, 60).Draw(t, "pings")
		stream := append([]byte(Preface), bytes.Repeat(frame(framePing, 0, 8), n)...)
		g := &Guard{}
		flooded := false
		for len(stream) > 0 {
			cut := rapid.IntRange(1, min(len(stream), 40)).Draw(t, "cut")
			flooded = g.Received(stream[:cut], time.Unix(1000, 0)) != "" || flooded
			stream = stream[cut:]
		}
		if flooded != (n > 50) {
			t.Fatalf("%d pings: flooded %v", n, flooded)
		}
	})
}

func FuzzReceived(f *testing.F) {
	f.Add([]byte(Preface), 3)
	f.Add(frame(frameData, 0, 20), 1)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		g, h := &Guard{}, &Guard{}
		now := time.Unix(1000, 0)
		whole := g.Received(in, now)
		cut = min(max(cut, 0), len(in))
		first := h.Received(in[:cut], now)
		if first == "" {
			first = h.Received(in[cut:], now)
		}
		if whole != first {
			t.Fatalf("whole %q, split at %d %q", whole, cut, first)
		}
	})
}

// TestSent: what goes to the caller is known for what it is, in pieces too.
func TestSent(t *testing.T) {
	credit := frame(frameWindowUpdate, 0, 4)
	credit[8], credit[12] = 0, 200 // of the connection
	head := frame(frameHeaders, flagEndHeaders, 30)
	f := func(want Sent, p ...[]byte) {
		t.Helper()
		g := &Guard{}
		if got := g.Sent(bytes.Join(p, nil)); got != want {
			t.Errorf("%x: %+v, want %+v", p, got, want)
		}
	}
	f(Sent{Heads: 1, Whole: true}, head)
	f(Sent{Credit: 200, Whole: true}, credit)
	f(Sent{Heads: 2, Credit: 400, Whole: true}, head, credit, credit, head)
	f(Sent{Other: true, Whole: true}, frame(frameHeaders, flagEndHeaders|flagEndStream, 30))
	f(Sent{Other: true}, frame(frameHeaders, 0, 30)) // a continuation must be next
	f(Sent{Other: true}, frame(frameHeaders, 0, 30), frame(frameContinuation, 0, 30))
	f(Sent{Other: true, Whole: true}, frame(frameHeaders, 0, 30), frame(frameContinuation, flagEndHeaders, 30))
	f(Sent{Other: true, Whole: true}, frame(frameWindowUpdate, 0, 4)) // of a stream
	f(Sent{Heads: 1, Other: true, Whole: true}, head, frame(frameData, 0, 2))
	f(Sent{Other: true, Whole: true}, frame(frameSettings, 0, 0))
	f(Sent{Heads: 1, Other: true}, head, head[:8])
	f(Sent{Heads: 1, Other: true}, head[:38])

	// What looks like a frame may be a part of one.
	g := &Guard{}
	data := frame(frameData, 0, len(credit))
	copy(data[headSize:], credit)
	for i := range data {
		if i == 0 {
			continue
		}
		*g = Guard{}
		if a, b := g.Sent(data[:i]), g.Sent(data[i:]); !a.Other || !b.Other {
			t.Errorf("cut at %d: %+v and %+v", i, a, b)
		}
	}
}
