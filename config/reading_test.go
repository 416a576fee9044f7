package config

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestLoadToRead asks for no variable that only a gateway that serves needs, and for all
// that decides what a command reads. U16
func TestLoadToRead(t *testing.T) {
	nothing := func(string) string { return "" }
	f := func(text string, right bool) {
		t.Helper()
		file := harness.File(t, "sluice.yaml", text)
		c, err := LoadToRead(file, nothing)
		if (err == nil) != right {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := Load(file, nothing); err == nil {
			t.Errorf("%s: a gateway starts without it", text)
		}
		if right && c.Report([]Problem{{Path: "tenants[0].keys[0]", Message: "no key"}}) != nil {
			t.Errorf("%s: what is unset is a mistake", text)
		}
	}
	const key = "\ntenants: [{id: a, keys: ['${KEY}']}]\n"
	f("upstream: {region: r, bearer_token: '${B}', proxy: '${P}', endpoint: '${E}'}"+key, true)
	f("upstream: {region: r, role_arn: '${R}', session_tags: {a: '${T}'}, external_id: '${X}', ca_file: '${C}'}"+key, true)
	f("upstream: {region: r}\nlisten: '${L}'\nadmin: {listen: '${A}', token: '${T}'}\ntls: {cert: '${C}', key: '${K}'}"+
		key, true)
	f("upstream: {region: r}\ntelemetry: {otlp: '${O}', access_log: '${A}'}"+key, true)
	f("upstream: {region: r}\ntenants: [{id: a, keys: ['${K}'], webhook: '${W}', webhook_secret: '${S}', "+
		"role_arn: '${R}'}]\n", true)
	f("upstream: {region: r}\nledger: {redis: '${REDIS}'}\n", false)
	f("upstream: {region: r}\ndata_dir: '${DIR}'\n", false)
	f("upstream: {region: '${REGION}'}\n", false)
	f("upstream: {region: r}\ntenants: [{id: '${ID}'}]\n", false)
	f("upstream: {region: r}\ntenants: [{id: a, budgets: [{period: day, usd: '${USD}'}]}]\n", false)
	f("upstream: {region: r}\nprices: ['${PRICES}']\n", false)
	f("upstream: {region: r}\naliases: {a: '${MODEL}'}\n", false)
}
