package notify

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dropCount counts the messages that are given up.
type dropCount struct{ n atomic.Int64 }

func (d *dropCount) message(url string) Message {
	return Message{URL: url, Ended: func(how Outcome) {
		if how == GivenUp {
			d.n.Add(1)
		}
	}}
}

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
	var dropped dropCount
	m := dropped.message(server.URL)
	m.Secret, m.Body = "s", map[string]int{"percent": 80}
	s.Post(m)
	s.Close(context.Background())
	select {
	case body := <-got:
		if body != `{"percent":80}` || calls.Load() != 3 || dropped.n.Load() != 0 {
			t.Errorf("%s after %d calls, %d dropped", body, calls.Load(), dropped.n.Load())
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
	var dropped dropCount
	s.Post(dropped.message(server.URL))
	s.Close(context.Background())
	s.Post(dropped.message(server.URL))
	if calls.Load() != 3 || dropped.n.Load() != 2 {
		t.Errorf("%d calls, %d dropped", calls.Load(), dropped.n.Load())
	}
}

// TestLogHasNoAddress: who has a webhook's whole address may post there.
func TestLogHasNoAddress(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler(closed.URL+"/hidden?hidden", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	for _, address := range []string{
		closed.URL + "/services/hidden?x=hidden", "http://user:hidden@" + strings.TrimPrefix(closed.URL, "http://") + "/",
		elsewhere.URL + "/hidden", "http://h/hidden\x7f", "hidden", ":hidden", "",
	} {
		var log bytes.Buffer
		s := New(Options{Attempts: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
		s.Post(Message{URL: address})
		s.Close(context.Background())
		if !strings.Contains(log.String(), "not delivered") || strings.Contains(log.String(), "hidden") {
			t.Errorf("%s: %s", address, log.String())
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	block := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer server.Close()
	s := New(Options{Queue: 2, Workers: 1, Attempts: 1})
	var dropped dropCount
	for range 20 {
		s.Post(dropped.message(server.URL))
	}
	if n := dropped.n.Load(); n < 17 {
		t.Errorf("%d dropped", n)
	}
	close(block)
	s.Close(context.Background())
}

func TestCloseCutsOff(t *testing.T) {
	s := New(Options{Wait: time.Hour})
	var dropped dropCount
	s.Post(dropped.message("http://127.0.0.1:1"))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s.Close(ctx)
	if dropped.n.Load() != 1 || !strings.Contains(Sign("", time.Unix(0, 0), nil), "t=0,") {
		t.Errorf("%d dropped", dropped.n.Load())
	}
}
