package record

import "github.com/sluice-gateway/sluice/internal/money"

// TokenRates are what a million tokens of each class cost. A cache class that
// the book does not list has the input price: without a cache the tokens would
// be plain input.
type TokenRates struct {
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h money.Price
}

// TokenRates returns the listed rates, for what-if arithmetic: calls are billed
// by Meter.End alone. It is false when the input or the output of the model has
// no price, or p is nil.
func (p *Price) TokenRates() (TokenRates, bool) {
	if p == nil {
		return TokenRates{}, false
	}
	orInput := func(r rate) money.Price {
		if r.listed {
			return r.price
		}
		return p.input.price
	}
	return TokenRates{
		Input: p.input.price, Output: p.output.price, CacheRead: orInput(p.cacheRead),
		CacheWrite5m: orInput(p.cacheWrite5m), CacheWrite1h: orInput(p.cacheWrite1h),
	}, p.input.listed && p.output.listed
}
