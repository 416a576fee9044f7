package sandbox

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

const sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

// system is a system prompt of so many tokens with a point behind it.
func system(tokens int, ttl types.CacheTTL) []types.SystemContentBlock {
	return []types.SystemContentBlock{
		&types.SystemContentBlockMemberText{Value: strings.Repeat("rule", tokens)},
		&types.SystemContentBlockMemberCachePoint{Value: types.CachePointBlock{Type: types.CachePointTypeDefault, Ttl: ttl}},
	}
}

// TestPromptsAreCached: what a point of Converse writes, one of InvokeModel reads, above the
// model's minimum alone; the log has what the answers said.
func TestPromptsAreCached(t *testing.T) {
	b := newBench(t, "rules: []")
	converse := func(tokens int, ttl types.CacheTTL) (read, write int32) {
		t.Helper()
		out, err := b.Converse(context.Background(), &bedrockruntime.ConverseInput{
			ModelId: aws.String(sonnet), System: system(tokens, ttl), Messages: said("Hi there")})
		if err != nil {
			t.Fatal(err)
		}
		u := out.Usage
		if *u.TotalTokens != int32(tokens)+2+*u.OutputTokens || *u.InputTokens+aws.ToInt32(u.CacheReadInputTokens)+
			aws.ToInt32(u.CacheWriteInputTokens) != int32(tokens)+2 {
			t.Errorf("%d tokens: usage is %+v", tokens, u)
		}
		e := b.Log()[len(b.Log())-1]
		if e.CacheRead != int64(aws.ToInt32(u.CacheReadInputTokens)) ||
			e.CacheWrite5m+e.CacheWrite1h != int64(aws.ToInt32(u.CacheWriteInputTokens)) ||
			(e.CacheWrite1h > 0) && ttl != types.CacheTTLOneHour {
			t.Errorf("the log has %+v, the answer said %+v", e, u)
		}
		return aws.ToInt32(u.CacheReadInputTokens), aws.ToInt32(u.CacheWriteInputTokens)
	}
	for i, want := range [][2]int32{{0, 5000}, {5000, 0}} {
		if read, write := converse(5000, ""); [2]int32{read, write} != want {
			t.Errorf("ask %d reads %d and writes %d, want %v", i+1, read, write, want)
		}
	}
	if read, write := converse(4000, ""); read != 0 || write != 0 {
		t.Errorf("below the minimum: reads %d, writes %d", read, write)
	}
	if _, write := converse(6000, types.CacheTTLOneHour); write != 6000 {
		t.Errorf("for an hour: writes %d", write)
	}
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Yo"}],` +
		`"system":[{"type":"text","text":"` + strings.Repeat("rule", 5000) + `","cache_control":{"type":"ephemeral"}}]}`
	if _, err := b.InvokeModel(context.Background(), &bedrockruntime.InvokeModelInput{
		ModelId: aws.String(sonnet), Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	if e := b.Log()[len(b.Log())-1]; e.CacheRead != 5000 || e.Input != 1 {
		t.Errorf("InvokeModel: %+v", e)
	}
}

func TestPointsInTheWrongOrderAreRefused(t *testing.T) {
	b := newBench(t, "rules: []")
	_, err := b.Converse(context.Background(), &bedrockruntime.ConverseInput{
		ModelId: aws.String(sonnet), Messages: said("Hi"),
		System: append(system(5000, ""), system(10, types.CacheTTLOneHour)...),
	})
	wantCode(t, err, "ValidationException")
}
