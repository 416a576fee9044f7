package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/serving/localca"
	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// snippet is how a client of docs/clients.md is tried: what the page shows makes it, call uses it.
type snippet struct {
	makes  string // how its line begins
	client string // of the lane
	before string // what the page leaves out
	call   string // of the client c
}

// placeholder is what the page writes for what differs on each machine; AWS_SECRET_ACCESS_KEY is none.
var placeholder = regexp.MustCompile(`https?://127\.0\.0\.1:8080|\b(?:GWKEY|KEYID|SECRET)\b`)

const pythonHello = `messages=[{"role":"user","content":[{"text":"hello"}]}]`

func pythonSnippets() []snippet {
	return []snippet{
		{`boto3.client(`, "boto3", "import os, boto3\nfrom botocore.config import Config\npatient = Config()\n",
			`print(c.converse(modelId="auto", ` + pythonHello + `)["output"])`},
		{`ChatBedrockConverse(`, "langchain-aws", "from langchain_aws import ChatBedrockConverse\n",
			`print(c.invoke("hello").content)`},
		{`Agent(`, "strands-agents", "from strands import Agent\nfrom strands.models import BedrockModel\n",
			`print(c("hello"))`},
	}
}

func jsSnippets() []snippet {
	return []snippet{
		{`new BedrockRuntimeClient(`, "", `import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime";`,
			`console.log((await c.send(new ConverseCommand({ modelId: "auto", ` +
				`messages: [{ role: "user", content: [{ text: "hello" }] }] }))).output.message.content)`},
		{`new AnthropicBedrock(`, "", `import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";`,
			`console.log((await c.messages.create({ model: "auto", max_tokens: 64, ` +
				`messages: [{ role: "user", content: "hello" }] })).content)`},
		{`createAmazonBedrock(`, "", "import { createAmazonBedrock } from \"@ai-sdk/amazon-bedrock\";\n" +
			`import { generateText } from "ai";`, `console.log((await generateText({ model: c("auto"), prompt: "hello" })).text)`},
	}
}

// shown are the statements of the page's blocks in a language that begin in a way, with the lines that are moved in.
func shown(t *testing.T, language, begin string) (found []string) {
	t.Helper()
	statement := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(begin) + `.*\n(?:[ \t]+.*\n)*`)
	for _, block := range fenced(readFile(t, "docs/clients.md"), language) {
		found = append(found, statement.FindAllString(string(block), -1)...)
	}
	if len(found) == 0 {
		t.Errorf("docs/clients.md shows no %s", begin)
	}
	return found
}

// documented runs what the page shows against gateways of the test.
type documented struct {
	lane
	key    harness.Key
	env    []string
	theirs map[string]string // what stands for the page's placeholders
}

// put replaces the page's placeholders.
func (d documented) put(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return d.theirs[name] })
}

// try runs a program with what the page shows; the stand-in's answer must come of it.
func (d documented) try(t *testing.T, shown, program string, args ...string) {
	t.Helper()
	t.Run(regexp.MustCompile(`^[\w ]+`).FindString(shown), func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir, cmd.Env = d.js(), d.env
		if strings.Contains(shown, "from the environment") {
			cmd.Env = append(slices.Clone(d.env), "AWS_ACCESS_KEY_ID="+d.key.AccessKeyID,
				"AWS_SECRET_ACCESS_KEY="+d.key.SecretAccessKey)
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "canned answer") {
			t.Errorf("%v\n%s\n%s", err, shown, out)
		}
	})
}

// TestDocumentedCallsWork runs what docs/clients.md shows for each client, with the key and the addresses of a
// gateway put in (U7, U8).
func TestDocumentedCallsWork(t *testing.T) {
	l := theLane(t)
	own, err := localca.Ensure(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key := harness.NewKey(t, "acme")
	yaml := fmt.Sprintf("upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [%s]}]\n"+
		"aliases: {auto: us.anthropic.claude-sonnet-4-5-20250929-v1:0}\n", key.KeyID)
	plain := harness.Start(t, harness.Config{YAML: yaml})
	secret := harness.Start(t, harness.Config{YAML: yaml + fmt.Sprintf("tls: {cert: %q, key: %q}\n", own.Cert, own.Key)})
	d := documented{lane: l, key: key, theirs: map[string]string{
		"http://127.0.0.1:8080": plain.URL(), "https://127.0.0.1:8080": "https://" + secret.Addr,
		"GWKEY": key.Bearer, "KEYID": key.AccessKeyID, "SECRET": key.SecretAccessKey,
	}}
	d.env = clients.Env(plain.URL(), "AWS_CA_BUNDLE="+own.CA)
	d.env[0] = "PATH=" + l.bin("awscli") + ":" + os.Getenv("PATH")
	answer := filepath.Join(t.TempDir(), "answer.json")
	for _, begin := range []string{"curl ", "AWS_BEARER_TOKEN_BEDROCK=", "AWS_ACCESS_KEY_ID="} {
		for _, text := range shown(t, "sh", begin) {
			d.try(t, text, "sh", "-c", d.put(strings.ReplaceAll(text, "answer.json", answer+" && cat "+answer)))
		}
	}
	for _, s := range pythonSnippets() {
		for _, text := range shown(t, "python", s.makes) {
			token := ""
			if s.client == "boto3" && strings.Contains(text, "https://") {
				token = "os.environ[\"AWS_BEARER_TOKEN_BEDROCK\"] = \"GWKEY\"\n" // the line above it on the page
			}
			d.try(t, text, l.python(s.client), "-c", d.put(s.before+token+"c = "+text+s.call))
		}
	}
	for _, s := range jsSnippets() {
		for _, text := range shown(t, "js", s.makes) {
			d.try(t, text, l.node(), "--input-type=module", "-e", d.put(s.before+"\nconst c = "+text+s.call))
		}
	}
}
