package faultmatrix

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestProofFindsLies changes one of the equal accounts at a time: the proof must
// see each, or every other test here proves nothing.
func TestProofFindsLies(t *testing.T) {
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 1, s, r.URL())
	w.run(1)
	w.gates[0].traffic(20, 4, anything)
	w.equal(10 * time.Second)
	w.gates[0].stop()
	check := func(name, want string, lie func(v *view)) {
		t.Helper()
		v, err := w.look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if found := w.problems(v); len(found) > 0 {
			t.Fatalf("%s: not equal before: %v", name, found)
		}
		lie(v)
		if found := strings.Join(w.problems(v), "\n"); !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", name, found, want)
		}
	}
	some := func(a account) string {
		for key := range a {
			return key
		}
		return ""
	}
	check("a token more in the ledger", "ledger has",
		func(v *view) { v.ledger.add(some(v.ledger), line{tokens: tokens{Output: 1}}) })
	check("a request twice in the ledger", "ledger has", func(v *view) { v.ledger.add(some(v.ledger), line{requests: 1}) })
	check("a token less in the report", "report has",
		func(v *view) { v.report.add(some(v.report), line{tokens: tokens{Read: -1}}) })
	check("money off in journal and ledger", "cost", func(v *view) {
		key := some(v.journal)
		one := line{cost: pico.cost()}
		v.journal.add(key, one)
		v.ledger.add(key, one)
		v.report.add(key, one)
	})
	check("a call that nobody billed", "journal has", func(v *view) { v.billed = v.billed[1:] })
	check("a call without a START", "without a START", func(v *view) { delete(v.attempts, recordOf(&v.billed[0])) })
	check("one record for two calls", "stands for two calls", func(v *view) { v.billed = append(v.billed, v.billed[0]) })
	check("an END with other tokens", "END says", func(v *view) { v.billed[0].Output++ })
	check("unknown, and answered", "although its caller got the answer",
		func(v *view) { v.suspense[recordOf(&v.billed[0])] = true })
}
