package anthropic

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// modelInfo is ModelInfo. AWS does not say when a model came, so its time is the beginning of
// time, as Anthropic's documentation has it for models whose date is unknown.
type modelInfo struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

func infoOf(m caller.Listed) modelInfo {
	return modelInfo{Type: "model", ID: m.ID, DisplayName: m.Name, CreatedAt: "1970-01-01T00:00:00Z"}
}

// The bounds of a page.
const (
	defaultPage = 20
	largestPage = 1000
)

// list is a page of models.
func list(all []caller.Listed, query string) ([]byte, *caller.Failure) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, caller.Invalid("", "the query string is not valid")
	}
	limit := defaultPage
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > largestPage {
			return nil, caller.Invalid("limit", "limit: Input should be between 1 and 1000")
		}
	}
	at := func(id string) int { return slices.IndexFunc(all, func(m caller.Listed) bool { return m.ID == id }) }
	more := false
	if id := q.Get("after_id"); id != "" {
		i := at(id)
		if i < 0 {
			return nil, caller.Invalid("after_id", "after_id: there is no such model")
		}
		all = all[i+1:]
	}
	if id := q.Get("before_id"); id != "" {
		i := at(id)
		if i < 0 {
			return nil, caller.Invalid("before_id", "before_id: there is no such model")
		}
		more = i > limit
		all = all[max(0, i-limit):i]
	}
	if len(all) > limit {
		all, more = all[:limit], true
	}
	var page struct {
		Data    []modelInfo `json:"data"`
		HasMore bool        `json:"has_more"`
		FirstID *string     `json:"first_id"`
		LastID  *string     `json:"last_id"`
	}
	page.Data, page.HasMore = make([]modelInfo, 0, len(all)), more
	for _, m := range all {
		page.Data = append(page.Data, infoOf(m))
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return encode(page), nil
}

// single is one model.
func single(all []caller.Listed, id string) ([]byte, *caller.Failure) {
	for _, m := range all {
		if m.ID == id {
			return encode(infoOf(m)), nil
		}
	}
	return nil, noModel(id)
}

// encode is v in JSON. Its texts stay readable.
func encode(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer has no JSON: " + err.Error())
	}
	return out
}
