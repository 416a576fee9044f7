package bedrock

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// The bounds of a frame that package wire promises.
const (
	overhead   = 16
	maxHeaders = 128 << 10
	maxPayload = 24 << 20
)

func TestFramesUnderAnyCutting(t *testing.T) {
	frames := [][]byte{frame(t, "{}"), frame(t, ""), frame(t, strings.Repeat("x", 5000)), frame(t, "last")}
	stream := bytes.Join(frames, nil)
	f := func(name string, say func(p *peer)) {
		t.Helper()
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			p.request()
			say(p)
			p.gone()
		})))
		res, got, err := attempt(t.Context(), e, request())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(frames, got); diff != "" || res.Body != nil {
			t.Errorf("%s: body %q, %s", name, res.Body, diff)
		}
		e.Close()
	}
	f("one chunk", func(p *peer) { p.say(streamHead + chunk(stream) + "0\r\n\r\n") })
	f("a chunk for each frame", func(p *peer) {
		p.say(streamHead)
		for _, fr := range frames {
			p.say(chunk(fr))
		}
		p.say("0\r\n\r\n")
	})
	f("a chunk for each byte", func(p *peer) {
		var all strings.Builder
		for _, b := range stream {
			all.WriteString(chunk([]byte{b}))
		}
		p.say(streamHead + all.String() + "0\r\n\r\n")
	})
	f("a packet for each byte", func(p *peer) {
		for _, b := range []byte(streamHead + chunk(stream) + "0\r\n\r\n") {
			_, _ = p.Write([]byte{b})
		}
	})
	f("sized", func(p *peer) {
		p.say(answer("200", "content-type: Application/vnd.amazon.eventstream; x=y\r\n", string(stream)))
	})
	f("until close", func(p *peer) {
		p.say("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n\r\n" + string(stream))
		_ = p.Conn.(*net.TCPConn).CloseWrite()
	})
}

// Each frame is there before the next byte is sent, wherever the chunks end.
func TestFrameIsNotHeldBack(t *testing.T) {
	proceed := make(chan struct{})
	one, two, three := frame(t, "one"), frame(t, "two"), frame(t, "three")
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(streamHead)
		for _, part := range []string{
			strings.TrimSuffix(chunk(one), "\r\n"),                  // the end of the chunk has not come
			"\r\n" + chunk(append(bytes.Clone(two), three[:10]...)), // and a part of the next frame
			chunk(three[10:]),
		} {
			<-proceed
			p.say(part)
		}
		p.gone()
	})))
	res, err := e.Attempt(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Frames.Close()
	for _, want := range [][]byte{one, two, three} {
		proceed <- struct{}{}
		got, err := res.Frames.Next()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
}

// Frames that came together are there together: only the first is waited for.
func TestFramesThatAreThere(t *testing.T) {
	whole, cut := frame(t, "whole"), frame(t, "cut")
	proceed := make(chan struct{})
	f := func(name, first, rest string, ready ...bool) {
		t.Helper()
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(streamHead + first)
			<-proceed
			p.say(rest)
			p.gone()
		})))
		defer e.Close()
		res, err := e.Attempt(t.Context(), request())
		if err != nil {
			t.Fatal(err)
		}
		defer res.Frames.Close()
		var got []bool
		for range ready {
			if raw, err := res.Frames.Next(); err != nil || !bytes.Equal(raw, whole) {
				t.Errorf("%s: %q, %v", name, raw, err)
			}
			got = append(got, res.Frames.Ready())
		}
		proceed <- struct{}{}
		if diff := cmp.Diff(ready, got); diff != "" {
			t.Errorf("%s: ready %s", name, diff)
		}
		for err == nil {
			_, err = res.Frames.Next()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	three, end := strings.Repeat(chunk(whole), 3), "0\r\n\r\n"
	f("a chunk for each", three, end, true, true, false)
	f("one chunk", chunk(bytes.Repeat(whole, 3)), end, true, true, false)
	f("a part of a fourth", three+chunk(cut[:20]), chunk(cut[20:])+end, true, true, false)
	f("a part of its chunk", three+chunk(cut)[:20], chunk(cut)[20:]+end, true, true, false)
	f("the end", three+end, "", true, true, false)
	f("a part of the end", three+"0\r\n", "\r\n", true, true, false)
	const many = 30 // more than a reader of frames has room for at first
	all := slices.Repeat([]bool{true}, many)
	all[many-1] = false
	f("many in one chunk", chunk(bytes.Repeat(whole, many)), end, all...)
	f("many chunks", strings.Repeat(chunk(whole), many), end, all...)
	f("trailers that are late", three+"0\r\nTrailer: x", "\r\n\r\n", true, true, false)
	f("a size that is late", three+"000", end[1:], true, true, false)
}

// prelude announces a frame, with a right checksum.
func prelude(total, headers uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, total)
	b = binary.BigEndian.AppendUint32(b, headers)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestBrokenStreams(t *testing.T) {
	good := frame(t, "good")
	damaged := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	f := func(name string, want engine.Failure, broken string) {
		t.Helper()
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(streamHead + chunk(good) + broken)
			if want == engine.TimedOut {
				p.gone()
			}
		})), func(o *Options) {
			if want == engine.TimedOut {
				o.Timeouts.Idle = 30 * time.Millisecond
			}
		})
		_, got, err := attempt(t.Context(), e, request())
		mustFail(t, name, err, want)
		var failed *engine.Error
		if errors.As(err, &failed) && (!failed.Sent || !failed.Answered) {
			t.Errorf("%s: sent %v, answered %v", name, failed.Sent, failed.Answered)
		}
		if len(got) != 1 || !bytes.Equal(got[0], good) {
			t.Errorf("%s: %d frames before the break, want the good one", name, len(got))
		}
		e.Close()
	}
	end := "0\r\n\r\n"
	f("closed between frames", engine.LostInAnswer, "")
	f("closed in a frame", engine.LostInAnswer, chunk(good[:20]))
	f("closed in a prelude", engine.LostInAnswer, chunk(good[:5]))
	f("closed in a chunk", engine.LostInAnswer, chunk(good)[:10])
	f("silent between frames", engine.TimedOut, "")
	f("silent in a frame", engine.TimedOut, chunk(good[:20]))
	f("ended in a frame", engine.Corrupt, chunk(good[:20])+end)
	f("ended in a prelude", engine.Corrupt, chunk(good[:5])+end)
	f("ended after a prelude", engine.Corrupt, chunk(good[:12])+end)
	f("broken chunk", engine.Corrupt, "zz\r\n")
	for _, i := range []int{0, 4, 8, 12, 20, len(good) - 6, len(good) - 1} {
		f("bit flipped at "+itoa(i), engine.Corrupt, chunk(damaged(i))+end)
	}
	f("payload too large", engine.Corrupt, chunk(prelude(maxPayload+overhead+1, 0)))
	f("length of all ones", engine.Corrupt, chunk(prelude(0xffffffff, 0)))
	f("headers too large", engine.Corrupt, chunk(prelude(1<<20, maxHeaders+1)))
	f("headers longer than the frame", engine.Corrupt, chunk(prelude(100, 85)))
	f("shorter than a frame can be", engine.Corrupt, chunk(prelude(15, 0)))
}

// A stream that ended properly gives its connection back.
func TestStreamKeepsConnection(t *testing.T) {
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		for p.request() != nil {
			p.say(streamHead + chunk(frame(t, "x")) + "0\r\n\r\n")
		}
	})))
	for i := range 3 {
		res, frames, err := attempt(t.Context(), e, request())
		if err != nil || len(frames) != 1 || res.Timing.Reused != (i > 0) {
			t.Errorf("stream %d: %d frames, reused %v, %v", i, len(frames), res.Timing.Reused, err)
		}
	}
}

// A silence longer than the first-byte bound, or than any total, is no failure
// while it is shorter than the idle bound.
func TestStreamMayLastLongerThanAnyBound(t *testing.T) {
	const pauses, bound = 4, time.Second
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(streamHead)
		for range pauses {
			time.Sleep(bound * 3 / 10)
			p.say(chunk(frame(t, "x")))
		}
		p.say("0\r\n\r\n")
	})), func(o *Options) {
		o.Timeouts.Idle, o.Timeouts.FirstByte = bound, bound
	})
	_, frames, err := attempt(t.Context(), e, request())
	if err != nil || len(frames) != pauses {
		t.Errorf("%d frames, %v; want %d", len(frames), err, pauses)
	}
}

// The server sees the connection close as soon as the stream is given up.
func TestStreamGivenUp(t *testing.T) {
	f := func(name string, giveUp func(cancel context.CancelFunc, frames *engine.FrameSource)) {
		t.Helper()
		left := make(chan time.Time, 1)
		e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(streamHead + chunk(frame(t, "x")))
			p.gone()
			left <- time.Now()
		})))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, err := e.Attempt(ctx, request())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := res.Frames.Next(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := res.Frames.Next()
			done <- err
		}()
		time.Sleep(10 * time.Millisecond) // so that Next waits
		start := time.Now()
		giveUp(cancel, res.Frames)
		mustFail(t, name, <-done, engine.Cancelled)
		t.Logf("%s: seen after %v", name, (<-left).Sub(start))
		res.Frames.Close()
		e.Close()
	}
	f("cancel", func(cancel context.CancelFunc, _ *engine.FrameSource) { cancel() })
	f("close", func(_ context.CancelFunc, frames *engine.FrameSource) { frames.Close() })
}

func TestLargestFrame(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 24 MiB")
	}
	large := frame(t, strings.Repeat("x", maxPayload))
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(streamHead + chunk(large) + "0\r\n\r\n")
		p.gone()
	})))
	_, frames, err := attempt(t.Context(), e, request())
	if err != nil || len(frames) != 1 || !bytes.Equal(frames[0], large) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

func TestFrameSourceEndsWithEOFForGood(t *testing.T) {
	e := newEngine(t, settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(streamHead + "0\r\n\r\n")
		p.gone()
	})))
	res, err := e.Attempt(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := res.Frames.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("error %v, want EOF", err)
		}
	}
	res.Frames.Close()
}
