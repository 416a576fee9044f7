package perimeter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// asked is an Accounts that counts how often it is asked.
type asked struct {
	id  string
	err error
	n   int
}

func (a *asked) Account(context.Context, string, role.Role) (string, error) {
	a.n++
	return a.id, a.err
}

// TestModelNames: which ARNs of models pass, whatever their spelling. The account that is
// allowed is friend. E7
func TestModelNames(t *testing.T) {
	p := Compile(&config.Config{ModelUpstreams: []config.ModelUpstream{{Glob: "arn:*:" + friend + ":*", Name: "x"}}})
	f := func(name string, want int) {
		t.Helper()
		err := p.Model(t.Context(), &Signer{}, name)
		if got := status(err); got != want {
			t.Errorf("%s: %d, want %d (%v)", name, got, want, err)
		}
	}
	for _, name := range []string{
		"amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0:24k", "auto", "our-provisioned-nova",
		"learn:a:b", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
		"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.nova-lite-v1:0",
		"arn:aws-cn:bedrock:cn-north-1::foundation-model/amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1::inference-profile/us.amazon.nova-lite-v1:0",
	} {
		f(name, 200)
	}
	kinds := []string{
		"inference-profile/us.amazon.nova-pro-v1:0", "application-inference-profile/nova", "provisioned-model/nova",
		"custom-model/amazon.nova-lite-v1:0:300k/abc", "custom-model-deployment/nova", "imported-model/nova",
		"prompt/NOVA:1", "prompt-router/nova", "default-prompt-router/amazon.nova:1",
		"foundation-model/amazon.nova-lite-v1:0",
	}
	for _, kind := range kinds {
		f(fmt.Sprintf(arnOf(kind), friend), 200)
		for _, account := range []string{
			stranger, "111122223334", "1111222233", "1111222233334", "111122223333 ", "1111-2222-3333", "1111 2222 3333", "*",
			"aws", "12345678901a", "１１１１２２２２３３３３",
		} {
			f(fmt.Sprintf(arnOf(kind), account), 403)
		}
		if !strings.HasPrefix(kind, "foundation") && !strings.HasPrefix(kind, "inference") {
			f(fmt.Sprintf(arnOf(kind), ""), 403)
		}
	}
	good := fmt.Sprintf(arnOf("provisioned-model/nova"), friend)
	for _, name := range []string{
		strings.ToUpper(good), "Arn" + good[3:], strings.Replace(good, "bedrock", "BEDROCK", 1), " " + good, "us." + good,
		strings.Replace(good, ":aws:", ":aws-cn:", 1), strings.Replace(good, ":aws:", ":aws-us-gov:", 1),
		strings.Replace(good, ":aws:", ":*:", 1), strings.Replace(good, ":aws:", "::", 1),
		strings.Replace(good, "us-east-1", "", 1), strings.Replace(good, "us-east-1", "cn-north-1", 1),
		strings.Replace(good, "bedrock", "sagemaker", 1), strings.Replace(good, "bedrock", "s3", 1),
		strings.Replace(good, "bedrock", "bedrock-mantle", 1),
		strings.Replace(good, "provisioned-model", "guardrail", 1), strings.Replace(good, "provisioned-model", "agent", 1),
		strings.Replace(good, "provisioned-model", "async-invoke", 1), strings.Replace(good, "provisioned-model", "", 1),
		strings.Replace(good, "provisioned-model", "Provisioned-Model", 1), strings.Replace(good, "/nova", "/", 1),
		strings.Replace(good, "provisioned-model/nova", "provisioned-model:nova", 1), "arn:", "arn:nova", "arn:::::nova",
		"arn:aws:sagemaker:us-east-1:" + friend + ":endpoint/nova", "arn:aws:bedrock:us-east-1:" + friend + ":endpoint/nova",
		"nova:arn:aws:bedrock:us-east-1:" + stranger + ":provisioned-model/nova",
		"arn:aws:iam::" + friend + ":role/nova", "arn:aws:sagemaker:us-east-1::inference-profile/us.amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1:" + stranger + ":" + friend + ":provisioned-model/nova",
	} {
		f(name, 403)
	}
}

// TestSettings: each setting is obeyed, and named in the refusal.
func TestSettings(t *testing.T) {
	f := func(cfg config.Config, want string, check func(*Perimeter) *wire.Error) {
		t.Helper()
		err := check(Compile(&cfg))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Message, want)) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	s, ctx := &Signer{}, t.Context()
	model := func(name string) func(*Perimeter) *wire.Error {
		return func(p *Perimeter) *wire.Error { return p.Model(ctx, s, name) }
	}
	mine := fmt.Sprintf(arnOf("imported-model/x"), friend)
	endpoint := "arn:aws:sagemaker:us-east-1:" + friend + ":endpoint/nova"
	named := config.Config{AllowedAccounts: []string{friend}}
	f(config.Config{}, "allowed_accounts", model(mine))
	f(named, "", model(mine))
	f(config.Config{AllowedAccounts: []string{"*"}}, "", model(fmt.Sprintf(arnOf("imported-model/x"), stranger)))
	f(config.Config{AllowedAccounts: []string{}, Behind: map[string]string{mine: "m"}}, "allowed_accounts", model(mine))
	for _, by := range []config.Config{
		{Behind: map[string]string{mine: "m"}}, {ModelUpstreams: []config.ModelUpstream{{Glob: "arn:*:" + friend + ":*"}}},
		{Upstream: config.Upstream{Role: role.Role{ARN: "arn:aws:iam::" + friend + ":role/r"}}},
		{Upstreams: map[string]config.Upstream{"eu": {Role: role.Role{ARN: "arn:aws:iam::" + friend + ":role/r"}}}},
		{Tenants: []config.Tenant{{Role: &role.Role{ARN: "arn:aws:iam::" + friend + ":role/r"}}}},
	} {
		f(by, "", model(mine))
		f(by, "allowed_accounts", model(fmt.Sprintf(arnOf("imported-model/x"), stranger)))
	}
	f(named, "allowed_kinds", model(endpoint))
	f(config.Config{Behind: map[string]string{endpoint: "m"}}, "", model(endpoint))
	f(config.Config{Behind: map[string]string{endpoint: "m"}}, "allowed_kinds", model(endpoint+"2"))
	f(config.Config{AllowedAccounts: []string{friend}, AllowedKinds: []string{"endpoint"}}, "", model(endpoint))
	f(config.Config{AllowedAccounts: []string{friend}, AllowedKinds: []string{"endpoint"}}, "allowed_kinds", model(mine))
	near := config.Config{AllowedAccounts: []string{friend}, AllowedRegions: []string{"eu-west-1"}}
	f(near, "allowed_regions", model(mine))
	f(config.Config{Upstream: config.Upstream{Endpoint: config.Sandbox}}, "", model(fmt.Sprintf(arnOf("prompt/x"),
		config.SandboxAccount)))

	guardrail := func(name string) func(*Perimeter) *wire.Error {
		return func(p *Perimeter) *wire.Error {
			for _, field := range []string{"X-Amzn-Bedrock-GuardrailIdentifier", "x-amzn-bedrock-GUARDRAILIDENTIFIER"} {
				h := wire.Header{{Name: field, Value: "g"}, {Name: field, Value: name}} // each counts
				if err := p.Header(ctx, s, "us-east-1", h); err != nil {
					return err
				}
			}
			return nil
		}
	}
	own := fmt.Sprintf(arnOf("guardrail/g"), friend)
	f(named, "", guardrail("g"))
	f(named, "", guardrail(own))
	f(named, "allowed_accounts", guardrail(fmt.Sprintf(arnOf("guardrail/g"), stranger)))
	f(named, "well-formed", guardrail(strings.ToUpper(own)))
	f(named, "well-formed", guardrail(mine))
	f(named, "well-formed", guardrail(strings.Replace(own, friend, "", 1)))
	f(named, "region eu-west-1", guardrail(strings.Replace(own, "us-east-1", "eu-west-1", 1)))
	only := config.Config{AllowedAccounts: []string{friend}, AllowedGuardrails: []string{"g", "*:guardrail/g"}}
	f(only, "", guardrail(own))
	f(only, "allowed_guardrails", guardrail("h"))

	places := config.Config{AllowedS3: []string{"s3://acme-*/in/*"}}
	uri := func(uri string) func(*Perimeter) *wire.Error {
		return func(p *Perimeter) *wire.Error { return check(t, p, `{"source":{"s3Location":{"uri":"`+uri+`"}}}`) }
	}
	f(config.Config{}, "", uri("s3://anything/x"))
	f(places, "", uri("s3://acme-1/in/x"))
	f(places, "", uri(`s3:\/\/acme-1\/in\/x`))
	f(places, "allowed_s3", uri("s3://other/in/x"))
	f(places, "allowed_s3", uri("S3://ACME-1/in/x"))
	f(places, "allowed_s3", uri(`\u00733://other/in/x`))
	f(places, "not valid", uri("s3://acme-1/in/../x"))
	for _, bucket := range []string{ // what one reader takes for a part of a name, another takes for its end
		"acme-x@other", "acme-x:80", `acme-x\\evil`, "acme-x?other", "acme-x#other", "acme-x;other", "acme-x%2fother",
		"acme-x other", "acme-xé", "acme-X", "acme-x_y", `acme-x\u0000`, "acme-" + strings.Repeat("x", 60),
	} {
		f(places, "not valid", uri("s3://"+bucket+"/in/x"))
	}
	f(config.Config{AllowedS3: []string{"*"}}, "not valid", uri("s3:///x"))
	f(config.Config{AllowedS3: []string{"*"}}, "", uri("s3://acme.1"))
}

// TestListsOfTenants (E7): a tenant's lists narrow those of everybody and of the tenants above
// it, wherever a guardrail or a place is named, and bind no other.
func TestListsOfTenants(t *testing.T) {
	p := Compile(&config.Config{
		AllowedAccounts: []string{friend}, AllowedS3: []string{"s3://acme-*"},
		Tenants: []config.Tenant{
			{ID: "acme", Resources: &config.Resources{Guardrails: []string{"g*"}, S3: []string{"*/in/*"}}},
			{ID: "acme/search", Resources: &config.Resources{Guardrails: []string{"*1"}}},
			{ID: "acme/search/none", Resources: &config.Resources{Guardrails: []string{}, S3: []string{}}},
			{ID: "other"},
		},
	})
	const none = "acme/search/none"
	for _, c := range []struct{ tenant, guardrails, places string }{
		{"other", "g1 g2 h1 h2", "s3://acme-1/in/x s3://acme-1/out/x"},
		{"acme", "g1 g2", "s3://acme-1/in/x"},
		{"acme/new", "g1 g2", "s3://acme-1/in/x"}, // below one that has lists
		{"acme/search", "g1", "s3://acme-1/in/x"},
		{"acme/search/x/y", "g1", "s3://acme-1/in/x"},
		{none, "", ""},
		{"acmetoo", "g1 g2 h1 h2", "s3://acme-1/in/x s3://acme-1/out/x"},
	} {
		s := &Signer{Tenant: c.tenant}
		check := func(name, allowed, setting, body string) {
			t.Helper()
			want := slices.Contains(strings.Fields(allowed), name)
			err := p.Body(t.Context(), s, "us-east-1", []byte(fmt.Sprintf(body, name)))
			if (err == nil) != want || err != nil && !strings.Contains(err.Message, setting) {
				t.Errorf("%s, %s: %v", c.tenant, name, err)
			}
		}
		for _, g := range []string{"g1", "g2", "h1", "h2"} {
			check(g, c.guardrails, "allowed_guardrails", `{"guardrailConfig":{"guardrailIdentifier":%q}}`)
			h := wire.Header{{Name: "X-Amzn-Bedrock-GuardrailIdentifier", Value: g}}
			err := p.Header(t.Context(), s, "us-east-1", h)
			if (err == nil) != slices.Contains(strings.Fields(c.guardrails), g) {
				t.Errorf("%s, %s in the header: %v", c.tenant, g, err)
			}
		}
		for _, uri := range []string{"s3://acme-1/in/x", "s3://acme-1/out/x", "s3://b/in/x"} {
			check(uri, c.places, "allowed_s3", `{"modelInput":{"source":{"s3Location":{"uri":%q}}}}`)
			check(uri, c.places, "allowed_s3", `{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":%q}}}`)
		}
	}
}

// TestToolsAreFree: what a tool is called with, and what its schema is, names nothing.
func TestToolsAreFree(t *testing.T) {
	p := &Perimeter{listed: true}
	named := `{"s3Location":{"uri":"s3://b/k","bucketOwner":"` + stranger + `"},"guardrailConfig":{` +
		`"guardrailIdentifier":"arn:aws:bedrock:us-east-1:` + stranger + `:guardrail/g"}}`
	for _, body := range []string{
		`{"messages":[{"content":[{"toolUse":{"input":` + named + `}}]}]}`,
		`{"messages":[{"content":[{"toolResult":{"content":[{"json":` + named + `}]}}]}]}`,
		`{"toolConfig":{"tools":[{"toolSpec":{"inputSchema":{"json":` + named + `}}}]}}`,
		`{"messages":[{"content":[{"type":"tool_use","input":` + named + `}]}]}`,
		`{"messages":[{"content":[{"text":"s3://b/k arn:aws:bedrock:us-east-1:` + stranger + `:guardrail/g"}]}]}`,
		`{"requestMetadata":{"bucketOwner":"` + stranger + `"}}`,
	} {
		if err := check(t, p, body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestWrappedBodies: what tokens are counted of is a body too.
func TestWrappedBodies(t *testing.T) {
	p := &Perimeter{listed: true}
	// {"x":{"s3Location":{"bucketOwner":"999999999999"}}}
	const inner = "eyJ4Ijp7InMzTG9jYXRpb24iOnsiYnVja2V0T3duZXIiOiI5OTk5OTk5OTk5OTkifX19"
	if err := check(t, p, `{"input":{"invokeModel":{"body":"`+inner+`"}}}`); status(err) != 403 {
		t.Errorf("%v", err)
	}
	for _, readers := range []string{ // some decoders pass over what others refuse
		inner + "==", inner[:8] + " " + inner[8:], inner[:8] + `\r\n` + inner[8:], inner[:8] + "!" + inner[8:],
		strings.TrimRight(inner+"IA==", "="), inner + "IA=", inner + "ICA", inner + "IC", inner + "I",
		`\u0065` + inner[1:],
		base64.URLEncoding.EncodeToString([]byte(`{"y":"???>>>","x":{"s3Location":{"bucketOwner":"` + stranger + `"}}}`)),
	} {
		if err := check(t, p, `{"input":{"invokeModel":{"body":"`+readers+`"}}}`); status(err) != 403 {
			t.Errorf("%s: %v", readers, err)
		}
	}
	for _, readers := range []string{"eyJ5IjoxfQ==" + inner, "e30=" + inner, "=" + inner} {
		if err := check(t, p, `{"input":{"invokeModel":{"body":"`+readers+`"}}}`); status(err) != 400 {
			t.Errorf("%s: %v", readers, err)
		}
	}
	if err := check(t, p, `{"input":{"invokeModel":{"body":"!"}}}`); err != nil {
		t.Errorf("%v", err)
	}
}

// TestNamesThatAreNoStrings: a reader may take a number or a literal for the text that it is.
func TestNamesThatAreNoStrings(t *testing.T) {
	p := Compile(&config.Config{AllowedAccounts: []string{friend}, AllowedGuardrails: []string{"gr1"}})
	for _, body := range []string{
		`{"x":{"s3Location":{"uri":"s3://a/b","bucketOwner":` + stranger + `}}}`,
		`{"x":{"s3Location":{"uri":"s3://a/b","bucketOwner":[` + stranger + `]}}}`,
		`{"guardrailConfig":{"guardrailIdentifier":12345}}`, `{"guardrailConfig":{"guardrailIdentifier":true}}`,
	} {
		if err := check(t, p, body); status(err) != 403 {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{
		`{"x":{"s3Location":{"uri":"s3://a/b","bucketOwner":` + friend + `}}}`,
		`{"x":{"s3Location":{"uri":"s3://a/b","bucketOwner":null}}}`, `{"guardrailConfig":{"guardrailIdentifier":null}}`,
	} {
		if err := check(t, p, body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestOwnAccount is asked for only when an ARN is of an account that nothing names.
func TestOwnAccount(t *testing.T) {
	mine := fmt.Sprintf(arnOf("imported-model/x"), friend)
	f := func(p *Perimeter, a *asked, questions int, want string) {
		t.Helper()
		err := p.Model(t.Context(), &Signer{Accounts: a}, mine)
		text := ""
		if err != nil {
			text = err.Message
		}
		if a.n != questions || want == "" && err != nil || !strings.Contains(text, want) {
			t.Errorf("%d questions, %q, want %q", a.n, text, want)
		}
	}
	f(Compile(&config.Config{}), &asked{id: friend}, 1, "")
	f(Compile(&config.Config{}), &asked{id: stranger}, 1, "allowed_accounts")
	f(Compile(&config.Config{}), &asked{err: errors.New("no")}, 1, "could not find out its own account")
	f(Compile(&config.Config{AllowedAccounts: []string{friend}}), &asked{id: stranger}, 0, "")
	f(Compile(&config.Config{AllowedAccounts: []string{stranger}}), &asked{id: friend}, 0, "allowed_accounts")
	mine = fmt.Sprintf(arnOf("inference-profile/us.amazon.nova-lite-v1:0"), friend)
	f(Compile(&config.Config{}), &asked{err: errors.New("no")}, 1, "")
	f(Compile(&config.Config{}), &asked{id: stranger}, 1, "allowed_accounts")
	mapped := map[string]string{fmt.Sprintf(arnOf("imported-model/y"), stranger): "amazon.nova-lite-v1:0"}
	f(Compile(&config.Config{Behind: mapped}), &asked{err: errors.New("no")}, 1, "could not find out its own account")
	a := &asked{id: friend}
	for _, name := range []string{"amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"} {
		if err := Compile(&config.Config{}).Model(t.Context(), &Signer{Accounts: a}, name); err != nil || a.n > 0 {
			t.Errorf("%s: %v, %d questions", name, err, a.n)
		}
	}
	if err := Compile(&config.Config{}).Model(t.Context(), &Signer{Offline: true}, mine); err != nil {
		t.Errorf("without anything sent: %v", err)
	}
}

// TestNothingIsAllocated for a body and a name that name nothing of AWS.
func TestNothingIsAllocated(t *testing.T) {
	p, s, body := &Perimeter{}, &Signer{}, []byte(`{"messages":[{"content":[{"text":"hello"}]}]}`)
	n := testing.AllocsPerRun(100, func() {
		if wire.MayName(body) || p.Model(t.Context(), s, "us.amazon.nova-lite-v1:0") != nil {
			t.Error("refused")
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzBody: whatever a body is, reading it ends and says the same of it twice.
func FuzzBody(f *testing.F) {
	for _, bodies := range probes {
		for _, body := range bodies {
			f.Add([]byte(fmt.Sprintf(body, stranger)))
		}
	}
	p := &Perimeter{listed: true, kinds: ownKinds()}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, second := p.Body(t.Context(), &Signer{}, "", body), p.Body(t.Context(), &Signer{}, "", body)
		if status(first) != status(second) {
			t.Errorf("%v, then %v", first, second)
		}
	})
}
