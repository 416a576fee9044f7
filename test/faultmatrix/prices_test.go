package faultmatrix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// byVersion reads the ledger's rows by price version.
func (w *world) byVersion() map[string]line {
	w.t.Helper()
	sum := account{}
	err := w.each(context.Background(), func(key record.RowKey, c record.Counters) error {
		sum.add(key.PriceVersion, lineOf(&c))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// TestRow18PricesChange doubles all prices while calls are in flight: every
// record has one version, and what its tokens cost at it.
func TestRow18PricesChange(t *testing.T) {
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 18, s, r.URL())
	w.run(1)
	g := w.gates[0]
	doubled := strings.NewReplacer("0.003\n", "0.006\n", "0.015", "0.03", "0.0003", "0.0006", "0.00375", "0.0075",
		"write_1h: 0.006", "write_1h: 0.012").Replace(priceBook)
	w.during(func() {
		for _, book := range []string{doubled, priceBook, doubled, priceBook, doubled} {
			w.pause(100*time.Millisecond, 300*time.Millisecond)
			w.write(filepath.Join(g.dir, "prices.yaml"), book)
			_ = g.cmd.Process.Signal(syscall.SIGHUP)
		}
		w.pause(300*time.Millisecond, 500*time.Millisecond)
	})
	g.stop()
	w.verify()
	versions, factors := w.byVersion(), map[int64]bool{}
	var sum tokens
	for version, l := range versions {
		sum = sum.plus(l.tokens)
		once := l.tokens.cost()
		switch l.cost.Cmp(once) {
		case 0:
			factors[1] = true
		default:
			if l.cost.Cmp(new(big.Int).Lsh(once, 1)) != 0 {
				t.Errorf("version %s: %+v cost %s, neither %s nor twice that", version, l.tokens, l.cost, once)
			}
			factors[2] = true
		}
	}
	if len(versions) != 2 || !factors[1] || !factors[2] {
		t.Errorf("versions %v", versions)
	}
	var truth tokens
	for _, b := range s.billed(t) {
		truth = truth.plus(billedFor(&b))
	}
	if sum != truth {
		t.Errorf("%+v counted, %+v billed", sum, truth)
	}
}

// TestRow18UnknownModel: a model without a price is counted as unpriced where it
// is allowed, and refused where it is not.
func TestRow18UnknownModel(t *testing.T) {
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 18, s, r.URL())
	w.limits = map[string]string{"acme/b": "budgets: [{period: month, usd: 1, on_exceed: reject}]"}
	w.run(1)
	call := func(tenant int) int {
		req, err := http.NewRequest(http.MethodPost,
			"http://"+w.gates[0].listen+"/model/anthropic.claude-nobody-v1:0/converse",
			strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":20}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tenantKeys(t)[tenant].Bearer)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if allowed, refused := call(0), call(1); allowed != 200 || refused != 403 {
		t.Errorf("status %d without a budget and %d with one", allowed, refused)
	}
	w.gates[0].stop()
	cmd := exec.Command(harness.Binary(t), "report", "--config", w.gates[0].config(), "--by", "tenant,model", "--format",
		"json")
	cmd.Env = append(os.Environ(), "SLUICE_ROOT_SECRET="+harness.RootSecret)
	out, err := cmd.Output()
	var rows []harness.Row
	if err != nil || json.Unmarshal(out, &rows) != nil || len(rows) != 1 || rows[0].Unpriced != 1 || rows[0].Output == 0 {
		t.Errorf("report %s %v", out, err)
	}
}

// TestRow18WrongUnit: a price book that is a thousand times off the one that it overrides
// is named by `gateway check`.
func TestRow18WrongUnit(t *testing.T) {
	s := startStandIn(t)
	w := newWorld(t, 18, s, "")
	g := w.gate()
	w.write(filepath.Join(g.dir, "off.yaml"), strings.Replace(priceBook, "per: thousand", "per: million", 1))
	g.configure(strings.Replace(w.yaml(), "prices: [prices.yaml]", "prices: [prices.yaml, off.yaml]", 1))
	cmd := exec.Command(harness.Binary(t), "check", "--config", g.config())
	cmd.Env = append(os.Environ(), "SLUICE_ROOT_SECRET="+harness.RootSecret)
	out, _ := cmd.CombinedOutput() // a warning or a mistake: either will do
	if !bytes.Contains(out, []byte("per thousand or per million?")) {
		t.Errorf("check says %s", out)
	}
}

// TestRow13Converse has guardrails look at calls, plain and streamed: they bill
// their units beside the model's tokens, alone when they block the input, and both
// when they block the output.
func TestRow13Converse(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 13, s, r.URL())
	w.run(2)
	for _, g := range w.gates {
		g.traffic(60, 4, func(rng *rand.Rand) ask {
			a := anything(rng)
			a.op, a.guarded = operations[rng.IntN(2)], true
			a.text = strings.Repeat("word ", 1+rng.IntN(900)) + [...]string{"", "#blockin", "#blockout", "#slow"}[rng.IntN(4)]
			a.leave = [...]int{-1, -1, -1, 100}[rng.IntN(4)]
			return a
		})
	}
	v := w.equal(10 * time.Second)
	blocked := 0
	for _, b := range v.billed {
		if b.GuardrailUnits == 0 {
			t.Errorf("call %s was not looked at", b.RequestID)
		}
		if b.Input+b.Output == 0 {
			blocked++
		}
	}
	if blocked == 0 || v.ledger.total().Units == 0 {
		t.Errorf("%d calls blocked, %d units in the ledger", blocked, v.ledger.total().Units)
	}
	w.healed(&y, began)
	t.Logf("row 13: %d units, %d inputs blocked; %s", v.ledger.total().Units, blocked, &y)
}

// TestRow13Guardrail counts the text units of guardrails that stand alone.
func TestRow13Guardrail(t *testing.T) {
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 13, s, r.URL())
	w.limits = map[string]string{"acme/a": "operations: [apply-guardrail, invoke-guardrail-checks]"}
	w.run(1)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			text := strings.Repeat("x", 200*i)
			path := "/guardrail/abcdefgh/version/1/apply"
			body := fmt.Sprintf(`{"source":"INPUT","content":[{"text":{"text":%q}}]}`, text)
			if i%2 == 0 {
				path, body = "/guardrail-checks/invoke", fmt.Sprintf(`{"checks":{"contentFilter":{},"sensitiveInformation":{}},`+
					`"messages":[{"role":"user","content":[{"text":%q}]}]}`, text)
			}
			req, _ := http.NewRequest(http.MethodPost, "http://"+w.gates[0].listen+path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+tenantKeys(t)[0].Bearer)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		})
	}
	all.Wait()
	w.gates[0].stop()
	data, err := os.ReadFile(s.served)
	if err != nil {
		t.Fatal(err)
	}
	var billed, counted int64
	for text := range strings.Lines(string(data)) {
		var one struct {
			Units int64 `json:"guardrail_units"`
		}
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatal(err)
		}
		billed += one.Units
	}
	if err := w.each(context.Background(), func(_ record.RowKey, c record.Counters) error {
		counted += c.GuardrailUnits
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if billed == 0 || counted != billed {
		t.Errorf("%d text units counted, %d billed", counted, billed)
	}
}
