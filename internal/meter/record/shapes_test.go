package record

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestModelsAreBounded sends ids that nobody has, each answered 400. M15
func TestModelsAreBounded(t *testing.T) {
	var m Shapes
	rows := map[RowKey]bool{}
	hour := time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC)
	end := func(tenant, model string, how Outcome) string {
		p := Posting{Root: "acme", Row: RowKey{Hour: hour, Tenant: tenant, Model: model, Scope: "us", PriceVersion: "v"}}
		m.Bound(&p, how)
		rows[p.Row] = true
		return p.Row.Model
	}
	f := func(tenant, model string, how Outcome, want string) {
		t.Helper()
		if got := end(tenant, model, how); got != want {
			t.Errorf("%.40s of %s is counted as %q, want %q", model, tenant, got, want)
		}
	}
	f("acme", "good", Completed, "good")
	for i := range 3000 {
		end("acme", fmt.Sprintf("bogus.%d", i), Failed)
	}
	if len(rows) > maxFailing+2 {
		t.Errorf("%d rows", len(rows))
	}
	f("acme", "bogus.2999", Failed, Other)
	f("acme", "bogus.7", Failed, "bogus.7")
	f("acme", "good", Failed, "good")
	f("acme", "new", Completed, "new")
	f("acme", "new", Failed, "new")
	f("acme", "lost", Unknown, "lost") // it is resolved in its own row
	f("beta", "bogus.2999", Failed, "bogus.2999")
	f("beta", strings.Repeat("x", 1950), Failed, Other)
	hour = hour.Add(24 * time.Hour)
	f("acme", "bogus.2999", Failed, "bogus.2999")
}

// TestShapesAreBounded walks the fields of a row: what callers choose is flooded, alone and with all others, by calls
// that fail, complete and end unknown. M15
func TestShapesAreBounded(t *testing.T) {
	operator, follows := "the operator", "follows from the model, or from the clock"
	chosen := map[string]string{
		"Hour": follows, "Tenant": operator, "Key": operator, "Model": "", "Scope": follows, "Tier": "", "Cascade": operator,
		"Path": operator, "PriceVersion": operator, "Region": operator, "Latency": "", "Context": follows, "User": "",
		"Held": operator, "Corrects": follows,
	}
	var callers []string
	for i := range reflect.TypeFor[RowKey]().NumField() {
		name := reflect.TypeFor[RowKey]().Field(i).Name
		if who, listed := chosen[name]; !listed {
			t.Errorf("who chooses %s, and what bounds it?", name)
		} else if who == "" {
			callers = append(callers, name)
		}
	}
	flood := func(name string, fields []string, how func(i int) Outcome) {
		t.Run(name, func(t *testing.T) {
			var s Shapes
			rows := map[RowKey]Counters{}
			var want Counters
			for i := range 7200 {
				p := Posting{Root: "acme", Row: RowKey{Tenant: "acme", Key: "k", Model: "good", Tier: "flex", Path: "direct"},
					Add: Counters{Legs: 1, Input: int64(i), CostInput: 1}}
				for k, field := range fields {
					reflect.ValueOf(&p.Row).Elem().FieldByName(field).SetString(fmt.Sprintf("x%d", i*[...]int{7, 11, 13, 17}[k]%7200))
				}
				s.Bound(&p, how(i))
				rows[p.Row], _ = rows[p.Row].Plus(p.Add)
				want, _ = want.Plus(p.Add)
			}
			var got Counters
			for _, c := range rows {
				got, _ = got.Plus(c)
			}
			if most := (maxAnswered + maxFailing) * 13 / 10; len(rows) > most || got != want {
				t.Errorf("%d rows, at most %d wanted; sums %+v, want %+v", len(rows), most, got, want)
			}
			before := Posting{Root: "acme", Row: RowKey{Tenant: "acme", Key: "k", Model: "good", Tier: "flex"}}
			other := Posting{Root: "beta", Row: RowKey{Tenant: "beta", Model: "new", Tier: "new", User: "new"}}
			s.Bound(&before, Failed)
			s.Bound(&other, Failed)
			if before.Row.Key != "k" || other.Row.Model != "new" || other.Row.User != "new" {
				t.Errorf("folded: %+v, %+v", before.Row, other.Row)
			}
		})
	}
	outcomes := map[string]func(int) Outcome{
		"failed": func(int) Outcome { return Failed }, "completed": func(int) Outcome { return Completed },
		"unknown": func(int) Outcome { return Unknown }, "mixed": func(i int) Outcome { return Outcome(i % 3) },
	}
	for outcome, how := range outcomes {
		for _, field := range callers {
			flood(field+" "+outcome, []string{field}, how)
		}
		flood("all "+outcome, callers, how)
	}
}

// TestOtherIsBounded: the name of what is folded lets nobody have more rows. M15
func TestOtherIsBounded(t *testing.T) {
	var s Shapes
	rows := map[RowKey]bool{}
	for i := range 3000 {
		p := Posting{Root: "acme", Row: RowKey{Tenant: "acme", Model: Other, User: fmt.Sprint(i), Latency: fmt.Sprint(i % 7)}}
		s.Bound(&p, Failed)
		rows[p.Row] = true
	}
	if len(rows) != 1 {
		t.Errorf("%d rows of %s", len(rows), Other)
	}
}

// TestShapesKeepWhatMatters: users are folded before tiers, and these before models, whose prices a report tells apart.
func TestShapesKeepWhatMatters(t *testing.T) {
	var s Shapes
	bound := func(r RowKey) RowKey {
		r.Tenant = "acme"
		p := Posting{Root: "acme", Row: r}
		s.Bound(&p, Completed)
		p.Row.Tenant = ""
		return p.Row
	}
	for i := range maxAnswered {
		bound(RowKey{Model: "m", User: fmt.Sprint(i)})
	}
	f := func(row, want RowKey) {
		t.Helper()
		if got := bound(row); got != want {
			t.Errorf("%+v is counted as %+v, want %+v", row, got, want)
		}
	}
	f(RowKey{Model: "m", User: "7", PriceVersion: "v"}, RowKey{Model: "m", User: "7", PriceVersion: "v"})
	f(RowKey{Model: "m", User: "new", PriceVersion: "v"}, RowKey{Model: "m", User: Other, PriceVersion: "v"})
	f(RowKey{Model: "m2", Tier: "flex", User: "new"}, RowKey{Model: "m2", Tier: "flex", User: Other})
	for i := range 2 * maxFailing {
		bound(RowKey{Model: "m", Tier: fmt.Sprint(i), User: "new"})
	}
	f(RowKey{Model: "m3", Tier: "flex", User: "new"}, RowKey{Model: "m3", Tier: Other, User: Other})
	for i := range 2 * maxFailing {
		bound(RowKey{Model: fmt.Sprint("m", i), Tier: "flex"})
	}
	f(RowKey{Model: "m400", Tier: "flex", PriceVersion: "v", Path: "light"}, RowKey{Model: Other, Path: "light"})
}
