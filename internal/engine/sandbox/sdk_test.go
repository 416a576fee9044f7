package sandbox

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const nova = "amazon.nova-micro-v1:0"

// bench is a running stand-in and an unmodified SDK client of it.
type bench struct {
	*Server
	*bedrockruntime.Client
	url string
}

func newBench(t *testing.T, script string) *bench {
	t.Helper()
	return newBenchOf(t, Options{Script: load(t, script)})
}

func newBenchOf(t *testing.T, o Options) *bench {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{s, sdkClient(url, DefaultSecretAccessKey, transport), url}
}

func sdkClient(url, secret string, transport http.RoundTripper) *bedrockruntime.Client {
	return bedrockruntime.New(bedrockruntime.Options{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(DefaultAccessKeyID, secret, ""),
	})
}

func load(t *testing.T, text string) *Script {
	t.Helper()
	script, err := LoadScript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func said(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser,
		Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func (b *bench) converse(text string) (*bedrockruntime.ConverseOutput, error) {
	return b.Converse(context.Background(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: said(text)})
}

// streamed is what a client saw of a ConverseStream.
type streamed struct {
	text, stop string
	usage      *types.TokenUsage
	frames     int
	err        error
}

func (b *bench) converseStream(t *testing.T, in *bedrockruntime.ConverseStreamInput) (got streamed) {
	t.Helper()
	out, err := b.ConverseStream(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	for e := range stream.Events() {
		got.frames++
		switch e := e.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			if text, ok := e.Value.Delta.(*types.ContentBlockDeltaMemberText); ok {
				got.text += text.Value
			}
		case *types.ConverseStreamOutputMemberMessageStop:
			got.stop = string(e.Value.StopReason)
		case *types.ConverseStreamOutputMemberMetadata:
			got.usage = e.Value.Usage
		}
	}
	got.err = stream.Err()
	return got
}

// only returns the one entry of the log.
func (b *bench) only(t *testing.T) Entry {
	t.Helper()
	log := b.Log()
	if len(log) != 1 {
		t.Fatalf("%d log entries, want 1: %+v", len(log), log)
	}
	return log[0]
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func TestConverseTellsWhatTheLogHas(t *testing.T) {
	b := newBench(t, `{"rules":[{"answer":{"text":"Four words of answer.","input_tokens":11,"output_tokens":236,
		"cache_read_tokens":1028,"cache_write_tokens":7,"cache_write_1h_tokens":5}}]}`)
	out, err := b.Converse(context.Background(), &bedrockruntime.ConverseInput{
		ModelId: aws.String(nova), Messages: said("hello"), RequestMetadata: map[string]string{"record": "r-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &types.TokenUsage{
		InputTokens: aws.Int32(11), OutputTokens: aws.Int32(236), TotalTokens: aws.Int32(1287),
		CacheReadInputTokens: aws.Int32(1028), CacheWriteInputTokens: aws.Int32(12),
		CacheDetails: []types.CacheDetail{{Ttl: "1h", InputTokens: aws.Int32(5)}, {Ttl: "5m", InputTokens: aws.Int32(7)}},
	}
	if diff := cmp.Diff(want, out.Usage, cmp.AllowUnexported(types.TokenUsage{}, types.CacheDetail{})); diff != "" {
		t.Error(diff)
	}
	got := b.only(t)
	got.Time, got.RequestID = got.Time.Truncate(0), ""
	if diff := cmp.Diff(Entry{
		Time: got.Time, Operation: "converse", Model: nova, Input: 11, Output: 236, CacheRead: 1028, CacheWrite5m: 7,
		CacheWrite1h: 5,
		Status:       200, Metadata: map[string]string{"record": "r-1"}, Complete: true,
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCannedAnswerSaysSoAndIsDeterministic(t *testing.T) {
	b := newBench(t, "")
	text := func(question string) string {
		out, err := b.converse(question)
		if err != nil {
			t.Fatal(err)
		}
		return out.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberText).Value
	}
	first, again, other := text("a"), text("a"), text("b")
	if !strings.HasPrefix(first, "This is a canned answer from the Sluice sandbox") || first != again || first == other {
		t.Errorf("answers %q, %q, %q", first, again, other)
	}
	if e := b.Log()[0]; e.Input != 1 || e.Output != tokens(len(first)) {
		t.Errorf("billed %d and %d tokens for 1 byte and %d bytes", e.Input, e.Output, len(first))
	}
}

func TestConverseStream(t *testing.T) {
	b := newBench(t, "")
	got := b.converseStream(t, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: said("hello")})
	e := b.only(t)
	if got.err != nil || got.usage == nil || got.stop != "end_turn" ||
		!strings.HasPrefix(got.text, "This is a canned answer") {
		t.Fatalf("stream %+v", got)
	}
	if int64(*got.usage.InputTokens) != e.Input || int64(*got.usage.OutputTokens) != e.Output || !e.Complete || !e.Stream {
		t.Errorf("usage %+v, log %+v", got.usage, e)
	}
}

func TestMaxTokensCutsTheAnswer(t *testing.T) {
	b := newBench(t, "")
	got := b.converseStream(t, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: said("hello"),
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(5)}})
	if got.stop != "max_tokens" || *got.usage.OutputTokens != 5 || tokens(len(got.text)) != 5 {
		t.Errorf("stream %+v", got)
	}
	if e := b.only(t); e.Output != 5 {
		t.Errorf("log %+v", e)
	}
}

func TestToolUse(t *testing.T) {
	b := newBench(t, "rules: [{answer: {tool: {name: f, input: {a: 1}}}}]")
	out, err := b.converse("hello")
	if err != nil {
		t.Fatal(err)
	}
	use := out.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberToolUse).Value
	var input struct {
		A int `document:"a"`
	}
	if err := use.Input.UnmarshalSmithyDocument(&input); err != nil || out.StopReason != types.StopReasonToolUse ||
		*use.Name != "f" {
		t.Fatalf("%v %v %v", err, out.StopReason, *use.Name)
	}
	if input.A != 1 {
		t.Errorf("input %+v", input)
	}
	got := b.converseStream(t, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: said("hello")})
	if got.stop != "tool_use" || got.err != nil {
		t.Errorf("stream %+v", got)
	}
}

func TestOtherOperations(t *testing.T) {
	b, ctx := newBench(t, ""), context.Background()
	count, err := b.CountTokens(ctx, &bedrockruntime.CountTokensInput{ModelId: aws.String(nova),
		Input: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: said("12345678")}}})
	if err != nil || *count.InputTokens != 2 {
		t.Fatalf("CountTokens of converse: %v %+v", err, count)
	}
	count, err = b.CountTokens(ctx, &bedrockruntime.CountTokensInput{ModelId: aws.String(nova),
		Input: &types.CountTokensInputMemberInvokeModel{Value: types.InvokeModelTokensRequest{Body: []byte(`{"prompt":"123` +
			`456789"}`)}}})
	if err != nil || *count.InputTokens != 3 {
		t.Fatalf("CountTokens of invoke: %v %+v", err, count)
	}
	guard, err := b.ApplyGuardrail(ctx, &bedrockruntime.ApplyGuardrailInput{
		GuardrailIdentifier: aws.String("arn:aws:bedrock:us-east-1:123456789012:guardrail/abc"),
		GuardrailVersion:    aws.String("DRAFT"), Source: types.GuardrailContentSourceInput,
		Content: []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{
			Value: types.GuardrailTextBlock{Text: aws.String(strings.Repeat("x", 1001))},
		}}})
	if err != nil || *guard.Usage.ContentPolicyUnits != 2 || guard.Action != types.GuardrailActionNone {
		t.Fatalf("ApplyGuardrail: %v %+v", err, guard)
	}
	checks, err := b.InvokeGuardrailChecks(ctx, &bedrockruntime.InvokeGuardrailChecksInput{
		Checks: &types.GuardrailChecksConfig{PromptAttack: &types.GuardrailChecksPromptAttackConfig{
			Categories: []types.GuardrailChecksPromptAttackCategoryConfig{{Category: "JAILBREAK"}},
		}},
		Messages: []types.GuardrailChecksMessage{{Role: "user",
			Content: []types.GuardrailChecksContentBlock{&types.GuardrailChecksContentBlockMemberText{Value: "hi"}}}}})
	if err != nil || *checks.Usage.PromptAttack.TextUnits != 1 || checks.Results.PromptAttack == nil {
		t.Fatalf("InvokeGuardrailChecks: %v %+v", err, checks)
	}
	log := b.Log()
	if len(log) != 4 || log[2].GuardrailUnits != 2 || log[3].GuardrailUnits != 1 || log[0].Input != 0 {
		t.Errorf("log %+v", log)
	}
}

func TestAsyncInvoke(t *testing.T) {
	b, ctx := newBench(t, ""), context.Background()
	start := func(token string) string {
		t.Helper()
		out, err := b.StartAsyncInvoke(ctx, &bedrockruntime.StartAsyncInvokeInput{
			ModelId:    aws.String("amazon.nova-reel-v1:0"),
			ModelInput: document.NewLazyDocument(map[string]any{"taskType": "TEXT_VIDEO"}), ClientRequestToken: &token,
			OutputDataConfig: &types.AsyncInvokeOutputDataConfigMemberS3OutputDataConfig{
				Value: types.AsyncInvokeS3OutputDataConfig{S3Uri: aws.String("s3://b/k")},
			}})
		if err != nil {
			t.Fatal(err)
		}
		return *out.InvocationArn
	}
	first, same, second := start("one"), start("one"), start("two")
	if first != same || first == second {
		t.Fatalf("jobs %s, %s, %s", first, same, second)
	}
	got, err := b.GetAsyncInvoke(ctx, &bedrockruntime.GetAsyncInvokeInput{InvocationArn: &first})
	if err != nil || got.Status != types.AsyncInvokeStatusCompleted || *got.InvocationArn != first ||
		got.SubmitTime == nil {
		t.Fatalf("GetAsyncInvoke: %v %+v", err, got)
	}
	var listed []string
	pages := bedrockruntime.NewListAsyncInvokesPaginator(b.Client,
		&bedrockruntime.ListAsyncInvokesInput{MaxResults: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.AsyncInvokeSummaries {
			listed = append(listed, *s.InvocationArn)
		}
	}
	if diff := cmp.Diff([]string{second, first}, listed); diff != "" {
		t.Error(diff)
	}
	_, err = b.GetAsyncInvoke(ctx, &bedrockruntime.GetAsyncInvokeInput{InvocationArn: aws.String(first + "x")})
	wantCode(t, err, "ValidationException")
}

func TestCredentials(t *testing.T) {
	b := newBench(t, "")
	_, err := sdkClient(b.url, "wrong", http.DefaultTransport).Converse(context.Background(),
		&bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: said("x")})
	wantCode(t, err, "InvalidSignatureException")
	post := func(header, value string) (int, string) {
		t.Helper()
		req, _ := http.NewRequest("POST", b.url+"/model/"+nova+"/converse",
			strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`))
		if header != "" {
			req.Header.Set(header, value)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode, res.Header.Get("X-Amzn-Errortype")
	}
	f := func(header, value string, status int, kind string) {
		t.Helper()
		got, gotKind := post(header, value)
		if got != status || gotKind != kind {
			t.Errorf("%s %s: %d %q, want %d %q", header, value, got, gotKind, status, kind)
		}
	}
	f("Authorization", "Bearer sandbox", 200, "")
	f("Authorization", "Bearer wrong", 403, "AccessDeniedException:"+coralURI)
	f("", "", 403, "MissingAuthenticationTokenException:"+coralURI)
	http.DefaultClient.CloseIdleConnections()
	for _, e := range b.Log() {
		if e.Status == 403 && (e.Input != 0 || e.Output != 0) {
			t.Errorf("billed a refused call: %+v", e)
		}
	}
}

func TestClockSkewIsRefused(t *testing.T) {
	b := newBenchOf(t, Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	_, err := b.converse("hello")
	wantCode(t, err, "InvalidSignatureException")
}

func TestLogFiles(t *testing.T) {
	dir := t.TempDir()
	o := Options{LogPath: filepath.Join(dir, "log"), InvocationLogPath: filepath.Join(dir, "invocations")}
	b := newBenchOf(t, o)
	if _, err := b.converse("hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.GetAsyncInvoke(context.Background(),
		&bedrockruntime.GetAsyncInvokeInput{InvocationArn: aws.String(
			"arn:aws:bedrock:us-east-1:123456789012:async-invoke/a")}); err == nil {
		t.Fatal("an unknown job was found")
	}
	served := readLines[Entry](t, o.LogPath)
	if diff := cmp.Diff(b.Log(), served); diff != "" {
		t.Error(diff)
	}
	lines := readLines[invocation](t, o.InvocationLogPath)
	if len(lines) != 1 || lines[0].SchemaType != "ModelInvocationLog" || lines[0].Operation != "Converse" ||
		lines[0].RequestID != served[0].RequestID ||
		lines[0].Input.Tokens != served[0].Input || lines[0].Output.Tokens != served[0].Output ||
		lines[0].Region != "us-east-1" {
		t.Errorf("invocations %+v", lines)
	}
}

// TestConverseWithGuardrail: the trace tells what the log has, and nothing when
// it is not asked for.
func TestConverseWithGuardrail(t *testing.T) {
	b := newBench(t, `rules: [{match: {text: bad}, answer: {stop_reason: guardrail_intervened, text: "no", `+
		`input_tokens: 0, output_tokens: 0}}]`)
	check := func(text string, trace types.GuardrailTrace, input, output int32) {
		t.Helper()
		answer, err := b.Converse(t.Context(), &bedrockruntime.ConverseInput{
			ModelId: aws.String(nova), Messages: said(text),
			GuardrailConfig: &types.GuardrailConfiguration{GuardrailIdentifier: aws.String("g"),
				GuardrailVersion: aws.String("1"), Trace: trace},
		})
		if err != nil {
			t.Fatal(err)
		}
		log := b.Log()
		if got := log[len(log)-1].GuardrailUnits; got != int64(input+output) {
			t.Errorf("%d units billed, want %d and %d", got, input, output)
		}
		if trace != types.GuardrailTraceEnabled {
			if answer.Trace != nil {
				t.Errorf("trace %+v", answer.Trace)
			}
			return
		}
		g := answer.Trace.Guardrail
		if got := *g.InputAssessment["g"].InvocationMetrics.Usage.ContentPolicyUnits; got != input {
			t.Errorf("%d units of input, want %d", got, input)
		}
		if looked := g.OutputAssessments["g"]; len(looked) != int(output) || output > 0 &&
			*looked[0].InvocationMetrics.Usage.ContentPolicyUnits != output {
			t.Errorf("output %+v", looked)
		}
	}
	check("good "+strings.Repeat("x", 1000), types.GuardrailTraceEnabled, 2, 1)
	check("bad", types.GuardrailTraceEnabled, 1, 0)
	check("good", types.GuardrailTraceDisabled, 1, 1)
}
