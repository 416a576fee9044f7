package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestForms states for single values which are right ("") and the message for
// those that are not.
func TestForms(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := load(&decoder{env: testEnv}, "sluice.yaml", []byte(text))
		if want == "" && err != nil {
			t.Errorf("%s:\n%v", text, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: want %q, got\n%v", text, want, err)
		}
	}
	f("listen: :8080", "")
	f("\ufefflisten: :8080\r\nunpriced: refuse\r\n", "")
	f("listen: '[::1]:8080'", "")
	f("listen: '127.0.0.1:65536'", "must be an address")
	f("listen: 127.0.0.1:http", "must be an address")

	f("admin: {listen: 'localhost:9090'}", "")
	f("admin: {listen: '[::1]:9090'}", "")
	f("admin: {listen: '127.0.0.9:9090'}", "")
	f("admin: {listen: ':9090'}", "needs a token")
	f("admin: {listen: '10.0.0.1:9090'}", "needs a token")
	f("admin: {listen: '10.0.0.1:9090', token: x}", "")
	f("admin: {listen: '10.0.0.1:9090', token: '${UNSET:-}'}", "needs a token")

	f("base_path: /a/b", "")
	f("base_path: /", "must begin with a slash and not end")

	f("ledger: {redis: 'rediss://u:p@h:6380/1'}", "")
	f("ledger: {redis: 'unix:///run/redis.sock'}", "")
	f("ledger: {redis: 'redis://'}", "must be a URL")
	f("ledger: {redis: 'h:6379'}", "must be a URL")

	f("upstream: {endpoint: sandbox}", "")
	f("upstream: {endpoint: 'http://127.0.0.1:9000'}", "")
	f("upstream: {endpoint: '127.0.0.1:9000'}", "must be sandbox or a URL")
	f("upstream: {proxy: 'socks5://p:1'}", "")
	f("upstream: {proxy: 'p:1'}", "must be a URL")
	f("upstream: {role_arn: 'arn:aws-us-gov:iam::123456789012:role/a/b'}", "")
	f("upstream: {role_arn: 'arn:aws:iam::12:role/a'}", "must be the ARN of a role")

	tenant := func(s string) string { return "tenants: [{id: a, " + s + "}]" }
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x"
	f(tenant("model_map: {amazon.a: '"+arn+"'}"), "")
	f("model_map: {'"+arn+"': amazon.a}\n"+tenant("model_map: {amazon.a: '"+arn+"'}"), "")
	f("model_map: {'"+arn+"': amazon.b}\n"+tenant("model_map: {amazon.a: '"+arn+"'}"), "is for amazon.b already")
	f(tenant("model_map: {amazon.a: '"+arn+"', amazon.b: '"+arn+"'}"), "is for amazon.a already")
	f(tenant("model_map: {'"+arn+"': amazon.a}"), "model_map at the top says what an ARN is for")
	f("aliases: {a: amazon.a}\n"+tenant("model_map: {a: '"+arn+"'}"), "is an alias: write the model, amazon.a")
	for _, wrong := range []string{"x", "us.amazon.a", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x"} {
		f(tenant("model_map: {amazon.a: "+wrong+"}"), "must be the ARN of an application inference profile")
	}
	f(tenant("budgets: [{period: month, usd: 1, time_zone: Europe/Berlin}]"), "")
	f(tenant("budgets: [{period: month, usd: 1, time_zone: Local}]"), "there is no time zone")
	f(tenant("budgets: [{period: month, usd: 1, on_exceed: light_only, hard_usd: 1}]"), "")
	f(tenant("budgets: [{period: month, usd: 1, on_exceed: light_only, hard_usd: 0.99}]"), "must not be below usd")
	f(tenant("budgets: [{period: month, usd: -1}]"), "must be more than nothing")
	f(tenant("budgets: [{period: month, usd: 9000000}]"), "")
	for _, amount := range []string{
		"9000000.000000000001", "9200000", "9223372.036854775808", "1" + strings.Repeat("0", 40),
	} {
		f(tenant("budgets: [{period: month, usd: "+amount+"}]"),
			"must be at most 9000000 dollars, which is what a ledger counts, not "+amount)
		f(tenant("budgets: [{period: month, usd: 1, on_exceed: light_only, hard_usd: "+amount+"}]"),
			"must be at most 9000000")
	}
	f(tenant("budgets: [{period: month, usd: -1"+strings.Repeat("0", 40)+"}]"), "is out of range")
	f(tenant("budgets: [{period: month, usd: '1'}]"), "remove the quotes")
	f(tenant("output_tokens: {default: 500}"), "")
	f(tenant("output_tokens: {max: 500}"), "")
	f(tenant("output_tokens: {default: 0}"), "must be from 1")
	f(tenant("limits: {requests_per_minute: 1.5}"), "must be a whole number")
	f(tenant("limits: {requests_per_minute: 0}"), "must be from 1")
	f(tenant("limits: {requests_per_minute: 010}"), "not 010: a zero before it makes it octal")
	f(tenant("limits: {requests_per_minute: 0o10}"), "must be a whole number")
	f(tenant("budgets: [{period: month, usd: 0100}]"), "not 0100: a zero before it makes it octal")
	f(tenant("budgets: [{period: month, usd: 089.5}]"), "not 089.5: a zero before it makes it octal")
	f(tenant("budgets: [{period: month, usd: 0.5}]"), "")
	f("limits: {max_body_bytes: 064MiB}", "must be a size")
	f("tenants: [{id: a/b-c_d.e/F}]", "")
	f("tenants: [{id: a//b}]", "must be a path")
	f("tenants: [{id: /a}]", "must be a path")
	f("tenants: [{id: a/.b}]", "must be a path")
	f("tenants: [{id: "+strings.Repeat("a", 201)+"}]", "must be a path")

	f("aliases: {a: b}", "")
	f("aliases: {a: a}", "which is an alias itself")
	f("aliases: {a: ''}", "must not be empty")

	cascade := func(s string) string { return "tenants: [{id: t}]\ncascades: [{name: c, match: m, " + s + "}]" }
	f(cascade("light: a, escalation: b, shadow: {tenant: t, judge: model}"), "")
	f(cascade("light: a, escalation: b, shadow: {tenant: t, judge: b}"), "cannot judge itself")
	f(cascade("light: a, partner: p, escalation: b, shadow: {tenant: t, judge: p}"), "cannot judge itself")
	f(cascade("light: a, escalation: a"), "is the light model")
	f(cascade("light: a, escalation: b, mode: enforce"), "") // acts as rules until there is a certificate
}

// TestRegion holds where the region of an upstream comes from.
func TestRegion(t *testing.T) {
	f := func(text string, env map[string]string, want string) {
		t.Helper()
		c, err := load(&decoder{env: func(n string) string { return env[n] }}, "sluice.yaml", []byte(text))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: region %q", text, c.Upstream.Region)
		case want != "" && (err != nil || c.Upstream.Region != want):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	both := map[string]string{"AWS_REGION": "r1", "AWS_DEFAULT_REGION": "r2"}
	f("upstream: {region: r0}", both, "r0")
	f("", both, "r1")
	f("", map[string]string{"AWS_DEFAULT_REGION": "r2"}, "r2")
	f("", nil, "")
	f("upstream: {endpoint: sandbox}", nil, "us-east-1")
}

// TestManyTenants keeps the loader linear: a quadratic one would need minutes.
func TestManyTenants(t *testing.T) {
	var b strings.Builder
	b.WriteString("tenants:\n")
	const n = 2000
	for i := range n {
		fmt.Fprintf(&b, "  - id: t/%d\n    keys: [k%d]\n    budgets: [{period: month, usd: 5}]\n", i, i)
	}
	start := time.Now()
	c := mustParse(t, b.String())
	t.Logf("%d tenants in %s", n, time.Since(start))
	if len(c.Tenants) != n || c.At("tenants[1999].keys[0]").Line != 3*n {
		t.Errorf("%d tenants, %+v", len(c.Tenants), c.At("tenants[1999].keys[0]"))
	}
}
