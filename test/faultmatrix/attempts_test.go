package faultmatrix

import (
	"fmt"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// attempt is one upstream call as a journal tells it.
type attempt struct {
	Writer string
	Start  *record.Start   // nil when its segment is gone or damaged
	End    *record.End     // nil while it is in flight, and when it never left
	Posted *record.Posting // what it added to the counters; nil without End
	// Released is whether the call provably never left.
	Released bool
}

// readAttempts returns every attempt that the segments of a journal still have,
// by record id.
func readAttempts(disk journal.Disk) (map[string]*attempt, error) {
	all := map[string]*attempt{}
	r := journal.NewReader(disk, journal.Position{})
	defer r.Close()
	for r.Next() {
		if err := readAttempt(all, r); err != nil {
			return nil, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
	}
	return all, r.Err()
}

func readAttempt(all map[string]*attempt, r *journal.Reader) error {
	of := func(id string) *attempt {
		if all[id] == nil {
			all[id] = &attempt{}
		}
		return all[id]
	}
	switch r.Kind() {
	case record.KindStart:
		s, err := record.ReadStart(r.Payload())
		if err != nil {
			return err
		}
		a := of(s.ID)
		a.Writer, a.Start = r.Writer(), s
	case record.KindEnd, record.KindUnknown:
		p, e, err := record.ReadEnd(r.Payload())
		if err != nil {
			return err
		}
		a := of(e.ID)
		a.Writer, a.End, a.Posted = r.Writer(), e, p
	case record.KindRelease:
		id, err := record.ReadID(r.Payload())
		of(string(id)).Released = true
		return err
	}
	return nil
}
