package batchjob

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

const (
	job      = "a1b2c3d4e5f6"
	manifest = "manifest.json.out"
	output   = "input.jsonl.out"
)

var day = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

// counts is a manifest of records that succeeded and failed, and their tokens.
func counts(success, failed, input, output int) string {
	return fmt.Sprintf(`{"totalRecordCount":%d,"processedRecordCount":%[1]d,"successRecordCount":%d,`+
		`"errorRecordCount":%d,"inputTokenCount":%d,"outputTokenCount":%d}`, success+failed, success, failed, input,
		output)
}

const (
	answered = `{"recordId":"A","modelInput":{"messages":[]},"modelOutput":{"output":{},` +
		`"usage":{"inputTokens":1000,"outputTokens":100}}}`
	silent = `{"recordId":"B","modelInput":{"messages":[]},"modelOutput":{"output":{}}}`
	failed = `{"recordId":"C","modelInput":{"messages":[]},"error":{"errorCode":400,"errorMessage":"bad request"}}`
)

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// folder writes files, by their names below a folder, which it returns.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// nova prices a job of Nova Pro in us-east-1: 0.40 and 1.60 dollars a million in batch.
func nova(t *testing.T) *Terms {
	t.Helper()
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	table, _ := record.Compile(cfg)
	sku := record.SKUOf("amazon.nova-pro-v1:0", "", "", "")
	sku.Region = "us-east-1"
	return &Terms{Tenant: "acme/support", Model: "amazon.nova-pro-v1:0", SKU: sku, At: day, Prices: table}
}

func meter(t *testing.T, path string) (*Metered, error) {
	t.Helper()
	found, err := Find(path)
	if err != nil {
		return nil, err
	}
	if len(found.Jobs) != 1 || found.Jobs[0].ID != job {
		t.Fatalf("found %+v", found)
	}
	return found.Jobs[0].Meter(nova(t))
}

func TestMeter(t *testing.T) {
	f := func(name string, files map[string]string, records, failures, input, output int64, dollars string) *Metered {
		t.Helper()
		m, err := meter(t, folder(t, files))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum := m.Sum()
		if m.Records != records || m.Failed != failures || sum.Input != input || sum.Output != output ||
			sum.Cost().String() != dollars || sum.Legs != records || sum.Requests != records-failures {
			t.Errorf("%s: %+v, %s", name, m, sum.Cost())
		}
		for _, row := range m.Rows {
			if row.Key.Tier != Tier || row.Key.Tenant != "acme/support" || !row.Key.Hour.Equal(day) {
				t.Errorf("%s: %+v", name, row.Key)
			}
		}
		return m
	}
	f("two files, one of them zipped, in a folder of its own", map[string]string{
		job + "/" + manifest:           counts(2, 1, 2000, 200),
		job + "/" + output:             answered + "\n\n" + failed,
		job + "/more/b.jsonl.out.gz":   zip(answered + "\n"),
		job + "/more/other.jsonl.done": "no output",
	}, 3, 1, 2000, 200, "0.00112")
	f("a zipped manifest", map[string]string{
		job + "/" + manifest + ".gz": zip(counts(0, 1, 0, 0)), job + "/" + output: failed,
	}, 1, 1, 0, 0, "0.00")
	m := f("the manifest has what records do not report", map[string]string{
		job + "/" + manifest: counts(3, 0, 1501, 151), job + "/" + output: answered + "\n" + silent + "\n" + silent,
	}, 3, 0, 1501, 151, "0.000842")
	if m.Shared != 2 || m.Differs {
		t.Errorf("%+v", m)
	}
	m = f("the manifest has another sum", map[string]string{
		job + "/" + manifest: counts(1, 0, 999, 100), job + "/" + output: answered,
	}, 1, 0, 1000, 100, "0.00056")
	if !m.Differs {
		t.Error("nobody is told")
	}
	f("the manifest has no tokens", map[string]string{
		job + "/" + manifest: `{"totalRecordCount":9,"processedRecordCount":1,"successRecordCount":1,` +
			`"errorRecordCount":0}`,
		job + "/" + output: answered,
	}, 1, 0, 1000, 100, "0.00056")
}

// TestLongContext: records that are priced as long ones are a row of their own.
func TestLongContext(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"own.yaml": `per: million
effective: 2026-01-01
prices:
  - {models: ["amazon.nova-pro-v1:0"], tier: batch, input: 1, output: 1,
     long: {above: 500, input: 2, output: 2}}
`}), "own.yaml")
	cfg, err := config.LoadPrices([]string{file}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	terms := nova(t)
	terms.Prices, _ = record.Compile(cfg)
	found, err := Find(folder(t, map[string]string{
		job + "/" + manifest: counts(2, 1, 0, 0),
		job + "/" + output:   answered + "\n" + strings.Replace(answered, "1000,", "400,", 1) + "\n" + failed,
	}))
	if err != nil {
		t.Fatal(err)
	}
	m, err := found.Jobs[0].Meter(terms)
	if err != nil || len(m.Rows) != 2 || m.Rows[0].Add.Cost().String() != "0.0005" || m.Rows[0].Add.Legs != 2 ||
		m.Rows[1].Key.Context != "long" || m.Rows[1].Add.Cost().String() != "0.0022" {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestWrongOutput: what is not whole, or does not fit, is refused as a whole, with its place.
func TestWrongOutput(t *testing.T) {
	f := func(want string, files map[string]string) {
		t.Helper()
		_, err := meter(t, folder(t, files))
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	with := func(summary, lines string) map[string]string {
		return map[string]string{job + "/" + manifest: summary, job + "/" + output: lines}
	}
	one := counts(1, 0, 1000, 100)
	edited := func(old, changed string) map[string]string {
		return with(strings.Replace(one, old, changed, 1), answered)
	}
	f("input.jsonl.out:2: not the output of a batch job: the line is cut",
		with(counts(2, 0, 2000, 200), answered+"\n"+answered[:50]))
	f("the line is no JSON object", with(one, "x"))
	f("the line is no JSON object", with(one, "[]"))
	f("recordId is no text", with(one, strings.Replace(answered, `"A"`, "7", 1)))
	f("neither modelOutput nor error", with(one, `{"recordId":"A","modelInput":{},"modelOutput":null}`))
	f("it has modelOutput and error", with(one, `{"modelOutput":{},"error":{}}`))
	f("modelOutput is not a JSON object", with(one, `{"modelOutput":"x"}`))
	f("the files have 1 records with modelOutput and 0 with error, the manifest 2 and 0",
		with(counts(2, 0, 1, 1), answered))
	f("the files have 2 records", with(one, answered+"\n"+answered))
	f("the files have 0 records", map[string]string{job + "/" + manifest: one})
	f("report no tokens, and the manifest has no sum", with(strings.Split(one, `,"inputT`)[0]+"}", silent))
	f("the manifest fewer: 900 and 100", with(counts(2, 0, 900, 100), answered+"\n"+silent))
	f("an amount is out of range", with(one, strings.Replace(answered, "1000,", "999999999999,", 1)))
	f("it is no whole JSON object", with(one[:20], answered))
	f("totalRecordCount is missing", with(`{}`, answered))
	f("successRecordCount is missing, or no count", edited(`"successRecordCount":1`, `"successRecordCount":-1`))
	f("outputTokenCount is missing, or no count", edited("100}", `"100"}`))
	f("are not processedRecordCount", edited(`"errorRecordCount":0`, `"errorRecordCount":1`))
	f("more than totalRecordCount", edited(`"totalRecordCount":1`, `"totalRecordCount":0`))
	f("the line is cut", map[string]string{job + "/" + manifest: one, job + "/" + output + ".gz": zip(answered)[:40]})
	f("it is there twice", map[string]string{job + "/" + manifest: one, job + "/" + output: answered,
		job + "/" + output + ".gz": zip(answered)})
	f("twice, once gzipped", map[string]string{job + "/" + manifest: one, job + "/" + manifest + ".gz": zip(one)})
	f("there is no manifest.json.out", map[string]string{"readme.txt": ""})
}

func TestFind(t *testing.T) {
	dir := folder(t, map[string]string{
		"b/" + manifest: counts(0, 0, 0, 0), "a/" + manifest: counts(0, 1, 0, 0), "a/x/" + output: failed,
		"running/" + output: answered, "a/" + output: failed,
	})
	found, err := Find(dir)
	if err != nil || len(found.Jobs) != 2 || found.Jobs[0].ID != "a" || len(found.Jobs[0].files) != 2 ||
		len(found.Open) != 1 || filepath.Base(found.Open[0]) != "running" {
		t.Errorf("%+v, %v", found, err)
	}
	for _, name := range []string{"a/" + manifest, "a/" + output} {
		if found, err := Find(filepath.Join(dir, name)); err != nil || len(found.Jobs) != 1 || found.Jobs[0].ID != "a" {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	if _, err := Find(filepath.Join(dir, "none")); err == nil || errors.Is(err, ErrInput) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := Find(folder(t, map[string]string{"a.txt": ""}) + "/a.txt"); !errors.Is(err, ErrInput) {
		t.Errorf("a file of something else: %v", err)
	}
}

func TestParseARN(t *testing.T) {
	const good = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/" + job
	a, err := ParseARN(good)
	if err != nil || a != (ARN{good, "us-east-1", "123456789012", job}) {
		t.Errorf("%+v, %v", a, err)
	}
	err = a.Check(&Job{ID: "a1b2c3d4e5f7"})
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "not of "+good) {
		t.Errorf("the folder of another job: %v", err)
	}
	for _, bad := range []string{
		"", job, strings.Replace(good, "aws", "aws-cn", 1), strings.Replace(good, "bedrock", "sagemaker", 1),
		strings.Replace(good, "123456789012", "", 1), good + "/x", good + "7", strings.ToUpper(good),
		strings.Replace(good, "model-invocation-job", "async-invoke", 1),
	} {
		if _, err := ParseARN(bad); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func TestReadSummaries(t *testing.T) {
	const one = `"jobArn":"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/a1b2c3d4e5f6","jobName":"n",` +
		`"modelId":"m","endTime":"2026-11-20T03:00:00.5+00:00"`
	f := func(text string, want int, fault string) {
		t.Helper()
		all, err := readSummaries([]byte(text))
		if (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) || len(all) != want {
			t.Errorf("%s: %+v, %v", text, all, err)
		}
		if want > 0 && (all[0].Name != "n" || all[0].Model != "m" || all[0].Ended.Sub(day) != time.Second/2) {
			t.Errorf("%+v", all[0])
		}
	}
	f(`{"invocationJobSummaries":[{`+one+`,"status":"Completed"},{`+one+`,"status":"InProgress"}]}`, 1, "")
	f(`{`+one+`,"status":"Stopped"}`, 1, "")
	f(`{}`, 0, "it has no jobs")
	f(`[]`, 0, "no answer of ListModelInvocationJobs")
	f(`{"invocationJobSummaries":[{"jobArn":"x"}]}`, 0, "is not the ARN")
}

// FuzzRecords: whatever a file has, reading it ends in records that have an answer or failed, or in ErrInput.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(answered + "\n" + failed))
	f.Add([]byte(silent[:30]))
	f.Add([]byte(zip(answered)))
	f.Add([]byte(zip(answered)[:30]))
	f.Add([]byte(`{"modelOutput":{"usage":{"inputTokens":1e9,"outputTokens":-1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := sums{terms: &Terms{Tenant: "acme", Model: "m", At: day}, rows: map[record.RowKey]record.Counters{}}
		err := readRecords("x", bytes.NewReader(data), func(r *Record) error {
			if r.Where == "" || r.Output != nil && !given(r.Output) {
				t.Errorf("%+v", r)
			}
			return s.add(r)
		})
		if err != nil && !errors.Is(err, ErrInput) {
			t.Errorf("%v", err)
		}
		for _, row := range s.rows {
			if !row.Storable() || row.Input < 0 || row.Output < 0 {
				t.Errorf("%+v", row)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(counts(1, 2, 3, 4)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readManifest(data)
		if err == nil && (m.Total < m.Processed || m.Processed != m.Success+m.Error || min(m.Success, m.Error) < 0) {
			t.Errorf("%s: %+v", data, m)
		}
	})
}
