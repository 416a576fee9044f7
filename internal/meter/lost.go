package meter

import (
	"fmt"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
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
		id, err := all.add(r.Kind(), r.Payload())
		if err != nil {
			return nil, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if first := segments[0]; first > 1 && r.At().Segment == first && r.Kind() == record.KindStart {
			all.Since = max(all.Since, id)
		}
	}
	return all, r.Err()
}

func (all *Records) add(kind byte, payload []byte) (id string, err error) {
	switch kind {
	case record.KindStart:
		s, err := record.ReadStart(payload)
		if err != nil {
			return "", err
		}
		id = s.ID
	case record.KindEnd, record.KindUnknown:
		p, e, err := record.ReadEnd(payload)
		if err != nil {
			return "", err
		}
		if id = e.ID; e.AWSRequestID != "" {
			all.AWSRequests[e.AWSRequestID] = true
		}
		if p.Add.Unknown == 0 {
			all.Known[id] = true
		}
	case record.KindResolve:
		_, r, err := record.ReadResolve(payload)
		if err != nil {
			return "", err
		}
		id = r.End.ID
		all.Known[id] = true
	case record.KindRelease:
		if id, err = record.ReadID(payload); err != nil {
			return "", err
		}
	case record.KindAdjust:
		_, a, err := record.ReadAdjust(payload)
		if err != nil {
			return "", err
		}
		id = a.ID
	default:
		return "", nil
	}
	all.IDs[id] = true
	return id, nil
}
