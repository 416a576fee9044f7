package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// screen is how many lines an answer to a mistake may have.
const screen = 24

// mistake is one of a new user's: a file and a command, or a call.
type mistake struct {
	name, file, command string
	code                int
	want                []string
}

// good is a configuration with places for mistakes.
const good = "upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme}]\n"

// mistakes are those that were made in a fresh root of Debian.
func mistakes() []mistake {
	says := func(texts ...string) []string { return texts }
	return []mistake{
		{"near command", "", "sevre", 2, says(`unknown command "sevre"`, `did you mean "serve"?`)},
		{"unknown command", "", "dashboard", 2, says(`unknown command "dashboard"`, "gateway --help")},
		{"no configuration", "", "serve", 2, says("--config FILE is needed")},
		{"file that is not there", "", "serve --config nope.yaml", 2, says("nope.yaml: there is no such file")},
		{"folder as file", "", "serve --config .", 2, says("is a folder, and a file is needed")},
		{"empty file", "\n", "serve --config s.yaml", 2, says("the file is empty", "gateway quickstart")},
		{"tab", "upstream:\n\tregion: us-east-1\n", "serve --config s.yaml", 2, says("s.yaml:2:1", "a tab cannot indent")},
		{"brace", "upstream: {region: us-east-1\ntenants: []\n", "check --config s.yaml", 2,
			says("s.yaml:1:11", "is not closed")},
		{"key", good + "tenats: []\n", "serve --config s.yaml", 2, says("s.yaml:3:1", `did you mean "tenants"?`)},
		{"region", "upstream: {region: us-esat-1}\n", "check --config s.yaml", 0, says(`did you mean "us-east-1"?`)},
		{"key id", "upstream: {region: us-east-1}\ntenants: [{id: a, keys: [abc]}]\n", "check --config s.yaml", 2,
			says("s.yaml:2:26", "gateway keys new")},
		{"one equals sign", good + "cascades: [{name: x, match: request.model = \"auto\", light: a, escalation: b}]\n",
			"check --config s.yaml", 2, says("s.yaml:3:43", "write ==")},
		{"Redis without a scheme", good + "ledger: {redis: localhost:6379}\n", "check --config s.yaml", 2,
			says("s.yaml:3:17", "redis://127.0.0.1:6379/0")},
		{"port alone", good + "listen: 8080\n", "check --config s.yaml", 2, says("s.yaml:3:9", "127.0.0.1:8080 or :8080")},
		{"large port", good + "listen: 127.0.0.1:80808\n", "check --config s.yaml", 2, says("s.yaml:3:9", ":80808")},
		{"certificate", good + "tls: {cert: a.pem, key: b.pem}\n", "serve --config s.yaml", 2,
			says("tls.cert: there is no file", "tls.key: there is no file")},
		{"open admin port", good + "admin: {listen: 0.0.0.0:9090}\n", "serve --config s.yaml", 2, says("needs a token")},
		{"data directory", good + "data_dir: /proc/sluice\n", "serve --config s.yaml", 1,
			says("data_dir /proc/sluice cannot be made")},
		{"include", good + "include: [tenants.d/*.yaml]\n", "check --config s.yaml", 0, says("nothing is included")},
		{"day", good, "report --config s.yaml --from yesterday", 2, says(`"yesterday" is neither a date`, "2026-11-23")},
		{"report too early", good, "report --config s.yaml", 1, says("has this gateway been started?")},
		{"tenant", good, "explain --config s.yaml --tenant nobody --model auto", 2,
			says(`no tenant "nobody"`, "acme")},
		{"flag", good, "report --config s.yaml --form csv", 2, says("unknown flag: --form", "gateway report --help")},
		{"key without a tenant", good, "keys new --config s.yaml", 2, says("--tenant ID is needed")},
		{"key without a gateway", "", "keys new --tenant acme", 2, says("--config")},
		{"nothing to simulate", "", "simulate", 2, says("--requests-per-day or --usage is needed")},
	}
}

// secondRoot are those that were made in a second fresh root, months later.
func secondRoot() []mistake {
	says := func(texts ...string) []string { return texts }
	of := func(tenant string) string {
		return "upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: a, " + tenant + "}]\n"
	}
	const bearer = "slk_SLKJ5GP62CAP6JP2ZUVMUVSO_7zrx6lod7dp6k3hp3ybevn4brgou4aceh5znoluvqe3w6hgf2smq"
	return []mistake{
		{"sign of a currency", of("budgets: [{period: day, usd: $300}]"), "check --config s.yaml", 2,
			says("s.yaml:2:48", "without a sign of a currency")},
		{"thousands", of("budgets: [{period: day, usd: 1,000}]"), "check --config s.yaml", 2,
			says("s.yaml:2:50", "numbers without commas, as 1000")},
		{"tenants as a mapping", "upstream: {region: us-east-1}\ntenants:\n  acme: {}\n", "check --config s.yaml", 2,
			says("s.yaml:3:3", "must be a list, not a mapping")},
		{"text for a list", of("models: claude"), "check --config s.yaml", 2, says("must be a list, not text")},
		{"quoted number", of("limits: {requests_per_minute: '600'}"), "check --config s.yaml", 2, says("remove the quotes")},
		{"typographic quotes", "upstream: {region: “us-east-1”}\n", "check --config s.yaml", 2,
			says("s.yaml:1:20", "a region such as us-east-1")},
		{"no-break space", "upstream:\n\u00a0 region: us-east-1\n", "check --config s.yaml", 2, says("U+00A0", "plain ones")},
		{"no unit", good + "timeouts: {request: 60}\n", "check --config s.yaml", 2, says("s.yaml:3:21", "60s")},
		{"key twice", good + "upstream: {region: eu-west-1}\n", "check --config s.yaml", 2, says("is already in line 1")},
		{"variable", good + "data_dir: ${DATA_DIR}\n", "check --config s.yaml", 2, says("DATA_DIR is not set")},
		{"two documents", good + "---\n" + good, "check --config s.yaml", 2, says("a second document")},
		{"bearer as id", of("keys: [" + bearer + "]"), "check --config s.yaml", 2,
			says("s.yaml:2:26", "is a secret; the key's id is SLKJ5GP62CAP6JP2ZUVMUVSO", "VSO_****")},
		{"AWS key as id", of("keys: [AKIAIOSFODNN7EXAMPLE]"), "check --config s.yaml", 2, says("gateway keys new")},
		{"one dash", good, "serve -config s.yaml", 2, says("it has two dashes: --config")},
		{"file without its flag", good, "serve s.yaml", 2, says("is --config s.yaml meant?")},
		{"no key", good, "keys revoke --config s.yaml", 2, says("gateway keys revoke KEY_ID --config FILE")},
		{"acts before a start", good, "keys new --tenant acme --live --config s.yaml", 2,
			says("there is no root secret", "run this where that gateway runs")},
		{"period backwards", good, "report --config s.yaml --from 2026-11-20 --to 2026-11-01", 2, says("is not before to")},
		{"closing too early", good, "close 2026-10 --config s.yaml", 1, says("has this gateway been started?")},
		{"address of another machine", good + "listen: 192.0.2.1:8080\ndata_dir: d\n", "serve --config s.yaml", 1,
			says("this machine has no address 192.0.2.1:8080", "s.yaml:3")},
		{"another vendor's", "", "simulate --requests-per-day 1 --input 1 --output 1 --light gpt-4o --escalation gpt-4", 2,
			says("no model with a price is called", "anthropic.")},
		{"nobody there", "", "health --admin 127.0.0.1:1", 1, says("nothing listens at 127.0.0.1:1", "admin.listen")},
		{"alias of an alias", good + "aliases: {a: b, b: nova}\n", "check --config s.yaml", 2,
			says("s.yaml:3:14", "an alias itself")},
		{"host for a URL", "upstream: {region: us-east-1, endpoint: bedrock.example.com}\n", "check --config s.yaml", 2,
			says("a URL such as https://")},
		{"proxy without a scheme", "upstream: {region: us-east-1, proxy: proxy.corp:3128}\n", "check --config s.yaml", 2,
			says("begins with http://")},
		{"made-up zone", of("budgets: [{period: day, usd: 3, time_zone: CET+1}]"), "check --config s.yaml", 2,
			says("Europe/Berlin")},
		{"percent sign", good + "discounts: [{services: [bedrock], models: ['*'], percent: 12%, from: 2026-01-01}]\n",
			"check --config s.yaml", 2, says("a percentage such as 12.5")},
		{"packed file", "\x1f\x8b\x08\x00", "check --config s.yaml", 2, says("gunzip")},
	}
}

// thirdRoot are those that were made in a third fresh root.
func thirdRoot() []mistake {
	says := func(texts ...string) []string { return texts }
	of := func(tenant string) string {
		return "upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: a, " + tenant + "}]\n"
	}
	return []mistake{
		{"map of LiteLLM", `{"x": {"input_cost_per_token": 1}, "y": {"input_cost_per_token": 1}}`, "check --config s.yaml", 2,
			says("LiteLLM's map of prices", "gateway prices import", "1 error")},
		{"price file", "per: million\nprices: [{models: [x], input: 1}]\n", "serve --config s.yaml", 2,
			says("s.yaml:1:1", "this is a price file", "1 error")},
		{"manifest", "apiVersion: v1\nkind: ConfigMap\ndata: {}\n", "doctor --config s.yaml", 1,
			says("a manifest of Kubernetes", "1 failures")},
		{"variable as in a shell", good + "data_dir: $HOME\n", "check --config s.yaml", 2, says("s.yaml:3:11", "${HOME}")},
		{"control plane as endpoint", "upstream: {region: us-east-1, endpoint: 'https://bedrock.us-east-1.amazonaws.com'}\n",
			"check --config s.yaml", 0, says("does not serve models", "bedrock-runtime")},
		{"endpoint elsewhere", "upstream: {region: us-east-1, endpoint: 'https://bedrock-runtime.eu-west-1.amazonaws.com'}\n",
			"check --config s.yaml", 0, says("is in region eu-west-1, and region is us-east-1")},
		{"merge of a list", of("<<: [1]"), "check --config s.yaml", 2, says(`"<<" merges a mapping`)},
		{"day of another land", of("keys: [{id: SLKBCBJRLH4F6I2RKKZ5XMML, expires: 31/12/2026}]"), "check --config s.yaml", 2,
			says("s.yaml:2:66", "a day such as 2026-01-31")},
		{"file as data directory", good + "data_dir: s.yaml\n", "serve --config s.yaml", 1,
			says("s.yaml cannot be made: a part of its path is a file")},
		{"Redis that is not there", good + "ledger: {redis: 'redis://127.0.0.1:1/0'}\n", "report --config s.yaml", 1,
			says("redis is not there")},
		{"format", good, "report --config s.yaml --format xlsx", 2, says(`no format "xlsx"`, "csv")},
		{"month in words", good, "close November --config s.yaml", 2, says("November", "2026-")},
		{"nothing to calibrate", good, "calibrate --config s.yaml", 2, says("the configuration has no cascades")},
		{"path for an address", "", "health --admin http://127.0.0.1:1/healthz", 2,
			says("no address such as 127.0.0.1:9090", "admin.listen")},
		{"host of nobody", "", "health --admin nobody.invalid:9090", 1, says("there is no host nobody.invalid")},
		{"profile of nobody", "upstream: {region: us-east-1}\n", "AWS_PROFILE=nobody check --config s.yaml", 2,
			says(`there is no profile "nobody" (AWS_PROFILE) in `, ".aws/credentials")},
	}
}

// TestMistakes makes a new user's mistakes on purpose: each is answered in one screen, with the place and the way out.
func TestMistakes(t *testing.T) {
	program := harness.Binary(t)
	for _, m := range slices.Concat(mistakes(), secondRoot(), thirdRoot()) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if m.file != "" {
				if err := os.WriteFile(filepath.Join(dir, "s.yaml"), []byte(m.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			words, env := strings.Fields(m.command), []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
			for strings.Contains(words[0], "=") { // variables, as in a shell
				env, words = append(env, words[0]), words[1:]
			}
			cmd := exec.CommandContext(ctx, program, words...)
			cmd.Dir, cmd.Env = dir, env
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != m.code {
				t.Errorf("exit code %d, want %d", got, m.code)
			}
			wantText(t, string(out), m.want...)
			if n := strings.Count(string(out), "\n"); n > screen {
				t.Errorf("%d lines", n)
			}
			if t.Failed() {
				t.Logf("%s\n%s", m.command, out)
			}
		})
	}
}

// TestMistakenCalls are a new caller's mistakes against a gateway that runs.
func TestMistakenCalls(t *testing.T) {
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: sandbox}\n"+
		"tenants: [{id: acme, keys: [%s], budgets: [{period: day, usd: 1}]}]\n", key.KeyID)})
	const body = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	f := func(name, path, bearer, body string, status int, want string) {
		t.Helper()
		got, _, answer := postWith(t, http.DefaultClient, gw.URL()+path, body, harness.Key{Bearer: bearer})
		if got != status || !strings.Contains(string(answer), want) {
			t.Errorf("%s: %d %s", name, got, answer)
		}
	}
	const nova = "/model/amazon.nova-lite-v1:0/converse"
	f("key of nobody", nova, "slk_x", body, http.StatusForbidden, "make sure your API Key is valid")
	f("cut body", nova, key.Bearer, `{"messages":`, http.StatusBadRequest, "ends early at byte 12")
	f("another vendor's model", "/model/gpt-4/converse", key.Bearer, body, http.StatusForbidden,
		"gpt-4 has no known maximum of output tokens")
	f("OpenAI's path", "/v1/chat/completions", key.Bearer, body, http.StatusBadRequest, "parameter: 'model'")
	f("OpenAI's path of old", "/v1/completions", key.Bearer, body, http.StatusNotFound, "/v1/chat/completions")
	_, said := harness.RunProgram(t, harness.Binary(t), 2, nil, "report", "--config", gw.ConfigFile(), "--by", "colour")
	wantText(t, said, `"colour"`, "tenant", "base_model")
	second := exec.Command(harness.Binary(t), "serve", "--config", gw.ConfigFile())
	second.Env = []string{"SLUICE_ROOT_SECRET=" + harness.RootSecret, "HOME=" + t.TempDir()}
	out, err := second.CombinedOutput()
	if err == nil {
		t.Error("a second gateway serves beside the first")
	}
	wantText(t, string(out), "another gateway uses ", "change data_dir (", "sluice.yaml:")
}
