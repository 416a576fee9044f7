package meter

import (
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// Records says which records a journal has.
type Records struct {
	// IDs are those of all attempts and adjustments that the segments have.
	IDs map[string]bool
	// Known are those of attempts whose outcome their END or a resolution tells.
	Known map[string]bool
	// AWSRequests are Bedrock's ids of the calls whose answer began.
	AWSRequests map[string]bool
	// Since is the id after which IDs are complete, "" when they are from the
	// journal's beginning on. Ids are ULIDs, which sort by time.
	Since string
}

// ReadRecords reads the segments of a journal. Those that are gone after their
// time held older ids: Since is then the newest of the first segment left, so
// that attempts which began at about one time are on one side of it.
func ReadRecords(disk journal.Disk) (*Records, error) {
	all := &Records{IDs: map[string]bool{}, Known: map[string]bool{}, AWSRequests: map[string]bool{}}
	segments, err := journal.Segments(disk)
	if err != nil || len(segments) == 0 {
		return all, err
	}
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		id, err := all.record(r.Kind(), r.Payload())
		if err != nil {
			return nil, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if first := segments[0]; first > 1 && r.At().Segment == first && r.Kind() == kindStart {
			all.Since = max(all.Since, id)
		}
	}
	return all, r.Err()
}

func (all *Records) record(kind byte, payload []byte) (id string, err error) {
	switch kind {
	case kindStart:
		s, err := readStart(payload)
		if err != nil {
			return "", err
		}
		id = s.ID
	case kindEnd, kindUnknown:
		p, e, err := readEnd(payload)
		if err != nil {
			return "", err
		}
		if id = e.ID; e.AWSRequestID != "" {
			all.AWSRequests[e.AWSRequestID] = true
		}
		if p.Add.Unknown == 0 {
			all.Known[id] = true
		}
	case kindResolve:
		var p Posting
		r := &Resolution{}
		c := reader(payload)
		if c.resolve(&p, r); c.bad {
			return "", c.err()
		}
		id = r.End.ID
		all.Known[id] = true
	case kindRelease:
		c := reader(payload)
		c.version()
		if c.str(&id); c.bad {
			return "", c.err()
		}
	case kindAdjust:
		var p Posting
		a := &Adjustment{}
		c := reader(payload)
		if c.adjust(&p, a); c.bad {
			return "", c.err()
		}
		id = a.ID
	default:
		return "", nil
	}
	all.IDs[id] = true
	return id, nil
}

// errNotEntered is for a call that nothing can be posted for.
var errNotEntered = errors.New("its usage is not complete, or not possible")

// Entry is the adjustment that enters a call of which no journal has a record,
// under the id that its record had. s is what is known of how it began: id,
// root, tenant, key, operation, model, SKU and path. It is priced by the price
// of e's time. No hold is known, so that it charges no budget.
func (m *Meter) Entry(s *Start, e *End) (*Adjustment, error) {
	if e.Outcome != Completed || !believable(s.Op, &e.Usage) {
		return nil, fmt.Errorf("record %s: %w", s.ID, errNotEntered)
	}
	p, _ := derive(s, e, m.prices.Load())
	return &Adjustment{ID: s.ID, Root: p.Root, Row: p.Row, Add: p.Add, Charges: p.Charges, At: e.At}, nil
}
