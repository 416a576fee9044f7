package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// MinuteSums is what a saved answer of Minutes has.
type MinuteSums = minuteList

// Minutes asks all gateways for the sums of the minutes from one time to another, each gateway
// for its own. It returns from when on all that were heard have what there was, the zero time
// when none has any, and who was not heard.
func (c *Client) Minutes(
	ctx context.Context, from, to time.Time, yield func(*decision.Row),
) (since time.Time, silent []Silent) {
	return c.inTurn(func(gateway string) (time.Time, error) { return c.minutesOf(ctx, gateway, from, to, yield) })
}

// inTurn asks one gateway after the other. It returns from when on all that were heard have what
// there was, and who was not heard.
func (c *Client) inTurn(ask func(gateway string) (since time.Time, err error)) (since time.Time, silent []Silent) {
	for _, gateway := range c.Gateways {
		kept, err := ask(gateway)
		if err != nil {
			silent = append(silent, Silent{gateway, err})
			continue
		}
		if kept.After(since) {
			since = kept
		}
	}
	return since, silent
}

// minutesOf asks one gateway, in windows that one answer can hold.
func (c *Client) minutesOf(
	ctx context.Context, gateway string, from, to time.Time, yield func(*decision.Row),
) (since time.Time, err error) {
	for window := 24 * time.Hour; from.Before(to); {
		until := from.Add(window)
		if until.After(to) {
			until = to
		}
		q := url.Values{"since": {from.UTC().Format(time.RFC3339)}, "until": {until.UTC().Format(time.RFC3339)}}
		var part minuteList
		err := c.get(ctx, gateway+Minutes+"?"+q.Encode(), &part)
		if errors.Is(err, decision.ErrInvalid) && window > time.Minute {
			window = max(window/4, time.Minute) // there were too many rows
			continue
		}
		if err != nil {
			return since, err
		}
		for i := range part.Minutes {
			yield(&part.Minutes[i])
		}
		from, since = until, part.Since
	}
	return since, nil
}
