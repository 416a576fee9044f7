package notify

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSign(t *testing.T) {
	// printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
	const want = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
	if got := Sign("secret", time.Unix(1_700_000_000, 0), []byte("{}")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRetriesUntilTaken(t *testing.T) {
	var calls atomic.Int64
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.Header.Get(SignatureHeader) == Sign("s", time.Unix(5, 0), body) {
			got <- string(body)
		}
	}))
	defer server.Close()
	s := New(Options{Wait: time.Millisecond, Now: func() time.Time { return time.Unix(5, 0) }})
	s.Post(Message{URL: server.URL, Secret: "s", Body: map[string]int{"percent": 80}})
	s.Close(context.Background())
	select {
	case body := <-got:
		if body != `{"percent":80}` || calls.Load() != 3 || s.Dropped() != 0 {
			t.Errorf("%s after %d calls, %d dropped", body, calls.Load(), s.Dropped())
		}
	default:
		t.Errorf("not delivered in %d calls, or the signature is wrong", calls.Load())
	}
}

func TestGivesUp(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusFound)
	}))
	defer server.Close()
	s := New(Options{Wait: time.Millisecond, Attempts: 3})
	s.Post(Message{URL: server.URL})
	s.Close(context.Background())
	s.Post(Message{URL: server.URL})
	if calls.Load() != 3 || s.Dropped() != 2 {
		t.Errorf("%d calls, %d dropped", calls.Load(), s.Dropped())
	}
}

func TestQueueIsBounded(t *testing.T) {
	block := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer server.Close()
	s := New(Options{Queue: 2, Workers: 1, Attempts: 1})
	for range 20 {
		s.Post(Message{URL: server.URL})
	}
	if n := s.Dropped(); n < 17 {
		t.Errorf("%d dropped", n)
	}
	close(block)
	s.Close(context.Background())
}

func TestCloseCutsOff(t *testing.T) {
	s := New(Options{Wait: time.Hour})
	s.Post(Message{URL: "http://127.0.0.1:1"})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s.Close(ctx)
	if s.Dropped() != 1 || !strings.Contains(Sign("", time.Unix(0, 0), nil), "t=0,") {
		t.Errorf("%d dropped", s.Dropped())
	}
}
