package harness

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// Play answers the n-th request (from 1) for a model by writing raw bytes. When
// it reports false the connection is closed.
type Play func(conn *net.TCPConn, n int) (keep bool)

// Scripted is an upstream on a raw socket, for what no HTTP server would send.
type Scripted struct {
	Addr string

	t     testing.TB
	plays map[string]Play

	mu    sync.Mutex
	calls map[string]int // by model
	heads map[string]http.Header
}

// StartScripted starts an upstream that plays by model id.
func StartScripted(t testing.TB, plays map[string]Play) *Scripted {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Scripted{Addr: ln.Addr().String(), t: t, plays: plays, calls: map[string]int{}, heads: map[string]http.Header{}}
	var open sync.WaitGroup
	end := make(chan struct{})
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() { s.serve(conn.(*net.TCPConn), end) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		close(end)
		open.Wait()
	})
	return s
}

// URL is the upstream's endpoint.
func (s *Scripted) URL() string { return "http://" + s.Addr }

// Calls returns how many requests came for a model.
func (s *Scripted) Calls(model string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[model]
}

// Head returns the header of the newest request for a model.
func (s *Scripted) Head(model string) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads[model]
}

func (s *Scripted) serve(conn *net.TCPConn, end <-chan struct{}) {
	done := make(chan struct{})
	defer close(done)
	defer conn.Close()
	go func() { // a play that waits ends with the test
		select {
		case <-end:
			conn.Close()
		case <-done:
		}
	}()
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		model := strings.TrimPrefix(req.URL.EscapedPath(), "/model/")
		model, _, _ = strings.Cut(model, "/")
		if model, err = url.PathUnescape(model); err != nil {
			s.t.Errorf("upstream: %v in %s", err, req.RequestURI)
		}
		s.mu.Lock()
		s.calls[model]++
		n := s.calls[model]
		s.heads[model] = req.Header
		s.mu.Unlock()
		play := s.plays[model]
		if play == nil {
			s.t.Errorf("upstream: nothing to play for %q", model)
			return
		}
		if !play(conn, n) {
			return
		}
	}
}

// EncodeFrame is one event-stream message, made by the AWS SDK's encoder. The
// message type is "event" or "exception".
func EncodeFrame(t testing.TB, messageType, name, payload string) []byte {
	t.Helper()
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue(messageType))
	m.Headers.Set(":"+messageType+"-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Exceptions returns the names of the exception frames in a stream, checked by
// the AWS SDK's decoder.
func Exceptions(t testing.TB, stream []byte) (names []string) {
	t.Helper()
	r := bytes.NewReader(stream)
	for r.Len() > 0 {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			t.Errorf("the caller got what is no event stream: %v", err)
			return names
		}
		if v := m.Headers.Get(":exception-type"); v != nil {
			names = append(names, v.String())
		}
	}
	return names
}
