package commitment

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// steady spends a dollar an hour on each of two models, at 20 % off the list, since January.
type steady struct{ now time.Time }

func (s steady) Rows(
	_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	for h := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); h.Before(s.now); h = h.Add(time.Hour) {
		if h.Before(from) || !h.Before(to) {
			continue
		}
		for _, model := range []string{"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"} {
			err := yield(record.RowKey{Hour: h, Tenant: "a", Model: model},
				record.Counters{Legs: 1, CostInput: money.Dollar * 8 / 10, Discount: money.Dollar * 2 / 10})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// TestPage: drawdown is at list price, the shortfall what a steady pace leaves.
func TestPage(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	c := &config.Commitment{
		USD: 20_000_000, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	p, err := Read(t.Context(), steady{now}, c, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	const hours = 181 * 24
	if p.List.String() != "8688.00" || p.Net.String() != "6950.40" || p.Promised.String() != "20000000.00" {
		t.Errorf("%s %s of %s for %d hours", p.List.String(), p.Net.String(), p.Promised.String(), hours)
	}
	const whole = 2.0 * 365 * 24
	if !p.Known || !p.Bounded || p.Mid < whole-2 || p.Mid > whole+2 || p.Low > p.Mid || p.High < p.Mid {
		t.Errorf("forecast %f to %f to %f, want %f", p.Low, p.Mid, p.High, whole)
	}
	if len(p.Providers) != 2 || p.Providers[0].List.String() != "4344.00" || p.Providers[0].Name != "amazon" {
		t.Errorf("%+v", p.Providers)
	}
	for format, want := range map[string]string{
		"markdown": "| spent at list price | 8688.00 |", "html": "<td>spent at list price</td><td>8688.00</td>",
		"json": `"list_usd": "8688.00"`,
	} {
		var b strings.Builder
		if err := Write(&b, format, []*Page{p}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v %s", format, err, b.String())
		}
	}
	if err := Write(&strings.Builder{}, "xml", nil); err == nil {
		t.Error("xml")
	}
}

// TestPromised: a promise may be of any size that the configuration takes.
func TestPromised(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	p, err := Read(t.Context(), steady{now}, &config.Commitment{USD: 1_000_000_000_000, From: now, To: now}, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Promised.String(); got != "1000000000000.00" {
		t.Error(got)
	}
}

// TestPromiseCountsCapacity: what capacity costs counts towards a promise, used or not, and goes on until its end or
// that of the term; an imported model goes on as before.
func TestPromiseCountsCapacity(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	c := &config.Commitment{
		USD: 200_000, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	f := func(capacity config.Capacity, b books, fixed string, further float64) {
		t.Helper()
		plain, err := Read(t.Context(), steady{now}, c, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		p := *plain
		p.Providers = append([]Provider{}, plain.Providers...)
		bills, err := Bills(t.Context(), b, []config.Capacity{capacity}, Query{From: p.From, To: p.To, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		p.AddFixed(bills)
		if p.Fixed.String() != fixed || p.Providers[0].Name != "amazon" {
			t.Errorf("%s: %s, want %s, %+v", capacity.Name, p.Fixed.String(), fixed, p.Providers)
		}
		var paid money.Total
		paid.AddTotal(&p.List)
		paid.SubTotal(&plain.List)
		diff := p.Mid - plain.Mid - usdOf(bills[0].Cost) - further
		if paid.String() != fixed || diff < -0.01 || diff > 0.01 {
			t.Errorf("%s: the list price is %s more, the forecast %f off", capacity.Name, paid.String(), diff)
		}
	}
	const daily = 2 * 30 * 24.0
	f(floor(), nil, "41760.00", daily*184) // 29 days of June
	ends := floor()
	ends.To = dayOf(9, 30)
	f(ends, nil, "41760.00", daily*92)
	later := floor()
	later.From = dayOf(12, 1)
	f(later, nil, "0.00", daily*31)
	own := config.Capacity{Name: "own", Kind: config.CapacityImported, ARN: floorARN, Models: floor().Models,
		Units: 8, Copies: 1, Minute: money.Dollar / 10, From: dayOf(6, 1)}
	var b books
	b.use(dayOf(6, 10), "a", 10, 10)
	b[0].key.Tier = "imported@00:00"
	f(own, b, "4.00", 4*184.0/30)
}
