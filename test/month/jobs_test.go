package month

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// jobsOf is the tenant whose calls are a batch job of each day, where that lever is pulled.
const (
	jobsOf   = "nightly"
	jobModel = "us.amazon.nova-pro-v1:0"
)

// jobs are batch jobs. The stand-in has none, so its answers to the records are written down as Bedrock does. It is the
// one that throttles nothing on demand.
type jobs struct {
	standIn *sandbox.Server
	prices  *record.PriceBook
	sku     record.SKU
	dir     string
	mu      sync.Mutex // guards days
	days    map[string][]string
}

// ask has the stand-in answer a record, past the gateway.
func (j *jobs) ask(t *testing.T, r *request) (hash uint64, ok bool) {
	_, text := r.call()
	text = `{"schemaVersion":"messages-v1",` + text[1:]
	target := wire.Target{Op: wire.OpInvoke, Model: r.Model}
	req := httptest.NewRequestWithContext(t.Context(), "POST", target.String(), strings.NewReader(text))
	req.Header.Set("Authorization", "Bearer "+sandbox.DefaultBearerToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Amzn-Bedrock-Request-Metadata", `{"`+jobsOf+`":"`+r.Talk+`"}`)
	res := httptest.NewRecorder()
	j.standIn.ServeHTTP(res, req)
	day := r.at().Format(time.DateOnly)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.days[day] = append(j.days[day], fmt.Sprintf(`{"recordId":%q,"modelInput":{"messages":[]},"modelOutput":%s}`, r.Talk,
		res.Body))
	return hashOf(answerOf(t, res.Body.Bytes())), res.Code == 200
}

// metered is what the command import batch would enter of all of them.
func (j *jobs) metered(t *testing.T) (rows []batchjob.Row) {
	t.Helper()
	for day, lines := range j.days {
		dir := filepath.Join(j.dir, "jobs", day, "abcdef123456")
		must(t, os.MkdirAll(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "input.jsonl.out"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "manifest.json.out"), fmt.Appendf(nil,
			`{"totalRecordCount":%d,"processedRecordCount":%[1]d,"successRecordCount":%[1]d,"errorRecordCount":0}`,
			len(lines)), 0o600))
		found, err := batchjob.Find(filepath.Join(j.dir, "jobs", day))
		must(t, err)
		at, err := time.Parse(time.DateOnly, day)
		must(t, err)
		for _, job := range found.Jobs {
			m, err := job.Meter(&batchjob.Terms{Tenant: jobsOf, Model: jobModel, SKU: j.sku, At: at, Prices: j.prices})
			must(t, err)
			rows = append(rows, m.Rows...)
		}
	}
	return rows
}
