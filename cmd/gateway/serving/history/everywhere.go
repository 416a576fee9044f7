package history

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/admins"
)

// Everywhere answers for the history of all gateways of a ledger, nil for a gateway that keeps
// none. self is where this one's admin port listens, once it does; sign makes a question to
// another gateway one of ours.
func (h *History) Everywhere(shared *redis.Ledger, self func() net.Addr, sign func(*http.Request)) *api.All {
	if h == nil {
		return nil
	}
	all := &api.All{Own: h.log}
	if shared == nil {
		return all
	}
	list := admins.New(shared, h.opts.Now)
	calls := &http.Client{
		Timeout: within, Transport: &http.Transport{IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	all.Others = func(ctx context.Context) (*api.Client, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		known, err := list.Addresses(ctx)
		if err != nil {
			return nil, err
		}
		own := address(&h.admin, self())
		c := &api.Client{HTTP: calls, Sign: sign}
		for _, at := range slices.DeleteFunc(known, func(at string) bool { return at == own }) {
			if !strings.Contains(at, "://") {
				at = "http://" + at
			}
			c.Gateways = append(c.Gateways, strings.TrimRight(at, "/"))
		}
		return c, nil
	}
	return all
}
