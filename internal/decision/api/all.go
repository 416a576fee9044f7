package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// All answers for all gateways of a ledger: out of what this one keeps, and by asking the others.
type All struct {
	Own Decisions
	// Others is how the others are asked; nil when there are none.
	Others func(ctx context.Context) (*Client, error)
}

// others asks who else there is. Who cannot be asked is among silent.
func (a *All) others(ctx context.Context) (c *Client, silent []Silent) {
	if a.Others == nil {
		return &Client{}, nil
	}
	c, err := a.Others(ctx)
	if err != nil {
		return &Client{}, []Silent{{"other than this", err}}
	}
	return c, nil
}

// Find returns the decision of a request, wherever it was served. It fails with
// decision.ErrUnknown when none of those that were heard has it; silent are those that were not.
func (a *All) Find(ctx context.Context, id string) (*decision.Decision, []Silent, error) {
	d, err := a.Own.Find(id)
	if !errors.Is(err, decision.ErrUnknown) {
		return d, nil, err
	}
	c, unknown := a.others(ctx)
	d, _, silent, err := c.Find(ctx, id)
	return d, append(unknown, silent...), err
}

// mark is what begins the cursor of a page of several gateways: where each of them goes on.
const mark = "all."

// self is this gateway in a cursor.
const self = ""

// List returns a page of what f takes: of each gateway its newest by when they ended, together by
// when they arrived. f.Tenant is asked of the others, f.Within of what they answer.
func (a *All) List(
	ctx context.Context, f decision.Filter, cursor string, limit int,
) (*decision.Page, []Silent, error) {
	c, silent := a.others(ctx)
	own := f
	if f.Within != nil {
		own.Tenant = "" // Within knows former names too
	}
	if len(c.Gateways) == 0 && !strings.HasPrefix(cursor, mark) {
		page, err := a.Own.List(own, cursor, limit)
		return page, silent, err
	}
	at, err := parseCursor(cursor, append([]string{self}, c.Gateways...))
	if err != nil {
		return nil, nil, err
	}
	each := max(1, limit/max(1, len(at)))
	all, next := &decision.Page{Decisions: []decision.Decision{}}, map[string]string{}
	if from, more := at[self]; more {
		page, err := a.Own.List(own, from, each)
		if err != nil {
			return nil, nil, err
		}
		all = page
		note(next, self, page.Next)
	}
	asked := *c
	asked.Gateways = slices.DeleteFunc(slices.Clone(c.Gateways), func(g string) bool { _, more := at[g]; return !more })
	pages := make([]list, len(asked.Gateways))
	failed := asked.each(func(i int) error {
		q := query(&f)
		q.Set("limit", strconv.Itoa(each))
		if from := at[asked.Gateways[i]]; from != "" {
			q.Set("cursor", from)
		}
		return asked.get(ctx, asked.Gateways[i]+Requests+"?"+q.Encode(), &pages[i])
	})
	for i, g := range asked.Gateways {
		if failed[i] != nil {
			silent = append(silent, Silent{g, failed[i]})
			continue
		}
		for j := range pages[i].Requests {
			if d := &pages[i].Requests[j]; f.Within == nil || f.Within(d.Tenant) {
				all.Decisions = append(all.Decisions, *d)
			}
		}
		note(next, g, pages[i].Next)
	}
	slices.SortStableFunc(all.Decisions, func(a, b decision.Decision) int { return strings.Compare(b.ID, a.ID) })
	all.Next, err = cursorOf(next)
	return all, silent, err
}

func note(next map[string]string, gateway, at string) {
	if at != "" {
		next[gateway] = at
	}
}

// cursorOf is "" when nobody has more.
func cursorOf(next map[string]string) (string, error) {
	if len(next) == 0 {
		return "", nil
	}
	text, err := json.Marshal(next)
	return mark + base64.RawURLEncoding.EncodeToString(text), err
}

// parseCursor returns who has more, and where it begins: all from their newest without a cursor.
func parseCursor(cursor string, all []string) (map[string]string, error) {
	at := map[string]string{}
	if cursor == "" {
		for _, g := range all {
			at[g] = ""
		}
		return at, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(cursor, mark))
	if err != nil || !strings.HasPrefix(cursor, mark) || json.Unmarshal(text, &at) != nil {
		return nil, fmt.Errorf("%w: %q is no cursor", decision.ErrInvalid, cursor)
	}
	return at, nil
}
