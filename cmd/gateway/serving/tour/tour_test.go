package tour

import (
	"crypto/rand"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/test/harness"
)

func gateway(t *testing.T, change func(yaml string) string) (g *Gateway, print func() string) {
	t.Helper()
	secrets, err := tenant.LoadSecrets(t.TempDir(), func(string) string { return harness.RootSecret }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := secrets.NewKeyID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := secrets.Credentials(id)
	if err != nil {
		t.Fatal(err)
	}
	file := harness.File(t, "quickstart.yaml", change(string(config.Quickstart())))
	cfg, err := config.Load(file, func(string) string { return id })
	if err != nil {
		t.Fatal(err)
	}
	snap, problems := snapshot.Compile(cfg, secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	g = &Gateway{
		Version: "1.2.3", Snapshot: snap, Key: key, Program: "bin/gateway", File: file,
		Listen: addr(t, "127.0.0.1:8080"), Admin: addr(t, "127.0.0.1:9090"),
	}
	return g, func() string {
		var out strings.Builder
		if err := g.Print(&out, time.Now()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
}

func addr(t *testing.T, s string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func cut(from string) func(string) string {
	return func(yaml string) string { return yaml[:strings.Index(yaml, from)] }
}

func swap(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }

// TestTourFollowsTheFile (U15): the tour prints what stands in the file, whatever the reader has changed there.
func TestTourFollowsTheFile(t *testing.T) {
	f := func(name string, change func(string) string, want ...string) {
		t.Helper()
		g, print := gateway(t, change)
		text := print()
		for _, w := range want {
			w, without := strings.CutPrefix(w, "not ")
			w = strings.ReplaceAll(w, "KEY", g.Key.KeyID)
			if strings.Contains(text, w) == without {
				t.Errorf("%s: want %q, without it %v, in\n%s", name, w, without, text)
			}
		}
	}
	const aliases = "aliases: {auto: us.anthropic.claude-sonnet-4-5-20250929-v1:0}"
	f("as shipped", swap(), `"auto" is cascade "demo" (check): light amazon.nova-lite-v1:0, escalation us.anthropic`,
		"stand-in", "http://127.0.0.1:8080/model/auto/converse", `modelId="auto"`, `--model-id auto `, `{modelId: "auto"`)
	f("no cascade", cut("cascades:"), `"auto", an alias for us.anthropic.claude-sonnet-4-5`, "not cascade", "/model/auto/")
	f("no cascade, no alias", cut("aliases:"), "ask for model amazon.nova-lite-v1:0.", "not auto")
	f("a cascade without an alias", swap(aliases, "",
		`request.model == "auto"`, `request.model == "amazon.nova-lite-v1:0"`),
		`Model "amazon.nova-lite-v1:0" is cascade "demo"`, "/model/amazon.nova-lite-v1:0/converse")
	f("a cascade for another name", swap(aliases, `aliases: {auto: amazon.nova-pro-v1:0, best: amazon.nova-premier-v1:0}`,
		`request.model == "auto"`, `request.model == "best"`), `Model "best" is cascade "demo"`, "/model/best/")
	f("names to quote", swap(aliases, `aliases: {"it's": amazon.nova-pro-v1:0}`), "not it's")
	f("a cascade that observes", swap("    light:", "    mode: observe\n    light:"),
		`cascade "demo" (observe): escalation us`)
	f("real Bedrock", swap(", endpoint: sandbox", ""), "Amazon Bedrock in us-east-1: calls are real and billed",
		"not stand-in", "AWS_REGION=us-east-1")
	f("another region", swap("us-east-1, endpoint: sandbox", "eu-west-1"), "Amazon Bedrock in eu-west-1",
		"AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1")
	f("another endpoint", swap("endpoint: sandbox", `endpoint: "http://127.0.0.1:1"`), "in front of http://127.0.0.1:1.")
	f("another key", swap("${SLUICE_DEMO_KEY}", "SLKAAAAAAAAAAAAAAAAAAAAA"), "has the demo key", "its keys: KEY",
		"not curl -s http://127.0.0.1:8080", "not boto3")
	f("no tenant", func(s string) string { return s[:strings.Index(s, "tenants:")] }, "has the demo key")
	f("a tenant that may call nothing", swap("    keys:", "    models: [nothing]\n    keys:"), "can call no model",
		"not boto3")
	f("a tenant with a list", swap("    keys:", "    models: [\"*sonnet*\"]\n    keys:"),
		"us.anthropic.claude-sonnet-4-5")
	f("a base path", swap("data_dir", "base_path: /bedrock\ndata_dir"),
		"http://127.0.0.1:8080/bedrock/model/auto/converse",
		"AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:8080/bedrock ")
	f("an admin token", swap("{listen: 127.0.0.1:9090}", "{listen: 127.0.0.1:9090, token: secret}"),
		"/metrics -H 'Authorization: Bearer ADMIN_TOKEN'", "not Bearer secret")
}

// TestTourFitsTheClients (U7, U8): each call has a content type; without TLS the SDKs get the key pair, with it the
// bearer and the authority.
func TestTourFitsTheClients(t *testing.T) {
	g, print := gateway(t, swap())
	text := print()
	for _, want := range []string{"-H 'Content-Type: application/json'", "export AWS_ACCESS_KEY_ID=" + g.Key.KeyID,
		"AWS_SECRET_ACCESS_KEY=" + g.Key.SecretAccessKey, "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_BEARER_TOKEN_BEDROCK"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "export AWS_BEARER") {
		t.Error("a bearer for SDKs without TLS")
	}
	g.Snapshot.Config.TLS = &config.TLS{}
	g.CA = filepath.Join("/a folder", "ca.pem")
	text = print()
	for _, want := range []string{"curl -s --cacert '/a folder/ca.pem' https://127.0.0.1:8080/", "NODE_EXTRA_CA_CERTS='/a",
		"export AWS_BEARER_TOKEN_BEDROCK=" + g.Key.Bearer, "export AWS_CA_BUNDLE='/a folder/ca.pem' "} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
	}
	if g.CA = ""; strings.Contains(print(), "CA_BUNDLE") {
		t.Error("an authority that is not known")
	}
}

// TestTourAddresses: what is printed can be dialled.
func TestTourAddresses(t *testing.T) {
	f := func(listen, want string) {
		t.Helper()
		if got := dialable(addr(t, listen)); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
	f("127.0.0.1:8080", "127.0.0.1:8080")
	f("0.0.0.0:8081", "127.0.0.1:8081")
	f("[::]:8082", "127.0.0.1:8082")
	f("[::1]:8084", "[::1]:8084")
}
