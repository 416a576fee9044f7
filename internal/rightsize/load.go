package rightsize

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/simulate"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Row is what a root tenant used of one model and tier in one minute.
type Row struct {
	At                                                   time.Time
	Root, Model, Tier                                    string
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h int64 // tokens; Input is what no cache had
	Cost                                                 money.Pico
}

// Load is the minutes of one model. It is filled with Add; Report reads it.
type Load struct {
	tenant, model string
	find          func(string) (simulate.Model, error) // the list prices of a model
	rows          []Row
	waits         money.Total // cost of flex and batch, which capacity does not serve
	unpriced      int64       // tokens without a cost
	models        map[string]bool
}

// NewLoad is the load of a root tenant, "" for all, on the model whose id has a part.
func NewLoad(tenant, model string, find func(string) (simulate.Model, error)) *Load {
	return &Load{tenant: tenant, model: model, find: find, models: map[string]bool{}}
}

// Add adds a row if it is of the tenant and the model.
func (l *Load) Add(r Row) {
	if l.tenant != "" && r.Root != l.tenant || !strings.Contains(r.Model, l.model) {
		return
	}
	l.models[wire.ParseModelID(r.Model).Foundation] = true
	switch tokens := r.Input + r.Output + r.CacheRead + r.CacheWrite5m + r.CacheWrite1h; {
	case r.Tier == "flex" || r.Tier == "batch":
		l.waits.Add(r.Cost)
	case r.Cost == 0:
		l.unpriced += tokens
	default:
		l.rows = append(l.rows, r)
	}
}

// Offer is a kind of capacity and what it costs. Its use of a row says what of it needs capacity,
// and what the tokens of that cost.
type Offer struct {
	Name  string
	Unit  Unit
	Least int64 // units that are sold at least
	Terms []Term
	use   func(r *Row, list simulate.Model) Minute
	split bool // whether use needs the list prices
}

// ModelUnits are units of provisioned throughput. All input counts, also what a cache has: AWS
// says nothing else.
func ModelUnits(u Unit) Offer {
	return Offer{
		Name: fmt.Sprintf("model unit of %d input and %d output tokens a minute", u.Input, u.Output), Unit: u,
		use: func(r *Row, _ simulate.Model) Minute {
			return Minute{r.Input + r.CacheRead + r.CacheWrite5m + r.CacheWrite1h, r.Output, r.Cost}
		},
	}
}

// Hourly is a term whose price is for a unit and hour.
func Hourly(name string, price money.Pico) Term { return Term{name, whole(int64(price))} }

// reserved is how many tokens a minute are one unit of the tier reserved.
const reserved = 1000

// monthHours are the hours of a mean month.
const monthHours = 730

func monthly(price money.Pico) []Term {
	return []Term{{"by the month", big.NewRat(int64(price), monthHours)}}
}

// ReservedInput is input of the tier reserved, at a price of 1,000 tokens a minute for a month.
// AWS counts input and cache writes, and not what is read from a cache.
func ReservedInput(price money.Pico) Offer {
	return Offer{
		Name: "thousand reserved input tokens a minute (at least 100)", Unit: Unit{Input: reserved}, Least: 100,
		Terms: monthly(price), split: true,
		use: func(r *Row, list simulate.Model) Minute {
			return Minute{r.Input + r.CacheWrite5m + r.CacheWrite1h, 0, r.part(list, (*Row).inputAt)}
		},
	}
}

// ReservedOutput is the output of it.
func ReservedOutput(price money.Pico) Offer {
	return Offer{
		Name: "thousand reserved output tokens a minute (at least 10)", Unit: Unit{Output: reserved}, Least: 10,
		Terms: monthly(price), split: true,
		use: func(r *Row, list simulate.Model) Minute {
			return Minute{0, r.Output, r.part(list, (*Row).outputAt)}
		},
	}
}

// inputAt is what input and cache writes cost at list prices, times a million.
func (r *Row) inputAt(m simulate.Model) *big.Int {
	return total([2]int64{r.Input, int64(m.Rates.Input)}, [2]int64{r.CacheWrite5m, int64(m.Rates.CacheWrite5m)},
		[2]int64{r.CacheWrite1h, int64(m.Rates.CacheWrite1h)})
}

func (r *Row) outputAt(m simulate.Model) *big.Int {
	return total([2]int64{r.Output, int64(m.Rates.Output)})
}

func total(terms ...[2]int64) *big.Int {
	all := new(big.Int)
	for _, t := range terms {
		all.Add(all, new(big.Int).Mul(big.NewInt(t[0]), big.NewInt(t[1])))
	}
	return all
}

// part is the part of a row's cost that some of its tokens have, as their list prices say.
func (r *Row) part(m simulate.Model, of func(*Row, simulate.Model) *big.Int) money.Pico {
	all := total([2]int64{r.CacheRead, int64(m.Rates.CacheRead)})
	all.Add(all, r.inputAt(m)).Add(all, r.outputAt(m))
	if all.Sign() == 0 {
		return 0
	}
	cost := new(big.Int).Mul(big.NewInt(int64(r.Cost)), of(r, m))
	return money.Pico(cost.Quo(cost, all).Int64())
}

// ErrLoad is wrapped by errors about what there is to size.
var ErrLoad = errors.New("there is nothing to size")

// Report sizes each offer by the minutes from one time to another. It fails with ErrLoad when
// nothing was used then, or the model is none or several, and with an error of the list prices.
func (l *Load) Report(from, to time.Time, offers []Offer) (*Report, error) {
	models := slices.Sorted(maps.Keys(l.models))
	if len(models) > 1 {
		return nil, fmt.Errorf("%w: %q fits %s; --model takes one", ErrLoad, l.model, strings.Join(models, ", "))
	}
	l.rows = slices.DeleteFunc(l.rows, func(r Row) bool { return r.At.Before(from) || !r.At.Before(to) })
	if len(l.rows) == 0 {
		return nil, fmt.Errorf("%w: no minute with a cost has a call of %q from %s to %s", ErrLoad, l.model,
			from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	r := &Report{Model: models[0], Tenant: l.tenant, From: from, To: to}
	if l.waits.Sign() > 0 {
		r.Notes = append(r.Notes, "calls of the tiers flex and batch are left out: $"+l.waits.Rounded())
	}
	if l.unpriced > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d tokens have no price and are left out", l.unpriced))
	}
	for i := range offers {
		side, err := l.side(&offers[i], int64(to.Sub(from)/time.Minute))
		if err != nil {
			return nil, err
		}
		r.Sides = append(r.Sides, side)
	}
	return r, nil
}

// side is one offer: rows of one minute are one load.
func (l *Load) side(o *Offer, minutes int64) (Side, error) {
	byMinute, list := map[int64]*Minute{}, map[string]simulate.Model{}
	for i := range l.rows {
		r := &l.rows[i]
		if _, known := list[r.Model]; o.split && !known {
			m, err := l.find(r.Model)
			if err != nil {
				return Side{}, err
			}
			list[r.Model] = m
		}
		used := o.use(r, list[r.Model])
		sum := byMinute[r.At.Unix()/60]
		if sum == nil {
			sum = &Minute{}
			byMinute[r.At.Unix()/60] = sum
		}
		sum.Input, sum.Output, sum.Cost = sum.Input+used.Input, sum.Output+used.Output, sum.Cost+used.Cost
	}
	all := make([]Minute, 0, len(byMinute))
	for _, at := range slices.Sorted(maps.Keys(byMinute)) {
		all = append(all, *byMinute[at])
	}
	side := Side{Unit: o.Name, Curve: NewCurve(all, o.Unit, minutes)}
	for _, t := range o.Terms {
		side.Advice = append(side.Advice, side.Curve.Advise(t, o.Least))
	}
	return side, nil
}
