package api

import (
	"context"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// RequestList is what a saved answer of Requests has.
type RequestList = list

// Each yields the decisions that f takes, the newest of each gateway first and at most so many of each, one gateway
// after the other and page by page. It returns from when on all that were heard have what there was, as far as it was
// read; the zero time when none has any.
func (c *Client) Each(
	ctx context.Context, f decision.Filter, most int, yield func(*decision.Decision),
) (since time.Time, silent []Silent) {
	return c.inTurn(func(gateway string) (time.Time, error) { return c.eachOf(ctx, gateway, &f, most, yield) })
}

func (c *Client) eachOf(
	ctx context.Context, gateway string, f *decision.Filter, most int, yield func(*decision.Decision),
) (since time.Time, err error) {
	q := query(f)
	for n := 0; ; {
		q.Set("limit", strconv.Itoa(min(most-n, 1000)))
		var page list
		if err := c.get(ctx, gateway+Requests+"?"+q.Encode(), &page); err != nil {
			return since, err
		}
		for i := range page.Requests {
			yield(&page.Requests[i])
		}
		n += len(page.Requests)
		if page.Next == "" {
			return page.Since, nil
		}
		if n >= most {
			return arrived(page.Requests[len(page.Requests)-1].ID), nil
		}
		q.Set("cursor", page.Next)
	}
}

// arrived is when the request of an id did, the zero time for what is no id.
func arrived(id string) time.Time {
	u, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(u.Time()).UTC()
}
