package audit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrLog is wrapped by errors about an invocation log that is none, or has nothing.
var ErrLog = errors.New("the invocation log cannot be read")

// CallKind is how a call differs between an invocation log and the journals.
type CallKind string

// The kinds.
const (
	CallPast       CallKind = "past the gateway"
	CallNoRecord   CallKind = "no record"
	CallNotLogged  CallKind = "not in the log"
	CallTokens     CallKind = "other tokens"
	CallModel      CallKind = "another model"
	CallSuspense   CallKind = "in suspense"
	CallNotMetered CallKind = "billed, metered as failed"
	CallUnclear    CallKind = "logged twice, differently"
)

// CallDifference is one call in which the two differ.
type CallDifference struct {
	Kind                 CallKind
	RequestID, Record    string // AWS's id of the call, and that of the record
	Where, Model, Detail string
	at                   time.Time
}

// CallReading is an invocation log and the journals that it is compared with.
type CallReading struct {
	Files    []LogFile
	Journals []Source
	// All is whether Journals are of all gateways whose calls the log has.
	All bool
	// From and To are the period that the log is whole of; zero is from its first line to
	// its last.
	From, To time.Time
}

// Calls is the outcome of a comparison.
type Calls struct {
	From, To    time.Time
	Logged      int // calls, each once
	Twice       int // lines that say the same as an earlier one
	Matched     int // calls that have a record
	Older       int // calls of before the time since when records are kept
	Elsewhere   int // tagged calls without a record here, when the journals are not all
	Differences []CallDifference
}

// CompareCalls compares an invocation log with journals, call by call: by the request id
// that AWS gave it, or by the record's id in its request metadata. It writes nothing.
func CompareCalls(r *CallReading) (*Calls, error) {
	c := &callBooks{
		Calls: Calls{From: r.From, To: r.To}, lines: map[string]*Invocation{}, byRecord: map[string]string{},
		met: map[string]*metered{}, ended: map[string]time.Time{},
	}
	for _, f := range r.Files {
		if err := readLog(f.Name, f.Data, c.line); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLog, err)
		}
	}
	if len(c.lines) == 0 {
		return nil, fmt.Errorf("%w: it has no call", ErrLog)
	}
	c.period(r)
	for _, corrections := range [...]bool{false, true} { // what resolves an attempt comes after it
		for _, j := range r.Journals {
			if j.Corrections != corrections {
				continue
			}
			if err := c.journal(j.Disk); err != nil {
				return nil, fmt.Errorf("%s: %w", j.Name, err)
			}
		}
	}
	c.compare(r.All)
	return &c.Calls, nil
}

// journal reads what a journal has of attempts.
func (c *callBooks) journal(disk journal.Disk) error {
	since, err := meter.KeptSince(disk)
	if err != nil {
		return err
	}
	if since.After(c.since) {
		c.since = since
	}
	return meter.Moments(disk, c.ended, func(m *meter.Moment) error {
		c.record(m)
		return nil
	})
}

// callBooks are both sides while they are compared.
type callBooks struct {
	Calls
	lines    map[string]*Invocation // by AWS's request id
	byRecord map[string]string      // AWS's request id, by the id of a record
	met      map[string]*metered    // attempts, by the id of the record
	ended    map[string]time.Time   // those of unknown outcome
	since    time.Time
}

// metered is what an attempt is in the journals.
type metered struct {
	end   *record.End
	model string
	at    time.Time
}

func (c *callBooks) line(i *Invocation) {
	if had := c.lines[i.RequestID]; had != nil {
		if c.Twice++; had.tokens() != i.tokens() || had.ModelID != i.ModelID || had.ErrorCode != i.ErrorCode {
			c.differ(CallUnclear, i, "", "as in "+had.Where)
		}
		return
	}
	c.lines[i.RequestID] = i
	if id := i.Record(); id != "" {
		c.byRecord[id] = i.RequestID
	}
}

// period finds the period where none is given.
func (c *callBooks) period(r *CallReading) {
	for _, i := range c.lines {
		if r.From.IsZero() && (c.From.IsZero() || i.Timestamp.Before(c.From)) {
			c.From = i.Timestamp
		}
		if r.To.IsZero() && i.Timestamp.After(c.To) {
			c.To = i.Timestamp
		}
	}
}

// record takes in what a journal has of an attempt. What resolves one comes after it.
func (c *callBooks) record(m *meter.Moment) {
	if m.End == nil {
		return
	}
	if had := c.met[m.End.ID]; had != nil {
		id := had.end.AWSRequestID
		had.end = m.End
		had.end.AWSRequestID = cmp.Or(had.end.AWSRequestID, id)
		return
	}
	if c.wanted(m) {
		c.met[m.End.ID] = &metered{m.End, m.Posting.Row.Model, m.At}
	}
}

// within reports whether a time is of the period.
func (c *callBooks) within(at time.Time) bool { return !at.Before(c.From) && !at.After(c.To) }

// wanted reports whether an attempt is of the period, or in the log.
func (c *callBooks) wanted(m *meter.Moment) bool {
	return c.within(m.At) || c.lines[m.End.AWSRequestID] != nil || c.byRecord[m.End.ID] != ""
}

func (c *callBooks) compare(all bool) {
	matched := map[string]bool{} // by AWS's request id
	for id, m := range c.met {
		line := c.lines[cmp.Or(c.byRecord[id], m.end.AWSRequestID)]
		if line == nil {
			if c.expected(m) {
				u := &m.end.Usage
				c.Differences = append(c.Differences, CallDifference{CallNotLogged, m.end.AWSRequestID, id, "", m.model,
					fmt.Sprintf("metered %d input and %d output tokens", u.Input.N, u.Output.N), m.at})
			}
			continue
		}
		matched[line.RequestID] = true
		c.Matched++
		c.pair(line, id, m)
	}
	for id, i := range c.lines {
		if c.Logged++; matched[id] || i.ErrorCode != "" && i.tokens() == 0 {
			continue
		}
		switch {
		case i.Timestamp.Before(c.since):
			c.Older++
		case i.Record() == "":
			c.differ(CallPast, i, "", fmt.Sprintf("%d tokens, without a tag", i.tokens()))
		case all:
			c.differ(CallNoRecord, i, i.Record(), "lost: gateway resolve --invocation-log --all enters it")
		default:
			c.Elsewhere++
		}
	}
	slices.SortFunc(c.Differences, func(a, b CallDifference) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.RequestID, b.RequestID), strings.Compare(string(a.Kind),
			string(b.Kind)))
	})
}

// expected reports whether a call must be in the log: one of the period that got an answer
// with tokens. Bedrock logs no calls of guardrails and no counting of tokens.
func (c *callBooks) expected(m *metered) bool {
	return c.within(m.at) && m.end.AWSRequestID != "" && m.end.Outcome == record.Completed && m.end.Usage.Input.Known
}

// pair compares a line with its record.
func (c *callBooks) pair(i *Invocation, id string, m *metered) {
	truth, says := i.End(id)
	switch {
	case !says:
		return
	case m.end.Outcome == record.Unknown:
		c.differ(CallSuspense, i, id, "gateway resolve --invocation-log posts what it used")
		return
	case m.end.Outcome == record.Failed && truth.Outcome == record.Completed && i.tokens() > 0:
		c.differ(CallNotMetered, i, id, fmt.Sprintf("%d tokens", i.tokens()))
		return
	case truth.Outcome != record.Completed || m.end.Outcome != record.Completed:
		return
	}
	if sent, logged := m.model, i.Model(); !strings.HasSuffix(sent, logged) && !strings.HasSuffix(logged, sent) {
		c.differ(CallModel, i, id, "metered as "+sent)
	}
	if detail := tokensApart(&m.end.Usage, &truth.Usage); detail != "" {
		c.differ(CallTokens, i, id, detail)
	}
}

// tokensApart says in which classes two usages differ, "" for none.
func tokensApart(metered, logged *wire.Usage) string {
	var apart []string
	for _, class := range [...]struct {
		name            string
		metered, logged wire.Count
	}{
		{"input", metered.Input, logged.Input}, {"output", metered.Output, logged.Output},
		{"cache_read", metered.CacheRead, logged.CacheRead},
		{"cache_write_5m", metered.CacheWrite5m, logged.CacheWrite5m},
		{"cache_write_1h", metered.CacheWrite1h, logged.CacheWrite1h},
	} {
		if class.metered.N != class.logged.N {
			apart = append(apart, fmt.Sprintf("%s metered %d, logged %d", class.name, class.metered.N, class.logged.N))
		}
	}
	return strings.Join(apart, "; ")
}

func (c *callBooks) differ(kind CallKind, i *Invocation, id, detail string) {
	c.Differences = append(c.Differences, CallDifference{kind, i.RequestID, cmp.Or(id, i.Record()), i.Where, i.Model(),
		detail, i.Timestamp})
}
