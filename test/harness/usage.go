package harness

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// Tokens are the counts in a recording, read without the gateway's code.
type Tokens struct{ Input, Output, CacheRead, CacheWrite int64 }

// Add adds u.
func (t *Tokens) Add(u Tokens) {
	t.Input += u.Input
	t.Output += u.Output
	t.CacheRead += u.CacheRead
	t.CacheWrite += u.CacheWrite
}

type usageJSON struct {
	InputTokens           float64 `json:"inputTokens"`
	OutputTokens          float64 `json:"outputTokens"`
	CacheReadInputTokens  float64 `json:"cacheReadInputTokens"`
	CacheWriteInputTokens float64 `json:"cacheWriteInputTokens"`
}

func (u usageJSON) tokens() Tokens {
	return Tokens{int64(u.InputTokens), int64(u.OutputTokens), int64(u.CacheReadInputTokens),
		int64(u.CacheWriteInputTokens)}
}

// RecordedTokens returns what a recording's answer says that it used.
func RecordedTokens(t testing.TB, r *Recording) Tokens {
	t.Helper()
	if r.Status != 200 {
		return Tokens{}
	}
	header := func(name string) int64 {
		n, _ := strconv.ParseInt(r.ResponseHeaders["x-amzn-bedrock-"+name+"-token-count"], 10, 64)
		return n
	}
	switch {
	case strings.HasSuffix(r.Path, "/invoke"):
		return Tokens{header("input"), header("output"), header("cache-read-input"), header("cache-write-input")}
	case strings.HasSuffix(r.Path, "/converse"):
		var answer struct{ Usage usageJSON }
		if err := json.Unmarshal(r.ResponseBody, &answer); err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
		return answer.Usage.tokens()
	default:
		return streamTokens(t, r)
	}
}

func streamTokens(t testing.TB, r *Recording) Tokens {
	t.Helper()
	var last Tokens
	for _, frame := range SplitFrames(r.ResponseBody) {
		m, err := eventstream.NewDecoder().Decode(bytes.NewReader(frame), nil)
		if err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
		var event struct {
			Usage *usageJSON
			Bytes []byte
		}
		if err := json.Unmarshal(m.Payload, &event); err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
		if event.Usage != nil {
			last = event.Usage.tokens()
		}
		if event.Bytes == nil {
			continue
		}
		var chunk struct {
			Metrics *struct {
				InputTokenCount           float64
				OutputTokenCount          float64
				CacheReadInputTokenCount  float64
				CacheWriteInputTokenCount float64
			} `json:"amazon-bedrock-invocationMetrics"`
		}
		if err := json.Unmarshal(event.Bytes, &chunk); err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
		if m := chunk.Metrics; m != nil {
			last = Tokens{int64(m.InputTokenCount), int64(m.OutputTokenCount), int64(m.CacheReadInputTokenCount),
				int64(m.CacheWriteInputTokenCount)}
		}
	}
	return last
}
