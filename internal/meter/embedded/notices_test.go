package embedded_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

func openNotices(t *testing.T, path string) *embedded.Notices {
	t.Helper()
	n, err := embedded.OpenNotices(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func TestNotices(t *testing.T) {
	n := openNotices(t, filepath.Join(t.TempDir(), "notices"))
	ledgertest.Notices(t, func(*testing.T) notify.Store { return n })
}

// TestNoticesSurvive: what was delivered is not sent again after a crash, what
// was only claimed is, and a line that a crash cut short is passed over.
func TestNoticesSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notices")
	first := openNotices(t, path)
	notice := func(id string, until time.Duration) *notify.Notice {
		return &notify.Notice{ID: id, Body: json.RawMessage(`1`), Until: time.Now().Add(until)}
	}
	for id, until := range map[string]time.Duration{"sent": time.Hour, "open": time.Hour, "stale": time.Millisecond} {
		n := notice(id, until)
		if mine, err := first.Claim(t.Context(), n, time.Hour); !mine || err != nil {
			t.Fatal(mine, err)
		}
		if n.ID == "sent" {
			if err := first.End(t.Context(), n, notify.Delivered); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"torn","unt`); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	time.Sleep(5 * time.Millisecond)

	second := openNotices(t, path)
	pending, err := second.Pending(t.Context())
	if err != nil || len(pending) != 1 || pending[0].ID != "open" {
		t.Errorf("%v: %v", pending, err)
	}
	if mine, _ := second.Claim(t.Context(), notice("sent", time.Hour), time.Hour); mine {
		t.Error("sent twice")
	}
	if mine, _ := second.Claim(t.Context(), notice("open", time.Hour), time.Hour); !mine {
		t.Error("a claim of the process before is still there")
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "stale") || strings.Contains(string(text), "torn") {
		t.Errorf("%v: %s", err, text)
	}
}
