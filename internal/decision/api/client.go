package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// Client asks gateways for their decisions. The zero value asks nobody.
type Client struct {
	// Gateways are the base URLs of admin ports, such as http://10.0.0.7:9090.
	Gateways []string
	Token    string       // "" sends none
	HTTP     *http.Client // nil: http.DefaultClient
	// Sign, when not nil, puts something else than a token into a question.
	Sign func(*http.Request)
}

// Silent is why a gateway was not heard.
type Silent struct {
	Gateway string
	Err     error
}

// Find asks all gateways for the decision of a request, and returns it with the gateway that
// has it. It fails with decision.ErrUnknown when none of those that answered has it; silent
// are those that did not.
func (c *Client) Find(
	ctx context.Context, id string,
) (d *decision.Decision, gateway string, silent []Silent, err error) {
	found := make([]*decision.Decision, len(c.Gateways))
	failed := c.each(func(i int) error {
		var one decision.Decision
		if err := c.get(ctx, c.Gateways[i]+Requests+"/"+url.PathEscape(id), &one); err != nil {
			return err
		}
		found[i] = &one
		return nil
	})
	for i, one := range found {
		if one != nil {
			return one, c.Gateways[i], nil, nil
		}
		switch {
		case errors.Is(failed[i], decision.ErrInvalid):
			return nil, "", nil, failed[i]
		case !errors.Is(failed[i], decision.ErrUnknown):
			silent = append(silent, Silent{c.Gateways[i], failed[i]})
		}
	}
	return nil, "", silent, decision.ErrUnknown
}

// Result is what all gateways have of what was asked, newest first by when it arrived.
type Result struct {
	Decisions []decision.Decision
	More      bool // there are older ones
	// Since is from when on all gateways that were heard have what there was; the zero time
	// when none of them has any.
	Since  time.Time
	Silent []Silent
}

// List asks all gateways for the newest decisions that f takes, limit at most. It fails when a
// gateway refuses the question.
func (c *Client) List(ctx context.Context, f decision.Filter, limit int) (*Result, error) {
	lists := make([]list, len(c.Gateways))
	failed := c.each(func(i int) (err error) {
		lists[i], err = c.list(ctx, c.Gateways[i], &f, limit)
		return err
	})
	r := &Result{}
	for i, err := range failed {
		if errors.Is(err, decision.ErrInvalid) {
			return nil, err
		}
		if err != nil {
			r.Silent = append(r.Silent, Silent{c.Gateways[i], err})
			continue
		}
		r.Decisions = append(r.Decisions, lists[i].Requests...)
		r.More = r.More || lists[i].Next != ""
		if lists[i].Since.After(r.Since) {
			r.Since = lists[i].Since
		}
	}
	slices.SortStableFunc(r.Decisions, func(a, b decision.Decision) int { return strings.Compare(b.ID, a.ID) })
	if len(r.Decisions) > limit {
		r.Decisions, r.More = r.Decisions[:limit], true
	}
	return r, nil
}

// list reads as many pages of one gateway as limit needs.
func (c *Client) list(ctx context.Context, gateway string, f *decision.Filter, limit int) (all list, err error) {
	q := query(f)
	for {
		q.Set("limit", strconv.Itoa(min(limit-len(all.Requests), 1000)))
		var page list
		if err := c.get(ctx, gateway+Requests+"?"+q.Encode(), &page); err != nil {
			return list{}, err
		}
		all.Requests, all.Next, all.Since = append(all.Requests, page.Requests...), page.Next, page.Since
		if page.Next == "" || len(all.Requests) >= limit {
			return all, nil
		}
		q.Set("cursor", page.Next)
	}
}

func query(f *decision.Filter) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"tenant": f.Tenant, "key": f.Key, "user": f.User, "session": f.Session,
		"model": f.Model, "cascade": f.Cascade, "path": f.Path,
		"reason": f.Reason,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Status != 0 {
		q.Set("status", strconv.Itoa(f.Status))
	}
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	return q
}

// each asks all gateways at once.
func (c *Client) each(ask func(i int) error) []error {
	failed := make([]error, len(c.Gateways))
	var wg sync.WaitGroup
	for i := range c.Gateways {
		wg.Go(func() { failed[i] = ask(i) })
	}
	wg.Wait()
	return failed
}

// mostAnswer bounds what is read of one answer.
const mostAnswer = 64 << 20

func (c *Client) get(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.Sign != nil {
		c.Sign(req)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusOK {
		return json.Unmarshal(body, v)
	}
	return refused(res, body)
}

// refused is what an answer other than 200 means.
func refused(res *http.Response, body []byte) error {
	var what struct{ Error, Detail string } // earlier versions have an error, no detail
	_ = json.Unmarshal(body, &what)         // what is no JSON says nothing
	text := what.Error + what.Detail
	switch {
	case res.StatusCode == http.StatusNotFound && strings.Contains(text, decision.ErrUnknown.Error()):
		return decision.ErrUnknown
	case res.StatusCode == http.StatusNotFound:
		return errors.New("it keeps no decisions: decisions.off is set there, or it is of another version")
	case res.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", decision.ErrInvalid, strings.TrimPrefix(text, decision.ErrInvalid.Error()+": "))
	case res.StatusCode == http.StatusUnauthorized:
		return errors.New("it needs its admin.token")
	}
	return fmt.Errorf("it answers %s: %s", res.Status, text)
}
