package gateway

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestSavingsOfLine takes requests down the line until the escalation model's
// length is known, and works the figures out from the price books: Nova Lite at
// 0.06 and 0.24, Sonnet 4.5 of the geo profile at 3.30 and 16.50 dollars per
// million tokens.
func TestSavingsOfLine(t *testing.T) {
	s := compiled(t, "    mode: check\n")
	b := newBench(s, byModel(reply{text: "light", output: 1000}, reply{}, reply{text: "strong", output: 20}))
	for range saving.MinAnswers {
		b.do(b.ask(t.Context(), wire.OpConverse, hello))
	}
	if got := b.line.Savings(time.Now())[0]; got.NotMeasured == "" || got.Light != saving.MinAnswers {
		t.Errorf("without an answer of the escalation model: %q, %d light", got.NotMeasured, got.Light)
	}
	b.upstream.script = byModel(reply{stop: "content_filtered"}, reply{}, reply{text: "strong", output: 20})
	for range saving.MinAnswers {
		b.do(b.ask(t.Context(), wire.OpConverse, hello))
	}
	b.line.Close(t.Context()) // waits for the legs that were left behind
	got := b.line.Savings(time.Now())[0]
	// Light: 30 calls of 10 + 1000 tokens. Escalated: 30 of 10 + 5 by the light
	// model and 30 of 10 + 20 by the other.
	if got.Escalation != escalationModel || got.Requests != 2*saving.MinAnswers || got.Answers != saving.MinAnswers {
		t.Errorf("%+v", got)
	}
	if alone := got.Counterfactual.String(); alone != "0.02178" { // 60 * (10 * 3.30 + 20 * 16.50) / 10⁶
		t.Errorf("the escalation model alone would have cost %s", alone)
	}
	if total := got.Spent.String(); total != "0.018162" { // 30 * (240.6 + 1.8 + 363) / 10⁶
		t.Errorf("spent %s", total)
	}
}
