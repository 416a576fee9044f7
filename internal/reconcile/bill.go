package reconcile

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/prices"
)

// Key is what is compared by day: a usage type, but for its region.
type Key struct {
	Model, Class, Tier string
	Global, Long       bool
}

// at is a key on a day (UTC).
type at struct {
	Key
	day string
}

// cell is what both sides have of a key on a day.
type cell struct {
	bill, gateway       int64
	billUSD, gatewayUSD float64 // only to find discounts: prices differ by percents
	first, last         int64   // of the gateway's, in the first and in the last hour
}

// Other is what a bill has beside calls through the gateway's endpoint.
type Other struct {
	Kind   Kind
	Detail string
	Lines  int
	usd    *big.Rat
}

// Bill is an export of AWS's bill for one month.
type Bill struct {
	Format string // CUR 2.0 or FOCUS
	Month  string
	Lines  int // of Bedrock
	last   string
	cells  map[at]*cell
	others map[string]*Other
	units  map[string]string // by usage type
	usage  *prices.Bill
	by     Attribution
	owners map[string]*owned
}

// ReadBill reads an export: CSV, gzipped or not, or Parquet, in the columns of CUR 2.0 or
// FOCUS. month is "" for the one that the file is of. It fails with ErrInput, and the
// place, for what is no such file, for units that do not fit, and for another month.
func ReadBill(path, month string, usage *prices.Bill, by Attribution) (*Bill, error) {
	b := &Bill{
		Month: month, cells: map[at]*cell{}, others: map[string]*Other{}, units: map[string]string{}, usage: usage,
		by: by, owners: map[string]*owned{},
	}
	if err := each(path, b.add); err != nil {
		return nil, err
	}
	if b.Lines == 0 {
		return nil, fmt.Errorf("%w: %s has no line of Amazon Bedrock", ErrInput, path)
	}
	return b, nil
}

// fields are those of a line, whatever the format.
type fields struct {
	product, usageType, kind, unit, amount, usd, start string
	names                                              []string
}

func (b *Bill) fields(l *line) (f fields, err error) {
	_, cur := l.cells["line_item_usage_type"]
	_, focus := l.cells["chargecategory"]
	switch {
	case cur:
		b.Format = "CUR 2.0"
		f = fields{
			product:   l.of("line_item_product_code") + " " + l.of("product_product_name", "product.product_name"),
			usageType: l.of("line_item_usage_type"), kind: l.of("line_item_line_item_type"),
			unit: l.of("pricing_unit"), amount: l.of("line_item_usage_amount"),
			usd: l.of("line_item_net_unblended_cost", "line_item_unblended_cost"), start: l.of("line_item_usage_start_date"),
			names: []string{l.of("product_product_name", "product.product_name"), l.of("product.model", "product_model"),
				l.of("product.titanmodel")},
		}
	case focus:
		b.Format = "FOCUS"
		f = fields{
			product:   l.of("servicename") + " " + l.of("x_servicecode"),
			usageType: l.of("x_usagetype", "skumeter"), kind: l.of("chargecategory"),
			unit: l.of("consumedunit", "pricingunit"), amount: l.of("consumedquantity", "pricingquantity"),
			usd: l.of("effectivecost", "billedcost"), start: l.of("chargeperiodstart"),
			names: []string{l.of("resourcename"), l.of("chargedescription"), l.of("servicename")},
		}
	default:
		return f, fmt.Errorf("%w: %s: neither line_item_usage_type of CUR 2.0 nor ChargeCategory of FOCUS is a column",
			ErrInput, l.where)
	}
	return f, nil
}

// add takes in a line.
func (b *Bill) add(l *line) error {
	f, err := b.fields(l)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.ToLower(f.product+f.usageType), "bedrock") && !strings.Contains(f.usageType, "-MP:") {
		return nil
	}
	b.Lines++
	day, err := b.day(l, f.start)
	if err != nil {
		return err
	}
	usd, ok := number(cmp.Or(f.usd, "0"))
	if !ok {
		return fmt.Errorf("%w: %s: the cost %q is no number", ErrInput, l.where, f.usd)
	}
	if kind := strings.ToLower(f.kind); kind != "usage" && kind != "discountedusage" {
		b.other(NoUsage, "lines of type "+f.kind, usd)
		return nil
	}
	if had, seen := b.units[f.usageType]; seen && had != f.unit {
		return fmt.Errorf("%w: %s: %s is in units of %q and of %q", ErrInput, l.where, f.usageType, had, f.unit)
	}
	b.units[f.usageType] = f.unit
	u, other, wrong := b.usage.Usage(f.usageType, f.unit, f.names...)
	switch {
	case other != "":
		b.other(kindOf(other), f.usageType+": "+other, usd)
		return nil
	case wrong != "":
		return fmt.Errorf("%w: %s: unit %q of %s: %s", ErrInput, l.where, f.unit, f.usageType, wrong)
	case u.Model == "":
		b.other(Unmapped, fmt.Sprintf("%s: no model is known as %q", f.usageType, u.Name), usd)
		return nil
	case u.Tier == "batch":
		b.other(Batch, f.usageType+": batches do not pass the gateway", usd)
		return nil
	}
	n, err := count(f.amount, u.PerMillion)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInput, l.where, err)
	}
	c := b.cell(at{Key{u.Model, u.Class, u.Tier, u.Global, u.Long}, day})
	c.bill += n
	o := b.owned(b.by.line(l))
	o.bill += n
	o.usd.Add(&o.usd, usd)
	dollars, _ := usd.Float64()
	c.billUSD += dollars
	b.last = max(b.last, day)
	return nil
}

func kindOf(other string) Kind {
	switch {
	case strings.Contains(other, "mantle"):
		return Mantle
	case strings.Contains(other, "not known"):
		return Unmapped
	}
	return Beside
}

func (b *Bill) cell(of at) *cell {
	if b.cells[of] == nil {
		b.cells[of] = &cell{}
	}
	return b.cells[of]
}

func (b *Bill) other(kind Kind, detail string, usd *big.Rat) {
	o := b.others[detail]
	if o == nil {
		o = &Other{Kind: kind, Detail: detail, usd: new(big.Rat)}
		b.others[detail] = o
	}
	o.Lines++
	o.usd.Add(o.usd, usd)
}

// day is the day of a line. All lines are of one month.
func (b *Bill) day(l *line, start string) (string, error) {
	var t time.Time
	err := fmt.Errorf("no time")
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02 15:04:05.000"} {
		if t, err = time.Parse(layout, start); err == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s: %q is no time", ErrInput, l.where, start)
	}
	month := t.UTC().Format("2006-01")
	if b.Month == "" {
		b.Month = month
	}
	if month != b.Month {
		return "", fmt.Errorf("%w: %s is of %s, and the month is %s", ErrInput, l.where, month, b.Month)
	}
	return t.UTC().Format(time.DateOnly), nil
}

// decimals are numbers as bills have them. A fraction, another base or a separator of thousands is something else.
var decimals = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?$`)

func number(text string) (*big.Rat, bool) {
	if !decimals.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// count is how many tokens, or what else is counted, an amount in units is. Files have
// binary fractions: what is nearest counts.
func count(amount string, perMillion int64) (int64, error) {
	n, ok := number(amount)
	switch {
	case !ok:
		return 0, fmt.Errorf("the amount %q is no number", amount)
	case n.Sign() < 0:
		return 0, fmt.Errorf("the amount %q is below zero", amount)
	}
	n.Mul(n, big.NewRat(1_000_000, perMillion))
	n.Add(n, big.NewRat(1, 2))
	whole := new(big.Int).Quo(n.Num(), n.Denom())
	if !whole.IsInt64() {
		return 0, fmt.Errorf("the amount %q is out of range", amount)
	}
	return whole.Int64(), nil
}

// Others are what the bill has beside what is compared, most dollars first.
func (b *Bill) Others() []*Other {
	var all []*Other
	for _, o := range b.others {
		all = append(all, o)
	}
	slices.SortFunc(all, func(x, y *Other) int {
		return cmp.Or(new(big.Rat).Abs(y.usd).Cmp(new(big.Rat).Abs(x.usd)), cmp.Compare(x.Detail, y.Detail))
	})
	return all
}

// Name is tier, scope and context of a key, for people.
func (k Key) Name() string {
	name := cmp.Or(k.Tier, "default")
	if k.Global {
		name += " global"
	}
	if k.Long {
		name += " long"
	}
	return name
}
