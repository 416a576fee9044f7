package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

func dollars(n int64) (t money.Total) {
	t.Add(money.Pico(n) * money.Dollar)
	return t
}

// TestSavings shows a saving only with what is known of it, and never without
// whether quality is bounded.
func TestSavings(t *testing.T) {
	tel, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tel.Metrics().WatchSavings(func() []saving.Saving {
		return []saving.Saving{
			{
				Cascade: "support", Spent: dollars(3), Counterfactual: dollars(2), Saved: dollars(-1), Low: dollars(-2),
				High: dollars(1), Interval: true, To: now,
				Quality: saving.Quality{Bound: true, Loss: 0.018, Confidence: 0.9, Issued: now.Add(-time.Hour)},
			},
			{Cascade: "young", Spent: dollars(1), NotMeasured: "too few", To: now},
		}
	})
	got := scrape(t, tel)
	for _, want := range []string{
		`sluice_cascade_spent_usd{cascade="support"} 3`, `sluice_cascade_escalation_alone_usd{cascade="support"} 2`,
		`sluice_cascade_saved_usd{cascade="support"} -1`, `sluice_cascade_saved_low_usd{cascade="support"} -2`,
		`sluice_cascade_saved_high_usd{cascade="support"} 1`,
		`sluice_cascade_certified{cascade="support"} 1`, `sluice_cascade_quality_loss_bound{cascade="support"} 0.018`,
		`sluice_cascade_quality_confidence{cascade="support"} 0.9`,
		`sluice_cascade_certificate_age_seconds{cascade="support"} 3600`,
		`sluice_cascade_spent_usd{cascade="young"} 1`, `sluice_cascade_certified{cascade="young"} 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if n := strings.Count(got, `cascade="young"`); n != 2 {
		t.Errorf("%d figures of a cascade of which two are known", n)
	}
}
