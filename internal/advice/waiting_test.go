package advice

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/money"
)

const nova = "amazon.nova-pro-v1:0"

// job adds a burst of calls by a key, one each 15 seconds. Each costs a dollar, and half of that in batch.
func job(w *Waiting, key string, from time.Time, calls int, change func(*decision.Decision)) {
	for n := range calls {
		d := decision.Decision{
			Tenant: "acme/nightly", Key: key, Operation: "converse", Status: 200,
			Received: from.Add(time.Duration(n) * 15 * time.Second),
			Legs: []decision.Leg{{
				Model: nova, Cost: decision.Dollars(money.Dollar),
				Tokens: decision.Tokens{Input: decision.Count{N: 1000, Known: true}, Output: decision.Count{N: 100, Known: true}},
			}},
		}
		if change != nil {
			change(&d)
		}
		w.Add(&d)
	}
}

func TestWaiting(t *testing.T) {
	f := func(name string, want, least string, fill func(w *Waiting)) {
		t.Helper()
		w := NewWaiting(filled(t))
		fill(w)
		found := w.Findings(7 * 24 * time.Hour)
		if want == "" {
			if len(found) != 0 {
				t.Errorf("%s: %+v", name, found)
			}
			return
		}
		if len(found) != 1 {
			t.Fatalf("%s: %+v", name, found)
		}
		low := found[0].Low()
		if found[0].Saved.String() != want || low.String() != least || found[0].Tenant != "acme/nightly" ||
			found[0].Lever.Line != "a batch job in place of the bursts of key K" {
			t.Errorf("%s: %s to %s, %+v", name, low.String(), found[0].Saved.String(), found[0])
		}
	}
	night := start.Add(26*time.Hour + 50*time.Minute)
	days := func(w *Waiting, calls int, change func(*decision.Decision), at ...time.Duration) {
		for _, off := range at {
			job(w, "K", night.Add(off), calls, change)
		}
	}
	const day = 24 * time.Hour
	f("each night at about the same time", "150.00", "150.00", func(w *Waiting) {
		days(w, 100, nil, 0, day+10*time.Minute, 3*day-4*time.Minute)
	})
	f("before and after midnight", "150.00", "150.00", func(w *Waiting) {
		days(w, 100, nil, 0, -2*day-5*time.Minute, -5*day+5*time.Minute)
	})
	f("on two days: perhaps by chance", "100.00", "0.00", func(w *Waiting) { days(w, 100, nil, 0, day) })
	f("three in one night", "150.00", "0.00", func(w *Waiting) { days(w, 100, nil, 0, 2*time.Hour, 4*time.Hour) })
	f("three nights, and once more at noon", "200.00", "150.00", func(w *Waiting) {
		days(w, 100, nil, 0, day, 2*day, 9*time.Hour)
	})
	f("too few for a job", "", "", func(w *Waiting) { days(w, 99, nil, 0, day, 2*day) })
	f("all day long", "", "", func(w *Waiting) { days(w, 5*60*24, nil, 0) })
	f("nobody", "", "", func(*Waiting) {})
	each := func(name string, change func(*decision.Decision)) {
		t.Helper()
		f(name, "", "", func(w *Waiting) { days(w, 100, change, 0, day, 2*day) })
	}
	each("streams", func(d *decision.Decision) { d.Operation = "converse-stream" })
	each("tools", func(d *decision.Decision) { d.Legs[0].Stop = "tool_use" })
	each("refused", func(d *decision.Decision) { d.Status = 400 })
	each("cascades", func(d *decision.Decision) { d.Legs = append(d.Legs, d.Legs[0]) })
	each("another pays", func(d *decision.Decision) { d.Legs[0].Payer = "other" })
	each("no batch price", func(d *decision.Decision) { d.Legs[0].Model = "stranger" })
	each("flex costs what batch does", func(d *decision.Decision) { d.Legs[0].Tier = "flex" })
	each("no operation of a model", func(d *decision.Decision) { d.Operation = "count-tokens" })
}

// TestWaitingOfAMonth: amounts are of the time that the calls are of, whatever the report is of.
func TestWaitingOfAMonth(t *testing.T) {
	w := NewWaiting(filled(t))
	for n := range 3 {
		job(w, "K", start.Add(time.Duration(n)*24*time.Hour), 100, nil)
	}
	found := w.Findings(73 * time.Hour)
	r := Report{From: start, To: start.Add(365 * time.Hour)}
	if got := r.scaled(&found[0], found[0].Saved); got.String() != "1500.00" {
		t.Errorf("%s", got.String())
	}
}
