package ceiling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// file is a bucket with one file.
type file string

const name = "s3://acme/in.jsonl"

func (f file) List(_ context.Context, _ string, yield func(string, time.Time) error) error {
	return yield(name, time.Time{})
}

func (f file) Get(context.Context, string) (io.ReadCloser, error) {
	if f == "" {
		return nil, errors.New("403 Forbidden")
	}
	return io.NopCloser(strings.NewReader(string(f))), nil
}

// nova is the batch price of Nova Pro in us-east-1: 0.40 and 1.60 dollars a million.
func nova(t *testing.T) *record.Price {
	t.Helper()
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	table, _ := record.Compile(cfg)
	sku := record.SKUOf("amazon.nova-pro-v1:0", "", batchjob.Tier, "")
	sku.Region = "us-east-1"
	return table.Find(sku, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
}

func job(t *testing.T, op wire.Operation) *Job {
	return &Job{
		Order: batchjob.Order{Input: name, Op: op}, Limits: batchjob.Limits{Bytes: 1 << 20, Records: 10},
		Dialect: func([]byte) *wire.Dialect { return wire.DialectNamed("nova") }, Prices: []*record.Price{nova(t)},
		Model: estimate.Model{Context: 300_000, Dialect: "nova"}, Cap: wire.Cap{ModelMax: 10_000},
		Allowed: func([]byte) *wire.Error { return wire.Errorf(wire.KindAccessDenied, "that may not be named") },
	}
}

func line(config string) string {
	return `{"modelInput":{"messages":[{"role":"user","content":[{"text":"hello"}]}]` + config + "}}\n"
}

const capped = `,"inferenceConfig":{"maxTokens":100}`

// TestOf: each record is held as the call that it is: all that it can read, and all that it may write.
func TestOf(t *testing.T) {
	f := func(op wire.Operation, text string, records, output int64) {
		t.Helper()
		c, err := Of(t.Context(), batchjob.NewInputs(file(text)), job(t, op))
		want, _ := nova(t).WorstCase(c.Input, c.Output)
		if err != nil || c.Records != records || c.Output != output || c.Input < records*1000 || c.Most != want || !c.Priced {
			t.Errorf("%+v, want %s, %v", c, want, err)
		}
	}
	f(wire.OpInvoke, line(capped)+line(""), 2, 10_100)
	f(wire.OpConverse, line(capped), 1, 100)
	two := job(t, wire.OpConverse)
	two.Prices = append(two.Prices, nil)
	if c, err := Of(t.Context(), batchjob.NewInputs(file(line(""))), two); err != nil || c.Priced || c.Most == 0 {
		t.Errorf("one place without a price: %+v, %v", c, err)
	}
}

// TestNeverOverflows: a sum that no ledger can count is the most that one can.
func TestNeverOverflows(t *testing.T) {
	r := &reader{job: job(t, wire.OpInvoke), cost: Cost{Priced: true, Most: math.MaxInt64 - 1}}
	err := r.add(&batchjob.Asked{Input: []byte(`{"messages":[]}`)})
	if err != nil || r.cost.Most != money.Pico(math.MaxInt64) {
		t.Errorf("%+v, %v", r.cost, err)
	}
}

// TestRefused: a record that no call could be is refused with its place, and what the gateway cannot read without the
// words of S3.
func TestRefused(t *testing.T) {
	f := func(want, text string, unreadable bool, change func(*Job)) {
		t.Helper()
		j := job(t, wire.OpInvoke)
		change(j)
		_, err := Of(t.Context(), batchjob.NewInputs(file(text)), j)
		if err == nil || Unreadable(err) != unreadable || !strings.Contains(Refusal(name, err).Message, want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	same := func(*Job) {}
	within := func(most int64) func(*Job) { return func(j *Job) { j.Cap.Max = most } }
	f("in.jsonl:2: The request asks for up to 100 output tokens; the limit is 50",
		line(`,"inferenceConfig":{"maxTokens":50}`)+line(capped), false, within(50))
	f("in.jsonl:1: A limit of 200 output tokens applies, and the gateway changes no file", line(""), false, within(200))
	f("in.jsonl:1: The model has no known maximum", line(""), false, func(j *Job) { j.Cap.ModelMax = 0 })
	f("does not know how the model's family spells one", line(""), false, func(j *Job) {
		j.Dialect, j.Cap.Max = func([]byte) *wire.Dialect { return nil }, 50
	})
	f("in.jsonl:1: that may not be named", line(`,"x":{"s3Location":{"uri":"s3://theirs/x"}}`), false, same)
	f("in.jsonl:1: not the input of a batch job", "x", false, same)
	f("more than 1 records", line(capped)+line(capped), true, func(j *Job) { j.Limits.Records = 1 })
	f("the gateway cannot read s3://acme/in.jsonl, so nobody knows what the job can cost", "", true, same)
	err := Refusal(name, fmt.Errorf("403: %w", io.EOF))
	if strings.Contains(err.Message, "403") || !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
