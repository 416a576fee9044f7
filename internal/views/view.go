// Package views makes what the page and the API show: each view is a question with its
// answer as tables, out of a ledger's counters and what else a gateway knows. A page, a CSV
// file and the API write the same tables.
package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/keys/admin"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/reconcile"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// Kind is how the cells of a column are written.
type Kind string

// The kinds. Every cell is text; "" is what is not known, or does not apply.
const (
	Text    Kind = "text"
	Count   Kind = "count"   // a whole number
	Money   Kind = "money"   // dollars, as an exact decimal
	Percent Kind = "percent" // a decimal with its sign
	Number  Kind = "number"  // a decimal
	Time    Kind = "time"    // RFC 3339, or a date
	Trend   Kind = "trend"   // decimals with a space between, one for each day
)

// Column is a column of a table.
type Column struct {
	Name, Title string
	Kind        Kind
	// Opens is the view that a cell opens, with the cell as the parameter Param; "" is none. With is
	// a column whose cell goes along as the parameter As.
	Opens, Param, With, As string
}

// tenantColumn is one of tenants, which opens the page of each.
func tenantColumn() Column {
	return Column{Name: "tenant", Title: "tenant", Kind: Text, Opens: "tenant", Param: "tenant"}
}

// Table is an answer.
type Table struct {
	Name, Title string
	Columns     []Column
	Rows        [][]string
	Totals      []string // nil for none
	Empty       string   // what it means that there are no rows
	Figure      chart.Figure
	// Next is where the rows after these begin, "" when these are the last.
	Next string
	// Source and AsOf are where its numbers come from, and as of when they are; they are the view's
	// where nothing else is said.
	Source string
	AsOf   time.Time
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// View is a question and its answers.
type View struct {
	Name, Title, Asks string
	From, To          time.Time // UTC; To is exclusive. Zero for a view of now
	AsOf              time.Time
	// CompleteUpTo is until when every gateway has posted all that it finished; zero for a view
	// that is not of a ledger, or when nobody knows.
	CompleteUpTo time.Time
	Source       string   // where the numbers come from
	Notes        []string // in what they are not the whole truth
	Tables       []*Table
}

// Why a view is not made.
var (
	// ErrQuery is a parameter that cannot be.
	ErrQuery = errors.New("the view cannot be made")
	// ErrForbidden is a tenant or a view that is not the caller's. It says the same of what
	// there is and of what there is not.
	ErrForbidden = errors.New("this is outside of what you may see")
	// ErrUnknown is a view, or an entry, that there is not.
	ErrUnknown = errors.New("there is no such thing")
)

// Sources is where views come from. All but Requests and Health must be set.
type Sources struct {
	Ledger    report.Source
	Tenants   func() *tenant.Directory
	Baselines func() []saving.Baseline
	Prices    func() *record.PriceBook
	Now       func() time.Time
	// Payers are cost centers and tags of tenants, Models what opaque ARNs stand for.
	Payers func() report.Tenants
	Models func() map[string]string
	// Budgets are all budgets below a tenant, those first that run out first.
	Budgets func(ctx context.Context, below string) ([]forecast.State, error)
	// Ahead is what all tenants together will spend in the rest of the month.
	Ahead func() forecast.Ahead
	// Keys are all keys of a tenant and those below it.
	Keys func(below string) []admin.Key
	// Complete gives a report what a command's has beside counters: corrections, prices. Gateways
	// are those that post to the ledger, and how far they are. Either may be nil.
	Complete func(ctx context.Context, q *report.Query) error
	Gateways func(ctx context.Context) ([]report.Gateway, error)
	// Exact is the ledger with its single records, which are kept since a time, nil for never: for reports
	// whose bounds part hours. It may be nil: then they are refused.
	Exact func() (rows *exact.Source, since *time.Time, err error)
	// Statements are those of closed months on this machine, nil for none; Closings which months of a
	// root are closed in the ledger, nil for not known.
	Statements Statements
	Closings   func(ctx context.Context, root string) (ledger.Closings, error)
	// Reconciled is how a month of the ledger compared with the bill, nil for not compared. It may be nil.
	Reconciled func(month string) (*reconcile.Kept, error)
	// Standing is how pools, quotas and bought capacity stand at this gateway. It may be nil.
	Standing func() *standing.State
	// Policy is what tenants' policies leave open of levers. It may be nil: then all is.
	Policy func() advice.Policy
	// Prompts is what cache points of this gateway came to, by tenant; nil for none.
	Prompts func() []promptcache.Row
	// Requests is what is kept of single requests, nil for nothing.
	Requests Requests
	// Health is what /readyz says, nil for a view that there is not.
	Health func() (ready bool, facts []Fact)
}

// Fact is something that a gateway says of itself.
type Fact struct{ What, State, Detail string }

// kind is a view that can be asked for.
type kind struct {
	name, title, asks string
	params            []string // beside those that each view has
	// whole is whether only who sees all tenants may see it, because it is not of any.
	whole bool
	make  func(*ask) error
}

// kinds are all views, in the order of the page.
func kinds() []kind {
	return []kind{
		{"overview", "Overview", "How much is it, and can I believe it?", nil, false, (*ask).overview},
		{"spend", "Spend", "Who spends how much, and since when?", []string{"by"}, false, (*ask).spend},
		{"budgets", "Budgets", "What is left, and when does it run out?", nil, false, (*ask).budgets},
		{"changed", "What changed", "Why is it more or less than in the period before?", nil, false, changesOf},
		{"cascade", "Cascades", "Do cascades pay, and what may they cost in quality?", nil, false, (*ask).cascade},
		{"levers", "Levers", "Which lever saves how much, and what pulls it?", nil, false, leversOf},
		{
			"capacity", "Capacity", "Which pools, quotas and bought capacity are there, and how full are they?",
			nil, false, capacityOf,
		},
		{"escalation", "Escalation", "How often do requests escalate?", nil, false, escalationOf},
		{"caps", "Caps", "Is the output cap cutting answers?", nil, false, capsOf},
		{"cache", "Prompt cache", "Does prompt caching earn or burn money?", nil, false, (*ask).cache},
		{"top", "Top", "Where should I look first?", []string{"by"}, false, (*ask).top},
		{"unit", "Unit cost", "What does one request cost?", nil, false, unitOf},
		{
			"requests", "Requests", "Which requests were there, and what became of them?",
			[]string{"reason", "model", "session", "status", "since", "limit", "cursor"}, false, (*ask).requests,
		},
		{"request", "One request", "What became of this request, and why?", []string{"id"}, false, (*ask).request},
		{"statements", "Closed months", "What was billed, and is it as it was?", nil, false, statementsOf},
		{"trust", "Trust", "How much of these numbers may be wrong, and why?", nil, false, (*ask).trust},
		{"tenant", "One tenant", "What does this tenant use, and what may it?", nil, false, (*ask).tenant},
		{"keys", "Keys", "Which keys are there, and who may use them?", nil, false, keysOf},
		{"health", "Health", "Is it us, the ledger or Bedrock?", nil, true, healthOf},
	}
}

// Name is a view as a menu shows it.
type Name struct{ Name, Title string }

// Shelf makes views. It is safe for concurrent use.
type Shelf struct {
	from  Sources
	cache cache
}

// New returns a shelf of views.
func New(from Sources) *Shelf {
	return &Shelf{from: from, cache: cache{source: from.Ledger, now: from.Now}}
}

// Names are the views that somebody may open.
func (s *Shelf) Names(all bool) []Name {
	var names []Name
	for _, k := range kinds() {
		if all || !k.whole {
			names = append(names, Name{k.name, k.title})
		}
	}
	return names
}

// ask is a view while it is made.
type ask struct {
	*View
	ctx   context.Context //nolint:containedctx // a view is made within one request
	query *Query
	who   Viewer
	shelf *Shelf
	// counted is whether it shows what the ledger counted.
	counted bool
	// read is what was read for it: all its tables are of the same counters.
	read map[span]period
	// gateways are those of the sources, read once.
	gateways func() ([]report.Gateway, error)
}

// Make makes a view. It fails with ErrUnknown, ErrForbidden, ErrQuery, or what a source
// fails with.
func (s *Shelf) Make(ctx context.Context, name string, who Viewer, given map[string][]string) (*View, *Query, error) {
	for _, k := range kinds() {
		if k.name != name {
			continue
		}
		a, err := s.ask(ctx, &k, who, given)
		if err != nil {
			return nil, nil, err
		}
		if err = k.make(a); err == nil {
			a.complete()
		}
		return a.View, a.query, err
	}
	return nil, nil, ErrUnknown
}

// ask begins a view.
func (s *Shelf) ask(ctx context.Context, k *kind, who Viewer, given map[string][]string) (*ask, error) {
	q, err := s.read(who, k.params, given)
	if err != nil {
		return nil, err
	}
	if k.whole && !who.Sees("") {
		return nil, ErrForbidden
	}
	return &ask{ctx: ctx, query: q, who: who, shelf: s, View: &View{
		Name: k.name, Title: k.title, Asks: k.asks, From: q.From, To: q.To, AsOf: s.from.Now().UTC(), Source: "ledger",
	}, gateways: sync.OnceValues(func() ([]report.Gateway, error) { return s.from.Gateways(ctx) })}, nil
}

// complete adds up to when the numbers are whole, and of each table where it comes from.
func (a *ask) complete() {
	if a.counted && a.shelf.from.Gateways != nil {
		all, err := a.gateways()
		if err != nil {
			a.Notes = append(a.Notes, "Up to when gateways have posted is not known: "+err.Error()+".")
		} else {
			a.CompleteUpTo = (&report.Report{AsOf: a.AsOf, Gateways: all}).CompleteUpTo().UTC()
			behind(a, all)
		}
	}
	for _, t := range a.Tables {
		t.Source = cmp.Or(t.Source, a.Source)
		if t.AsOf.IsZero() {
			t.AsOf = a.AsOf
		}
	}
}

// behind notes which gateways have more than the ledger. Only who sees all tenants learns their
// names.
func behind(a *ask, all []report.Gateway) {
	n := int64(0)
	for _, g := range all {
		if g.Behind {
			n++
		}
		if g.Behind && a.who.Sees("") {
			a.Notes = append(a.Notes, "Gateway "+g.Name+" has posted what it finished until "+Stamp(g.UpTo)+
				"; what it finished since is missing.")
		}
	}
	if n > 0 && !a.who.Sees("") {
		a.Notes = append(a.Notes, "What finished after that is missing: "+plural(n, "gateway")+" behind.")
	}
}

// Groupings are the words that a view may be grouped by, none for a view that cannot.
func Groupings(name string) []string {
	return map[string][]string{"spend": spendBy(), "top": topBy()}[name]
}

func spendBy() []string { return []string{"tenant", "team", "root", "project", "cost_center"} }

func topBy() []string { return []string{"key", "model", "tenant", "cascade", "path", "tier", "region"} }

// Viewer is who asks.
type Viewer interface {
	// Sees reports whether figures of a tenant may be seen; "" is all tenants together.
	Sees(tenant string) bool
	// Home is whose figures are shown when no tenant is asked for; "" is all together.
	Home() string
}

// Query is what to show.
type Query struct {
	From, To time.Time
	Tenant   string // of its subtree, "" for all
	By       string
	// Given are the parameters as they came, but for empty ones.
	Given map[string]string
}

// shared are the parameters that each view has. The last two say what to write of it.
var shared = []string{"from", "to", "tenant", "table", "format"}

// read reads parameters and the period.
func (s *Shelf) read(who Viewer, more []string, given map[string][]string) (*Query, error) {
	q, err := s.params(who, more, given)
	if err != nil {
		return nil, err
	}
	span, err := q.period(s.from.Now(), nil)
	q.From, q.To = span.From, span.To
	return q, err
}

// period is the one that was asked for, of a ledger that has single records since a time.
func (q *Query) period(now time.Time, since *time.Time) (of report.Query, err error) {
	asked := report.Asked{From: q.Given["from"], To: q.Given["to"], Since: since}
	if asked.Zone, err = report.Zone(q.Given["zone"]); err == nil {
		of, err = asked.Query(now)
	}
	if err != nil {
		return of, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return of, nil
}

// params reads parameters strictly. Nobody gets to know of tenants that are not theirs.
func (s *Shelf) params(who Viewer, more []string, given map[string][]string) (*Query, error) {
	q := &Query{Given: map[string]string{}}
	for name, values := range given {
		if !slices.Contains(shared, name) && !slices.Contains(more, name) {
			return nil, fmt.Errorf("%w: there is no parameter %q; there are %s",
				ErrQuery, name, strings.Join(slices.Concat(shared, more), ", "))
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: %s is given %d times", ErrQuery, name, len(values))
		}
		if values[0] != "" {
			q.Given[name] = values[0]
		}
	}
	q.By = q.Given["by"]
	if q.Tenant = q.Given["tenant"]; q.Tenant == "" {
		q.Tenant = who.Home()
	}
	if !who.Sees(q.Tenant) {
		return nil, ErrForbidden
	}
	return q, nil
}

// within reports whether a row's tenant is in the subtree that was asked for, by its name of
// now.
func (a *ask) within(of string) bool {
	return a.query.Tenant == "" || record.Within(a.shelf.from.Tenants().Current(of), a.query.Tenant)
}

// by is one of the words to group by, the first when none was given.
func (a *ask) by(words ...string) (string, error) {
	if a.query.By == "" {
		return words[0], nil
	}
	if !slices.Contains(words, a.query.By) {
		return "", fmt.Errorf("%w: by must be one of %s, not %q", ErrQuery, strings.Join(words, ", "), a.query.By)
	}
	return a.query.By, nil
}
