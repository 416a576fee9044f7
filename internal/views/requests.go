package views

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
)

// Requests is what gateways keep of single requests. *api.All of package decision is one.
type Requests interface {
	Find(ctx context.Context, id string) (*decision.Decision, []api.Silent, error)
	List(ctx context.Context, f decision.Filter, cursor string, limit int) (*decision.Page, []api.Silent, error)
}

// The most requests of one page, and how many there are when nobody says.
const mostRequests, someRequests = 1000, 100

// notKept is what it means that a gateway keeps no decisions.
const notKept = "This gateway keeps nothing of single requests: decisions.off is set, or its file cannot be opened."

// ofWhom says whose requests are shown.
const ofWhom = "Requests that gateways have served and still keep, each as long as decisions.keep and max_bytes say."

// heard notes which gateways were not. Only who sees all tenants learns their names.
func (a *ask) heard(silent []api.Silent) {
	for _, s := range silent {
		if a.who.Sees("") {
			a.Notes = append(a.Notes, fmt.Sprintf("Gateway %s was not heard: %v. What it has is missing.", s.Gateway, s.Err))
		}
	}
	if len(silent) > 0 && !a.who.Sees("") {
		a.Notes = append(a.Notes, plural(int64(len(silent)), "gateway")+" not heard. What they have is missing.")
	}
}

// Field is a parameter of a view that a form asks for.
type Field struct{ Name, Title string }

// Fields are the parameters that one view has and others have not, beside what it is grouped by.
func Fields(view string) []Field {
	return map[string][]Field{
		"requests": {
			{"reason", "check, rule or error type"}, {"model", "model"}, {"session", "session"},
			{"status", "status, 4 or 5 for all of them"},
			{"since", "since (1h, or a time)"},
		},
		"request": {{"id", "request id"}},
	}[view]
}

// requests are those that ended last.
func (a *ask) requests() error {
	t := &Table{Name: "requests", Title: "Newest first, by when they ended", Empty: notKept, Columns: []Column{
		{Name: "request", Title: "request", Kind: Text, Opens: "request", Param: "id"},
		{Name: "received", Title: "received", Kind: Time},
		tenantColumn(), {Name: "user", Title: "user", Kind: Text},
		{Name: "model", Title: "asked for", Kind: Text}, {Name: "served", Title: "served by", Kind: Text},
		{Name: "path", Title: "path", Kind: Text}, {Name: "reason", Title: "because of", Kind: Text},
		{Name: "status", Title: "status", Kind: Count}, {Name: "error", Title: "error", Kind: Text},
		{Name: "refused_at", Title: "refused at", Kind: Text}, {Name: "legs", Title: "legs", Kind: Count},
		{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "duration_ms", Title: "ms", Kind: Number},
	}}
	sessions := sessionTable()
	a.Source, a.Tables = "decisions of the gateways", []*Table{t, sessions}
	f, limit, err := a.filter()
	if err != nil || a.shelf.from.Requests == nil {
		return err
	}
	page, silent, err := a.shelf.from.Requests.List(a.ctx, f, a.query.Given["cursor"], limit)
	if err != nil {
		return asked(err)
	}
	a.heard(silent)
	for i := range page.Decisions {
		d := &page.Decisions[i]
		t.Add(d.ID, Stamp(d.Received), d.Tenant, d.User, d.Asked, d.Served, d.Path, d.Reason, count(int64(d.Status)),
			d.Error, d.Step, count(int64(len(d.Legs))), costOf(d.Cost, d.CostState), millis(d.Duration))
	}
	for _, s := range decision.BySession(page.Decisions) {
		sessions.Add(s.Session, s.Tenant, count(s.Requests), count(s.Refused), s.Cost.String(), count(s.Unsure),
			count(s.Input), count(s.Output), Stamp(s.First), Stamp(s.Last), strings.Join(s.Signals, " "))
	}
	a.Notes = append(a.Notes, ofWhom)
	t.Next, t.Empty = page.Next, "No request of this kind is kept here."
	if t.Next != "" {
		t.Empty = "No request of this kind so far: one page looks at a part. There may be older ones."
	}
	return nil
}

// sessionTable is of the sessions that the requests of a page are calls of.
func sessionTable() *Table {
	return &Table{
		Name: "sessions", Title: "What these requests come to by session, the dearest first",
		Empty: "None of these requests names a session.", Columns: []Column{
			{Name: "session", Title: "session", Kind: Text, Opens: "requests", Param: "session"},
			tenantColumn(), {Name: "requests", Title: "requests", Kind: Count},
			{Name: "refused", Title: "refused", Kind: Count},
			{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "cost_uncertain", Title: "cost not known", Kind: Count},
			{Name: "input_tokens", Title: "input", Kind: Count}, {Name: "output_tokens", Title: "output", Kind: Count},
			{Name: "first", Title: "first", Kind: Time}, {Name: "last", Title: "last", Kind: Time},
			{Name: "signals", Title: "signals of loops", Kind: Text},
		},
	}
}

// filter reads which requests are wanted, and how many.
func (a *ask) filter() (f decision.Filter, limit int, err error) {
	given := a.query.Given
	if text := given["since"]; text != "" {
		if a.From, err = sinceTime(text, a.AsOf); err != nil {
			return f, 0, err
		}
	}
	f = decision.Filter{
		Reason: given["reason"], Model: given["model"], Session: given["session"], Since: a.From, Until: a.To,
	}
	if a.query.Tenant != "" {
		f.Tenant, f.Within = a.query.Tenant, a.within // by the names of now, of who was renamed too
	}
	limit = someRequests
	for name, n := range map[string]*int{"status": &f.Status, "limit": &limit} {
		if text := given[name]; text != "" {
			if *n, err = strconv.Atoi(text); err != nil || *n < 1 || *n > mostRequests {
				return f, 0, fmt.Errorf("%w: %s must be 1 to %d", ErrQuery, name, mostRequests)
			}
		}
	}
	return f, limit, nil
}

// sinceTime reads a time, or how long before now it is.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%w: since is a time such as 2026-11-29T08:00:00Z, or 1h, not %q", ErrQuery, text)
	}
	return t.UTC(), nil
}

// asked is an error of the log as one of views.
func asked(err error) error {
	if errors.Is(err, decision.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return err
}

// request is all that is kept of one request. Of one that somebody may not see it says the
// same as of one that there is not.
func (a *ask) request() error {
	facts, legs, effects := requestTables()
	a.Source, a.Tables = "decisions of the gateways", []*Table{facts, legs, effects}
	id := a.query.Given["id"]
	switch {
	case a.shelf.from.Requests == nil:
		facts.Empty = notKept
		return nil
	case id == "":
		return nil
	}
	d, silent, err := a.shelf.from.Requests.Find(a.ctx, id)
	if err != nil && !errors.Is(err, decision.ErrUnknown) {
		return asked(err)
	}
	if err != nil || !a.sees(d.Tenant) || !a.within(d.Tenant) {
		return fmt.Errorf("%w: no gateway that was heard keeps a request of this id that you may see", ErrUnknown)
	}
	a.heard(silent)
	a.Notes = append(a.Notes, "It is shown whatever period is chosen above.")
	for _, f := range d.Facts() {
		facts.Add(f.What, f.Is)
	}
	for i := range d.Legs {
		l := &d.Legs[i]
		legs.Add(a.legCells(l)...)
		for j := range l.Effects {
			if e := &l.Effects[j]; a.sees(e.Tenant) {
				posted, kept := e.Amounts()
				effects.Add(count(int64(l.Index)), count(int64(l.Attempt)), e.Tenant, e.Unit, e.Period, stampOrNone(e.Start),
					posted, kept)
			}
		}
	}
	return nil
}

// sees reports whether a tenant that a decision names may be named.
func (a *ask) sees(of string) bool { return a.who.Sees(a.shelf.from.Tenants().Current(of)) }

func requestTables() (facts, legs, effects *Table) {
	facts = &Table{Name: "request", Title: "What became of it", Empty: "Give the id of a request: each answer has it in " +
		"x-sluice-request-id.", Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "value", Title: "value", Kind: Text},
	}}
	legs = &Table{Name: "legs", Title: "Calls of models", Empty: "No model was asked.", Columns: []Column{
		{Name: "leg", Title: "leg", Kind: Count}, {Name: "attempt", Title: "attempt", Kind: Count},
		{Name: "model", Title: "model", Kind: Text}, {Name: "path", Title: "path", Kind: Text},
		{Name: "reason", Title: "because of", Kind: Text}, {Name: "upstream", Title: "upstream", Kind: Text},
		{Name: "region", Title: "region", Kind: Text}, {Name: "tier", Title: "tier", Kind: Text},
		{Name: "levers", Title: "levers of cost", Kind: Text},
		{Name: "payer", Title: "paid by", Kind: Text}, {Name: "status", Title: "status", Kind: Count},
		{Name: "outcome", Title: "outcome", Kind: Text}, {Name: "error", Title: "error", Kind: Text},
		{Name: "fate", Title: "answer", Kind: Text}, {Name: "stop_reason", Title: "stop", Kind: Text},
		{Name: "input_tokens", Title: "input", Kind: Count}, {Name: "output_tokens", Title: "output", Kind: Count},
		{Name: "cache_read_tokens", Title: "cache read", Kind: Count},
		{Name: "cache_write_5m_tokens", Title: "cache write 5m", Kind: Count},
		{Name: "cache_write_1h_tokens", Title: "cache write 1h", Kind: Count},
		{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "cost_state", Title: "cost is", Kind: Text},
		{Name: "price_version", Title: "prices", Kind: Text}, {Name: "began", Title: "began", Kind: Time},
		{Name: "duration_ms", Title: "ms", Kind: Number},
		{Name: "upstream_request_id", Title: "upstream request id", Kind: Text},
		{Name: "record", Title: "usage record", Kind: Text},
	}}
	effects = &Table{
		Name: "effects", Title: "What budgets and limits counted, of those that you may see",
		Empty: "No budget or limit that you may see counted it.", Columns: []Column{
			{Name: "leg", Title: "leg", Kind: Count}, {Name: "attempt", Title: "attempt", Kind: Count},
			tenantColumn(), {Name: "unit", Title: "unit", Kind: Text},
			{Name: "period", Title: "period", Kind: Text}, {Name: "start", Title: "since", Kind: Time},
			{Name: "posted", Title: "counted", Kind: Number},
			{Name: "suspense", Title: "kept back, as not known", Kind: Number},
		}}
	return facts, legs, effects
}

func (a *ask) legCells(l *decision.Leg) []string {
	tokens := func(c decision.Count) string {
		if !c.Known {
			return ""
		}
		return count(c.N)
	}
	status, payer := "", l.Payer
	if l.Status != 0 {
		status = count(int64(l.Status))
	}
	if !a.sees(payer) {
		payer = ""
	}
	t := &l.Tokens
	return []string{
		count(int64(l.Index)), count(int64(l.Attempt)), l.Model, l.Path, l.Reason, l.Upstream, l.Region, l.Tier,
		l.Did(), payer,
		status, l.Outcome, l.Error, strings.Join(l.Is.Words(), ", "), l.Stop, tokens(t.Input), tokens(t.Output),
		tokens(t.CacheRead), tokens(t.CacheWrite5m), tokens(t.CacheWrite1h), costOf(l.Cost, l.CostState), l.CostState,
		l.PriceVersion, stampOrNone(l.Began), millis(l.Took), l.UpstreamID, l.Record,
	}
}

// costOf is a cost, "" when nobody knows it or nothing was asked.
func costOf(cost decision.Dollars, state string) string {
	if state != "known" && cost == 0 {
		return ""
	}
	return cost.String()
}

// millis is a time span in milliseconds.
func millis(d decision.Microseconds) string { return fmt.Sprintf("%d.%03d", d/1000, d%1000) }

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Stamp(t)
}

// lately are the requests of the period that ended last, of a path unless that is "". No more are
// looked at than one page has: what is made of them says of how many it is.
func lately(a *ask, path string) ([]decision.Decision, error) {
	if a.shelf.from.Requests == nil {
		return nil, nil
	}
	f, _, err := a.filter()
	if err != nil {
		return nil, err
	}
	f.Path = path
	page, silent, err := a.shelf.from.Requests.List(a.ctx, f, "", mostRequests)
	if err != nil {
		return nil, asked(err)
	}
	a.heard(silent)
	return page.Decisions, nil
}

// sampled is a table of requests that ended last.
func sampled(a *ask, name, title string, of []decision.Decision, columns ...Column) *Table {
	t := &Table{
		Name: name, Title: fmt.Sprintf("%s, of the %s that ended last", title, plural(int64(len(of)), "request")),
		Empty: "No request of this kind is kept.", Columns: columns, Source: "decisions of the gateways",
		AsOf: a.shelf.from.Now().UTC(),
	}
	if a.shelf.from.Requests == nil {
		t.Title, t.Empty = title, notKept
	}
	return t
}

// quantile is the value below which a share of sorted values is.
func quantile[T any](sorted []T, share float64) T {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
