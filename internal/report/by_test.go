package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// cellsOf are the By values of a report's rows, a line each.
func cellsOf(t *testing.T, source Source, q Query) []string {
	t.Helper()
	r, err := Build(t.Context(), source, q)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range r.Rows {
		all = append(all, strings.Join(r.Rows[i].By, " "))
	}
	return all
}

func used(k record.RowKey) rows {
	k.Hour = at(3, 7)
	return rows{{k, record.Counters{Requests: 1}}}
}

// TestLevels walks the levels of tenants' paths.
func TestLevels(t *testing.T) {
	f := func(tenant, want string) {
		t.Helper()
		got := cellsOf(t, used(record.RowKey{Tenant: tenant}), november("root", "team", "project", "tenant"))
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Error(diff)
		}
	}
	f("acme", "acme acme acme acme")
	f("acme/support", "acme acme/support acme/support acme/support")
	f("acme/support/bot", "acme acme/support acme/support/bot acme/support/bot")
	f("acme/support/bot/eu/1", "acme acme/support acme/support/bot acme/support/bot/eu/1")
}

// TestBaseModels groups one model under one name, however it was asked for.
func TestBaseModels(t *testing.T) {
	const sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0"
	const opaque = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
	f := func(model, want string) {
		t.Helper()
		q := november("base_model")
		q.Models = map[string]string{opaque: "us." + sonnet}
		if got := cellsOf(t, used(record.RowKey{Model: model}), q); got[0] != want {
			t.Errorf("%s is %q, want %q", model, got[0], want)
		}
	}
	f(sonnet, sonnet)
	for _, scope := range []string{"us", "eu", "apac", "jp", "au", "global", "us-gov"} {
		f(scope+"."+sonnet, sonnet)
	}
	f("arn:aws:bedrock:us-east-1::foundation-model/"+sonnet, sonnet)
	f("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us."+sonnet, sonnet)
	f("arn:aws:bedrock:us-east-1:123456789012:inference-profile/global."+sonnet, sonnet)
	f(opaque, sonnet)
	f("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/other",
		"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/other")
	f("(other)", "(other)")
	f("", "")
}

// TestTenantsOfConfiguration groups by cost center and tags, which go down the tree.
func TestTenantsOfConfiguration(t *testing.T) {
	known := TenantsOf([]config.Tenant{
		{ID: "acme", Name: "Acme", CostCenter: "CC-1", Tags: map[string]string{"env": "prod", "owner": "ann"}},
		{ID: "acme/support", Name: "Support", CostCenter: "CC-2"},
		{ID: "acme/support/bot", Tags: map[string]string{"owner": "bob"}},
		{ID: "acmeother"},
	})
	source := rows{}
	for _, tenant := range []string{"acme", "acme/support", "acme/support/bot", "acme/support/gone", "acmeother", "gone"} {
		source = append(source, used(record.RowKey{Tenant: tenant})...)
	}
	f := func(want string, by ...string) {
		t.Helper()
		q := november(by...)
		q.Tenants = known
		r, err := Build(t.Context(), source, q)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		layout := Layout{Format: CSV, Columns: []string{"requests", "tenant_name", "tags"}}
		if err := Write(&b, &layout, r); err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(b.String(), "2026-11-01,2026-12-01,", "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s:\n%s", by, diff)
		}
	}
	f(`from,to,cost_center,requests,tenant_name,tags
,2,,
CC-1,1,Acme,"env=prod,owner=ann"
CC-2,3,,env=prod
`, "cost_center")
	f(`from,to,tag:owner,tag:none,requests,tenant_name,tags
,,2,,
ann,,3,,"env=prod,owner=ann"
bob,,1,,"env=prod,owner=bob"
`, "tag:owner", "tag:none")
	f(`from,to,tenant,cost_center,requests,tenant_name,tags
acme,CC-1,1,Acme,"env=prod,owner=ann"
acme/support,CC-2,1,Support,"env=prod,owner=ann"
acme/support/bot,CC-2,1,,"env=prod,owner=bob"
acme/support/gone,CC-2,1,,"env=prod,owner=ann"
acmeother,,1,,
gone,,1,,
`, "tenant", "cost_center")
}

// TestOnlyPart asks for a tenant, and for values of columns.
func TestOnlyPart(t *testing.T) {
	source := rows{}
	for _, tenant := range []string{"acme", "acme/a", "acme/a/b", "acme/ab", "other"} {
		source = append(source, used(record.RowKey{Tenant: tenant, Path: "light"})...)
		source = append(source, used(record.RowKey{Tenant: tenant, Path: "direct"})...)
	}
	f := func(within string, where map[string]string, want ...string) {
		t.Helper()
		q := november("tenant", "path")
		q.Within, q.Where = within, where
		if diff := cmp.Diff(want, cellsOf(t, source, q)); diff != "" {
			t.Error(diff)
		}
	}
	f("acme/a", map[string]string{"path": "light"}, "acme/a light", "acme/a/b light")
	f("other", nil, "other direct", "other light")
	f("", map[string]string{"path": "light", "team": "acme/ab"}, "acme/ab light")
	f("none", nil)
	q := november()
	q.Where = map[string]string{"nothing": "x"}
	if _, err := Build(t.Context(), source, q); !errors.Is(err, ErrQuery) {
		t.Errorf("an unknown column to choose by: %v", err)
	}
	for _, columns := range [][]string{{"nothing"}, {"cost_usd", "cost_usd"}, {""}} {
		if err := Write(&bytes.Buffer{}, &Layout{Format: CSV, Columns: columns}, &Report{}); !errors.Is(err, ErrQuery) {
			t.Errorf("columns %q: %v", columns, err)
		}
	}
}

// TestCompleteUpTo: M22, a report says up to when each gateway has posted, and that it is
// not whole when one is behind.
func TestCompleteUpTo(t *testing.T) {
	q := november()
	q.Now = at(20, 12)
	q.Gateways = []Gateway{{"a-1", at(20, 12), false}, {"b-2", at(20, 9), true}, {"c-3", at(10, 1), false}}
	r, err := Build(t.Context(), books, q)
	if err != nil {
		t.Fatal(err)
	}
	if !r.CompleteUpTo().Equal(at(20, 9)) {
		t.Errorf("complete up to %s", r.CompleteUpTo())
	}
	notes := strings.Join(r.Notes(), "\n")
	for _, want := range []string{
		"as of: 2026-11-20T12:00:00Z; complete up to: 2026-11-20T09:00:00Z",
		"gateway b-2: complete up to 2026-11-20T09:00:00Z, behind",
		"gateway c-3: complete up to 2026-11-10T01:00:00Z\n",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in\n%s", want, notes)
		}
	}
	if w := r.Warnings[len(r.Warnings)-1]; !strings.Contains(string(w), "gateway b-2") {
		t.Errorf("the warning is %q", w)
	}
	if at := (&Report{AsOf: time.Unix(5, 0)}).CompleteUpTo(); !at.Equal(time.Unix(5, 0)) {
		t.Errorf("without gateways it is complete up to %s", at)
	}
}
