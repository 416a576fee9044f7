package review

import (
	"strings"
	"testing"
)

// TestAccounts lists the ARNs of accounts that requests may not name, each at its place. E7
func TestAccounts(t *testing.T) {
	const (
		arn  = "arn:aws:bedrock:us-east-1:999999999999:provisioned-model/x"
		tail = "account 999999999999 is not among allowed_accounts"
	)
	f := func(text string, want ...string) {
		t.Helper()
		var got []string
		for line := range strings.SplitSeq(review(t, sandbox+text), "\n") {
			if strings.Contains(line, "allowed_accounts") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
	}
	unless := tail + ", nor named by role_arn, model_map or model_upstreams: refused unless it is the gateway's own"
	f("aliases: {a: '"+arn+"'}\n", `2:14 warning aliases["a"]: `+unless)
	f("tenants: [{id: a, models: ['*nova*', 'arn:*:999999999999:*']}]\n", "2:38 warning tenants[0].models[1]: "+unless)
	f("allowed_guardrails: ['"+strings.Replace(arn, "provisioned-model", "guardrail", 1)+"']\n",
		"2:22 warning allowed_guardrails[0]: "+unless)
	f("tenants: [{id: a, allowed_guardrails: [x, '"+strings.Replace(arn, "provisioned-model", "guardrail", 1)+"']}]\n",
		"2:43 warning tenants[0].allowed_guardrails[1]: "+unless)
	f("model_map: {'" + arn + "': amazon.nova-lite-v1:0}\naliases: {a: '" + arn + "'}\n")
	f("allowed_accounts: ['123456789012']\nmodel_map: {'"+arn+"': amazon.nova-lite-v1:0}\n",
		`3:75 warning model_map["`+arn+`"]: `+tail)
	own := strings.Replace(arn, "provisioned-model", "application-inference-profile", 1)
	mapped := "tenants: [{id: a, model_map: {'amazon.nova-lite-v1:0': '" + own + "'}}]\n"
	f(mapped + "aliases: {a: '" + own + "'}\n") // the configuration names the account by that
	f("allowed_accounts: ['123456789012']\n"+mapped,
		`3:56 warning tenants[0].model_map["amazon.nova-lite-v1:0"]: `+tail)
	f("allowed_accounts: [999999999999]\naliases: {a: '" + arn + "'}\n")
	f("allowed_accounts: ['*']\naliases: {a: '" + arn + "'}\n")
}
