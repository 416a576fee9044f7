package controlplane

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	sonnet  = "anthropic.claude-sonnet-4-5-20250929-v1:0"
	nova    = "amazon.nova-lite-v1:0"
	mapped  = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
	twice   = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/dup"
	other   = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/dup"
	third   = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/dup"
	owned   = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/owned"
	unknown = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/nobody"
)

const settings = `
upstream: {region: us-east-1, endpoint: sandbox}
upstreams: {eu: {region: eu-west-1, endpoint: sandbox}, tokyo: {region: ap-northeast-1, endpoint: sandbox}}
aliases: {auto: us.` + sonnet + `, plain: ` + nova + `}
model_map:
  "` + mapped + `": us.` + sonnet + `
  "` + twice + `": ` + nova + `
  "` + other + `": ` + nova + `
  "` + third + `": ` + nova + `
model_upstreams: {"jp.*haiku*": tokyo}
tenants:
  - {id: all}
  - {id: eu, upstream: eu}
  - {id: tokyo, upstream: tokyo}
  - {id: nova, models: ["*nova*", plain]}
  - {id: denies, deny_models: ["*claude*"]}
  - {id: owner, model_map: {"us.` + sonnet + `": "` + owned + `"}}
  - {id: owner/team}
`

// at is a day on which the models of the tests are served.
var at = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func load(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	file := harness.File(t, filepath.Join("sluice.yaml"), settings)
	cfg, err := config.Load(file, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, problems := snapshot.Compile(cfg, nil, at)
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is all that an answer may have.
type answer struct {
	ModelSummaries            []model
	ModelDetails              *model
	InferenceProfileSummaries []profile
	NextToken                 string
	profile
}

func ask(t testing.TB, s *snapshot.Snapshot, tenant, target string) (answer, *wire.Error) {
	t.Helper()
	var a answer
	parsed, refused := wire.ParseTarget("GET", target, "")
	if refused != nil {
		t.Fatal(target, refused)
	}
	if !parsed.Op.Control() {
		t.Fatalf("%s is %s", target, parsed.Op)
	}
	body, refused := Answer(s, s.Tenants.Lookup(tenant), &parsed, at)
	if refused != nil {
		return a, refused
	}
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatal(err)
	}
	return a, nil
}

func mustAsk(t testing.TB, s *snapshot.Snapshot, tenant, target string) answer {
	t.Helper()
	a, refused := ask(t, s, tenant, target)
	if refused != nil {
		t.Fatal(target, refused)
	}
	return a
}

func profileIDs(a answer) (ids []string) {
	for _, p := range a.InferenceProfileSummaries {
		ids = append(ids, p.ID)
	}
	return ids
}

func modelIDs(a answer) (ids []string) {
	for _, m := range a.ModelSummaries {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestLists (U6): a tenant sees the models and profiles that it may use from where its
// calls go.
func TestLists(t *testing.T) {
	s := load(t)
	f := func(tenant, target string, with, without []string) {
		t.Helper()
		a := mustAsk(t, s, tenant, target)
		ids := append(profileIDs(a), modelIDs(a)...)
		for _, id := range with {
			if !slices.Contains(ids, id) {
				t.Errorf("%s %s lacks %s", tenant, target, id)
			}
		}
		for _, id := range without {
			if slices.Contains(ids, id) {
				t.Errorf("%s %s has %s", tenant, target, id)
			}
		}
	}
	const models, profiles = "/foundation-models", "/inference-profiles?maxResults=1000"
	f("all", models, []string{sonnet, nova, "amazon.titan-embed-text-v2:0"}, []string{"auto", mapped})
	f("nova", models, []string{nova}, []string{sonnet})
	f("denies", models, []string{nova}, []string{sonnet})
	f("all", models+"?byProvider=Anthropic", []string{sonnet}, []string{nova})
	f("all", models+"?byProvider=amazon", []string{nova}, []string{sonnet})
	f("all", models+"?byProvider=Mistral%20AI", nil, []string{nova, sonnet})
	f("all", models+"?byOutputModality=EMBEDDING", []string{"amazon.titan-embed-text-v2:0"}, []string{nova, sonnet})
	f("all", models+"?byOutputModality=TEXT&byInferenceType=ON_DEMAND", []string{nova},
		[]string{"amazon.titan-embed-text-v2:0"})
	f("all", models+"?byInferenceType=PROVISIONED", nil, []string{nova, sonnet})
	f("all", models+"?byCustomizationType=FINE_TUNING", nil, []string{nova, sonnet})
	f("all", profiles, []string{"us." + sonnet, "global." + sonnet, "us." + nova, "abc123"},
		[]string{"eu." + sonnet, "jp." + sonnet, sonnet})
	f("all", profiles, []string{"jp.anthropic.claude-haiku-4-5-20251001-v1:0"}, []string{"jp." + sonnet})
	f("eu", profiles, []string{"eu." + sonnet, "global." + sonnet}, []string{"us." + sonnet})
	f("tokyo", profiles, []string{"jp." + sonnet, "global." + sonnet}, []string{"us." + sonnet, "au." + sonnet})
	f("nova", profiles, []string{"us." + nova}, []string{"us." + sonnet, "abc123"})
	f("denies", profiles, []string{"us." + nova}, []string{"us." + sonnet, "abc123"})
	f("all", profiles+"&type=SYSTEM_DEFINED", []string{"us." + sonnet}, []string{"abc123"})
	f("all", profiles+"&type=APPLICATION", []string{"abc123"}, []string{"us." + sonnet, "owned"})
	f("owner", profiles, []string{"abc123", "owned"}, nil)
	f("owner/team", profiles, []string{"abc123", "owned"}, nil)
}

// TestGets (U6): a profile names its model, in whatever form it is asked for.
func TestGets(t *testing.T) {
	s := load(t)
	f := func(tenant, asked, id, behind string) {
		t.Helper()
		for _, written := range []string{asked, url.PathEscape(asked), strings.ReplaceAll(asked, ":", "%3A")} {
			a := mustAsk(t, s, tenant, "/inference-profiles/"+written)
			if a.ID != id || len(a.Models) == 0 || !strings.HasSuffix(a.Models[0].ARN, "/"+behind) || a.Status != "ACTIVE" {
				t.Errorf("%s: %+v", written, a.profile)
			}
		}
	}
	f("all", "us."+sonnet, "us."+sonnet, sonnet)
	f("all", "global."+sonnet, "global."+sonnet, sonnet)
	f("all", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us."+sonnet, "us."+sonnet, sonnet)
	f("all", "arn:aws:bedrock:us-east-1::inference-profile/us."+sonnet, "us."+sonnet, sonnet)
	f("all", mapped, "abc123", sonnet)
	f("all", "abc123", "abc123", sonnet)
	f("owner/team", owned, "owned", sonnet)
	f("owner", "owned", "owned", sonnet)
	f("all", "auto", "us."+sonnet, sonnet)
	for _, asked := range []string{nova, url.PathEscape("arn:aws:bedrock:us-east-1::foundation-model/" + nova), "plain"} {
		a := mustAsk(t, s, "nova", "/foundation-models/"+asked)
		if m := a.ModelDetails; m == nil || m.ID != nova || m.Provider != "Amazon" || !m.Streaming ||
			m.Name != "Nova Lite V1" ||
			!slices.Equal(m.Output, []string{"TEXT"}) || !slices.Equal(m.Input, []string{"TEXT", "IMAGE"}) {
			t.Errorf("%s: %+v", asked, m)
		}
	}
}

// TestRefuses: errors are those of the service model.
func TestRefuses(t *testing.T) {
	s := load(t)
	f := func(tenant, target string, want wire.Kind, text string) {
		t.Helper()
		_, refused := ask(t, s, tenant, target)
		if refused == nil || refused.Kind != want || !strings.Contains(refused.Message, text) {
			t.Errorf("%s: %v", target, refused)
		}
	}
	f("nova", "/foundation-models/"+sonnet, wire.KindAccessDenied, "You do not have access to the model")
	f("denies", "/inference-profiles/us."+sonnet, wire.KindAccessDenied, "You do not have access to the model")
	f("all", "/inference-profiles/"+owned, wire.KindAccessDenied, "You do not have access")
	f("all", "/inference-profiles/owned", wire.KindAccessDenied, "You do not have access")
	f("denies", "/inference-profiles/"+mapped, wire.KindAccessDenied, "You do not have access")
	f("denies", "/inference-profiles/abc123", wire.KindAccessDenied, "You do not have access")
	f("denies", "/inference-profiles/"+unknown, wire.KindAccessDenied, "You do not have access")
	f("all", "/inference-profiles/"+unknown, wire.KindResourceNotFound, "model_map")
	f("all", "/inference-profiles/dup", wire.KindResourceNotFound, "no inference profile")
	f("all", "/inference-profiles/"+nova, wire.KindResourceNotFound, "no inference profile")
	f("all", "/inference-profiles/eu."+sonnet, wire.KindResourceNotFound, "no inference profile")
	f("all", "/inference-profiles/us.made.up-v1:0", wire.KindResourceNotFound, "no inference profile")
	f("all", "/inference-profiles/nothing", wire.KindResourceNotFound, "no inference profile")
	f("all", "/foundation-models/made.up-v1:0", wire.KindResourceNotFound, "Could not resolve the foundation model")
	f("all", "/foundation-models/"+unknown, wire.KindResourceNotFound, "Could not resolve")
	f("all", "/foundation-models?byOutputModality=SOUND", wire.KindValidation, "[TEXT, IMAGE, EMBEDDING]")
	f("all", "/foundation-models?byInferenceType=on_demand", wire.KindValidation, "[ON_DEMAND, PROVISIONED]")
	f("all", "/foundation-models?byCustomizationType=X", wire.KindValidation, "FINE_TUNING")
	f("all", "/inference-profiles?type=MINE", wire.KindValidation, "[SYSTEM_DEFINED, APPLICATION]")
	f("all", "/inference-profiles?maxResults=0", wire.KindValidation, "greater than or equal to 1")
	f("all", "/inference-profiles?maxResults=1001", wire.KindValidation, "less than or equal to 1000")
	f("all", "/inference-profiles?maxResults=many", wire.KindValidation, "number")
	f("all", "/inference-profiles?maxResults=10000000000000000000", wire.KindValidation, "less than or equal to 1000")
	f("all", "/inference-profiles?maxResults=-10000000000000000000", wire.KindValidation, "greater than or equal to 1")
	f("all", "/inference-profiles?nextToken=%21", wire.KindValidation, "nextToken")
	f("all", "/inference-profiles?nextToken=AAAA", wire.KindValidation, "nextToken")                 // nobody gave it
	f("all", "/inference-profiles?nextToken=U1lTVEVNX0RFRklORUQg", wire.KindValidation, "nextToken") // a kind and no entry
	f("all", "/inference-profiles?nextToken=", wire.KindValidation, "nextToken")
	f("all", "/inference-profiles?a;b", wire.KindValidation, "query")
	f("all", "/foundation-model-availability/made.up-v1:0", wire.KindResourceNotFound, "Could not resolve")
	for _, path := range []string{ // every other GET of the service model
		"/custom-models/x", "/imported-models/x", "/provisioned-model-throughput/x", "/prompt-routers/x", "/guardrails",
		"/guardrails/x", "/model-customization-jobs",
		"/logging/modelinvocations", "/evaluation-jobs", "/use-case-for-model-access", "/resource-policy/x",
		"/model-copy-jobs", "/model-import-jobs", "/model-customization/custom-model-deployments/x",
		"/list-foundation-model-agreement-offers/" + nova, "/enforcedGuardrailsConfiguration",
		"/automated-reasoning-policies", "/automated-reasoning-policies/x/export", "/marketplace-model/endpoints/x",
	} {
		f("all", path, wire.KindAccessDenied, "ListInferenceProfiles")
	}
}

// TestOtherModels: lists of what the gateway does not know are empty, in their own form,
// so that a client that asks for all kinds goes on.
func TestOtherModels(t *testing.T) {
	s := load(t)
	for path, member := range map[string]string{
		"/custom-models": "modelSummaries", "/imported-models?maxResults=5": "modelSummaries",
		"/provisioned-model-throughputs": "provisionedModelSummaries", "/prompt-routers": "promptRouterSummaries",
		"/model-customization/custom-model-deployments": "modelDeploymentSummaries",
		"/marketplace-model/endpoints":                  "marketplaceModelEndpoints",
	} {
		target, refused := wire.ParseTarget("GET", path, "")
		if refused != nil {
			t.Fatal(refused)
		}
		body, refused := Answer(s, s.Tenants.Lookup("all"), &target, at)
		if refused != nil || string(body) != `{"`+member+`":[]}` {
			t.Errorf("%s: %s %v", path, body, refused)
		}
	}
	for tenant, want := range map[string]string{"all": "AUTHORIZED", "nova": "NOT_AUTHORIZED"} {
		target, refused := wire.ParseTarget("GET", "/foundation-model-availability/"+sonnet, "")
		if refused != nil {
			t.Fatal(refused)
		}
		body, refused := Answer(s, s.Tenants.Lookup(tenant), &target, at)
		if refused != nil || !strings.Contains(string(body), `"authorizationStatus":"`+want+`"`) {
			t.Errorf("%s: %s %v", tenant, body, refused)
		}
	}
}

// TestPages: pages of any size have each profile once, in one order, also when entries
// come and go between them.
func TestPages(t *testing.T) {
	s := load(t)
	whole := profileIDs(mustAsk(t, s, "all", "/inference-profiles?maxResults=1000"))
	if len(whole) < 20 || whole[len(whole)-1] != "dup" {
		t.Fatalf("%q", whole)
	}
	for _, size := range []int{1, 2, 7, len(whole) - 1, len(whole), len(whole) + 1} {
		var all []string
		target := fmt.Sprintf("/inference-profiles?maxResults=%d", size)
		for next := target; next != ""; {
			a := mustAsk(t, s, "all", next)
			if n := len(a.InferenceProfileSummaries); n > size || n == 0 {
				t.Fatalf("%d profiles on a page of %d", n, size)
			}
			all, next = append(all, profileIDs(a)...), ""
			if a.NextToken != "" {
				next = target + "&nextToken=" + a.NextToken
			}
		}
		if !slices.Equal(all, whole) {
			t.Errorf("pages of %d: %q", size, all)
		}
	}
	first := mustAsk(t, s, "all", "/inference-profiles?maxResults=3")
	last := first.InferenceProfileSummaries[2].ID
	gone := mustAsk(t, s, "nova", "/inference-profiles?nextToken="+first.NextToken)
	for _, p := range gone.InferenceProfileSummaries {
		if p.Type == systemDefined && p.ID <= last {
			t.Errorf("%s is on a page after %s", p.ID, last)
		}
	}
}

// TestFormsOfTheServiceModel: ids, names and ARNs have the forms that bedrock 2023-04-20
// gives them, which strict clients check.
func TestFormsOfTheServiceModel(t *testing.T) {
	s := load(t)
	modelARN := regexp.MustCompile(`^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}::foundation-model/` +
		`[a-z0-9-]{1,63}[.]{1}([a-z0-9-]{1,63}[.]){0,2}[a-z0-9-]{1,63}([:][a-z0-9-]{1,63}){0,2}$`)
	profileARN := regexp.MustCompile(`^arn:aws(|-us-gov|-cn|-iso|-iso-b):bedrock:(|[0-9a-z-]{0,20}):(|[0-9]{12}):` +
		`(inference-profile|application-inference-profile)/[a-zA-Z0-9-:.]+$`)
	name := regexp.MustCompile(`^([0-9a-zA-Z][ _-]?)+$`)
	for _, m := range mustAsk(t, s, "all", "/foundation-models").ModelSummaries {
		if !modelARN.MatchString(m.ARN) || m.Name == "" || m.Provider == "" || len(m.Input) == 0 || len(m.Output) == 0 {
			t.Errorf("%+v", m)
		}
	}
	for _, p := range mustAsk(t, s, "all", "/inference-profiles?maxResults=1000").InferenceProfileSummaries {
		if !profileARN.MatchString(p.ARN) || !name.MatchString(p.Name) || len(p.Name) > 64 || len(p.ID) > 64 ||
			len(p.Models) == 0 || !modelARN.MatchString(p.Models[0].ARN) {
			t.Errorf("%+v", p)
		}
		if got := s.Router.Resolve(p.ARN); p.Type == systemDefined && got != p.ID {
			t.Errorf("a call of %s is one of %s", p.ARN, got)
		}
	}
}

func BenchmarkListProfiles(b *testing.B) {
	s := load(b)
	for b.Loop() {
		mustAsk(b, s, "all", "/inference-profiles")
	}
}
