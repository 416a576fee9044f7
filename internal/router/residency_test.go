package router

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const account = ":123456789012:"

// residentConfig has upstreams in two geographies, ARNs of each kind, a global profile and terms.
func residentConfig() *config.Config {
	cfg := baseConfig()
	cfg.Upstreams = map[string]config.Upstream{
		"eu": {Region: "eu-west-1"}, "eu2": {Region: "eu-central-1"}, "jp": {Region: "ap-northeast-1"},
		"gov": {Region: "us-gov-west-1"}, "mantle": {Region: "us-east-1", Kind: "mantle"},
	}
	cfg.ModelUpstreams = []config.ModelUpstream{
		{Glob: "eu.*", Name: "eu"}, {Glob: "amazon.nova-pro*", Name: "eu2"}, {Glob: "openai.*", Name: "mantle"},
	}
	cfg.Behind = map[string]string{
		profileARN("eu"):     "eu." + foundationSonnet,
		profileARN("global"): "global." + foundationSonnet,
		"arn:aws:bedrock:eu-west-1" + account + "provisioned-model/p": lite,
	}
	cfg.Prices = []config.PriceBook{{Prices: []config.Price{
		{Models: []string{foundationSonnet, "openai.gpt-6-*"}, Scope: "global"},
		{Models: []string{lite}, Scope: "global", Everywhere: true},
	}}}
	cfg.Terms = []config.Terms{
		{Makers: []string{"amazon", "mistral"}, Indemnity: "full"}, {Makers: []string{"mistral"}, Indemnity: "limited"},
	}
	return cfg
}

const foundationSonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0"

func profileARN(name string) string {
	return "arn:aws:bedrock:eu-west-1" + account + "application-inference-profile/" + name
}

// TestOutside asks for models in every form in which a request can name one, from homes in two geographies.
func TestOutside(t *testing.T) {
	r, _ := Compile(residentConfig())
	f := func(residency, upstream, model, want string) {
		t.Helper()
		setting, why := r.Bars(&Bounds{Residency: residency, Upstream: upstream}, &Leg{Model: r.Resolve(model)})
		if !strings.Contains(why, want) || want == "" && why != "" || (setting == needResidency) != (want != "") {
			t.Errorf("%s at %q: %s: %q %q, want %q", residency, upstream, model, setting, why, want)
		}
	}
	const us, eu, jp = "", "eu", "jp"
	for _, model := range []string{lite, sonnet, "global." + foundationSonnet, "eu." + foundationSonnet, "my-capacity"} {
		f("", us, model, "")
		f("any", us, model, "")
	}
	f("geo", us, lite, "")
	f("geo", us, sonnet, "")
	f("geo", us, "auto", "")
	f("geo", us, "global."+foundationSonnet, "its profile sends calls across global")
	f("geo", us, "eu."+foundationSonnet, "calls go to eu-west-1")
	f("geo", eu, "eu."+foundationSonnet, "")
	f("geo", eu, sonnet, "its profile sends calls across us")
	f("geo", eu, "amazon.nova-pro-v1:0", "") // another region of the geography
	f("geo", jp, "jp."+foundationSonnet, "")
	f("geo", jp, "apac."+foundationSonnet, "")
	f("geo", jp, "au."+foundationSonnet, "")
	f("geo", jp, "eu."+foundationSonnet, "calls go to eu-west-1")
	f("geo", "gov", "us-gov."+foundationSonnet, "")
	f("geo", "gov", sonnet, "its profile sends calls across us")
	f("geo", us, "arn:aws:bedrock:us-east-1::inference-profile/global."+foundationSonnet, "across global")
	f("geo", us, "arn:aws:bedrock:us-east-1"+account+"inference-profile/global."+foundationSonnet, "across global")
	f("geo", us, "arn:aws:bedrock:us-east-1::foundation-model/"+lite, "")
	f("geo", us, "arn:aws:bedrock:eu-west-1::foundation-model/"+lite, "calls go to eu-west-1")
	f("geo", eu, profileARN("eu"), "")
	f("geo", eu, profileARN("global"), "across global")
	f("geo", eu, profileARN("nobody"), "nobody knows how far calls go. Add to the configuration: model_map:")
	f("geo", eu, "arn:aws:bedrock:eu-west-1"+account+"prompt/P", "nobody knows")
	f("geo", eu, "arn:aws:bedrock:eu-west-1"+account+"default-prompt-router/R", "nobody knows")
	f("geo", eu, "my-capacity", "nobody knows")

	f("region", us, lite, "")
	f("region", us, sonnet, "its profile sends calls across us")
	f("region", eu, "amazon.nova-pro-v1:0", "calls go to eu-central-1")
	f("region", eu, "arn:aws:bedrock:eu-west-1"+account+"provisioned-model/p", "")
	f("region", eu, "arn:aws:bedrock:eu-west-1"+account+"imported-model/i", "")
	f("region", us, "arn:aws:bedrock:eu-west-1"+account+"provisioned-model/p", "calls go to eu-west-1")
	f("region", eu, profileARN("eu"), "across eu")
	f("region", us, "openai.gpt-6-luna", "") // by bedrock-mantle, in its region
	f("region", eu, "openai.gpt-6-luna", "calls go to us-east-1")
}

// TestRequire refuses models whose makers do not give a term in full. The last entry of a maker counts.
func TestRequire(t *testing.T) {
	r, _ := Compile(residentConfig())
	f := func(model, want string) {
		t.Helper()
		setting, why := r.Bars(&Bounds{Require: []string{"indemnity"}}, &Leg{Model: model})
		if !strings.Contains(why, want) || want == "" && why != "" || (setting == needTerms) != (want != "") {
			t.Errorf("%s: %q %q, want %q", model, setting, why, want)
		}
	}
	f(lite, "")
	f("us."+lite, "")
	f("mistral.x-v1:0", "require: [indemnity], and the catalogue has that of mistral as limited.")
	f(sonnet, "the catalogue has that of anthropic as unstated.")
	f(profileARN("eu"), "anthropic")
	f(profileARN("nobody"), "nobody knows whose model this is. Add to the configuration: model_map:")
	f("arn:aws:bedrock:eu-west-1"+account+"provisioned-model/p", "")
}

// TestGlobal goes to global profiles where the tenant lets it, and nowhere else.
func TestGlobal(t *testing.T) {
	r, _ := Compile(residentConfig())
	f := func(asked, want string, change func(*Input)) {
		t.Helper()
		in := converse(asked)
		in.Bounds.Residency = "any"
		if change != nil {
			change(in)
		}
		plan, err := planOf(r, in)
		if err != nil {
			t.Fatalf("%s: %v", asked, err)
		}
		got := plan.Legs[len(plan.Legs)-1]
		if got.Model != want || (got.Named == "") != (got.Model == r.Resolve(asked)) {
			t.Errorf("%s goes to %s, named %q; want %s", asked, got.Model, got.Named, want)
		}
		if at, _ := r.Upstream(got.Origin(), ""); strings.HasPrefix(asked, "eu.") && at != "eu" {
			t.Errorf("%s goes to upstream %q", asked, at)
		}
	}
	global := "global." + foundationSonnet
	f(sonnet, global, nil)
	f(foundationSonnet, global, nil)
	f("eu."+foundationSonnet, global, nil)
	f("auto", global, nil) // the escalation leg of a cascade
	f("arn:aws:bedrock:us-east-1::inference-profile/"+sonnet, global, nil)
	f(global, global, nil)
	f(lite, lite, nil)                               // no price of a global profile alone
	f("openai.gpt-6-luna", "openai.gpt-6-luna", nil) // bedrock-mantle has no profiles
	f(profileARN("eu"), profileARN("eu"), nil)
	f(sonnet, sonnet, func(in *Input) { in.Bounds.Residency = "" })
	f(sonnet, sonnet, func(in *Input) { in.Bounds.Residency = "geo" })
	f(sonnet, sonnet, func(in *Input) { in.Bounds.Upstream = "gov" })
	f(sonnet, sonnet, func(in *Input) { in.Facts.Op = wire.OpCountTokens })
	f(sonnet, sonnet, func(in *Input) {
		in.Policy = policy(func(ids ...string) bool { return !strings.HasPrefix(ids[1], "global.") })
	})
}

// TestLegsStayWithin leaves out each leg of a cascade that the tenant's requests may not reach, and says so where none
// is left.
func TestLegsStayWithin(t *testing.T) {
	cfg := residentConfig()
	c := &cfg.Cascades[0]
	c.Partner, c.Shadow.Judge = "global."+foundationSonnet, "eu."+foundationSonnet
	r, problems := Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan := func(bounds Bounds, input ...int) (*Plan, *wire.Error) {
		in := converse("auto")
		in.Bounds = bounds
		for _, tokens := range input {
			in.Facts.InputTokens = tokens
		}
		return planOf(r, in)
	}
	p, err := plan(Bounds{})
	if err != nil || len(p.Legs) != 2 || p.Partner == nil || p.Judge == nil {
		t.Fatalf("without bounds: %+v, %v", p, err)
	}
	p, err = plan(Bounds{Residency: "geo"})
	if err != nil || len(p.Legs) != 2 || p.Partner != nil || p.Judge != nil {
		t.Errorf("geo: %+v, %v; want neither partner nor judge", p, err)
	}
	p, err = plan(Bounds{Residency: "region"})
	skipped := Skip{sonnet, ReasonDenied, needResidency}
	if err != nil || len(p.Legs) != 1 || p.Legs[0].Model != lite || p.Skipped[0] != skipped {
		t.Errorf("region: %+v, %v; want the light leg alone", p, err)
	}
	_, err = plan(Bounds{Residency: "region"}, 40_000) // which a rule sends to the escalation model
	if err == nil || err.Kind != wire.KindAccessDenied || !strings.Contains(err.Message, "residency is region") {
		t.Errorf("nothing in reach: %v", err)
	}
	_, err = plan(Bounds{Require: []string{"residency"}})
	if err == nil || err.Kind != wire.KindAccessDenied || !strings.Contains(err.Message, "require: [residency]") {
		t.Errorf("no terms: %v", err)
	}
}
