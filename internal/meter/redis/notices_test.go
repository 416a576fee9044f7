package redis

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

func TestNotices(t *testing.T) {
	server := redistest.NewServer(t)
	open := func(t *testing.T) notify.Store {
		t.Helper()
		l, err := New(Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l.Notices()
	}
	ledgertest.Notices(t, open)

	// Whoever dies between the delivery's two writes leaves the notice pending.
	t.Run("a death after the delivery", func(t *testing.T) {
		l := open(t).(*Notices)
		n := &notify.Notice{ID: "dead", Body: json.RawMessage(`1`), Until: time.Now().Add(time.Hour)}
		client, err := l.server.connected(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		client.HSet(t.Context(), noticesKey, n.ID, text)
		client.Set(t.Context(), noticeKey(n.ID), noticeDelivered, time.Hour)
		if mine, err := l.Claim(context.Background(), n, time.Minute); mine || err != nil {
			t.Error(mine, err)
		}
		if client.HExists(t.Context(), noticesKey, n.ID).Val() {
			t.Error("it is still pending")
		}
	})
}
