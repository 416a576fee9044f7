package statement

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Cost is a cost that no request carries, such as reserved capacity, and how it is
// split among tenants.
type Cost struct {
	Name string
	USD  money.Pico // may be negative: a credit
	// By is what a tenant's part is measured by: see Keys.
	By string
	// Below is the tenant below which it is split, "" for all that are closed.
	Below string
	// Ratios are the parts of tenants where By is ratios. They sum to 1.
	Ratios map[string]*big.Rat
	where  string
}

// Shared is what a statement has of a cost: its root's parts.
type Shared struct {
	Name  string `json:"name"`
	USD   string `json:"usd"` // the whole cost
	By    string `json:"by"`
	Below string `json:"below,omitempty"`
	Parts []Part `json:"parts"`
}

// Part is a tenant's part of a cost. The ratios of all parts, in all statements, sum to
// exactly 1 and the amounts to exactly the cost.
type Part struct {
	Tenant string `json:"tenant"`
	Ratio  string `json:"ratio"`
	USD    string `json:"usd"`

	usd money.Pico
}

// digits are those of a ratio behind the point, and whole is a ratio of 1.
const (
	digits = 12
	whole  = 1_000_000_000_000
)

// ByRatios is the key of costs whose ratios are given.
const ByRatios = "ratios"

// Keys are what costs can be split by: a column of usage, equal for the same to each
// tenant that used anything, or ratios.
func Keys() []string {
	return []string{
		"tokens", "input_tokens", "output_tokens", "requests", "guardrail_units", "usd", "equal", ByRatios,
	}
}

// measure is how much a tenant has of what a cost is split by. What it gave back does
// not make its part negative.
func measure(by string, c *record.Counters) *big.Int {
	var values []int64
	switch by {
	case "tokens":
		values = []int64{c.Input, c.Output, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h}
	case "input_tokens":
		values = []int64{c.Input, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h}
	case "output_tokens":
		values = []int64{c.Output}
	case "requests":
		values = []int64{c.Requests}
	case "guardrail_units":
		values = []int64{c.GuardrailUnits}
	case "usd":
		for _, class := range c.CostClasses() {
			values = append(values, int64(class))
		}
	default:
		values = []int64{1}
	}
	n := new(big.Int)
	for _, v := range values {
		n.Add(n, big.NewInt(v))
	}
	if n.Sign() < 0 {
		n.SetInt64(0)
	}
	return n
}

// ParseCosts reads a table with the columns name, usd and by, and optionally below and
// ratios ("acme/a=0.6 acme/b=0.4"). It fails with ErrInput and the line.
func ParseCosts(file string, r io.Reader) ([]Cost, error) {
	lines := csv.NewReader(r)
	lines.TrimLeadingSpace = true
	head, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: no table of shared costs: %w", ErrInput, file, err)
	}
	known := []string{"name", "usd", "by", "below", ByRatios}
	for i, column := range head {
		head[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(column, "\ufeff")))
		if !slices.Contains(known, head[i]) || slices.Contains(head[:i], head[i]) {
			return nil, fmt.Errorf("%w: %s:1: unknown or repeated column %q; there are %s", ErrInput, file, column,
				strings.Join(known, ", "))
		}
	}
	for _, needed := range known[:3] {
		if !slices.Contains(head, needed) {
			return nil, fmt.Errorf("%w: %s:1: there is no column %s", ErrInput, file, needed)
		}
	}
	var all []Cost
	for {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, file, err)
		}
		line, _ := lines.FieldPos(0)
		c, err := costOf(head, cells)
		if err != nil {
			return nil, fmt.Errorf("%w: %s:%d: %w", ErrInput, file, line, err)
		}
		if slices.ContainsFunc(all, func(had Cost) bool { return had.Name == c.Name && had.Below == c.Below }) {
			return nil, fmt.Errorf("%w: %s:%d: %s is there twice", ErrInput, file, line, c.Name)
		}
		c.where = fmt.Sprintf("%s:%d", file, line)
		all = append(all, c)
	}
}

func costOf(head, cells []string) (c Cost, err error) {
	for i, column := range head {
		text := strings.TrimSpace(cells[i])
		switch column {
		case "name":
			c.Name = text
		case "usd":
			c.USD, err = money.ParseDollars(text)
		case "by":
			c.By = strings.ToLower(text)
		case "below":
			c.Below = text
		case ByRatios:
			c.Ratios, err = parseRatios(text)
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", column, err)
		}
	}
	switch {
	case c.Name == "":
		return c, errors.New("the cost has no name")
	case !slices.Contains(Keys(), c.By):
		return c, fmt.Errorf("%q is nothing to split by; there are %s", c.By, strings.Join(Keys(), ", "))
	case (c.By == ByRatios) != (len(c.Ratios) > 0):
		return c, errors.New("by ratios needs ratios, and nothing else has them")
	}
	return c, nil
}

// parseRatios reads "acme/a=0.6 acme/b=0.4", exactly.
func parseRatios(text string) (map[string]*big.Rat, error) {
	all, sum := map[string]*big.Rat{}, new(big.Rat)
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ';' }) {
		tenant, number, found := strings.Cut(word, "=")
		ratio, ok := new(big.Rat).SetString(number)
		if !found || tenant == "" || !ok || ratio.Sign() < 0 || all[tenant] != nil {
			return nil, fmt.Errorf("%q is not TENANT=RATIO, or is there twice", word)
		}
		all[tenant] = ratio
		sum.Add(sum, ratio)
	}
	if len(all) > 0 && sum.Cmp(big.NewRat(1, 1)) != 0 {
		return nil, fmt.Errorf("the ratios sum to %s, not to 1", sum.FloatString(digits))
	}
	return all, nil
}

// Split splits costs among the tenants of the months that are closed together, and
// returns what each root's statement has of them, by root. No pico-dollar is lost: what
// rounding leaves goes to the largest remainders. It fails with ErrInput where nobody
// has anything of what a cost is split by.
func Split(costs []Cost, months []*Sums) (map[string][]Shared, error) {
	all := map[string][]Shared{}
	for i := range costs {
		c := &costs[i]
		tenants, weights := c.weights(months)
		total := new(big.Rat)
		for _, w := range weights {
			total.Add(total, w)
		}
		if total.Sign() == 0 {
			return nil, fmt.Errorf("%w: %s: %s cannot be split by %s: no tenant has any in the month",
				ErrInput, c.where, c.Name, c.By)
		}
		amounts, ratios := Apportion(int64(c.USD), weights, total), Apportion(whole, weights, total)
		for n, tenant := range tenants {
			root := record.RootOf(tenant)
			if at := len(all[root]) - 1; at < 0 || all[root][at].Name != c.Name || all[root][at].Below != c.Below {
				all[root] = append(all[root], Shared{Name: c.Name, USD: c.USD.String(), By: c.By, Below: c.Below})
			}
			one := &all[root][len(all[root])-1]
			usd := money.Pico(amounts[n])
			one.Parts = append(one.Parts, Part{Tenant: tenant, Ratio: decimals(ratios[n]), USD: usd.String(), usd: usd})
		}
	}
	return all, nil
}

// weights are the tenants that a cost is split among, in order, and how much each has.
func (c *Cost) weights(months []*Sums) (tenants []string, weights []*big.Rat) {
	sums := c.Ratios
	if c.By != ByRatios {
		sums = map[string]*big.Rat{}
		for tenant, n := range usageOf(months) {
			if c.Below == "" || record.Within(tenant, c.Below) {
				sums[tenant] = new(big.Rat).SetInt(measure(c.By, n))
			}
		}
	}
	for tenant := range sums {
		if sums[tenant].Sign() > 0 {
			tenants = append(tenants, tenant)
		}
	}
	slices.Sort(tenants)
	for _, tenant := range tenants {
		weights = append(weights, sums[tenant])
	}
	return tenants, weights
}

// usageOf are the sums of each tenant, without corrections of other months.
func usageOf(months []*Sums) map[string]*record.Counters {
	all := map[string]*record.Counters{}
	for _, s := range months {
		for i := range s.rows {
			key := &s.rows[i].key
			if key.Corrects != "" {
				continue
			}
			if all[key.Tenant] == nil {
				all[key.Tenant] = &record.Counters{}
			}
			if sum, fits := all[key.Tenant].Plus(s.rows[i].all); fits {
				*all[key.Tenant] = sum
			}
		}
	}
	return all
}

// Apportion divides n by weights into whole numbers that sum to n: what is left when
// all are rounded down goes, one each, to the largest remainders, and of equal ones to
// the first.
func Apportion(n int64, weights []*big.Rat, total *big.Rat) []int64 {
	parts, rest := make([]int64, len(weights)), make([]*big.Rat, len(weights))
	sign := int64(1)
	if n < 0 {
		sign, n = -1, -n
	}
	left := n
	for i, w := range weights {
		exact := new(big.Rat).Quo(w, total)
		exact.Mul(exact, new(big.Rat).SetInt64(n))
		floor := new(big.Int).Quo(exact.Num(), exact.Denom())
		parts[i] = floor.Int64()
		rest[i] = exact.Sub(exact, new(big.Rat).SetInt(floor))
		left -= parts[i]
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Or(rest[b].Cmp(rest[a]), cmp.Compare(a, b)) })
	for i := range int(left) {
		parts[order[i]]++
	}
	for i := range parts {
		parts[i] *= sign
	}
	return parts
}
