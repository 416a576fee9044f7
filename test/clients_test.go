package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	hello  = "Hello from the stand-in."
	script = `rules:
  - {match: {model: does-not-exist}, error: {status: 400, type: ValidationException, message: "The provided model identifier is invalid."}}
  - {match: {model: "*micro*"}, error: {status: 429, type: ThrottlingException, message: "Too many requests, please wait before trying again."}}
  - {match: {model: "*opus*"}, error: {status: 429, type: ThrottlingException, message: "Too many requests, please wait before trying again."}}
  - {answer: {text: "` + hello + `", input_tokens: 11, output_tokens: 7}}
`
	anthropicModel     = "anthropic.claude-3-5-haiku-20241022-v1:0"
	anthropicThrottled = "anthropic.claude-3-opus-20240229-v1:0"
)

// call is what a client's user sees of one call.
type call struct {
	Text    string
	Tokens  int64
	Error   string
	Type    string
	Status  int
	Message string
}

// program is an unmodified client: a command that runs the calls and prints them.
type program struct {
	name    string
	command []string
	env     []string
	calls   []string // that must bring an answer
	errors  [2]string
}

// TestClients runs unmodified clients with both kinds of credentials: a plain
// call, a stream, an error and a throttle each.
func TestClients(t *testing.T) {
	root := harness.Root(t)
	js := func(file string) []string {
		return []string{node(t, root), filepath.Join(root, "test/clients/js", file)}
	}
	python := filepath.Join(root, ".tools/python/bin/python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("SKIPPED: the clients are not installed: run scripts/test-tools.sh")
	}
	all := []string{"plain", "stream", "invoke", "invokeStream"}
	aws := [2]string{"ValidationException", "ThrottlingException"}
	programs := []program{
		{"javascript-http2", js("aws.mjs"), nil, all, aws},
		{"boto3", []string{python, filepath.Join(root, "test/clients/python/client.py")}, nil, all, aws},
		{"anthropic", js("anthropic.mjs"), []string{"MODEL=" + anthropicModel, "THROTTLED_MODEL=" + anthropicThrottled},
			[]string{"plain", "stream"}, [2]string{"", ""}},
		{"vercel", js("vercel.mjs"), nil, []string{"plain", "stream"}, [2]string{"", ""}},
	}
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID)})

	for _, p := range programs {
		for kind, credential := range bothCredentials(key) {
			t.Run(p.name+"/"+kind, func(t *testing.T) { p.run(t, gw, credential) })
		}
	}
	for kind, credential := range bothCredentials(key) {
		t.Run("aws-cli/"+kind, func(t *testing.T) { testCLI(t, root, gw, credential) })
	}
}

func node(t *testing.T, root string) string {
	t.Helper()
	if path, err := exec.LookPath("node"); err == nil {
		return path
	}
	return filepath.Join(root, ".tools/python/bin/node")
}

func bothCredentials(key harness.Key) map[string][]string {
	return map[string][]string{
		"bearer": {"AWS_BEARER_TOKEN_BEDROCK=" + key.Bearer},
		"sigv4":  {"AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey},
	}
}

func clientEnv(gw *harness.Gateway, extra ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"AWS_ENDPOINT_URL_BEDROCK_RUNTIME=" + gw.URL(), "ANTHROPIC_BEDROCK_BASE_URL=" + gw.URL(),
		"AI_SDK_LOG_WARNINGS=false",
	}
	return append(env, extra...)
}

func (p program) run(t *testing.T, gw *harness.Gateway, credential []string) {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Dir = filepath.Dir(p.command[1])
	cmd.Env = clientEnv(gw, append(credential, p.env...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	var got map[string]call
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for _, name := range p.calls {
		if got[name].Text != hello {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	wantFailure(t, "error", got["error"], 400, p.errors[0])
	wantFailure(t, "throttle", got["throttle"], 429, p.errors[1])
	if c, ok := got["count"]; ok && c.Tokens == 0 {
		t.Errorf("count: %+v", c)
	}
}

func wantFailure(t *testing.T, name string, got call, status int, typ string) {
	t.Helper()
	if got.Status != status || typ != "" && got.Error != typ {
		t.Errorf("%s: %+v, want %d %s", name, got, status, typ)
	}
}

// testCLI runs the AWS CLI, which has no streaming commands.
func testCLI(t *testing.T, root string, gw *harness.Gateway, credential []string) {
	aws := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(root, ".tools/python/bin/aws"), append([]string{"bedrock-runtime"}, args...)...)
		cmd.Env = clientEnv(gw, append(credential, "AWS_MAX_ATTEMPTS=1")...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const messages = `[{"role":"user","content":[{"text":"hello"}]}]`
	converse := func(model string) (string, error) {
		return aws("converse", "--model-id", model, "--messages", messages, "--query", "output.message.content[0].text",
			"--output", "text")
	}
	if out, err := converse("amazon.nova-lite-v1:0"); err != nil || out != hello+"\n" {
		t.Errorf("converse: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "out.json")
	if out, err := aws("invoke-model", "--model-id", "amazon.nova-lite-v1:0", "--body", `{"messages":`+messages+`}`,
		file); err != nil {
		t.Errorf("invoke-model: %v\n%s", err, out)
	}
	if body, err := os.ReadFile(file); err != nil || !bytes.Contains(body, []byte(hello)) {
		t.Errorf("invoke-model: %v %s", err, body)
	}
	for model, want := range map[string]string{"does-not-exist": "ValidationException",
		"amazon.nova-micro-v1:0": "ThrottlingException"} {
		if out, err := converse(model); err == nil || !bytes.Contains([]byte(out), []byte(want)) {
			t.Errorf("converse %s: %v\n%s", model, err, out)
		}
	}
}
