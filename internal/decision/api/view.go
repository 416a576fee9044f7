package api

import (
	"context"
	"encoding/json"
	"time"
)

// Views is the path of what the page of a gateway shows, before the name of a view.
const Views = "/api/v1/views/"

// Tables asks one gateway after the other for a view of its page with a query, and yields the rows of each table by its
// name. It returns who was not heard, or has no such view.
func (c *Client) Tables(
	ctx context.Context, view, query string, yield func(gateway, table string, rows json.RawMessage) error,
) []Silent {
	_, silent := c.inTurn(func(gateway string) (since time.Time, err error) {
		var answer struct {
			Tables []struct {
				Name string
				Rows json.RawMessage
			}
		}
		if err := c.get(ctx, gateway+Views+view+query, &answer); err != nil {
			return since, err
		}
		for _, t := range answer.Tables {
			if err := yield(gateway, t.Name, t.Rows); err != nil {
				return since, err
			}
		}
		return since, nil
	})
	return silent
}
