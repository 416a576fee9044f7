package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

// hook is a webhook that keeps what it was told and answers as it is set.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	told   []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status == http.StatusOK {
			h.told = append(h.told, string(body))
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) got() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.told...)
}

func newStore(t *testing.T) *embedded.Notices {
	t.Helper()
	s, err := embedded.OpenNotices(filepath.Join(t.TempDir(), "notices"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newOutbox(s notify.Store, url string) *notify.Outbox {
	return notify.NewOutbox(notify.OutboxOptions{
		Store: s, Sender: notify.New(notify.Options{Attempts: 2, Wait: time.Millisecond}), Every: 5 * time.Millisecond,
		Hook: func(string) (string, string) { return url, "s" },
	})
}

func budgetNotice(id string) notify.Notice {
	return notify.Notice{ID: id, Tenant: "acme", Body: json.RawMessage(`"` + id + `"`), Until: time.Now().Add(time.Hour)}
}

func TestOneOfManyTells(t *testing.T) {
	s, h := newStore(t), newHook(t)
	for range 3 { // one after the other, and told twice by each
		boxes := []*notify.Outbox{newOutbox(s, h.URL), newOutbox(s, h.URL)}
		for _, b := range boxes {
			b.Add(budgetNotice("half"))
			b.Add(budgetNotice("half"))
		}
		for _, b := range boxes {
			b.Close(t.Context())
			b.Add(budgetNotice("late")) // changes nothing
		}
	}
	if got := h.got(); len(got) != 1 || got[0] != `"half"` {
		t.Errorf("told %v", got)
	}
}

// TestTakenOver: what one could not deliver before it had to stop, another does.
func TestTakenOver(t *testing.T) {
	s, h := newStore(t), newHook(t)
	h.answer(http.StatusBadGateway)
	first := notify.NewOutbox(notify.OutboxOptions{
		Store: s, Sender: notify.New(notify.Options{Wait: time.Hour}),
		Hook: func(string) (string, string) { return h.URL, "" },
	})
	first.Add(budgetNotice("half"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	first.Close(ctx)
	h.answer(http.StatusOK)
	second := newOutbox(s, h.URL)
	for deadline := time.Now().Add(10 * time.Second); len(h.got()) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	second.Close(t.Context())
	if got := h.got(); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}

// TestNobodyToTell: without a webhook a notice is told by the log alone, once.
func TestNobodyToTell(t *testing.T) {
	s := newStore(t)
	b := newOutbox(s, "")
	b.Add(budgetNotice("half"))
	b.Close(t.Context())
	if pending, err := s.Pending(t.Context()); err != nil || len(pending) != 0 {
		t.Errorf("%v pending: %v", pending, err)
	}
}

// away is a store that does not answer.
type away struct{}

var errAway = errors.New("away")

func (away) Claim(context.Context, *notify.Notice, time.Duration) (bool, error) {
	return false, errAway
}
func (away) End(context.Context, *notify.Notice, notify.Outcome) error { return errAway }
func (away) Pending(context.Context) ([]notify.Notice, error)          { return nil, errAway }

func TestToldWithoutAStore(t *testing.T) {
	h := newHook(t)
	b := newOutbox(away{}, h.URL)
	b.Add(budgetNotice("half"))
	b.Close(t.Context())
	if got := h.got(); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}
