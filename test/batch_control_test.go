package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// controlPlane is an upstream whose control plane starts the two batch jobs, one after the other.
type controlPlane struct {
	mu   sync.Mutex // guards the following
	made int
	seen []string // methods, paths and bodies
}

func (p *controlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/model-invocation-job":
		fmt.Fprintf(w, `{"jobArn":%q}`, batchARN(batchJobs[min(p.made, 1)]))
		p.made++
	case strings.HasSuffix(r.URL.Path, "/stop"):
		io.WriteString(w, `{}`)
	default:
		io.WriteString(w, `{"status":"InProgress"}`)
	}
}

func (p *controlPlane) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

const batchRole = "arn:aws:iam::123456789012:role/batch-acme"

// createBatch is a request for a job.
func createBatch(model, role, place string) string {
	return fmt.Sprintf(`{"jobName":"n","roleArn":%q,"modelId":%q,"inputDataConfig":{"s3InputDataConfig":{"s3Uri":%q}},`+
		`"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://acme/out/","s3BucketOwner":"123456789012"}}}`, role, model,
		place)
}

// TestBatchJobsThroughTheGateway: a job passes under policy, budgets hold for it what the policy says, its tenant alone
// sees it, and its import settles it once.
func TestBatchJobsThroughTheGateway(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) { testBatchJobs(t, ledger) })
	}
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
	f("embedded", "")
}

func testBatchJobs(t *testing.T, ledger string) {
	control := &controlPlane{}
	upstream := httptest.NewServer(control)
	t.Cleanup(upstream.Close)
	mine, theirs, plain := harness.NewKey(t, "acme/nightly"), harness.NewKey(t, "other"), harness.NewKey(t, "plain")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
allowed_accounts: ["123456789012"]
allowed_s3: ["s3://acme/*"]
tenants:
  - {id: acme, budgets: [{period: month, usd: 1, on_exceed: reject}]}
  - {id: acme/nightly, keys: [%s], operations: [batch], deny_models: ["*opus*"],
     batch: {hold_usd: 0.6, roles: ["arn:aws:iam::123456789012:role/batch-*"]}}
  - {id: other, keys: [%s], operations: [batch], batch: {hold_usd: 1, roles: []}}
  - {id: plain, keys: [%s]}
%s`, upstream.URL, mine.KeyID, theirs.KeyID, plain.KeyID, ledger)})
	const nova, in = "amazon.nova-pro-v1:0", "s3://acme/in.jsonl"
	post := func(status int, want string, key harness.Key, body string) {
		t.Helper()
		calls := control.calls()
		a := gw.Post(t, key.BearerCredential, "/model-invocation-job", body)
		if a.Status != status || !strings.Contains(string(a.Body), want) || (status != 200) != (control.calls() == calls) {
			t.Errorf("want %d %s, got %d %s", status, want, a.Status, a.Body)
		}
	}
	post(403, "operation batch is not allowed", plain, createBatch(nova, batchRole, in))
	post(403, "not among the roles of batch", theirs, createBatch(nova, batchRole, in))
	post(403, "not among the roles of batch", mine, createBatch(nova, strings.Replace(batchRole, "batch", "admin", 1), in))
	post(403, "not a well-formed ARN", mine, createBatch(nova, "batch-acme", in))
	post(403, "not among allowed_s3", mine, createBatch(nova, batchRole, "s3://others/in.jsonl"))
	post(403, "allowed_accounts", mine, strings.Replace(createBatch(nova, batchRole, in), `Owner":"123`, `Owner":"923`, 1))
	post(403, "opus", mine, createBatch("anthropic.claude-3-opus-20240229-v1:0", batchRole, in))
	post(400, "model identifier", mine, `{}`)
	post(200, batchARN(batchJobs[0]), mine, createBatch(nova, batchRole, in))
	post(400, "is used up", mine, createBatch(nova, batchRole, in)) // 0.60 of a dollar is held

	job := "/model-invocation-job/" + url.PathEscape(batchARN(batchJobs[0]))
	ask := func(status int, key harness.Key, method, target string) {
		t.Helper()
		if a := gw.Do(t, key.BearerCredential, method, target, ""); a.Status != status {
			t.Errorf("%s %s: want %d, got %d %s", method, target, status, a.Status, a.Body)
		}
	}
	ask(200, mine, "GET", job)
	ask(404, theirs, "GET", job)
	ask(404, theirs, "POST", job+"/stop")
	ask(404, mine, "GET", strings.Replace(job, "123456789012", "210987654321", 1))
	ask(403, plain, "GET", job)
	ask(403, mine, "GET", "/model-invocation-jobs")
	ask(200, mine, "POST", job+"/stop")

	b := &batches{t: t, dir: gw.Dir, file: gw.ConfigFile()}
	b.output(batchJobs[:1])
	harness.Eventually(t, time.Minute, func() (bool, string) {
		out := harness.Run(t, 0, nil, "resolve", "--config", b.file)
		return strings.Contains(out, "0.6"), out
	})
	for range 2 {
		b.run(harness.Binary(t), 0, nil, "--job", batchARN(batchJobs[0]))
	}
	out := harness.Run(t, 0, nil, "resolve", "--config", b.file)
	if strings.Contains(out, nova) {
		t.Errorf("still held: %s", out)
	}
	var rows []struct {
		Legs    int64  `json:"legs"`
		Input   int64  `json:"input_tokens"`
		Cost    string `json:"cost_usd"`
		Unknown int64
		Open    string `json:"suspense_usd"`
	}
	text := harness.Run(t, 0, nil, "report", "--config", b.file, "--by", "tier", "--format", "json")
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatal(err)
	}
	var legs, input, unknown int64
	open := ""
	for _, r := range rows {
		legs, input, unknown, open = legs+r.Legs, input+r.Input, unknown+r.Unknown, r.Open
	}
	if legs != 4 || input != 2000 || unknown != 0 || open != "0.00" { // 3 records, and the call that started them
		t.Errorf("%s", text)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		a := gw.Post(t, mine.BearerCredential, "/model-invocation-job", createBatch(nova, batchRole, in))
		return a.Status == 200, string(a.Body)
	})
}
