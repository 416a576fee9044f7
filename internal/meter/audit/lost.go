package audit

import (
	"fmt"
	"io"
	"slices"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// search looks for logged calls of which no journal has a record.
type search struct {
	journals []Source
	known    []*meter.Records
	missing  []*Invocation // tagged
	untagged []*Invocation
}

func newSearch(journals []Source) (*search, error) {
	s := &search{journals: journals}
	return s, s.read()
}

func (s *search) read() error {
	s.known = s.known[:0]
	for _, j := range s.journals {
		r, err := meter.ReadRecords(j.Disk)
		if err != nil {
			return fmt.Errorf("%s: %w", j.Name, err)
		}
		s.known = append(s.known, r)
	}
	return nil
}

// unknown returns those of the attempts whose outcome no journal knows. Copies of
// a directory share what was open, and it is resolved in one of them.
func (s *search) unknown(all []record.Suspended) []record.Suspended {
	return slices.DeleteFunc(all, func(a record.Suspended) bool {
		return slices.ContainsFunc(s.known, func(r *meter.Records) bool { return r.Known[a.End.ID] })
	})
}

// see takes in a line that names none of the unknown attempts.
func (s *search) see(i *Invocation) {
	failed := i.ErrorCode != "" && i.tokens() == 0 // and not billed
	if len(s.journals) == 0 || failed || s.has(i) {
		return
	}
	if i.Record() == "" {
		s.untagged = append(s.untagged, i)
		return
	}
	s.missing = append(s.missing, i)
}

// has reports whether a journal has the call, or is too young to know.
func (s *search) has(i *Invocation) bool {
	id := i.Record()
	for _, r := range s.known {
		if r.IDs[id] || r.AWSRequests[i.RequestID] || id != "" && id <= r.Since {
			return true
		}
	}
	return false
}

// lost returns the lines that are missing still when the journals are read
// again: a START is written before its call leaves, so that a gateway which runs
// has written those of all calls that are logged. A call that is logged twice
// comes once.
func (s *search) lost() ([]*Invocation, error) {
	if len(s.missing)+len(s.untagged) == 0 {
		return nil, nil
	}
	if err := s.read(); err != nil {
		return nil, err
	}
	all, untagged := s.missing, s.untagged
	s.missing, s.untagged = nil, nil
	seen := map[string]bool{}
	for _, i := range append(all, untagged...) {
		if once := i.Record() + " " + i.RequestID; !seen[once] {
			seen[once] = true
			s.see(i)
		}
	}
	return s.missing, nil
}

// enterLost enters the calls that were found missing, each under the id of the
// record that it should have had, so that it is entered once.
func (c *Corrections) enterLost(s *search, r *LogReading, done *Resolved, out io.Writer) error {
	lost, err := s.lost()
	if err != nil {
		return err
	}
	done.Untagged = len(s.untagged)
	calls := map[string]int{}
	for _, i := range lost {
		calls[i.Record()]++
	}
	for _, i := range lost {
		a, why := c.entry(i, r)
		if calls[i.Record()] > 1 {
			a, why = nil, "several calls carry this record id"
		}
		if a == nil {
			done.Listed++
			fmt.Fprintf(out, "%s: in no journal, not entered: %s (%s)\n", i.Record(), why, describe(i))
			continue
		}
		if _, err := c.Adjust(a); err != nil {
			return err
		}
		done.Entered++
		fmt.Fprintf(out, "%s: in no journal, entered: %s\n", i.Record(), describe(i))
	}
	return nil
}

// describe is what a line says about its call.
func describe(i *Invocation) string {
	var input, output int64
	if n := i.Input.InputTokenCount; n != nil {
		input = *n
	}
	if n := i.Output.OutputTokenCount; n != nil {
		output = *n
	}
	owner, _ := record.ParseOwner(i.RequestMetadata[record.OwnerKey])
	return fmt.Sprintf("%s, tenant %q, %s, %d input and %d output tokens", i.Where, owner.Tenant, i.Model(), input, output)
}

// entry is the record of a lost call as far as the log has it, or why there is
// none.
func (c *Corrections) entry(i *Invocation, r *LogReading) (a *record.Adjustment, why string) {
	if !r.All {
		return nil, "only part of the journals was read"
	}
	owner, ok := record.ParseOwner(i.RequestMetadata[record.OwnerKey])
	if !ok {
		return nil, "its tenant is not known; adjust by hand under this id"
	}
	op, _ := wire.OperationOf(i.Operation)
	end, ok := i.End(i.Record())
	if !ok || end.Outcome != record.Completed {
		return nil, "the log does not say what it used"
	}
	end.At = i.Timestamp
	// Whether the caller got the answer of a light or shadow leg is not known: the
	// leg counts, the request does not.
	end.Escalated = owner.Path == "escalated"
	end.Served = end.Escalated || owner.Path == "direct" || owner.Path == "passthrough"
	a, err := record.EnterLost(&record.Start{
		ID: i.Record(), Root: record.RootOf(owner.Tenant), Tenant: owner.Tenant, Key: owner.Key, Path: owner.Path,
		Op: op, Model: i.Model(), SKU: r.SKU(i.Model()), At: i.Timestamp,
	}, end, c.prices)
	if err != nil {
		return nil, err.Error()
	}
	a.RefersTo, a.Reason, a.Actor, a.At = i.RequestID, "START lost; from the invocation log, "+i.Where, r.By.Actor, r.By.At
	return a, ""
}
