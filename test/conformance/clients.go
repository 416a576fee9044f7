package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go/auth/bearer"

	"github.com/sluice-gateway/sluice/test/clients"
)

func clientChecks() []check {
	const both = "unmodified: an answer, a stream, a typed error and a typed throttle."
	return []check{
		{"clients/go", "AWS SDK for Go v2, " + both, goClient},
		{"clients/boto3", "boto3, " + both, program(
			[]string{".tools/python/bin/python", "test/clients/python/client.py"}, "",
			"plain", "stream", "invoke", "invokeStream")},
		{"clients/javascript", "AWS SDK for JavaScript v3 over HTTP/2, " + both, program(
			[]string{"node", "test/clients/js/aws.mjs"}, "", "plain", "stream", "invoke", "invokeStream")},
		{"clients/anthropic", "Anthropic's client for Bedrock (JavaScript), " + both, program(
			[]string{"node", "test/clients/js/anthropic.mjs"}, "anthropic", "plain", "stream")},
		{"clients/vercel", "Vercel AI SDK, " + both, program(
			[]string{"node", "test/clients/js/vercel.mjs"}, "", "plain", "stream")},
		{"clients/langchain", "LangChain for Python, " + both, program(
			[]string{".tools/frameworks/bin/python", "test/clients/python/langchain_client.py"}, "", "plain", "stream")},
	}
}

// seen is what a client's user sees of one call.
type seen struct {
	Text   string
	Error  string
	Status int
}

// program runs a program of test/clients: `calls` must bring an answer, the others fail as they should.
func program(command []string, kind string, calls ...string) func(s *suite) (string, error) {
	return func(s *suite) (string, error) {
		if s.clients == "" {
			return "", skip("no directory of clients was given")
		}
		name, args, err := s.installed(command)
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // one of the rows above
		cmd.Dir = filepath.Dir(args[0])
		cmd.Env = s.environment(kind)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%w: %s", err, clip(errs.Bytes()))
		}
		var got map[string]seen
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			return "", fmt.Errorf("%w in %s", err, clip(out.Bytes()))
		}
		for _, call := range calls {
			if got[call].Text != clients.Hello {
				return "", fmt.Errorf("%s: %+v", call, got[call])
			}
		}
		e, t := got["error"], got["throttle"]
		if e.Status != http.StatusBadRequest || t.Status != http.StatusTooManyRequests {
			return "", fmt.Errorf("error %+v, throttle %+v", e, t)
		}
		return strings.Join(calls, ", ") + ", error, throttle", nil
	}
}

// installed is a command with the paths of what the clients' directory has.
func (s *suite) installed(command []string) (name string, args []string, err error) {
	name = command[0]
	if name == "node" {
		if name, err = exec.LookPath("node"); err != nil {
			name = filepath.Join(s.clients, ".tools/python/bin/node")
		}
	} else {
		name = filepath.Join(s.clients, name)
	}
	file := filepath.Join(s.clients, command[1])
	for _, path := range []string{name, file} {
		if _, err := os.Stat(path); err != nil {
			return "", nil, skip("not installed (scripts/test-tools.sh): " + filepath.Base(path))
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "node_modules")); command[0] == "node" && err != nil {
		return "", nil, skip("not installed (scripts/test-tools.sh): node_modules")
	}
	return name, []string{file}, nil
}

// environment is that of a client: with the key pair where there is one, because some send no bearer key over http.
func (s *suite) environment(kind string) []string {
	env := clients.Env(s.url)
	if kind == "anthropic" {
		env = append(env, clients.Claude()...)
	}
	if s.ca != "" {
		env = append(env, "AWS_CA_BUNDLE="+s.ca, "NODE_EXTRA_CA_CERTS="+s.ca, "SSL_CERT_FILE="+s.ca)
	}
	if s.id != "" {
		return append(env, "AWS_ACCESS_KEY_ID="+s.id, "AWS_SECRET_ACCESS_KEY="+s.secret)
	}
	return append(env, "AWS_BEARER_TOKEN_BEDROCK="+s.key)
}

// goClient is the AWS SDK for Go, which sends bearer keys over https only.
func goClient(s *suite) (string, error) {
	o := bedrockruntime.Options{Region: "us-east-1", RetryMaxAttempts: 1, BaseEndpoint: aws.String(s.url),
		HTTPClient: s.http1}
	switch {
	case s.id != "":
		o.Credentials = credentials.NewStaticCredentialsProvider(s.id, s.secret, "")
	case strings.HasPrefix(s.url, "https:"):
		o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: s.key}}
		o.AuthSchemePreference = []string{"httpBearerAuth"}
	default:
		return "", skip("it sends bearer keys over https only, and no key pair was given")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := bedrockruntime.New(o)
	messages := []types.Message{{Role: types.ConversationRoleUser,
		Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "hello"}}}}
	converse := func(model string) (*bedrockruntime.ConverseOutput, error) {
		return c.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: &model, Messages: messages})
	}
	res, err := converse(novaModel)
	if err != nil {
		return "", err
	}
	if n := aws.ToInt32(res.Usage.OutputTokens); n != 7 {
		return "", fmt.Errorf("%d output tokens instead of 7", n)
	}
	if err := goStream(ctx, c, messages); err != nil {
		return "", err
	}
	var invalid *types.ValidationException
	if _, err := converse("does-not-exist"); !errors.As(err, &invalid) {
		return "", fmt.Errorf("no ValidationException: %w", err)
	}
	var throttled *types.ThrottlingException
	if _, err := converse("amazon.nova-micro-v1:0"); !errors.As(err, &throttled) {
		return "", fmt.Errorf("no ThrottlingException: %w", err)
	}
	return "plain, stream, error, throttle", nil
}

func goStream(ctx context.Context, c *bedrockruntime.Client, messages []types.Message) error {
	res, err := c.ConverseStream(ctx,
		&bedrockruntime.ConverseStreamInput{ModelId: aws.String(novaModel), Messages: messages})
	if err != nil {
		return err
	}
	defer res.GetStream().Close()
	var text strings.Builder
	for event := range res.GetStream().Events() {
		if e, ok := event.(*types.ConverseStreamOutputMemberContentBlockDelta); ok {
			if delta, ok := e.Value.Delta.(*types.ContentBlockDeltaMemberText); ok {
				text.WriteString(delta.Value)
			}
		}
	}
	if err := res.GetStream().Err(); err != nil {
		return err
	}
	if text.String() != clients.Hello {
		return fmt.Errorf("stream: %q", text.String())
	}
	return nil
}
