package simulate

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/money"
)

// The names of unit prices.
const (
	CustomUnitMinute = "custom-unit-minute" // a custom model unit for a minute
	CustomUnitMonth  = "custom-unit-month"  // storing one for a month
	OCUHour          = "ocu-hour"           // a compute unit of OpenSearch Serverless for an hour
	GBMonth          = "gb-month"           // a gigabyte in S3 for a month
	GuardrailUnit    = "guardrail"          // a text unit of each guardrail policy
)

// UnitPrices are prices of what is no token, by name.
type UnitPrices map[string]money.Pico

// DefaultUnitPrices are those of us-east-1 that no price book has: custom model import as AWS
// lists it in late 2026, OpenSearch Serverless and S3 as the price document has them.
func DefaultUnitPrices() UnitPrices {
	return UnitPrices{
		CustomUnitMinute: 57_180 * money.Dollar / 1_000_000,
		CustomUnitMonth:  195 * money.Dollar / 100,
		OCUHour:          24 * money.Dollar / 100,
		GBMonth:          23 * money.Dollar / 1000,
	}
}

// ErrUnitPrice is wrapped by errors about a unit price.
var ErrUnitPrice = errors.New("a unit price is NAME=USD")

// Set reads "ocu-hour=0.24". It fails with ErrUnitPrice.
func (p UnitPrices) Set(text string) error {
	name, amount, _ := strings.Cut(text, "=")
	if _, known := p[name]; !known && name != GuardrailUnit {
		names := append(slices.Sorted(maps.Keys(DefaultUnitPrices())), GuardrailUnit)
		return fmt.Errorf("%w, not %q; the names are %s", ErrUnitPrice, text, strings.Join(names, ", "))
	}
	price, err := money.ParseDollars(amount)
	if err != nil || price < 0 {
		return fmt.Errorf("%w: %q is no amount of dollars", ErrUnitPrice, amount)
	}
	p[name] = price
	return nil
}

func (p UnitPrices) rat(name string) *big.Rat { return whole(int64(p[name])) }
