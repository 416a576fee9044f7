package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/serving/localca"
	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// What many tests ask the stand-in for is what the clients do.
const (
	hello  = clients.Hello
	script = clients.Script
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
	// secret says that it sends a bearer token over TLS only.
	secret bool
	// patient says that it repeats throttled calls for longer than a test may last.
	patient bool
}

// lane is where the clients are installed: those of fixed versions, or the newest ones of `make test-clients
// CLIENTS=newest`.
type lane struct{ root, newest string }

func theLane(t *testing.T) lane {
	t.Helper()
	l := lane{root: harness.Root(t)}
	if dir := os.Getenv("SLUICE_CLIENTS"); dir != "" {
		l.newest = filepath.Join(l.root, dir)
		return l
	}
	if _, err := os.Stat(l.python("boto3")); err != nil {
		t.Skip("SKIPPED: the clients are not installed: run scripts/test-tools.sh")
	}
	return l
}

// heavy are the Python clients that are much to install: only `make test-clients` does.
var heavy = []string{"langchain-openai", "llama-index-llms-openai", "litellm"}

// bin is where the programs of a Python client are.
func (l lane) bin(client string) string {
	switch {
	case l.newest != "":
		return filepath.Join(l.newest, "py-"+client, "bin")
	case client == "boto3" || client == "awscli":
		return filepath.Join(l.root, ".tools/python/bin")
	case slices.Contains(heavy, client):
		return filepath.Join(l.root, ".tools/callers/bin")
	}
	return filepath.Join(l.root, ".tools/frameworks/bin")
}

func (l lane) python(client string) string { return filepath.Join(l.bin(client), "python") }

func (l lane) node() string {
	if l.newest != "" {
		return filepath.Join(l.newest, "node/node_modules/node/bin/node")
	}
	if path, err := exec.LookPath("node"); err == nil {
		return path
	}
	return filepath.Join(l.root, ".tools/python/bin/node")
}

// js is the directory of the programs in JavaScript, where their modules are.
func (l lane) js() string {
	if l.newest != "" {
		return filepath.Join(l.newest, "js")
	}
	return filepath.Join(l.root, "test/clients/js")
}

// java runs the client of the AWS SDK for Java, nil when it is not built.
func (l lane) java(kind, trust string) []string {
	dir := filepath.Join(l.root, ".tools/java")
	if l.newest != "" {
		dir = filepath.Join(l.newest, "java")
	}
	classes := filepath.Join(dir, "target/classes")
	if _, err := os.Stat(filepath.Join(classes, "Client.class")); err != nil {
		return nil
	}
	return []string{"java", "-Djavax.net.ssl.trustStore=" + trust, "-Djavax.net.ssl.trustStorePassword=changeit",
		"-cp", classes + ":" + filepath.Join(dir, "lib", "*"), "Client", kind}
}

// programs are all clients; trust is a Java trust store with the gateway's authority.
func (l lane) programs(t *testing.T, trust string) []program {
	t.Helper()
	js := func(file string) []string { return []string{l.node(), filepath.Join(l.js(), file)} }
	py := func(client, file string) []string {
		return []string{l.python(client), filepath.Join(l.root, "test/clients/python", file)}
	}
	all, plain := []string{"plain", "stream", "invoke", "invokeStream"}, []string{"plain", "stream"}
	aws := [2]string{"ValidationException", "ThrottlingException"}
	claude := clients.Claude()
	found := []program{
		{name: "javascript-http2", command: js("aws.mjs"), calls: all, errors: aws},
		{name: "boto3", command: py("boto3", "client.py"), calls: all, errors: aws, secret: true},
		{name: "anthropic", command: js("anthropic.mjs"), env: claude, calls: plain},
		{name: "vercel", command: js("vercel.mjs"), calls: plain},
		{name: "anthropic-python", command: py("anthropic", "anthropic_client.py"), env: claude, calls: plain},
		{name: "langchain-python", command: py("langchain-aws", "langchain_client.py"), calls: plain, errors: aws,
			secret: true},
		{name: "strands", command: py("strands-agents", "strands_client.py"), calls: plain, errors: aws, secret: true,
			patient: true},
		{name: "langchain", command: js("langchain.mjs"), calls: plain, errors: aws},
		{name: "java", command: l.java("sync", trust), calls: []string{"plain", "invoke"}, errors: aws},
		{name: "java-async", command: l.java("async", trust), calls: []string{"plain", "stream", "invokeStream"},
			errors: aws},
	}
	if l.newest == "" {
		// The newest one in JavaScript wants Node 22, and a machine with neither Java nor Maven has no Java client.
		found = slices.DeleteFunc(found, func(p program) bool { return p.name == "langchain" || p.command == nil })
	}
	return found
}

// TestClients runs unmodified clients with both kinds of credentials: a plain
// call, a stream, an error and a throttle each. Bearer keys go over TLS as well (U7).
func TestClients(t *testing.T) {
	l := theLane(t)
	own, err := localca.Ensure(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trust := filepath.Join(t.TempDir(), "trust.p12")
	exec.Command("keytool", "-importcert", "-noprompt", "-alias", "sluice", "-file", own.CA, "-keystore", trust,
		"-storepass", "changeit", "-storetype", "PKCS12").Run() // without Java nobody needs it
	sandbox := harness.StartSandbox(t, script)
	key := harness.NewKey(t, "acme")
	yaml := fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
tenants: [{id: acme, keys: [%s]}]
`, sandbox.URL(), key.KeyID)
	plain := harness.Start(t, harness.Config{YAML: yaml})
	withTLS := yaml + fmt.Sprintf("tls: {cert: %q, key: %q}\n", own.Cert, own.Key)
	secret := harness.Start(t, harness.Config{YAML: withTLS})
	bearer := "AWS_BEARER_TOKEN_BEDROCK=" + key.Bearer
	pair := []string{"AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey}
	overTLS := clients.Env("https://"+secret.Addr, bearer, "AWS_CA_BUNDLE="+own.CA, "NODE_EXTRA_CA_CERTS="+own.CA,
		"SSL_CERT_FILE="+own.CA)

	for _, p := range l.programs(t, trust) {
		t.Run(p.name+"/sigv4", func(t *testing.T) { p.run(t, clients.Env(plain.URL(), pair...)) })
		t.Run(p.name+"/bearer-tls", func(t *testing.T) { p.run(t, overTLS) })
		if !p.secret {
			t.Run(p.name+"/bearer", func(t *testing.T) { p.run(t, clients.Env(plain.URL(), bearer)) })
		}
	}
	t.Run("aws-cli/sigv4", func(t *testing.T) { l.testCLI(t, clients.Env(plain.URL(), pair...)) })
	t.Run("aws-cli/bearer-tls", func(t *testing.T) { l.testCLI(t, overTLS) })
}

func (p program) run(t *testing.T, env []string) {
	t.Parallel()
	if len(p.command) == 0 {
		t.Fatal("not built: it needs Java and Maven")
	}
	got := outcomes(t, p.command, append(env, p.env...))
	for _, name := range p.calls {
		if got[name].Text != hello {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	wantFailure(t, "error", got["error"], 400, p.errors[0])
	if !p.patient {
		wantFailure(t, "throttle", got["throttle"], 429, p.errors[1])
	}
	if c, ok := got["count"]; ok && c.Tokens == 0 {
		t.Errorf("count: %+v", c)
	}
}

// outcomes runs a program of a client and returns what its user saw, call by call. On a busy machine the import of a
// large one takes minutes.
func outcomes(t *testing.T, command, env []string) map[string]call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	if filepath.IsAbs(command[1]) {
		cmd.Dir = filepath.Dir(command[1])
	}
	cmd.Env = env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	var got map[string]call
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return got
}

func wantFailure(t *testing.T, name string, got call, status int, typ string) {
	t.Helper()
	if got.Status != status || typ != "" && got.Error != typ {
		t.Errorf("%s: %+v, want %d %s", name, got, status, typ)
	}
}

// testCLI runs the AWS CLI, whose first version has no streaming commands.
func (l lane) testCLI(t *testing.T, env []string) {
	t.Parallel()
	aws := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(l.bin("awscli"), "aws"), append([]string{"bedrock-runtime"}, args...)...)
		cmd.Env = append(env, "AWS_MAX_ATTEMPTS=1")
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
