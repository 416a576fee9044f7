package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// refusedCall is an error as boto3 raises it.
type refusedCall struct {
	Type   string
	Status int
}

// TestControlPlane (U6): unmodified boto3 and LangChain build their clients and list and
// find models and profiles at the gateway's address.
func TestControlPlane(t *testing.T) {
	l := theLane(t)
	const (
		profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
		sonnet  = "anthropic.claude-sonnet-4-5-20250929-v1:0"
		nova    = "amazon.nova-lite-v1:0"
	)
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
model_map: {%q: us.%s}
tenants: [{id: acme, keys: [%s], deny_models: ["*claude*"]}]
`, sandbox.URL(), profile, nova, key.KeyID)})
	pair := []string{"AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey}
	f := func(client string, credential ...string) {
		t.Helper()
		cmd := exec.Command(l.python(client), filepath.Join(l.root, "test/clients/python/control.py"))
		cmd.Env = append(append(os.Environ(), credential...), "AWS_DEFAULT_REGION=us-east-1",
			"AWS_EC2_METADATA_DISABLED=true", "URL="+gw.URL(), "PROFILE="+profile, "DENIED="+sonnet)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, stderrOf(err))
		}
		checkControl(t, out, profile, nova, sonnet)
	}
	f("boto3", pair...)
	f("langchain-aws", pair...)
	if l.newest == "" { // newer releases refuse to send a bearer key without TLS
		f("boto3", "AWS_BEARER_TOKEN_BEDROCK="+key.Bearer)
	}
	if rows := gw.Report("tenant,model"); !slices.ContainsFunc(rows, func(r harness.Row) bool { return r.Requests > 0 }) ||
		slices.ContainsFunc(rows, func(r harness.Row) bool { return r.Unpriced > 0 }) {
		t.Errorf("%+v", rows)
	}
	for _, served := range sandbox.Log() {
		if !strings.Contains(served.Model, "nova-lite") && served.Model != profile {
			t.Errorf("the upstream was asked: %+v", served)
		}
	}
}

func checkControl(t *testing.T, out []byte, profile, nova, denied string) {
	t.Helper()
	var got struct {
		Boto struct {
			Models, Profiles, Applications   []string
			Model, Behind, Called, Available string
			Custom                           []any
			Denied, Missing, Invalid         refusedCall
			Other, Write                     refusedCall
		}
		LangChain *struct{ Base, Text, Streamed, Plain string }
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	b := got.Boto
	if !slices.Contains(b.Models, nova) || slices.Contains(b.Models, denied) || b.Model != nova {
		t.Errorf("%q, %s", b.Models, b.Model)
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(b.Profiles))); len(sorted) != len(b.Profiles) ||
		len(sorted) < 8 || !slices.Contains(sorted, "us."+nova) || slices.Contains(sorted, "us."+denied) {
		t.Errorf("%q", b.Profiles)
	}
	if !slices.Equal(b.Applications, []string{profile}) || !strings.HasSuffix(b.Behind, "foundation-model/"+nova) {
		t.Errorf("%q, %s", b.Applications, b.Behind)
	}
	if b.Available != "AUTHORIZED" || b.Custom == nil || len(b.Custom) > 0 {
		t.Errorf("%s, %v", b.Available, b.Custom)
	}
	if b.Called != hello {
		t.Errorf("a call of a listed ARN: %q", b.Called)
	}
	for name, pair := range map[string][2]refusedCall{
		"denied":  {b.Denied, {"AccessDeniedException", 403}},
		"missing": {b.Missing, {"ResourceNotFoundException", 404}},
		"invalid": {b.Invalid, {"ValidationException", 400}},
		"other":   {b.Other, {"AccessDeniedException", 403}},
		"write":   {b.Write, {"AccessDeniedException", 403}},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %+v", name, pair[0])
		}
	}
	if got.LangChain == nil {
		t.Log("LangChain is not installed there")
	} else if l := got.LangChain; l.Base != nova || l.Text != hello || l.Streamed != hello || l.Plain != hello {
		t.Errorf("%+v", l)
	}
}

// stderrOf is what a program wrote that failed.
func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
