// Package focus writes a report as a cost and usage file of FOCUS, the FinOps Open Cost and
// Usage Specification: https://focus.finops.org. A row is one class of usage of a tenant, a
// model and a price on one day.
package focus

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/celltext"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
)

// Version is one of the specification.
type Version string

// The versions. The text of 1.4 was not at hand: its file has what is in 1.2, without
// ProviderName and PublisherName, which 1.4 has no more, and with ServiceProviderName and
// HostProviderName, which took their place in 1.3 and are checked against that.
const (
	V12 Version = "1.2"
	V14 Version = "1.4"
)

// Options say who bills whom.
type Options struct {
	Version Version
	// Account is the billing account, "" for the root tenant of each row. Issuer is who
	// bills it: whoever runs the gateway.
	Account, Issuer string
	// Billed is for a file that stands alone. Without it BilledCost is 0, because AWS bills
	// the same use, and its own export beside this file would count it twice.
	Billed bool
}

// By are the columns that a report is grouped by for a file.
func By() []string {
	return []string{
		"day", "tenant", "root", "model", "base_model", "scope", "region", "tier", "latency", "context", "price_version",
		"class",
	}
}

// row is a row of a report with the parts of its key by name.
type row struct {
	*report.Row
	by map[string]string
	o  *Options
	charge
}

// charge is what a row is charged for.
type charge struct {
	category       string
	amount, list   *big.Rat // dollars
	price, listed  *big.Rat // of a pricing unit; nil for an adjustment
	quantity       *big.Rat // pricing units; nil for an adjustment
	unit, consumed string
}

// The categories of charges that there are.
const (
	usage      = "Usage"
	adjustment = "Adjustment"
)

// Write writes the rows of a report that is grouped by By, and returns how many rows of
// usage were left out because they have no price. It fails with report.ErrQuery on another
// version, else with what w fails with.
func Write(w io.Writer, o *Options, r *report.Report) (unpriced int, err error) {
	columns := columnsOf(o.Version)
	if columns == nil {
		return 0, fmt.Errorf("%w: there is no FOCUS version %q; there are %s and %s", report.ErrQuery, o.Version, V12, V14)
	}
	if !slices.Equal(r.By, By()) {
		return 0, fmt.Errorf("%w: rows of FOCUS are grouped by %s", report.ErrQuery, strings.Join(By(), ","))
	}
	out, names, numbers := csv.NewWriter(w), slices.Sorted(maps.Keys(columns)), costs()
	out.Write(names) //nolint:errcheck // Flush keeps it
	for i := range r.Rows {
		one := row{Row: r.Rows[i], by: map[string]string{}, o: o}
		for k, name := range r.By {
			one.by[name] = one.By[k]
		}
		charged, priced := one.of()
		if !priced {
			unpriced++
		}
		if !charged {
			continue
		}
		var cells []string
		for _, name := range names {
			cell := columns[name](&one)
			if numbers[name] == nil {
				cell = celltext.NoFormula(cell)
			}
			cells = append(cells, cell)
		}
		out.Write(cells) //nolint:errcheck // Flush keeps it
	}
	out.Flush()
	return unpriced, out.Error()
}

// of finds out what the row is charged for, and reports whether it is charged at all, and
// whether its price is known.
func (r *row) of() (charged, priced bool) {
	if r.by["class"] == "call" {
		return false, true
	}
	amount := r.Amount()
	if amount == nil {
		return false, false
	}
	r.amount = dollars(amount)
	r.list = r.amount
	if class := r.by["class"]; class == "other" || class == "fixed" || r.Correction != "" {
		r.category = adjustment
		return r.amount.Sign() != 0, true
	}
	r.category = usage
	n := new(big.Rat).SetInt64(r.Quantity())
	r.consumed, r.quantity, r.unit = n.RatString(), n, r.Unit.Name
	if r.Unit.Price == nil { // several prices: one charge
		r.quantity, r.unit = big.NewRat(1, 1), "Charges"
		r.price, r.listed = r.amount, r.amount
		return true, true
	}
	r.price, r.listed = dollars(r.Unit.Price), dollars(r.Unit.List)
	if r.unit == "Tokens" {
		const million = 1_000_000
		r.unit = "1000000 Tokens"
		r.quantity = new(big.Rat).Quo(n, big.NewRat(million, 1))
		r.price = r.price.Mul(r.price, big.NewRat(million, 1))
		r.listed = r.listed.Mul(r.listed, big.NewRat(million, 1))
	}
	r.list = new(big.Rat).Mul(r.quantity, r.listed)
	return true, true
}

func dollars(pico *big.Rat) *big.Rat {
	return new(big.Rat).Quo(pico, new(big.Rat).SetInt64(int64(money.Dollar)))
}

// number writes a number that has an end, "" for none.
func number(n *big.Rat) string {
	if n == nil {
		return ""
	}
	const most = 30
	text := n.FloatString(most)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// object writes a mapping as JSON, "" for an empty one.
func object(of map[string]string) string {
	if len(of) == 0 {
		return ""
	}
	text, _ := json.Marshal(of) // strings always encode
	return string(text)
}

const layout = "2006-01-02T15:04:05Z"

func (r *row) day() time.Time {
	day, _ := time.Parse(time.DateOnly, r.by["day"]) // the report wrote it
	return day
}
