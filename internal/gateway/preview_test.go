package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/explain"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// limitedBench has a tenant with a budget, and a limiter that holds it.
func limitedBench(t *testing.T, s *snapshot.Snapshot, script func(*engine.Request) reply) *bench {
	t.Helper()
	s.Config.Tenants[0].Budgets = []config.Budget{{Period: "month", USD: 1000 * money.Dollar, OnExceed: "reject"}}
	var err error
	if s.Budgets, err = budget.Compile(s.Config.Tenants); err != nil {
		t.Fatal(err)
	}
	ledger := &embedded.State{}
	m, err := meter.Open(t.Context(), meter.Options{Disk: journal.Dir(t.TempDir()), Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	_, id := m.Journal()
	b := newBench(s, script)
	b.line.asker.Limiter = budget.New(budget.Options{Leaser: ledger, Writer: id.Writer, Epoch: id.Epoch,
		Numbers: m.Numbers})
	return b
}

// TestPreviewIsWhatHappens compares what a preview says of requests with what
// the line then does: path, reason, and what each attempt holds of the budget.
func TestPreviewIsWhatHappens(t *testing.T) {
	const tools = `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":77},"toolConfig":{"tools":[{"toolSpec":{"name":"a","inputSchema":{"json":{}}}}]}}`
	const claude = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}`
	same := reply{text: "the answer is 42"}
	f := func(name, cascade string, op wire.Operation, body string, light reply, attempts int) {
		t.Helper()
		s := compiled(t, cascade)
		if s.Config.Cascades[0].Mode == "enforce" {
			certifiedAt(t, s, 1, asIs)
		}
		b := limitedBench(t, s, byModel(light, same, reply{text: "the answer is 42, too"}))
		p := explain.Explain(b.line.snapshots.Load(), &explain.Request{
			Op: op, Model: "auto", Body: []byte(body), Tenant: s.Tenants.Lookup("acme/support"), Now: time.Now(),
		})
		if p.Refused != nil || !p.Held {
			t.Fatalf("%s: %+v", name, p.Refused)
		}
		got := b.do(b.ask(t.Context(), op, body))
		b.line.Close(t.Context())
		if got.path != p.Path && got.path != "escalated" || got.path == "direct" && got.reason != p.Reason {
			t.Errorf("%s: %s %q, the preview says %s %q", name, got.path, got.reason, p.Path, p.Reason)
		}
		if len(b.books.starts) != attempts {
			t.Errorf("%s: %d attempts, want %d", name, len(b.books.starts), attempts)
		}
		for _, start := range b.books.starts {
			if start.Path == string(router.Shadow) {
				continue // held of another tenant's budget
			}
			want := p.Legs[start.Leg]
			if start.Model != want.Model || start.Path != want.Path || len(start.Charges) == 0 {
				t.Errorf("%s: leg %d is %s, path %s; the preview says %s, path %s", name, start.Leg, start.Model, start.Path,
					want.Model, want.Path)
			}
			for _, c := range start.Charges {
				held := money.Pico(c.Amount * 1000).String()
				if c.Window.Unit == record.UnitUSD && (want.Reserved.String() != "$"+held || held == "0") {
					t.Errorf("%s: %s holds %s dollars, the preview says %v", name, start.Model, held, want.Reserved)
				}
			}
		}
	}
	f("rules", "    mode: rules\n", wire.OpConverse, hello, same, 1)
	f("rules, light fails", "    mode: rules\n", wire.OpConverse, hello, reply{status: 500}, 3) // light twice
	f("rule", "    escalate_if: [{id: words, if: 'request.text.contains(\"hello\")'}]\n", wire.OpConverseStream, hello,
		same, 1)
	f("check", "    mode: check\n", wire.OpConverse, tools, same, 1)
	f("partner agrees", partnered+"    mode: check\n", wire.OpConverse, hello, same, 2)
	f("partner disagrees", partnered+"    mode: check\n", wire.OpConverseStream, hello, reply{text: "the answer is 41"}, 3)
	f("observe", "    mode: observe\n", wire.OpConverse, hello, same, 1)
	f("enforce", enforcing, wire.OpConverse, hello, same, 3) // with a shadow
	f("invoke of the other family", "    mode: check\n", wire.OpInvoke, claude, same, 1)
}
