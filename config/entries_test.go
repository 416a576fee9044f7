package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestMerge reads anchors, aliases and merge keys: what a mapping has itself wins, then
// the first of several that are merged. U13
func TestMerge(t *testing.T) {
	c := mustParse(t, `tenants:
  - &base
    id: a
    output_tokens: &caps {max: 10, on_exceed: reject}
    limits: {requests_per_minute: 5}
  - <<: *base
    id: b
    output_tokens: {<<: *caps, max: 20}
  - id: c
    <<: [{limits: {requests_per_minute: 6}}, *base]
    output_tokens: *caps
`)
	var got []string
	for _, x := range c.Tenants {
		got = append(got, fmt.Sprintf("%s %d %s %d", x.ID, x.OutputTokens.Max, x.OutputTokens.OnExceed,
			x.Limits.RequestsPerMinute))
	}
	if want := "a 10 reject 5, b 20 reject 5, c 10 reject 6"; strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
	if at := c.At("tenants[1].output_tokens.max"); at.Line != 8 {
		t.Errorf("%+v", at)
	}
	if at := c.At("tenants[1].limits.requests_per_minute"); at.Line != 5 {
		t.Errorf("%+v", at)
	}
}

// TestColons reads ids of models without quotes in every place.
func TestColons(t *testing.T) {
	c := mustParse(t, "tenants:\n  - {id: a, models: [amazon.nova-lite-v1:0, b:c, 'd:e', f]}\n  - id: b\n    models:\n"+
		"      - amazon.nova-lite-v1:0\naliases: {x: amazon.nova-lite-v1:0, "+
		"y: arn:aws:bedrock:us-east-1::foundation-model/z}\n")
	if got, want := strings.Join(c.Tenants[0].Models, " "), "amazon.nova-lite-v1:0 b:c d:e f"; got != want {
		t.Error(got)
	}
	if c.Tenants[1].Models[0] != "amazon.nova-lite-v1:0" || c.Aliases["x"] != "amazon.nova-lite-v1:0" ||
		c.Aliases["y"] != "arn:aws:bedrock:us-east-1::foundation-model/z" {
		t.Errorf("%+v %+v", c.Tenants[1], c.Aliases)
	}
}

// TestTypesAsTags: a tag that says the type that a value has anyway changes nothing. U13
func TestTypesAsTags(t *testing.T) {
	c := mustParse(t, "tenants: !!seq\n  - !!map {id: !!str 5, limits: {requests_per_minute: !!int 60}}\n")
	if len(c.Tenants) != 1 || c.Tenants[0].ID != "5" || c.Tenants[0].Limits.RequestsPerMinute != 60 {
		t.Errorf("%+v", c.Tenants)
	}
}

// TestMergeMistakes has each mistake once, where it is written.
func TestMergeMistakes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := load(&decoder{env: testEnv}, "a.yaml", []byte(text))
		var faulty *Error
		if !errors.As(err, &faulty) {
			t.Fatalf("%s: %v", text, err)
		}
		var got []string
		for _, f := range faulty.Faults {
			got = append(got, fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Path, f.Message))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n got %q\nwant %q", text, got, want)
		}
	}
	f("tenants:\n  - &t {id: a, limits: {requests_per_minute: x}}\n  - {<<: *t, id: b}\n  - {<<: *t, id: c}\n",
		`2:46 tenants[0].limits.requests_per_minute: must be a whole number, not "x"`)
	f("upstream: &u {region: r, <<: *u}\n", "1:30 upstream: merges itself")
	f("upstream: {<<: [*a], region: r}\n",
		`1:17 upstream: alias *a has no anchor before it; a text that begins with "*" needs quotes`)
	f("upstream: {<<: 5, region: r}\n", `1:16 upstream: "<<" merges a mapping, as in "<<: *base", not a number`)
	f("upstream: {<<: {regoin: x}, region: r}\n", `1:17 upstream: unknown key "regoin"; did you mean "region"?`)
	f("x-base: &b {region: r}\nupstream: *b\n", `1:1 : unknown key "x-base"`)
	f("tenants: [{id: a, models: [*nova*]}]\n",
		`1:28 tenants[0].models[0]: alias *nova* has no anchor before it; a text that begins with "*" needs quotes`)
	f("upstream: {region: us-east-1 endpoint: sandbox}\n",
		`1:20 upstream.region: has ": " inside: a comma is missing, or the value needs quotes`)
	f("- a\n", "1:1 : must be a mapping (key: value), not a list")
	f("hello\n", "1:1 : must be a mapping (key: value), not text")
	f("upstream:{region: us-east-1}\n", "1:1 upstream: a space is missing after the colon")
	f("upstream: {region: r}\n5: x\n", `2:1 : unknown key "5"`)
	f("upstream: {region: r, proxy: 'http://p:99999'}\n", "1:30 upstream.proxy: there is no port 99999")
	f("upstream: {region: r, endpoint: 'http://p:0'}\n", "1:33 upstream.endpoint: there is no port 0")
	f("upstream: {region: r}\nledger: {redis: 'redis://p:65536'}\n", "2:17 ledger.redis: there is no port 65536")
	f("upstream: {region: r}\ninclude: ['[.yaml']\n",
		`2:11 include: "[" and "\" are signs of a pattern here: a "]" is missing, or a "\" before the "["`)
	f("{upstream: {region: r}, // mine\n}\n", `1:25 : unknown key "// mine": a comment begins with "#"`)
	f("tenants: [{id: !mine a}]\n",
		`1:16 tenants[0].id: a value has no tag here: remove "!mine", or put quotes around a text that begins with "!"`)
	f("tenants: [{id: a, limits: {requests_per_minute: !!int x}}]\n",
		`1:54 tenants[0].limits.requests_per_minute: must be a whole number, not "x"`)
	f("upstream:\n  region:us-east-1\n",
		"2:3 upstream: must be a mapping (key: value), not text: a space is missing after the colon")
	f("tenants:\n  -id: a\n", "2:3 tenants: must be a list, not a mapping: a space is missing after the dash")
	f("tenants: [{id: a, upstream: ue}]\nupstreams: {eu: {region: r}}\n",
		`1:29 tenants[0].upstream: there is no upstream "ue"; upstreams has eu; did you mean "eu"?`)
	zone := func(name string) string {
		return "tenants: [{id: a, budgets: [{period: day, usd: 1, time_zone: " + name + "}]}]\n"
	}
	f(zone("Europe/Berln"), `1:62 tenants[0].budgets[0].time_zone: there is no time zone "Europe/Berln"; `+
		`did you mean "Europe/Berlin"?`)
	f(zone("new york"), `1:62 tenants[0].budgets[0].time_zone: there is no time zone "new york"; `+
		`did you mean "America/New_York"?`)
	f(zone("GMT+25"), `1:62 tenants[0].budgets[0].time_zone: there is no time zone "GMT+25"; names are such as UTC and `+
		`Europe/Berlin`)
}
