package test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestThreatsHaveTests: each of the threats names a control, and a test that is there.
func TestThreatsHaveTests(t *testing.T) {
	const threats = 24
	row := regexp.MustCompile("(?m)^\\| ([0-9]+) \\| [^|]+ \\| [^|]{20,} \\| `([a-z0-9/]+)` (Test[A-Za-z0-9]+) \\|$")
	rows := row.FindAllStringSubmatch(string(readFile(t, "docs/threats.md")), -1)
	if len(rows) != threats {
		t.Fatalf("%d rows, want %d", len(rows), threats)
	}
	for i, r := range rows {
		if r[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d is numbered %s", i+1, r[1])
		}
		files, err := filepath.Glob(filepath.Join("..", r[2], "*_test.go"))
		if err != nil || !slices.ContainsFunc(files, func(file string) bool {
			return strings.Contains(string(readFile(t, "test", file)), "\nfunc "+r[3]+"(t *testing.T) {")
		}) {
			t.Errorf("threat %s: there is no test %s in %s", r[1], r[3], r[2])
		}
	}
}

// TestActionsArePinned: what workflows run is named by commit, and they may only read.
func TestActionsArePinned(t *testing.T) {
	files := filesBelow(t, ".github/workflows", ".yml")
	if len(files) == 0 {
		t.Fatal("no workflow")
	}
	pinned := regexp.MustCompile(`^\s*- uses: [a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9.]+$`)
	for _, file := range files {
		text := string(readFile(t, file))
		for line := range strings.SplitSeq(text, "\n") {
			if strings.Contains(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s: not pinned: %s", file, line)
			}
		}
		if !strings.Contains(text, "\npermissions: {contents: read}\n") || strings.Contains(text, "pull_request_target") {
			t.Errorf("%s may do more than read", file)
		}
	}
}

// actions are what AWS asks permission for, by the operation that the gateway calls. The
// operations that tenants have to be given by name are not in the policies.
var actions = map[wire.Operation]string{
	wire.OpConverse: "bedrock:InvokeModel", wire.OpConverseStream: "bedrock:InvokeModelWithResponseStream",
	wire.OpInvoke: "bedrock:InvokeModel", wire.OpInvokeStream: "bedrock:InvokeModelWithResponseStream",
	wire.OpCountTokens: "bedrock:CountTokens", wire.OpApplyGuardrail: "bedrock:ApplyGuardrail",
}

// TestPoliciesAllowWhatIsCalled: the role and the endpoint let the gateway call what it
// calls, and nothing else; the organisation denies others every way to infer.
func TestPoliciesAllowWhatIsCalled(t *testing.T) {
	role, endpoint := allowedBy(t, "gateway-role.json"), allowedBy(t, "vpc-endpoint.json")
	called := map[string]bool{}
	for op, action := range actions {
		called[action] = true
		if !role[action] || !endpoint[action] {
			t.Errorf("%s needs %s", op, action)
		}
	}
	// The control plane is asked for profiles, at an endpoint of its own. GetCallerIdentity needs no permission.
	called["bedrock:GetInferenceProfile"] = true
	for action := range role {
		if !called[action] {
			t.Errorf("the role may %s, which nothing calls", action)
		}
	}
	batch := allowedBy(t, "batch-jobs.json")
	for op := wire.OpCreateBatch; op <= wire.OpStopBatch; op++ {
		if !batch["bedrock:"+op.APIName()] {
			t.Errorf("%s needs permission", op)
		}
	}
	for _, action := range []string{"iam:PassRole", "s3:GetObject", "s3:ListBucket"} {
		if !batch[action] {
			t.Errorf("batch jobs need %s", action)
		}
	}
	denied := string(readFile(t, "deploy", "iam", "organization-scp.json"))
	for _, action := range []string{
		"bedrock:InvokeModel*", "bedrock:Converse*", "bedrock:StartAsyncInvoke", "bedrock-mantle:*",
		"bedrock:CallWithBearerToken", "bedrock-mantle:CallWithBearerToken", "iam:CreateServiceSpecificCredential",
	} {
		if !strings.Contains(denied, `"`+action+`"`) {
			t.Errorf("the organisation does not deny %s", action)
		}
	}
}

// allowedBy are the actions that a policy allows.
func allowedBy(t *testing.T, name string) map[string]bool {
	t.Helper()
	var policy struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	if err := json.Unmarshal(readFile(t, "deploy", "iam", name), &policy); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, s := range policy.Statement {
		if s.Effect != "Allow" {
			continue
		}
		if one, ok := s.Action.(string); ok {
			all[one] = true
			continue
		}
		for _, one := range s.Action.([]any) {
			all[one.(string)] = true
		}
	}
	return all
}
