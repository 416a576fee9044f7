package wire_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sluice-gateway/sluice/internal/wire"
)

type recordedBody struct {
	Text   *string `json:"text"`
	Base64 *string `json:"base64"`
}

func (b recordedBody) bytes(t testing.TB) []byte {
	t.Helper()
	switch {
	case b.Text != nil:
		return []byte(*b.Text)
	case b.Base64 != nil:
		raw, err := base64.StdEncoding.DecodeString(*b.Base64)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	return nil
}

type exchange struct {
	ID              string            `json:"id"`
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	RequestBody     recordedBody      `json:"request_body"`
	Status          int               `json:"status"`
	ResponseHeaders map[string]string `json:"response_headers"`
	ResponseBody    recordedBody      `json:"response_body"`
}

func (e exchange) header() wire.Header {
	var h wire.Header
	for k, v := range e.ResponseHeaders {
		h = append(h, wire.Field{Name: k, Value: v})
	}
	return h
}

func recordings(t testing.TB) []exchange {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shared(t, "recordings"), "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all []exchange
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var e exchange
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

func TestRecordedRequestsRead(t *testing.T) {
	for _, e := range recordings(t) {
		target, err := wire.ParseTarget(e.Method, e.Path, "")
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		body := e.RequestBody.bytes(t)
		d := wire.DialectOf(wire.ParseModelID(target.Model).Foundation)
		if d == nil && !strings.Contains(e.Path, "does-not-exist") && !strings.Contains(e.Path, "sagemaker") {
			t.Errorf("%s: no dialect for %s", e.ID, target.Model)
		}
		var f wire.Facts
		if err := f.Read(target.Op, d, body); err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		if d == nil {
			continue
		}
		if f.TextBytes == 0 || f.InputTokens == 0 {
			t.Errorf("%s: no text found in %s", e.ID, body)
		}
		if got := len(bytes.ReplaceAll(f.AppendText(nil, body), []byte("\n"), nil)); got > f.TextBytes {
			t.Errorf("%s: AppendText gave %d bytes, facts say %d", e.ID, got, f.TextBytes)
		}
		if strings.Contains(string(body), "ax") && strings.Contains(string(body), "oken") && !f.MaxTokens.Known &&
			!strings.Contains(string(body), `"text"`) {
			t.Errorf("%s: no cap found in %s", e.ID, body)
		}
		if sniffed := wire.SniffDialect(body, d); target.Op == wire.OpInvoke && sniffed == nil {
			t.Errorf("%s: %s not sniffed", e.ID, d.Name)
		}
	}
}

// TestRecordedUsage compares with an independent reading: headers for
// InvokeModel, encoding/json for bodies, the AWS SDK's decoder for streams.
func TestRecordedUsage(t *testing.T) {
	checked := 0
	for _, e := range recordings(t) {
		if e.Status != http.StatusOK {
			continue
		}
		target, werr := wire.ParseTarget(e.Method, e.Path, "")
		if werr != nil {
			t.Fatal(werr)
		}
		var got wire.Usage
		var want map[string]int64
		body := e.ResponseBody.bytes(t)
		switch target.Op {
		case wire.OpInvoke:
			got = wire.ResponseUsage(target.Op, wire.DialectOf(wire.ParseModelID(target.Model).Foundation), e.header(), body)
			want = wantFromHeaders(t, e)
		case wire.OpConverse:
			got = wire.ResponseUsage(target.Op, nil, e.header(), body)
			want = wantFromUsage(t, body)
		default:
			got = streamUsage(t, e.ID, target.Op, body)
			want = wantFromStream(t, body)
		}
		for name, n := range want {
			have := map[string]wire.Count{"in": got.Input, "out": got.Output, "read": got.CacheRead,
				"write": {N: got.CacheWrite5m.N + got.CacheWrite1h.N, Known: got.CacheWrite5m.Known}}[name]
			if !have.Known || have.N != n {
				t.Errorf("%s %s: %s is %+v, want %d", e.ID, target.Op, name, have, n)
			}
		}
		if len(want) < 2 {
			t.Errorf("%s: nothing to compare with", e.ID)
		}
		if got.StopReason == "" && !strings.Contains(e.ID, "guardrail_invoke") && !strings.Contains(e.ID, "close_before") {
			t.Logf("%s %s: no stop reason", e.ID, e.Path)
		}
		if u := wantUnits(body, target.Op, t); u != got.GuardrailUnits {
			t.Errorf("%s: guardrail units %v, want %v", e.ID, got.GuardrailUnits, u)
		}
		checked++
	}
	if checked < 100 {
		t.Errorf("only %d exchanges compared", checked)
	}
}

func wantFromHeaders(t *testing.T, e exchange) map[string]int64 {
	t.Helper()
	want := map[string]int64{}
	for name, key := range map[string]string{"in": "input", "out": "output", "read": "cache-read-input",
		"write": "cache-write-input"} {
		v, ok := e.ResponseHeaders["x-amzn-bedrock-"+key+"-token-count"]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = n
	}
	return want
}

func wantFromUsage(t *testing.T, body []byte) map[string]int64 {
	t.Helper()
	var answer struct {
		Usage map[string]json.RawMessage `json:"usage"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for name, key := range map[string]string{"in": "inputTokens", "out": "outputTokens", "read": "cacheReadInputTokens",
		"write": "cacheWriteInputTokens"} {
		if raw, ok := answer.Usage[key]; ok {
			var n float64
			if err := json.Unmarshal(raw, &n); err != nil {
				t.Fatal(err)
			}
			want[name] = int64(n)
		}
	}
	return want
}

// sdkPayloads decodes a stream with the AWS SDK; chunks come base64-decoded.
func sdkPayloads(t *testing.T, body []byte) [][]byte {
	t.Helper()
	var all [][]byte
	decoder, r := eventstream.NewDecoder(), bytes.NewReader(body)
	for {
		msg, err := decoder.Decode(r, nil)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		payload := bytes.Clone(msg.Payload)
		var chunk struct{ Bytes []byte }
		if err := json.Unmarshal(payload, &chunk); err == nil && chunk.Bytes != nil {
			payload = chunk.Bytes
		}
		all = append(all, payload)
	}
}

func wantFromStream(t *testing.T, body []byte) map[string]int64 {
	t.Helper()
	var blocked map[string]int64
	for _, payload := range sdkPayloads(t, body) {
		if bytes.Contains(payload, []byte(`"usage"`)) && bytes.Contains(payload, []byte(`"metrics":{"latencyMs"`)) {
			return wantFromUsage(t, payload)
		}
		var chunk struct {
			Metrics map[string]float64 `json:"amazon-bedrock-invocationMetrics"`
			Blocked string             `json:"amazon-bedrock-guardrailAction"`
		}
		if err := json.Unmarshal(payload, &chunk); err != nil {
			t.Fatal(err)
		}
		if chunk.Metrics != nil {
			want := map[string]int64{}
			for name, key := range map[string]string{"in": "inputTokenCount", "out": "outputTokenCount",
				"read": "cacheReadInputTokenCount", "write": "cacheWriteInputTokenCount"} {
				if n, ok := chunk.Metrics[key]; ok {
					want[name] = int64(n)
				}
			}
			return want
		}
		if chunk.Blocked != "" {
			blocked = map[string]int64{"in": 0, "out": 0}
		}
	}
	return blocked
}

func streamUsage(t *testing.T, id string, op wire.Operation, body []byte) wire.Usage {
	t.Helper()
	u := wire.StreamUsage{Op: op}
	r := wire.NewFrameReader(bytes.NewReader(body))
	var joined []byte
	for {
		raw, err := r.Next()
		if errors.Is(err, io.EOF) {
			if !u.End() {
				t.Errorf("%s: the stream is not whole", id)
			}
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		f, err := wire.ParseFrame(raw)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		joined = append(joined, raw...)
		u.Observe(f)
	}
	if !bytes.Equal(joined, body) {
		t.Errorf("%s: the frames are not the stream", id)
	}
	return u.Usage()
}

// wantUnits adds up every …PolicyUnits number that stands inside an object
// called usage, wherever that is.
func wantUnits(body []byte, op wire.Operation, t *testing.T) [wire.GuardrailPolicies]int64 {
	t.Helper()
	var sum [wire.GuardrailPolicies]int64
	texts := [][]byte{body}
	if op.Streams() {
		texts = sdkPayloads(t, body)
	}
	for _, text := range texts {
		var v any
		if json.Unmarshal(text, &v) == nil {
			addUnits(v, &sum)
		}
	}
	return sum
}

func addUnits(v any, sum *[wire.GuardrailPolicies]int64) {
	names := []string{"contentPolicyUnits", "topicPolicyUnits", "wordPolicyUnits", "sensitiveInformationPolicyUnits",
		"sensitiveInformationPolicyFreeUnits", "contextualGroundingPolicyUnits", "contentPolicyImageUnits",
		"automatedReasoningPolicyUnits"}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			addUnits(e, sum)
		}
	case map[string]any:
		for i, name := range names {
			if n, ok := v[name].(float64); ok {
				sum[i] += int64(n)
			}
		}
		for _, e := range v {
			addUnits(e, sum)
		}
	}
}
