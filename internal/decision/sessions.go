package decision

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Session is what the calls of one session came to, as far as decisions of them are kept: a chain costs what its calls
// cost.
type Session struct {
	Tenant   string    `json:"tenant"`
	Session  string    `json:"session"`
	Requests int64     `json:"requests"`
	Refused  int64     `json:"refused"`        // with an error
	Signals  []string  `json:"signals"`        // what told that it goes round in circles
	Input    int64     `json:"input_tokens"`   // of all classes, as far as they were reported
	Output   int64     `json:"output_tokens"`  // likewise
	Cost     Dollars   `json:"cost_usd"`       // of its requests
	Unsure   int64     `json:"cost_uncertain"` // requests whose cost is unknown or has no price
	First    time.Time `json:"first"`          // when its first request arrived
	Last     time.Time `json:"last"`
}

// BySession adds up requests by their sessions, those first that cost most. Requests without one are left out.
func BySession(all []Decision) []Session {
	type key struct{ tenant, session string }
	at, sums := map[key]int{}, []Session{}
	for i := range all {
		d := &all[i]
		if d.Session == "" {
			continue
		}
		k := key{d.Tenant, d.Session}
		n, known := at[k]
		if !known {
			n = len(sums)
			at[k] = n
			sums = append(sums, Session{
				Tenant: d.Tenant, Session: d.Session, Signals: []string{}, First: d.Received, Last: d.Received,
			})
		}
		sums[n].add(d)
	}
	slices.SortStableFunc(sums, func(a, b Session) int {
		return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Session, b.Session))
	})
	return sums
}

func (s *Session) add(d *Decision) {
	s.Requests++
	if d.Status >= 400 {
		s.Refused++
	}
	if d.Signal != "" && !slices.Contains(s.Signals, d.Signal) {
		s.Signals = append(s.Signals, d.Signal)
	}
	for i := range d.Legs {
		t := &d.Legs[i].Tokens
		s.Input += t.Input.N + t.CacheRead.N + t.CacheWrite5m.N + t.CacheWrite1h.N
		s.Output += t.Output.N
	}
	if s.Cost += d.Cost; d.CostState != "" && d.CostState != "known" {
		s.Unsure++
	}
	if d.Received.Before(s.First) {
		s.First = d.Received
	}
	if d.Received.After(s.Last) {
		s.Last = d.Received
	}
}

// WriteSessions writes sessions one a line.
func WriteSessions(w io.Writer, all []Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("SESSION", "TENANT", "REQUESTS", "REFUSED", "COST", "UNCERTAIN", "INPUT", "OUTPUT", "FIRST", "LAST", "SIGNALS")
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	moment := func(t time.Time) string { return t.UTC().Format("01-02T15:04:05Z") }
	for i := range all {
		s := &all[i]
		row(s.Session, orDash(s.Tenant), number(s.Requests), number(s.Refused), "$"+s.Cost.String(), number(s.Unsure),
			number(s.Input), number(s.Output), moment(s.First), moment(s.Last), orDash(strings.Join(s.Signals, ",")))
	}
	return t.Flush()
}
