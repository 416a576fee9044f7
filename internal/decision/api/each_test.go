package api

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// TestEach: decisions come page by page, as many of each gateway as are asked for, and since when there are all is when
// the last of them arrived.
func TestEach(t *testing.T) {
	const n = 2500
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	all := kept{}
	for i := n; i > 0; i-- {
		at := ulid.Timestamp(start.Add(time.Duration(i) * time.Second))
		all = append(all, decision.Decision{ID: ulid.MustNew(at, nil).String(), Tenant: fmt.Sprint(i)})
	}
	s := httptest.NewServer(Handler(all))
	t.Cleanup(s.Close)
	c := &Client{Gateways: []string{s.URL, "http://127.0.0.1:1"}}
	f := func(most, want int, since time.Time) {
		t.Helper()
		got := map[string]bool{}
		read, silent := c.Each(t.Context(), decision.Filter{}, most, func(d *decision.Decision) { got[d.Tenant] = true })
		if len(got) != want || !read.Equal(since) || len(silent) != 1 {
			t.Errorf("%d: %d, since %v, %v", most, len(got), read, silent)
		}
	}
	f(n+1, n, time.Time{}) // the list of the test does not say since when it has any
	f(1500, 1500, start.Add(1001*time.Second))
	f(7, 7, start.Add(2494*time.Second))
}
