package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// LogFile is one file of an invocation log.
type LogFile struct {
	Name string
	Data io.Reader
}

// LogReading is an invocation log and what it is compared with.
type LogReading struct {
	Suspended []record.Suspended // attempts of unknown outcome
	Files     []LogFile
	// Journals are those in which the record of a logged call is looked for. None:
	// calls without a record are not looked for.
	Journals []Source
	// All is whether Journals are of all gateways whose calls the log has. Only
	// then is a tagged call that has no record a lost one, and entered.
	All bool
	// SKU says what a model id is priced as.
	SKU func(model string) record.SKU
	By  Signature
}

// Resolved is what became of the unknown attempts, and of logged calls that no
// journal has.
type Resolved struct {
	Made   int // resolved now
	Before int // resolved earlier, or known in another of the journals
	Open   int // still unknown

	Entered  int // lost calls entered now
	Listed   int // tagged calls without a record that were not entered
	Untagged int // calls without a tag that fit no record
}

// ListUnknown prints the attempts of unknown outcome that are not resolved.
func ListUnknown(all []record.Suspended, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RECORD\tSTARTED\tTENANT\tMODEL\tAWS REQUEST\tESTIMATE\tIN SUSPENSE")
	for i := range all {
		s := &all[i]
		started, aws := "lost", cmp.Or(s.End.AWSRequestID, "-")
		if s.Start != nil {
			started = s.Start.At.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d tokens\t%s\n", s.End.ID, started, s.Posting.Row.Tenant, s.Posting.Row.Model,
			aws, s.Posting.Add.SuspenseTokens, s.Posting.Add.Suspense)
	}
	return w.Flush()
}

// ResolveLog resolves the unknown attempts that an invocation log names for
// certain: by the record id in the request metadata, or by the AWS request id
// where the head of the answer came. For the others it lists the lines that
// could be theirs and picks none. Then it enters the calls that the log has and
// no journal: those whose START was lost with a machine or a disk.
func (c *Corrections) ResolveLog(r LogReading, out io.Writer) (Resolved, error) {
	s, err := newSearch(r.Journals)
	if err != nil {
		return Resolved{}, err
	}
	m := newMatcher(s.unknown(c.Unresolved(r.Suspended)))
	done := Resolved{Before: len(r.Suspended) - len(m.open)}
	for _, f := range r.Files {
		err := readLog(f.Name, f.Data, func(i *Invocation) {
			if !m.see(i) {
				s.see(i)
			}
		})
		if err != nil {
			return done, err
		}
	}
	if err := c.resolveFound(m, r.By, &done, out); err != nil {
		return done, err
	}
	if err := c.enterLost(s, &r, &done, out); err != nil {
		return done, err
	}
	fmt.Fprintf(out, "%d resolved, %d resolved before, %d still unknown\n", done.Made, done.Before, done.Open)
	if len(r.Journals) > 0 {
		fmt.Fprintf(out, "%d lost calls entered, %d without a record not entered, %d untagged that fit no record\n",
			done.Entered, done.Listed, done.Untagged)
	}
	return done, nil
}

// resolveFound resolves what the matcher found.
func (c *Corrections) resolveFound(m *matcher, by Signature, done *Resolved, out io.Writer) error {
	for i := range m.open {
		s := &m.open[i]
		made, err := c.resolveOne(s, m.found[s.End.ID], by, out)
		if err != nil {
			return err
		}
		if made {
			done.Made++
			continue
		}
		done.Open++
		if len(m.found[s.End.ID]) == 0 {
			printCandidates(s, m.candidates[s.End.ID], out)
		}
	}
	return nil
}

// Signature is who makes a correction, and when.
type Signature struct {
	Actor string
	At    time.Time
}

// resolveOne resolves an attempt by the lines that name it, if they agree.
func (c *Corrections) resolveOne(s *record.Suspended, lines []*Invocation, by Signature, out io.Writer) (bool, error) {
	if len(lines) == 0 {
		return false, nil
	}
	line := lines[0]
	for _, other := range lines[1:] {
		if other.RequestID != line.RequestID {
			fmt.Fprintf(out, "%s: two calls carry this record id (%s, %s); resolve it by hand\n", s.End.ID, line.Where,
				other.Where)
			return false, nil
		}
	}
	end, ok := line.End(s.End.ID)
	if !ok || s.Start == nil {
		fmt.Fprintf(out, "%s: %s does not say what was used, or the START is lost; resolve it by hand or adjust\n",
			s.End.ID, line.Where)
		return false, nil
	}
	end.Status = s.End.Status
	r := &record.Resolution{End: end, Source: record.FromInvocationLog, Actor: by.Actor, Note: line.Where, At: by.At}
	made, err := c.Resolve(s, r)
	if made {
		fmt.Fprintf(out, "%s: resolved from %s: %d input, %d output tokens\n", s.End.ID, line.Where, end.Usage.Input.N,
			end.Usage.Output.N)
	}
	return made, err
}

// matcher collects, for each unknown attempt, the lines that name it and the
// best of those that could be its.
type matcher struct {
	open       []record.Suspended
	byRecord   map[string]bool
	byRequest  map[string]string // AWS request id → record id
	found      map[string][]*Invocation
	candidates map[string][]candidate
}

type candidate struct {
	line *Invocation
	off  int64 // how far the input is from the estimate, in thousandths of it
}

// keepCandidates is how many lines are listed for one attempt.
const keepCandidates = 5

// A call is logged when it ends; clocks differ a little.
const (
	logSkew = 2 * time.Minute
	logSpan = 65 * time.Minute // the longest request, and some
)

func newMatcher(open []record.Suspended) *matcher {
	m := &matcher{
		open: open, byRecord: map[string]bool{}, byRequest: map[string]string{},
		found: map[string][]*Invocation{}, candidates: map[string][]candidate{},
	}
	for i := range open {
		m.byRecord[open[i].End.ID] = true
		if id := open[i].End.AWSRequestID; id != "" {
			m.byRequest[id] = open[i].End.ID
		}
	}
	return m
}

// see takes in a line and reports whether it names one of the attempts.
func (m *matcher) see(i *Invocation) bool {
	id := i.Record()
	if id == "" {
		id = m.byRequest[i.RequestID]
	}
	switch {
	case m.byRecord[id]:
		m.found[id] = append(m.found[id], i)
		return true
	case id == "": // a tagged line belongs to another record
		for n := range m.open {
			m.consider(&m.open[n], i)
		}
	}
	return false
}

func (m *matcher) consider(s *record.Suspended, i *Invocation) {
	if s.Start == nil || s.End.AWSRequestID != "" || !couldBe(s.Start, i) {
		return
	}
	off := int64(1000)
	if n := i.Input.InputTokenCount; n != nil {
		off = max(*n-s.Start.EstimatedInput, s.Start.EstimatedInput-*n) * 1000 / max(s.Start.EstimatedInput, 1)
	}
	best := append(m.candidates[s.End.ID], candidate{i, off})
	slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(a.off, b.off) })
	m.candidates[s.End.ID] = best[:min(len(best), keepCandidates)]
}

// couldBe reports whether operation, model, time and cap fit.
func couldBe(s *record.Start, i *Invocation) bool {
	if i.Operation != s.Op.APIName() || i.ModelID != s.Model && !strings.HasSuffix(i.ModelID, "/"+s.Model) {
		return false
	}
	if i.Timestamp.Before(s.At.Add(-logSkew)) || i.Timestamp.After(s.At.Add(logSpan)) {
		return false
	}
	n := i.Output.OutputTokenCount
	return n == nil || s.MaxOutput <= 0 || *n <= s.MaxOutput
}

func printCandidates(s *record.Suspended, all []candidate, out io.Writer) {
	if len(all) == 0 {
		fmt.Fprintf(out, "%s: nothing in the log fits\n", s.End.ID)
		return
	}
	fmt.Fprintf(out, "%s: not tagged; lines that could be its, by how well the input fits:\n", s.End.ID)
	for _, c := range all {
		var input, output int64
		if n := c.line.Input.InputTokenCount; n != nil {
			input = *n
		}
		if n := c.line.Output.OutputTokenCount; n != nil {
			output = *n
		}
		fmt.Fprintf(out, "  %s %s request %s: %d input (estimated %d), %d output tokens\n", c.line.Where,
			c.line.Timestamp.UTC().Format(time.RFC3339), c.line.RequestID, input, s.Start.EstimatedInput, output)
	}
}
