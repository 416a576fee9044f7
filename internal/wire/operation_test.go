package wire_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestParseTarget(t *testing.T) {
	f := func(method, raw string, want wire.Target, canonical string) {
		t.Helper()
		got, err := wire.ParseTarget(method, raw, "/bedrock/")
		if err != nil {
			t.Errorf("%s %s: %v", method, raw, err)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
		if got.String() != canonical {
			t.Errorf("%s: canonical %s, want %s", raw, got, canonical)
		}
	}
	const nova, arn = "amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.x.y-v1:0"
	const wireARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A012345678901%3Ainference-profile%2Fus.x.y-v1%3A0"
	f("POST", "/model/amazon.nova-lite-v1%3A0/converse", wire.Target{Op: wire.OpConverse, Model: nova},
		"/model/amazon.nova-lite-v1%3A0/converse")
	f("POST", "/model/amazon.nova-lite-v1:0/invoke", wire.Target{Op: wire.OpInvoke, Model: nova},
		"/model/amazon.nova-lite-v1%3A0/invoke")
	f("POST", "/model/amazon.nova-lite-v1%3a0/invoke", wire.Target{Op: wire.OpInvoke, Model: nova},
		"/model/amazon.nova-lite-v1%3A0/invoke")
	f("POST", "/bedrock/model/team-fast/count-tokens", wire.Target{Op: wire.OpCountTokens, Model: "team-fast"},
		"/model/team-fast/count-tokens")
	f("POST", "/model/"+wireARN+"/converse-stream", wire.Target{Op: wire.OpConverseStream, Model: arn},
		"/model/"+wireARN+"/converse-stream")
	f("POST", "/model/"+arn+"/invoke-with-response-stream", wire.Target{Op: wire.OpInvokeStream, Model: arn},
		"/model/"+wireARN+"/invoke-with-response-stream")
	f("POST", "/model/a/invoke-with-bidirectional-stream", wire.Target{Op: wire.OpInvokeBidirectional, Model: "a"},
		"/model/a/invoke-with-bidirectional-stream")
	f("POST", "/guardrail/abc/version/DRAFT/apply",
		wire.Target{Op: wire.OpApplyGuardrail, Resource: "abc", Version: "DRAFT"}, "/guardrail/abc/version/DRAFT/apply")
	f("POST", "/guardrail/arn:aws:bedrock:us-east-1:1:guardrail/abc/version/1/apply",
		wire.Target{Op: wire.OpApplyGuardrail, Resource: "arn:aws:bedrock:us-east-1:1:guardrail/abc", Version: "1"},
		"/guardrail/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aguardrail%2Fabc/version/1/apply")
	f("POST", "/guardrail-checks/invoke", wire.Target{Op: wire.OpInvokeGuardrailChecks}, "/guardrail-checks/invoke")
	f("POST", "/model-invocation-job", wire.Target{Op: wire.OpCreateBatch}, "/model-invocation-job")
	f("GET", "/model-invocation-jobs?maxResults=1", wire.Target{Op: wire.OpListBatches, Query: "maxResults=1"},
		"/model-invocation-jobs?maxResults=1")
	f("GET", "/model-invocation-job/abc", wire.Target{Op: wire.OpGetBatch, Resource: "abc"}, "/model-invocation-job/abc")
	f("POST", "/model-invocation-job/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Amodel-invocation-job%2Fx/stop",
		wire.Target{Op: wire.OpStopBatch, Resource: "arn:aws:bedrock:us-east-1:1:model-invocation-job/x"},
		"/model-invocation-job/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Amodel-invocation-job%2Fx/stop")
	f("POST", "/async-invoke", wire.Target{Op: wire.OpStartAsyncInvoke}, "/async-invoke")
	f("GET", "/async-invoke?maxResults=5&nextToken=a%2Fb",
		wire.Target{Op: wire.OpListAsyncInvokes, Query: "maxResults=5&nextToken=a%2Fb"},
		"/async-invoke?maxResults=5&nextToken=a%2Fb")
	f("GET", "/async-invoke/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aasync-invoke%2Fx",
		wire.Target{Op: wire.OpGetAsyncInvoke, Resource: "arn:aws:bedrock:us-east-1:1:async-invoke/x"},
		"/async-invoke/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aasync-invoke%2Fx")
}

func TestParseTargetRefuses(t *testing.T) {
	f := func(method, raw string, status int) {
		t.Helper()
		_, err := wire.ParseTarget(method, raw, "")
		if err == nil || err.Status() != status {
			t.Errorf("%s %.60q: got %v, want status %d", method, raw, err, status)
		}
	}
	for _, raw := range []string{"", "*", "http://evil/model/a/converse", "model/a/converse", "/model/a/converse#x",
		"/model/a b/converse", "/model/a%zz/converse", "/model/a/converse%2", "/model/a\\b/converse", "/model/a\x00/converse",
		"/model/a%00/converse", "/model/ü/converse", "/model/../converse",
		"/model/a/../b/converse", "/model/%2e%2e/converse",
		"/model/a%2F..%2Fb/converse", "/model/a%2F%2Fb/converse", "//model/a/converse", "/model//converse",
		"/model/a//converse",
		"/model/a%253A0/converse", "/model/a%40b/converse", "/model/a%23/converse", "/model/%2Fa/converse",
		"/model/a~b/converse",
		"/model/a/converse/", "/model/a/converse?x=\x01", "/model/a/converse?x=%q1",
		"/model/" + strings.Repeat("a", wire.MaxIDLength+1) + "/converse"} { // M15: ids stay in ledgers
		f("POST", raw, 400)
	}
	const key = "slk_SLKC7UDJGIUEC5U2A4K4AWBC_eodf3dj2rvflnkmtr6yywa7apmizw64dg6hfru46bq54sufiebea"
	for _, id := range []string{key, "nova" + key, key + "/nova", "slk_" + key, "slk_x_" + key} { // books have ids
		f("POST", "/model/"+id+"/converse", 400)
		f("POST", "/guardrail/"+id+"/version/1/apply", 400)
	}
	if !wire.ValidID("slk_nova_1") || !wire.ValidID("slk_nova") {
		t.Error("an id with the beginning of a key is none")
	}
	for _, raw := range []string{"/", "/model", "/model/a", "/model/converse", "/model/a/Converse",
		"/openai/v1/chat/completions",
		"/guardrail/a/apply", "/guardrail/a/version/1", "/guardrail-checks", "/Model/a/converse"} {
		f("POST", raw, 404)
	}
	f("GET", "/model/a/converse", 405)
	f("post", "/model/a/converse", 405)
	f("PUT", "/async-invoke", 405)
	f("POST", "/async-invoke/x", 405)
	f("TRACE", "/guardrail-checks/invoke", 405)
}

// TestControlTargets: reads of the control plane are known by their paths (service model
// bedrock 2023-04-20), and no configuration names them.
func TestControlTargets(t *testing.T) {
	f := func(raw string, op wire.Operation, resource string) {
		t.Helper()
		got, err := wire.ParseTarget("GET", raw, "/bedrock")
		if err != nil || got.Op != op || got.Resource != resource || !op.Control() {
			t.Errorf("%s: %+v %v", raw, got, err)
		}
		if _, named := wire.ParseOperation(op.String()); named {
			t.Errorf("%s is an operation of tenants", op)
		}
	}
	f("/foundation-models", wire.OpListFoundationModels, "")
	f("/foundation-models?byProvider=x", wire.OpListFoundationModels, "")
	f("/bedrock/foundation-models/amazon.nova-lite-v1%3A0", wire.OpGetFoundationModel, "amazon.nova-lite-v1:0")
	f("/inference-profiles", wire.OpListInferenceProfiles, "")
	f("/inference-profiles/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x.y", wire.OpGetInferenceProfile,
		"arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y")
	f("/inference-profiles/arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y", wire.OpGetInferenceProfile,
		"arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y")
	f("/foundation-model-availability/x.y", wire.OpGetModelAvailability, "x.y")
	f("/custom-models", wire.OpListOtherModels, "custom-models")
	f("/marketplace-model/endpoints", wire.OpListOtherModels, "marketplace-model/endpoints")
	f("/custom-models/x", wire.OpOtherControl, "")
	f("/guardrails", wire.OpOtherControl, "")
	for raw, status := range map[string]int{
		"/foundation-models": 405, "/inference-profiles/x": 405, "/foundation-model-availability": 404, "/foundation": 404,
		"/inference-profiles/": 400, "/foundation-models/a%zz": 400, "/Foundation-Models": 404,
	} {
		if _, err := wire.ParseTarget("POST", raw, ""); err == nil || err.Status() != status {
			t.Errorf("POST %s: %v", raw, err)
		}
	}
}

// TestEveryControlOperation (U6): each operation of the control plane is answered, or known as one that the gateway
// leaves to AWS. None is said to be unknown, or to take another method.
func TestEveryControlOperation(t *testing.T) {
	text, err := os.ReadFile("testdata/control.txt")
	if err != nil {
		t.Fatal(err)
	}
	label := regexp.MustCompile(`\{[A-Za-z]+\}`)
	answered := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		got, refused := wire.ParseTarget(words[0], label.ReplaceAllString(words[1], "abc-1"), "")
		switch {
		case refused != nil:
			t.Errorf("%s: %s", line, refused.Message)
		case got.Op.APIName() == words[2], got.Op == wire.OpListOtherModels && words[0] == "GET":
			answered++
		case got.Op != wire.OpOtherControl:
			t.Errorf("%s is %s", line, got.Op)
		}
	}
	if answered != 15 { // five reads of models and profiles, six lists of others, four of batch jobs
		t.Errorf("%d operations are answered", answered)
	}
}

// TestLabelVectors uses Smithy's own request tests for labels.
func TestLabelVectors(t *testing.T) {
	text, err := os.ReadFile(shared(t, "vectors", "smithy-restjson1", "http-labels.smithy"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "%20%25%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%F0%9F%98%B9"
	if !strings.Contains(string(text), "/"+want+"/") {
		t.Fatal("the vector has moved")
	}
	in := regexp.MustCompile(`string: "( %:[^"]*)"`).FindStringSubmatch(string(text))
	if in == nil {
		t.Fatal("the vector's parameter has moved")
	}
	if got := string(wire.AppendLabel(nil, in[1])); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/model/amazon.nova-lite-v1%3A0/converse", "/model/arn:aws:bedrock:r:1:prompt/x/invoke?a=b",
		"/guardrail/a/version/1/apply", "/async-invoke/x", "/model/%2e%2e/converse"} {
		f.Add("POST", s)
		f.Add("GET", s)
	}
	f.Fuzz(func(t *testing.T, method, raw string) {
		got, err := wire.ParseTarget(method, raw, "")
		if err != nil {
			return
		}
		canonical := got.String()
		again, err := wire.ParseTarget(method, canonical, "")
		if err != nil || again != got || again.String() != canonical {
			t.Fatalf("%q → %q → %+v, %v", raw, canonical, again, err)
		}
		for _, id := range []string{got.Model, got.Resource, got.Version} {
			if strings.ContainsAny(id, "%?# \\\x00\r\n") || strings.Contains(id, "..") && strings.Contains("/"+id+"/", "/../") {
				t.Fatalf("%q: id %q", raw, id)
			}
		}
	})
}

func TestParseModelID(t *testing.T) {
	f := func(id string, want wire.ModelID) {
		t.Helper()
		want.ID = id
		if diff := cmp.Diff(want, wire.ParseModelID(id)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	const sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0"
	f(sonnet, wire.ModelID{Foundation: sonnet, Kind: wire.ModelFoundation})
	f("amazon.nova-lite-v1:0:24k", wire.ModelID{Foundation: "amazon.nova-lite-v1:0", Kind: wire.ModelFoundation})
	f("us."+sonnet, wire.ModelID{Foundation: sonnet, Scope: "us", Kind: wire.ModelProfile})
	f("us-gov."+sonnet, wire.ModelID{Foundation: sonnet, Scope: "us-gov", Kind: wire.ModelProfile})
	f("apac."+sonnet, wire.ModelID{Foundation: sonnet, Scope: "apac", Kind: wire.ModelProfile})
	f("global."+sonnet, wire.ModelID{Foundation: sonnet, Scope: "global", Kind: wire.ModelProfile})
	f("deepseek.v3.2", wire.ModelID{Foundation: "deepseek.v3.2", Kind: wire.ModelFoundation})
	f("openai.gpt-5.4", wire.ModelID{Foundation: "openai.gpt-5.4", Kind: wire.ModelFoundation})
	f("anthropic.claude-opus-4-7", wire.ModelID{Foundation: "anthropic.claude-opus-4-7", Kind: wire.ModelFoundation})
	f("team-fast", wire.ModelID{})
	f("arn:aws:bedrock:eu-west-1::foundation-model/"+sonnet,
		wire.ModelID{Foundation: sonnet, Region: "eu-west-1", Kind: wire.ModelFoundation})
	f("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us."+sonnet,
		wire.ModelID{Foundation: sonnet, Scope: "us", Region: "us-east-1", Account: "123456789012", Kind: wire.ModelProfile})
	opaque := func(resource string, kind wire.ModelKind) {
		t.Helper()
		f("arn:aws:bedrock:us-east-1:1:"+resource, wire.ModelID{Region: "us-east-1", Account: "1", Kind: kind})
	}
	opaque("application-inference-profile/abc", wire.ModelApplicationProfile)
	opaque("provisioned-model/abc", wire.ModelProvisioned)
	opaque("custom-model-deployment/abc", wire.ModelCustomDeployment)
	opaque("custom-model/amazon.titan-text-lite-v1:0:4k/abc", wire.ModelCustom)
	opaque("imported-model/abc", wire.ModelImported)
	opaque("prompt/ABCDEFGHIJ:1", wire.ModelPrompt)
	opaque("default-prompt-router/anthropic.claude:1", wire.ModelPromptRouter)
	f("arn:aws:sagemaker:us-east-1:1:endpoint/x",
		wire.ModelID{Region: "us-east-1", Account: "1", Kind: wire.ModelEndpoint})
	f("arn:aws", wire.ModelID{})
}
