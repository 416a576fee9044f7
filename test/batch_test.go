package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/s3/s3test"
	"github.com/sluice-gateway/sluice/test/harness"
)

// batches are a folder that mirrors the output of two batch jobs of Nova Pro, which has 0.40 and 1.60 dollars a
// million tokens in batch, and a configuration with a ledger of its own.
type batches struct {
	t               *testing.T
	dir, jobs, file string
}

// The jobs' ids, and what each comes to: 3 records of 1,000 and 100 tokens, of which one has failed.
var (
	batchJobs = []string{"a1b2c3d4e5f6", "b1b2c3d4e5f6"}
	batchCost = "0.00112"
)

const batchRecord = `{"recordId":"%d","modelInput":{"messages":[]},"modelOutput":{"output":{},` +
	`"usage":{"inputTokens":1000,"outputTokens":100}}}` + "\n"

func newBatches(t *testing.T, ledger string) *batches {
	t.Helper()
	key := harness.NewKey(t, "acme/nightly")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: sandbox}
allowed_accounts: ["123456789012"]
tenants:
  - {id: acme, budgets: [{period: month, usd: 1, on_exceed: reject}]}
  - {id: acme/nightly, keys: [%s]}
%s`, key.KeyID, ledger)})
	b := &batches{t: t, dir: gw.Dir, file: gw.ConfigFile()}
	b.output(batchJobs)
	return b
}

// output writes what jobs leave, and what Bedrock says of them.
func (b *batches) output(jobs []string) {
	b.t.Helper()
	var list []string
	for _, id := range jobs {
		b.write("out/"+id+"/manifest.json.out", `{"totalRecordCount":3,"processedRecordCount":3,"successRecordCount":2,`+
			`"errorRecordCount":1,"inputTokenCount":2000,"outputTokenCount":200}`)
		b.write("out/"+id+"/in.jsonl.out", fmt.Sprintf(batchRecord+batchRecord, 1, 2)+
			`{"recordId":"3","modelInput":{},"error":{"errorCode":400,"errorMessage":"bad request"}}`)
		list = append(list, fmt.Sprintf(`{"jobArn":%q,"jobName":"nightly-%s","modelId":`+
			`"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0","status":"Completed"}`, batchARN(id), id))
	}
	b.jobs = b.write("jobs.json", `{"invocationJobSummaries":[`+strings.Join(list, ",")+`]}`)
}

func batchARN(id string) string {
	return "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/" + id
}

func (b *batches) write(name, text string) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return name
}

// run imports the folder with one of the programs.
func (b *batches) run(program string, want int, env []string, args ...string) (out, faults string) {
	b.t.Helper()
	args = append([]string{"import", "batch", "--config", b.file}, args...)
	return harness.RunProgram(b.t, program, want, env, append(args, filepath.Join(b.dir, "out"))...)
}

func (b *batches) all() []string {
	return []string{"--jobs", b.jobs, "--tenant", "nightly-*=acme/nightly"}
}

// counted fails unless the ledger and the report have so many of the jobs, and the budget above them counts them.
func (b *batches) counted(jobs int64) {
	b.t.Helper()
	var rows []harness.Row
	out := harness.Run(b.t, 0, nil, "report", "--config", b.file, "--by", "tenant,model,tier", "--format", "json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		b.t.Fatal(err)
	}
	if jobs == 0 && len(rows) == 0 {
		return
	}
	cost := map[int64]string{1: batchCost, 2: "0.00224"}[jobs]
	if len(rows) != 1 || rows[0].Tenant != "acme/nightly" || rows[0].Requests != 2*jobs || rows[0].Legs != 3*jobs ||
		rows[0].Input != 2000*jobs || rows[0].Output != 200*jobs || rows[0].Cost != cost ||
		!strings.Contains(out, `"batch"`) {
		b.t.Errorf("want %d jobs, got %s", jobs, out)
	}
	wantText(b.t, harness.Run(b.t, 0, nil, "budgets", "--config", b.file, "--format", "json"), `"`+cost+`"`)
	wantText(b.t, harness.Run(b.t, 0, nil, "verify", "--config", b.file), "\n0 differences")
}

// TestBatchImportedTwice: a job counts once, however often and from wherever it is imported, in the ledger, the report
// and the budgets.
func TestBatchImportedTwice(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBatches(t, ledger)
			out, _ := b.run(harness.Binary(t), 0, nil, b.all()...)
			wantText(t, out, batchARN(batchJobs[0])+" imported for acme/nightly: amazon.nova-pro-v1:0, 3 records, 1 of them "+
				"failed, 2000 input and 200 output tokens, $"+batchCost)
			b.counted(2)
			out, _ = b.run(harness.Binary(t), 0, nil, append(b.all(), "--at", "2026-11-29T10:00:00Z")...)
			if strings.Count(out, "was imported before; nothing added") != 2 {
				t.Errorf("again: %s", out)
			}
			b.counted(2)
			b.write("out/"+batchJobs[0]+"/in.jsonl.out", strings.Repeat(fmt.Sprintf(batchRecord, 1), 3))
			b.write("out/"+batchJobs[0]+"/manifest.json.out", `{"totalRecordCount":3,"processedRecordCount":3,`+
				`"successRecordCount":3,"errorRecordCount":0}`)
			_, fault := b.run(harness.Binary(t), 2, nil, b.all()...)
			wantText(t, fault, "this id was used before with other contents", "2000 input and 200 output tokens")
			b.counted(2)
		})
	}
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
	f("embedded", "")
}

// TestBatchFromS3: the output of jobs is read from the bucket itself, counts once with what mirrors it, and nothing is
// counted where S3 gives less than all.
func TestBatchFromS3(t *testing.T) {
	b := newBatches(t, "")
	files := map[string]string{}
	for _, id := range batchJobs {
		for _, name := range []string{"out/" + id + "/manifest.json.out", "out/" + id + "/in.jsonl.out"} {
			text, err := os.ReadFile(filepath.Join(b.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files["acme/"+name] = string(text)
		}
	}
	s3 := s3test.Serve(t, files)
	run := func(want int, place, secret string) (out, faults string) {
		t.Helper()
		args := append([]string{"import", "batch", "--config", b.file}, b.all()...)
		return harness.RunProgram(t, harness.Binary(t), want, []string{
			"AWS_ENDPOINT_URL_S3=" + s3.URL, "AWS_ACCESS_KEY_ID=" + s3test.KeyID, "AWS_SECRET_ACCESS_KEY=" + secret,
			"AWS_SESSION_TOKEN=",
		}, append(args, place)...)
	}
	refused := func(status int, want, place, secret string) {
		t.Helper()
		_, fault := run(status, place, secret)
		wantText(t, fault, want)
		b.counted(0)
	}
	refused(2, "it is no s3://bucket/prefix", "s3://", s3test.Secret)
	refused(2, "there is no manifest.json.out in it or below it", "s3://acme/in", s3test.Secret)
	refused(1, "the bucket answers 403 Forbidden", "s3://acme/out", "another")
	s3.Cut["acme/out/"+batchJobs[1]+"/in.jsonl.out"] = true
	refused(2, "the line is cut", "s3://acme/out", s3test.Secret)
	clear(s3.Cut)
	out, _ := run(0, "s3://acme/out/"+batchJobs[0]+"/manifest.json.out", s3test.Secret)
	wantText(t, out, batchARN(batchJobs[0])+" imported for acme/nightly")
	b.counted(1)
	run(0, "s3://acme/out/", s3test.Secret)
	b.counted(2)
	b.run(harness.Binary(t), 0, nil, b.all()...)
	b.counted(2)
}

// TestBatchImportKilled: an import that dies at any point counts each job once when it is run again.
func TestBatchImportKilled(t *testing.T) {
	for _, point := range []string{"after-adjust:1", "after-adjust:2", "apply-sent:1", "apply-reply:1"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBatches(t, fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
			b.run(harness.FaultsBinary(t), -1, []string{"SLUICE_CRASH_AT=" + point}, b.all()...)
			b.run(harness.Binary(t), 0, nil, b.all()...)
			b.counted(2)
			b.run(harness.Binary(t), 0, nil, b.all()...)
			b.counted(2)
		})
	}
}

// TestWrongBatches: what is not the whole output of one's own jobs is refused, with exit code 2, its place and the way
// out, and nothing of any job is counted.
func TestWrongBatches(t *testing.T) {
	b := newBatches(t, fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
	nova := []string{"--tenant", "acme/nightly", "--model", "amazon.nova-pro-v1:0"}
	refused := func(want string, args ...string) {
		t.Helper()
		_, fault := b.run(harness.Binary(t), 2, nil, args...)
		wantText(t, fault, want)
		b.counted(0)
	}
	refused("no gateway started it: --tenant is needed", "--jobs", b.jobs)
	refused("no gateway started it: --model is needed", "--tenant", "acme", "--job", batchARN(batchJobs[0]))
	refused(`there is no tenant "acme/x"`, "--tenant", "acme/x", "--jobs", b.jobs)
	refused("--job is needed, or --jobs", "--tenant", "acme")
	refused("not both", append(nova, "--jobs", b.jobs)...)
	arn := batchARN(batchJobs[0])
	refused("is not the ARN of a model invocation job",
		append(nova, "--job", strings.Replace(arn, "model-invocation-job", "async-invoke", 1))...)
	refused("the folder is of job b1b2c3d4e5f6, not of "+arn, append(nova, "--job", arn)...)
	refused("no --tenant has a pattern for the job's name", "--tenant", "day-*=acme", "--jobs", b.jobs)
	refused("--at: ", append(b.all(), "--at", "noon")...)
	refused("it ended at 2031-01-01T00:00:00Z, which is yet to come",
		append(b.all(), "--at", "2031-01-01T00:00:00Z")...)
	list, err := os.ReadFile(b.jobs)
	if err != nil {
		t.Fatal(err)
	}
	f := func(want, file, old, changed string) {
		t.Helper()
		name := filepath.Join(b.dir, file)
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatalf("%s: %v in %s", old, err, text)
		}
		b.write(file, strings.Replace(string(text), old, changed, 1))
		refused(want, b.all()...)
		b.write(file, string(text))
	}
	manifest, output := "out/"+batchJobs[1]+"/manifest.json.out", "out/"+batchJobs[1]+"/in.jsonl.out"
	f("is of account 210987654321, which allowed_accounts does not have", "jobs.json",
		"123456789012:model-invocation-job/b", "210987654321:model-invocation-job/b")
	f("--jobs has no job b1b2c3d4e5f6 that has ended", "jobs.json", "model-invocation-job/b", "model-invocation-job/c")
	f("--jobs has no job a1b2c3d4e5f6 that has ended", "jobs.json", "Completed", "InProgress")
	f("nobody knows the model of arn:aws:bedrock:us-east-1:123456789012:imported-model/x: a line in model_map helps",
		"jobs.json", ":foundation-model/amazon.nova-pro-v1:0", "123456789012:imported-model/x")
	f("it is no answer of ListModelInvocationJobs", "jobs.json", string(list), "[")
	f("it is no whole JSON object", manifest, "}", "")
	f("totalRecordCount is missing", manifest, "totalRecordCount", "total")
	f("the files have 2 records with modelOutput and 1 with error, the manifest 3 and 0", manifest,
		`"successRecordCount":2,"errorRecordCount":1`, `"successRecordCount":3,"errorRecordCount":0`)
	f("in.jsonl.out:3: not the output of a batch job: the line is cut", output, `"bad request"}}`, `"bad req`)
	f("it has neither modelOutput nor error", output, `"modelOutput"`, `"modeloutputs"`)
	b.run(harness.Binary(t), 0, nil, b.all()...)
	b.counted(2)
}
