package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// The turns of an agent: it is asked for a note, calls the tool that writes it, and says so.
const (
	noteAsked = "please leave a note"
	noteText  = "written by an agent"
)

// agent is a coding agent: its command, its environment, and what it calls to write a file.
type agent struct {
	name, tool string
	input      func(file string) string
	command    []string
	env        func(url string, key harness.Key) []string
	settings   string // of the tenant
	operation  string // that the upstream gets
}

func agents(bin string) []agent {
	messages := func(model string) func(url string, key harness.Key) []string {
		return func(url string, key harness.Key) []string {
			return []string{"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_AUTH_TOKEN=" + key.Bearer, "ANTHROPIC_MODEL=" + model,
				"ANTHROPIC_SMALL_FAST_MODEL=" + model, "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY=1"}
		}
	}
	bedrock := func(url string, credential ...string) []string {
		return append(credential, "CLAUDE_CODE_USE_BEDROCK=1", "ANTHROPIC_BEDROCK_BASE_URL="+url, "AWS_REGION=us-east-1",
			"AWS_ENDPOINT_URL_BEDROCK="+url, "ANTHROPIC_MODEL="+sonnetID, "ANTHROPIC_SMALL_FAST_MODEL="+sonnetID)
	}
	bearer := func(url string, key harness.Key) []string {
		return bedrock(url, "AWS_BEARER_TOKEN_BEDROCK="+key.Bearer)
	}
	signed := func(url string, key harness.Key) []string {
		return bedrock(url, "AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey)
	}
	codex := func(url string, key harness.Key) []string {
		return []string{"SLUICE_KEY=" + key.Bearer, "CODEX_CONFIG=" + fmt.Sprintf(codexConfig, url)}
	}
	return []agent{
		{"claude-code-messages", "Write", writeInput, claudeCommand(bin), messages(sonnetName), "",
			"invoke-with-response-stream"},
		{"claude-code-nova", "Write", writeInput, claudeCommand(bin), messages("amazon.nova-pro-v1:0"), "",
			"converse-stream"},
		{"claude-code-bedrock", "Write", writeInput, claudeCommand(bin), bearer, "", "invoke-with-response-stream"},
		{"claude-code-sigv4", "Write", writeInput, claudeCommand(bin), signed, "", "invoke-with-response-stream"},
		{"codex", "exec_command", execInput, codexCommand(bin), codex, ", unsupported_fields: drop", "converse-stream"},
	}
}

// TestAgents (U1) runs coding agents, unmodified and headless: each calls a tool, works on its result and ends, and the
// books have what the stand-in served. They are large, so that only make test-agents runs them.
func TestAgents(t *testing.T) {
	at := os.Getenv("SLUICE_AGENTS")
	if at == "" {
		t.Skip("SKIPPED: the agents are 1 GB to install: make test-agents runs them")
	}
	bin := filepath.Join(harness.Root(t), at, "node_modules/.bin")
	for _, a := range agents(bin) {
		t.Run(a.name, func(t *testing.T) {
			home := t.TempDir()
			file := filepath.Join(home, "note.txt")
			g, upstream, key := dialects(t, fmt.Sprintf(`rules:
  - match: {text: %q}
    answer: {text: "", tool: {name: %s, input: %s}, stop_reason: tool_use, input_tokens: 11, output_tokens: 7}
  - {answer: {text: %q, input_tokens: 11, output_tokens: 7}}
`, noteAsked, a.tool, a.input(file), hello), a.settings, "")
			env := []string{"HOME=" + home, "PATH=" + bin + ":" + os.Getenv("PATH")}
			out := runAgent(t, home, a.command, append(env, a.env(g.URL(), key)...))
			if !strings.Contains(out, hello) {
				t.Errorf("it did not say what the model did:\n%s", out)
			}
			if got, err := os.ReadFile(file); err != nil || !strings.Contains(string(got), noteText) {
				t.Errorf("%v, %q:\n%s", err, got, out)
			}
			for _, count := range wantServed(t, g, upstream, a.operation) {
				if !strings.Contains(out, count) {
					t.Errorf("it did not count two turns: no %s in\n%s", count, out)
				}
			}
		})
	}
}

// wantServed compares the books with what the stand-in served, two turns of which by this operation. It returns what
// the agent must have counted of those.
func wantServed(t *testing.T, g *harness.Gateway, upstream *harness.Sandbox, operation string) (counts []string) {
	t.Helper()
	turns := 0
	var want, got, own harness.Row
	for _, s := range upstream.Log() {
		served := harness.Row{Requests: 1, Input: s.Input, Output: s.Output, CacheRead: s.CacheRead,
			CacheWrite: s.CacheWrite5m + s.CacheWrite1h}
		if addRow(&want, &served); s.Operation == operation {
			turns++
			addRow(&own, &served)
		}
	}
	for _, r := range g.Report("model") {
		addRow(&got, &r)
	}
	if got != want || turns != 2 {
		t.Errorf("%d turns; the books have %+v, the stand-in %+v", turns, got, want)
	}
	counts = []string{fmt.Sprintf(`"input_tokens":%d,`, own.Input), fmt.Sprintf(`"output_tokens":%d,`, own.Output)}
	if own.CacheWrite > 0 {
		counts = append(counts, fmt.Sprintf(`"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,`,
			own.CacheWrite, own.CacheRead))
	}
	return counts
}

func addRow(to, r *harness.Row) {
	to.Requests, to.Input, to.Output = to.Requests+r.Requests, to.Input+r.Input, to.Output+r.Output
	to.CacheRead, to.CacheWrite = to.CacheRead+r.CacheRead, to.CacheWrite+r.CacheWrite
}

func writeInput(file string) string {
	return fmt.Sprintf("{file_path: %q, content: %q}", file, noteText)
}

func execInput(file string) string {
	return fmt.Sprintf("{cmd: %q}", "echo "+noteText+" > "+file)
}

func claudeCommand(bin string) []string {
	return []string{filepath.Join(bin, "claude"), "-p", noteAsked, "--output-format", "stream-json", "--verbose",
		"--permission-mode", "acceptEdits"}
}

func codexCommand(bin string) []string {
	return []string{filepath.Join(bin, "codex"), "exec", "--json", "--skip-git-repo-check",
		"--dangerously-bypass-approvals-and-sandbox", noteAsked}
}

// quiet are the switches that keep agents from talking to anybody but the gateway.
var quiet = []string{
	"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
	"DISABLE_AUTOUPDATER=1", "DISABLE_BUG_COMMAND=1", "CLAUDE_CODE_ENABLE_TELEMETRY=0",
}

// codexConfig names the gateway as the only provider.
const codexConfig = `model = "amazon.nova-lite-v1:0"
model_provider = "sluice"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.sluice]
name = "Sluice"
base_url = "%s/v1"
env_key = "SLUICE_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
`

// runAgent runs an agent in a home of its own and returns all that it wrote.
func runAgent(t *testing.T, home string, command, env []string) string {
	t.Helper()
	for _, e := range env {
		if text, ok := strings.CutPrefix(e, "CODEX_CONFIG="); ok {
			at := filepath.Join(home, ".codex")
			file := filepath.Join(at, "config.toml")
			if err := errors.Join(os.Mkdir(at, 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = home, append(env, quiet...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}
