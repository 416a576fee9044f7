package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/s3/s3test"
	"github.com/sluice-gateway/sluice/test/harness"
)

// controlPlane is an upstream whose control plane starts batch jobs, with those of batchJobs first.
type controlPlane struct {
	mu   sync.Mutex // guards the following
	made []string   // tokens of the jobs
	seen []string   // methods, paths and bodies
}

func (p *controlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/model-invocation-job":
		var order struct{ ClientRequestToken string }
		json.Unmarshal(body, &order)
		at := slices.Index(p.made, order.ClientRequestToken)
		if order.ClientRequestToken == "" || at < 0 {
			at, p.made = len(p.made), append(p.made, order.ClientRequestToken)
		}
		fmt.Fprintf(w, `{"jobArn":%q}`, batchARN(fmt.Sprintf("%c1b2c3d4e5f6", 'a'+rune(at%26))))
	case r.URL.Path == "/model-invocation-jobs":
		fmt.Fprintf(w, `{"invocationJobSummaries":[{"jobArn":%q},{"jobArn":%q}],"nextToken":"n"}`, batchARN("z1b2c3d4e5f6"),
			batchARN(batchJobs[0]))
	case strings.HasSuffix(r.URL.Path, "/stop"):
		io.WriteString(w, `{}`)
	case strings.Contains(r.URL.Path, batchJobs[1]):
		fmt.Fprintf(w, `{"jobArn":%q,"status":"Completed","outputDataConfig":{"s3OutputDataConfig":{"s3Uri":`+
			`"s3://acme/out/"}}}`, batchARN(batchJobs[1]))
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
	counted := harness.NewKey(t, "counted")
	record := `{"recordId":"%d","modelInput":{"messages":[{"role":"user","content":[{"text":"hi"}]}]` +
		`,"inferenceConfig":{"maxTokens":10000}}}` + "\n"
	store := s3test.Serve(t, map[string]string{
		"acme/in/few.jsonl": fmt.Sprintf(record+record, 1, 2), "acme/in/twice.jsonl": fmt.Sprintf(record+record, 1, 1),
		"acme/in/many.jsonl": strings.Repeat(strings.Replace(record, `"recordId":"%d",`, "", 1), 100),
		"acme/in/none.jsonl": "", "acme/out/" + batchJobs[1] + "/few.jsonl.out": fmt.Sprintf(batchRecord+batchRecord, 1, 2),
		"acme/out/" + batchJobs[1] + "/manifest.json.out": `{"totalRecordCount":2,"processedRecordCount":2,` +
			`"successRecordCount":2,"errorRecordCount":0}`,
		"acme/in/text.jsonl": "hello", "acme/in/above.jsonl": strings.Replace(fmt.Sprintf(record, 1), "10000", "20000", 1),
	})
	gw := harness.Start(t, harness.Config{Env: []string{
		"AWS_ENDPOINT_URL_S3=" + store.URL, "AWS_ACCESS_KEY_ID=" + s3test.KeyID, "AWS_SECRET_ACCESS_KEY=" + s3test.Secret,
	}, YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
allowed_accounts: ["123456789012"]
allowed_s3: ["s3://acme/*"]
tenants:
  - {id: acme, budgets: [{period: month, usd: 1, on_exceed: reject}]}
  - {id: acme/nightly, keys: [%s], operations: [batch], deny_models: ["*opus*"],
     batch: {hold_usd: 0.6, roles: ["arn:aws:iam::123456789012:role/batch-*"]}}
  - {id: other, keys: [%s], operations: [batch], batch: {hold_usd: 1, roles: []}}
  - {id: plain, keys: [%s]}
  - {id: counted, keys: [%s], operations: [batch], output_tokens: {max: 10000},
     budgets: [{period: month, usd: 0.07, on_exceed: reject}],
     batch: {input: ["s3://acme/in/*"], max_bytes: 64KiB, roles: ["arn:aws:iam::123456789012:role/batch-*"]}}
%s`, upstream.URL, mine.KeyID, theirs.KeyID, plain.KeyID, counted.KeyID, ledger)})
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

	reading := func(status int, want, name string) {
		t.Helper()
		post(status, want, counted, createBatch(nova, batchRole, "s3://acme/in/"+name))
	}
	post(403, "s3://acme/in.jsonl is not among the places of batch.input", counted, createBatch(nova, batchRole, in))
	post(403, "has no batch price, so nobody knows what the job can cost", counted,
		createBatch("ai21.jamba-instruct-v1:0", batchRole, "s3://acme/in/few.jsonl"))
	reading(400, "there is no such file", "other.jsonl")
	reading(400, "none.jsonl: not the input of a batch job: it has no records", "none.jsonl")
	reading(400, "text.jsonl:1: not the input of a batch job: the line is no JSON object", "text.jsonl")
	reading(400, `twice.jsonl:2: not the input of a batch job: recordId \"1\" is there twice`, "twice.jsonl")
	reading(400, "above.jsonl:1: The request asks for up to 20000 output tokens; the limit is 10000", "above.jsonl")
	reading(400, `budget \"counted month\" is smaller than this request`, "many.jsonl")
	reading(400, "The job is 100 records, up to $1.6", "many.jsonl")
	for _, token := range []string{"a", "a", "b"} { // each holds 0.033 of a dollar, and what is repeated holds nothing
		body := strings.Replace(createBatch(nova, batchRole, "s3://acme/in/few.jsonl"), "{", `{"clientRequestToken":"`+token+
			`",`, 1)
		job := map[string]int{"a": 1, "b": 2}[token]
		post(200, batchARN(fmt.Sprintf("%c1b2c3d4e5f6", 'a'+rune(job))), counted, body)
	}
	reading(400, "is used up", "few.jsonl")
	settled(t, gw, counted, store.URL)

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
	ask(403, plain, "GET", "/model-invocation-jobs")
	for _, of := range []struct {
		harness.Key
		sees string
	}{{mine, fmt.Sprintf(`{"jobArn":%q}`, batchARN(batchJobs[0]))}, {theirs, ""}} {
		want := `{"invocationJobSummaries":[` + of.sees + `],"nextToken":"n"}`
		if a := gw.Get(t, of.SigV4Credential, "/model-invocation-jobs?maxResults=2"); string(a.Body) != want {
			t.Errorf("list: %d %s, want %s", a.Status, a.Body, want)
		}
	}
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
	if strings.Contains(out, "acme/nightly") {
		t.Errorf("still held: %s", out)
	}
	var rows []struct {
		Legs    int64  `json:"legs"`
		Input   int64  `json:"input_tokens"`
		Cost    string `json:"cost_usd"`
		Unknown int64
		Open    string `json:"suspense_usd"`
	}
	text := harness.Run(t, 0, nil, "report", "--config", b.file, "--by", "tier", "--tenant", "acme", "--format", "json")
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

// settled asks for the second job, which has ended, until it is settled: once, whoever asks again and imports it.
func settled(t *testing.T, gw *harness.Gateway, key harness.Key, store string) {
	t.Helper()
	target := "/model-invocation-job/" + url.PathEscape(batchARN(batchJobs[1]))
	books := func() string {
		return harness.Run(t, 0, nil, "report", "--config", gw.ConfigFile(), "--by", "tier", "--tenant", "counted",
			"--format", "csv")
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		if a := gw.Do(t, key.BearerCredential, "GET", target, ""); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		out := harness.Run(t, 0, nil, "resolve", "--config", gw.ConfigFile())
		return strings.Count(out, "counted") == 1, out // the third job is held
	})
	before := books()
	wantText(t, before, ",0.00112,", ",0.03292,")
	out, _ := harness.RunProgram(t, harness.Binary(t), 0, []string{
		"AWS_ENDPOINT_URL_S3=" + store, "AWS_ACCESS_KEY_ID=" + s3test.KeyID, "AWS_SECRET_ACCESS_KEY=" + s3test.Secret,
	}, "import", "batch", "--config", gw.ConfigFile(), "--job", batchARN(batchJobs[1]), "s3://acme/out/"+batchJobs[1])
	wantText(t, out, "was imported before; nothing added")
	gw.Do(t, key.BearerCredential, "GET", target, "")
	if after := books(); after != before {
		t.Errorf("counted again: %s\n%s", before, after)
	}
	wantText(t, harness.Run(t, 0, nil, "verify", "--config", gw.ConfigFile()), "\n0 differences")
}
