package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

// recordCalls writes a journal of so many calls of 200 tenants, on four models that have a
// price and one that has none, over the days of this month.
func recordCalls(t *testing.T, dir string, calls int) {
	t.Helper()
	cfg, err := config.LoadPrices(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	prices, problems := record.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	m, err := meter.Open(t.Context(), meter.Options{
		Disk: journal.Dir(dir), Journal: journal.Options{Fsync: journal.FsyncOS}, Keep: time.Hour,
		Ledger: &embedded.State{}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	models := []string{"amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0",
		"anthropic.claude-sonnet-4-5-20250929-v1:0", "strange.model-v1:0"}
	random := rand.New(rand.NewPCG(7, 8))
	for range calls {
		root := fmt.Sprintf("t%03d", random.IntN(100))
		at := month.Add(time.Duration(random.Int64N(int64(now.Sub(month)) + 1)))
		id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String()
		model := models[random.IntN(len(models))]
		s := &record.Start{
			ID: id, RequestID: id, Root: root, Tenant: root + []string{"", "/team"}[random.IntN(2)], Key: "K",
			Op: wire.OpConverse, Model: model, SKU: record.SKU{Model: model, Region: "us-east-1"}, Path: "direct",
			Attempt: 1, EstimatedInput: 1000, MaxOutput: 1000, Hold: 1_000_000_000, At: at,
		}
		e := &record.End{
			ID: id, Outcome: record.Completed, Status: 200, Served: true, At: at, TokensCut: random.Int64N(2) * 500,
			Usage: wire.Usage{Input: wire.Known(random.Int64N(5000)), Output: wire.Known(random.Int64N(900))},
		}
		switch random.IntN(20) {
		case 0:
			e.Outcome, e.Usage = record.Unknown, wire.Usage{}
		case 1:
			e.Outcome, e.Usage, e.Served = record.Failed, wire.Usage{}, false
		case 2:
			e.Usage.CacheRead, e.Usage.CacheWrite5m = wire.Known(random.Int64N(9000)), wire.Known(random.Int64N(90))
			e.Wasted = true
		}
		if err := m.Begin(s); err != nil {
			t.Fatal(err)
		}
		if err := m.End(s, e, prices, &record.Booked{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReportAgainstJournal compares each cell of a report with an independent sum over the
// journal, in Python. SLUICE_REPORT_CALLS makes it another number of calls.
func TestReportAgainstJournal(t *testing.T) {
	if exec.Command("python3", "--version").Run() != nil {
		t.Skip("no Python")
	}
	calls := 3000
	if text := os.Getenv("SLUICE_REPORT_CALLS"); text != "" {
		var err error
		if calls, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	where := filepath.Join(dir, "data/journal")
	recordCalls(t, where, calls)
	file := filepath.Join(dir, "sluice.yaml")
	yaml := "upstream: {region: us-east-1, endpoint: sandbox}\ndata_dir: data\ntenants: [{id: t000}]\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out := harness.Run(t, 0, nil, "report", "--config", file, "--format", "json")
	t.Logf("the report over %d calls took %s", calls, time.Since(began).Round(time.Millisecond))
	var got, want []map[string]any
	read := func(text []byte, to any) {
		t.Helper()
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	read([]byte(out), &got)
	sums, err := exec.Command("python3", "journalsum/sum.py", where).Output()
	if err != nil {
		t.Fatal(err)
	}
	read(sums, &want)
	if len(got) != len(want) || len(got) < 100 {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	cells := 0
	for i, row := range want {
		without := fmt.Sprint(row["unpriced"]) != "0" && row["cost_usd"] == "0.00"
		for name, value := range row {
			charged := strings.HasSuffix(name, "_usd") && name != "wasted_usd" && name != "suspense_usd" &&
				name != "discount_usd"
			if without && charged {
				value = "" // M24
			}
			if fmt.Sprint(got[i][name]) != fmt.Sprint(value) {
				t.Fatalf("%s of %s is %v, want %v", name, row["tenant"], got[i][name], value)
			}
			cells++
		}
	}
	t.Logf("%d rows, %d cells", len(want), cells)
}
