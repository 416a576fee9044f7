package exact_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// moment is what a record of a writer posts, and when it happened.
type moment struct {
	at     time.Time
	writer string
	p      record.Posting
}

// TestSharedBounds: M14, a ledger that several gateways post to is exact to the record where the records at
// hand are all of each hour that is parted, and refused with the nearest bounds that are exact elsewhere.
func TestSharedBounds(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		minute := func(name string) time.Time {
			return noon.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, name)) * time.Minute)
		}
		state, seq, all := &embedded.State{}, map[string]uint64{}, []moment{}
		for i := range rapid.IntRange(0, 20).Draw(t, "postings") {
			m := moment{at: minute("at"), writer: rapid.SampledFrom([]string{"here", "elsewhere"}).Draw(t, "writer")}
			seq[m.writer]++
			m.p = record.Posting{Seq: seq[m.writer], Root: "acme", Row: record.RowKey{
				Hour: m.at.Truncate(time.Hour), Tenant: "acme", Model: fmt.Sprint(i % 2),
			}, Add: record.Counters{Legs: int64(i + 1), Late: 3}}
			b := ledger.Batch{
				Writer: m.writer, Epoch: 1, Root: "acme", From: seq[m.writer], To: seq[m.writer], Postings: []record.Posting{m.p},
			}
			if _, err := state.Apply(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		from, to, edge := minute("from"), minute("to"), minute("edge")
		if to.Before(from) {
			from, to = to, from
		}
		source := exact.Source{Ledger: state, Edges: []time.Time{edge}, Shared: true, Moments: func(
			yield func(time.Time, string, *record.Posting) error,
		) error {
			for i := range all {
				if m := &all[i]; m.writer == "here" {
					if err := yield(m.at, m.writer, &m.p); err != nil {
						return err
					}
				}
			}
			return nil
		}}
		want, missing := [2]int64{}, false
		parts := func(at, hour time.Time) bool { return at.Truncate(time.Hour).Equal(hour) && !at.Equal(hour) }
		for _, m := range all {
			hour := m.p.Row.Hour
			missing = missing || m.writer == "elsewhere" &&
				(parts(from, hour) || parts(to, hour) || !edge.Before(from) && !edge.After(to) && parts(edge, hour))
			if !m.at.Before(from) && m.at.Before(to) {
				want[side(m.at, edge)] += m.p.Add.Legs
			}
		}
		got := [2]int64{}
		err := source.Rows(t.Context(), from, to, func(k record.RowKey, c record.Counters) error {
			got[side(k.Hour, edge)] += c.Legs
			return nil
		})
		if missing != errors.Is(err, exact.ErrMissing) || !missing && (err != nil || !edge.Before(from) && got != want) ||
			!missing && got[0]+got[1] != want[0]+want[1] {
			t.Errorf("%v legs from %s to %s parted at %s, want %v; missing %t: %v", got, from, to, edge, want, missing, err)
		}
	})
}

// side is 1 for what happened from the edge on.
func side(at, edge time.Time) int {
	if at.Before(edge) {
		return 0
	}
	return 1
}
