package review

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/test/harness"
)

// review is what is said of a configuration, a line each.
func review(t *testing.T, text string) string {
	t.Helper()
	file := harness.File(t, "sluice.yaml", text)
	return reviewFile(t, file)
}

func reviewFile(t *testing.T, file string) string {
	t.Helper()
	cfg, err := config.Load(file, func(string) string { return "" })
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	s, _ := snapshot.Compile(cfg, nil, now)
	var all []string
	for _, f := range cfg.Faults(Of(s, now)) {
		kind := "error"
		if f.Warning {
			kind = "warning"
		}
		message := strings.ReplaceAll(f.Message, filepath.Dir(file)+"/", "")
		all = append(all, fmt.Sprintf("%d:%d %s %s: %s", f.Line, f.Column, kind, f.Path, message))
	}
	return strings.Join(all, "\n")
}

const sandbox = "upstream: {endpoint: sandbox}\n"

// TestReferences names what refers to nothing, each at its place. U12
func TestReferences(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if got := review(t, text); got != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", text, got, strings.Join(want, "\n"))
		}
	}
	cascade := func(more string) string {
		return sandbox + "tenants: [{id: a}, {id: platform/shadow}]\naliases: {auto: us.amazon.nova-pro-v1:0}\n" +
			"cascades: [{name: c, match: 'true', light: amazon.nova-lite-v1:0, escalation: auto, " + more + "}]\n"
	}
	f(cascade("partner: us.meta.llama3-1-8b-instruct-v1:0"))
	f(cascade("partner: us.meta.llama3-1-8b-instruct-v1"),
		`4:94 warning cascades[0].partner: no model "us.meta.llama3-1-8b-instruct-v1" is known; `+
			`did you mean "us.meta.llama3-1-8b-instruct-v1:0"?`)
	f(cascade("shadow: {tenant: platform/shadow, judge: amazon.nova-premier-v1:0}"))
	f(cascade("shadow: {tenant: platform/shadwo, judge: amazon.nova-premir-v1:0}"),
		`4:102 warning cascades[0].shadow.tenant: there is no tenant "platform/shadwo"; did you mean "platform/shadow"?`,
		`4:126 warning cascades[0].shadow.judge: no model "amazon.nova-premir-v1:0" is known; `+
			`did you mean "amazon.nova-premier-v1:0"?`)
	judged := func(payer string) string {
		return sandbox + "tenants: [{id: lab, " + payer + "}]\naliases: {critic: mistral.mistral-large-2407-v1:0}\n" +
			"cascades: [{name: c, match: 'true', light: amazon.nova-lite-v1:0, escalation: amazon.nova-pro-v1:0, " +
			"shadow: {tenant: lab, judge: critic}}]\n"
	}
	never := "warning cascades[0].shadow.judge: lab, which pays for shadows, may not use " +
		"mistral.mistral-large-2407-v1:0: the judge is never asked"
	f(judged("models: ['amazon.*']"), "4:130 "+never)
	f(judged("deny_models: ['mistral.*']"), "4:130 "+never)
	f(judged("models: ['mistral.*']"))
	f(sandbox+"aliases: {a: claude-haiku-4-5, b: nonsense, c: openai.gpt-5.9}\n",
		`2:14 warning aliases["a"]: no model "claude-haiku-4-5" is known; `+
			`did you mean "anthropic.claude-haiku-4-5-20251001-v1:0"?`,
		`2:35 warning aliases["b"]: no model "nonsense" is known: a file in models says what it accepts, `+
			`one in prices what it costs`)
	f(sandbox + "aliases: {a: 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc'}\n")
	f(sandbox+"model_map: {'arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x': amazon.nova-lit-v1:0}\n",
		`2:75 warning model_map["arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x"]: `+
			`no model "amazon.nova-lit-v1:0" is known; did you mean "amazon.nova-lite-v1:0"?`)
	f(sandbox + "tenants: [{id: a, models: ['*', '*nova*', 'eu.*', 'us.anthropic.*', " +
		"'*:application-inference-profile/*', 'deepseek.v3.1']}]\n")
	f(sandbox+"tenants: [{id: a, models: ['*nvoa*', 'claude-*-9', fast], deny_models: ['*opsu*']}]\n"+
		"aliases: {fast: amazon.nova-micro-v1:0}\n",
		`2:28 warning tenants[0].models[0]: "*nvoa*" matches no model that is known; did you mean "*nova*"?`,
		`2:38 warning tenants[0].models[1]: "claude-*-9" matches no model that is known`,
		`2:73 warning tenants[0].deny_models[0]: "*opsu*" matches no model that is known; did you mean "*opus*"?`)
	f(sandbox+"upstreams: {eu: {region: eu-west-1}}\nmodel_upstreams: {'ue.*': eu}\n",
		`3:27 warning model_upstreams["ue.*"]: "ue.*" matches no model that is known; did you mean "eu.*"?`)
	f(sandbox+"discounts: [{percent: 5, from: 2026-01-01, models: ['amzon.*']}]\n",
		`2:53 warning discounts[0].models[0]: "amzon.*" matches no model that is known; did you mean "amazon.*"?`)
	f("upstream: {region: us-esat-1}\nupstreams: {x: {region: moon-1, endpoint: 'https://vpce.example.com'}}\n",
		`1:20 warning upstream.region: AWS has no region "us-esat-1" that is known; did you mean "us-east-1"?`,
		`2:25 warning upstreams["x"].region: AWS has no region "moon-1" that is known`)
}

// TestEndpoints warns of endpoints at which no model is served, or not so. U19
func TestEndpoints(t *testing.T) {
	f := func(endpoint, want string) {
		t.Helper()
		got := review(t, "upstream: {region: us-east-1, endpoint: '"+endpoint+"'}\n")
		if want != "" {
			want = "1:41 warning upstream.endpoint: " + want
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", endpoint, got, want)
		}
	}
	const path = ", which calls would have before their own, /model/ID/converse: leave it out"
	f("https://bedrock-runtime.us-east-1.amazonaws.com", "")
	f("https://bedrock-runtime-fips.us-east-1.amazonaws.com/", "")
	f("https://vpce-0a1b-c2d3.bedrock-runtime.us-east-1.vpce.amazonaws.com", "")
	f("https://bedrock-mantle.us-east-1.api.aws", "")
	f("http://127.0.0.1:9999/prefix", "")
	f("https://bedrock.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com does not serve models: "+
		"without endpoint, bedrock-runtime of the region is asked")
	f("https://us-east-1.console.aws.amazon.com/bedrock", "us-east-1.console.aws.amazon.com does not serve models: "+
		"without endpoint, bedrock-runtime of the region is asked")
	f("https://bedrock-runtime.eu-west-1.amazonaws.com",
		"is in region eu-west-1, and region is us-east-1: AWS refuses such signatures")
	f("http://bedrock-runtime.us-east-1.amazonaws.com", "AWS is asked by https:// alone")
	f("https://bedrock-runtime.us-east-1.amazonaws.com/v1", "has the path /v1"+path)
	f("http://127.0.0.1:9999/model/", "has the path /model/"+path)
}

// TestProfilesOfTenants names what is wrong with the profiles that tenants have for themselves. Issue 11
func TestProfilesOfTenants(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"
	f := func(text, want string) {
		t.Helper()
		if got := review(t, "upstream: {endpoint: sandbox, region: us-east-1}\n"+text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	tenant := func(id, model, arn string) string {
		return "{id: " + id + ", model_map: {'" + model + "': '" + arn + "'}}"
	}
	f("tenants: ["+tenant("a", "us.amazon.nova-pro-v1:0", arn+"x")+"]\n", "")
	f("tenants: ["+tenant("a", "us.amazon.nova-prow-v1:0", arn+"x")+"]\n", `2:59 warning tenants[0].model_map[`+
		`"us.amazon.nova-prow-v1:0"]: no model "us.amazon.nova-prow-v1:0" is known; did you mean "us.amazon.nova-pro-v1:0"?`)
	other := strings.Replace(arn, "us-east-1", "eu-west-1", 1) + "x"
	f("tenants: ["+tenant("a", "us.amazon.nova-pro-v1:0", other)+"]\n", `2:58 error tenants[0].model_map[`+
		`"us.amazon.nova-pro-v1:0"]: the profile is in region eu-west-1, and calls of the model go to us-east-1`)
	f("upstreams: {eu: {endpoint: sandbox, region: eu-west-1}}\nmodel_upstreams: {'us.*': eu}\ntenants: ["+
		tenant("a", "us.amazon.nova-pro-v1:0", other)+"]\n", "")
	f("tenants: ["+tenant("a", "us.amazon.nova-pro-v1:0", arn+"x")+", "+tenant("b", "us.amazon.nova-pro-v1:0", arn+"x")+
		"]\n", `2:181 warning tenants[1].model_map["us.amazon.nova-pro-v1:0"]: is the profile of a too: a bill cannot tell `+
		`them apart`)
}

// TestIncludes warns of a glob that matches no file.
func TestIncludes(t *testing.T) {
	got := review(t, sandbox+"include: ['teams/*.yaml']\n")
	if want := "2:11 warning include[0]: there is no file teams/*.yaml yet: nothing is included"; got != want {
		t.Error(got)
	}
}

// TestExpiredKeys: a key whose end in the file is over, or is now, is refused.
func TestExpiredKeys(t *testing.T) {
	got := review(t, sandbox+`tenants:
  - id: a
    keys:
      - {id: SLKAAAAAAAAAAAAAAAAAAAAA, expires: 2026-11-29}
      - {id: SLKAAAAAAAAAAAAAAAAAAAAB, expires: 2026-11-29T00:00:01Z}
      - {id: SLKAAAAAAAAAAAAAAAAAAAAC, name: for ever}
      - SLKAAAAAAAAAAAAAAAAAAAAD
`)
	if want := "5:49 warning tenants[0].keys[0].expires: is over: the key is refused"; got != want {
		t.Error(got)
	}
}

// TestPorts refuses two ports that are one. U12
func TestPorts(t *testing.T) {
	f := func(listen, admin string, same bool) {
		t.Helper()
		got := review(t, fmt.Sprintf("%slisten: %q\nadmin: {listen: %q, token: x}\n", sandbox, listen, admin))
		if strings.Contains(got, "3:17 error admin.listen: is the address of listen") != same || !same && got != "" {
			t.Errorf("%s and %s: %s", listen, admin, got)
		}
	}
	f("127.0.0.1:8080", "127.0.0.1:8080", true)
	f("localhost:8080", "127.0.0.1:8080", true)
	f(":8080", "127.0.0.1:8080", true)
	f("10.0.0.1:8080", "0.0.0.0:8080", true)
	f("[::]:8080", "[::1]:8080", true)
	f("127.0.0.1:8080", "127.0.0.1:8081", false)
	f("127.0.0.1:8080", "127.0.0.2:8080", false)
	f("127.0.0.1:0", "127.0.0.1:0", false)
}

// TestFiles refuses TLS files that are not there, are none or do not fit. U12
func TestFiles(t *testing.T) {
	file := harness.File(t, "sluice.yaml", "")
	dir := filepath.Dir(file)
	harness.Certificate(t, dir, "good", time.Date(2027, 11, 1, 0, 0, 0, 0, time.UTC))
	harness.Certificate(t, dir, "old", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	good, err := os.ReadFile(filepath.Join(dir, "good.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	locked := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	for name, data := range map[string][]byte{"good.der": block.Bytes, "secret.key": locked} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(text, want string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(sandbox+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reviewFile(t, file); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	f("tls: {cert: good.pem, key: good.key}\n", "")
	f("tls: {cert: old.pem, key: old.key}\n", "2:13 warning tls.cert: the certificate has expired on 2026-11-01")
	f("tls: {cert: no.pem, key: no.key}\n",
		"2:13 error tls.cert: there is no file no.pem\n2:26 error tls.key: there is no file no.key")
	f("tls: {cert: good.key, key: good.pem}\n", "2:13 error tls.cert: good.key has no certificate in PEM, "+
		"but a private key: are tls.cert and tls.key exchanged?")
	f("tls: {cert: good.der, key: good.key}\n", "2:13 error tls.cert: good.der has no certificate in PEM, "+
		"but one in DER: openssl x509 -inform der -in FILE writes it as PEM")
	f("tls: {cert: good.pem, key: secret.key}\n", "2:28 error tls.key: secret.key is encrypted, "+
		"and nobody is asked for its password: openssl pkey -in FILE writes it without")
	f("tls: {cert: good.pem, key: good.pem}\n", "2:28 error tls.key: good.pem has no private key in PEM")
	f("tls: {cert: good.pem, key: old.key}\n",
		"2:28 error tls.key: old.key is not the key of good.pem: tls: private key does not match public key")
	f("upstreams: {eu: {region: eu-west-1, ca_file: good.pem}}\n", "")
	f("upstreams: {eu: {region: eu-west-1, ca_file: sluice.yaml}}\n",
		`2:46 error upstreams["eu"].ca_file: sluice.yaml has no certificate in PEM`)
	f("upstreams: {eu: {region: eu-west-1, ca_file: no.pem}}\n",
		`2:46 error upstreams["eu"].ca_file: there is no file no.pem`)
}

// TestCertificates warns of a certificate of another cascade. U12
func TestCertificates(t *testing.T) {
	file := harness.File(t, "sluice.yaml", sandbox+"cascades: [{name: c, match: 'true', light: amazon.nova-lite-v1:0, "+
		"escalation: amazon.nova-pro-v1:0, certificate: c.json}]\n")
	if got := reviewFile(t, file); got != "" {
		t.Error(got)
	}
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "c.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("nonsense")
	if got := reviewFile(t, file); !strings.Contains(got, "cascades[0].certificate: cannot be read as a certificate") {
		t.Error(got)
	}
	r := &certify.Report{N: 500, Curve: []certify.Point{{Threshold: 1, Saving: 1}}}
	other := certify.Issue(r, certify.Options{MaxLoss: 0.02, Delta: 0.1}, certify.Binding{Cascade: "other"}, time.Now())
	put(string(other.Encode()))
	got := reviewFile(t, file)
	if !strings.Contains(got, `warning cascades[0].certificate: is the certificate of cascade "other"`) {
		t.Error(got)
	}
}

// TestBooks warns of names and regions in own price books that are almost right.
func TestBooks(t *testing.T) {
	file := harness.File(t, "sluice.yaml", sandbox+"prices: [p.yaml]\naliases: {a: mine.model-v1:0}\n")
	book := "effective: 2026-01-01\nper: million\nprices:\n  - {models: [amazon.nova-lit-v1:0], input: 1, output: 2}\n" +
		"  - {models: [mine.model-v1:0], input: 1, output: 2}\n" +
		"  - {models: [mine.model-v2:0], input: 1, output: 2, regions: [eu-centrl-1], scopes: {region: 1}}\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "p.yaml"), []byte(book), 0o600); err != nil {
		t.Fatal(err)
	}
	want := `4:5 warning prices[0]: no model "amazon.nova-lit-v1:0" is known; ` +
		`did you mean "amazon.nova-lite-v1:0"?` + "\n" +
		`6:5 warning prices[2]: AWS has no region "eu-centrl-1" that is known; did you mean "eu-central-1"?`
	if got := reviewFile(t, file); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
