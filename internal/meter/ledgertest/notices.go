package ledgertest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
)

// Notices runs what every store of notices must do. open returns a store that
// shares its contents with the others of the same test, as gateways do; ids of
// different tests do not meet.
func Notices(t *testing.T, open func(t *testing.T) notify.Store) {
	t.Run("one claims", func(t *testing.T) {
		a, b, n := open(t), open(t), newNotice(t)
		wantPending(t, a, n.ID)
		claim(t, a, n, time.Minute, true)
		claim(t, b, n, time.Minute, false)
		wantPending(t, b, n.ID, *n)
		end(t, a, n, notify.Delivered)
		claim(t, b, n, time.Minute, false)
		wantPending(t, b, n.ID)
	})
	t.Run("given up", func(t *testing.T) {
		a, b, n := open(t), open(t), newNotice(t)
		claim(t, a, n, time.Minute, true)
		end(t, a, n, notify.GivenUp)
		wantPending(t, b, n.ID, *n)
		claim(t, b, n, time.Minute, true)
	})
	t.Run("a claim lapses", func(t *testing.T) {
		a, b, n := open(t), open(t), newNotice(t)
		claim(t, a, n, 20*time.Millisecond, true)
		time.Sleep(50 * time.Millisecond)
		wantPending(t, b, n.ID, *n)
		claim(t, b, n, time.Minute, true)
	})
	t.Run("nobody needs to know", func(t *testing.T) {
		a, n := open(t), newNotice(t)
		n.Until = time.Now().Add(-time.Second)
		claim(t, a, n, time.Minute, true)
		wantPending(t, a, n.ID)
	})
}

func newNotice(t *testing.T) *notify.Notice {
	t.Helper()
	return &notify.Notice{
		ID:     t.Name(),
		Tenant: "acme/app",
		Body:   json.RawMessage(`{"percent":50}`),
		Until:  time.Now().Add(time.Hour).UTC().Truncate(time.Second),
	}
}

func claim(t *testing.T, s notify.Store, n *notify.Notice, ttl time.Duration, want bool) {
	t.Helper()
	got, err := s.Claim(t.Context(), n, ttl)
	if err != nil || got != want {
		t.Errorf("claimed: %v, want %v: %v", got, want, err)
	}
}

func end(t *testing.T, s notify.Store, n *notify.Notice, how notify.Outcome) {
	t.Helper()
	if err := s.End(t.Context(), n, how); err != nil {
		t.Error(err)
	}
}

func wantPending(t *testing.T, s notify.Store, id string, want ...notify.Notice) {
	t.Helper()
	all, err := s.Pending(t.Context())
	var got []notify.Notice
	for _, n := range all {
		if n.ID == id {
			got = append(got, n)
		}
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("pending: %v\n%s", err, diff)
	}
}
