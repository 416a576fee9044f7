package simulate

import (
	"errors"
	"math/big"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Levers are how much of a workload is read from a cache or may wait. Shares lie in 0
// to 1, and a nil one is zero.
type Levers struct {
	CacheHit   *big.Rat // share of the input that is read from the prompt cache
	CacheWrite *big.Rat // share of the input that is written to it, for five minutes
	Batch      *big.Rat // share of the requests that go as batch jobs, which have no cache
}

// ErrLevers is a share of a lever out of range.
var ErrLevers = errors.New("--cache-hit and --cache-write together, and --batch, must be a share from 0 to 1")

func (l Levers) filled() Levers {
	for _, share := range []**big.Rat{&l.CacheHit, &l.CacheWrite, &l.Batch} {
		if *share == nil {
			*share = new(big.Rat)
		}
	}
	return l
}

func (l *Levers) check() error {
	one := big.NewRat(1, 1)
	if l.CacheHit.Sign() < 0 || l.CacheWrite.Sign() < 0 || sum(l.CacheHit, l.CacheWrite).Cmp(one) > 0 ||
		l.Batch.Sign() < 0 || l.Batch.Cmp(one) > 0 {
		return ErrLevers
	}
	return nil
}

// cost is what tokens cost on m, in pico-dollars. What has no batch price is asked at once.
func (l *Levers) cost(input, output *big.Rat, m Model) *big.Rat {
	one := big.NewRat(1, 1)
	fresh := less(one, sum(l.CacheHit, l.CacheWrite))
	perInput := sum(product(fresh, whole(int64(m.Rates.Input))), product(l.CacheHit, whole(int64(m.Rates.CacheRead))),
		product(l.CacheWrite, whole(int64(m.Rates.CacheWrite5m))))
	now := sum(product(input, perInput), product(output, whole(int64(m.Rates.Output))))
	if m.Batch != (record.TokenRates{}) {
		waits := sum(product(input, whole(int64(m.Batch.Input))), product(output, whole(int64(m.Batch.Output))))
		now = sum(product(less(one, l.Batch), now), product(l.Batch, waits))
	}
	const perPrice = 1_000_000 // tokens that a money.Price is for
	return product(now, big.NewRat(1, perPrice))
}

// LeverSheet says what the levers of a setup save on one model, and from when a cache pays.
// plain is the model in the tier without a lever.
func LeverSheet(w Workload, m, plain Model, s Setup) Sheet {
	s = filled(s)
	with := s.cost(w, m, big.NewRat(1, 1))
	bare := s
	bare.Levers = Levers{}.filled()
	without := bare.cost(w, plain, big.NewRat(1, 1))
	sheet := Sheet{Title: "levers on " + m.ID, Figures: []Figure{
		{"without levers", USD, without, ""},
		{"as asked", USD, with, ""},
	}}
	if without.Sign() > 0 {
		sheet.add("saving", Share, less(big.NewRat(1, 1), new(big.Rat).Quo(with, without)), "")
	}
	if s.Levers.Batch.Sign() > 0 && m.Batch == (record.TokenRates{}) {
		sheet.add("requests that may wait", Share, s.Levers.Batch, "the model has no batch price: asked at once")
	}
	if s.Levers.CacheHit.Sign() > 0 {
		sheet.addCache(m.Rates)
	}
	return sheet
}

// addCache adds from when writing a prefix to the cache pays. With w and r the prices of a
// write and of a read over that of fresh input, a prefix that is used n times costs
// (w + (n-1)r) / n of what it costs without; a share p of hits pays above (w-1)/(w-r).
func (sheet *Sheet) addCache(rates record.TokenRates) {
	if rates.Input == 0 || rates.CacheRead >= rates.Input {
		sheet.add("cache", Share, new(big.Rat), "the price book has no lower price of cached reads")
		return
	}
	of := func(n int64) *big.Rat { return big.NewRat(n, int64(rates.Input)) }
	one, r := big.NewRat(1, 1), of(int64(rates.CacheRead))
	sheet.add("1,000 tokens read from the cache", USD, product(whole(int64(rates.CacheRead)), big.NewRat(1, 1000)), "")
	sheet.add("a read is below fresh input by", Share, less(one, r), "")
	for _, ttl := range []struct {
		name  string
		write int64
	}{{"5 minutes", int64(rates.CacheWrite5m)}, {"1 hour", int64(rates.CacheWrite1h)}} {
		w := of(ttl.write)
		if w.Cmp(one) <= 0 {
			continue // no premium, or none that the book knows
		}
		sheet.add("a write for "+ttl.name+" costs", Times, w, "of fresh input")
		sheet.add("uses of a prefix from which it pays, "+ttl.name, Times, new(big.Rat).Quo(less(w, r), less(one, r)), "")
		sheet.add("share of hits above which it pays, "+ttl.name, Share, new(big.Rat).Quo(less(w, one), less(w, r)), "")
	}
}
