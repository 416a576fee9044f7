package simulate

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// Alone is a workload on each model by itself, and the sheets of levers. See RunAlone.
type Alone struct {
	Workload Workload
	Setup    Setup
	Models   []Spend // Saving is against the dearest
	Sheets   []Sheet
}

// RunAlone is Run without a pair of models. The workload may be empty, when only sheets are
// asked for. It fails with ErrFactor or ErrLevers.
func RunAlone(w Workload, models []Model, s Setup) (*Alone, error) {
	s = filled(s)
	one := big.NewRat(1, 1)
	if s.Discount.Sign() < 0 || s.Discount.Cmp(one) >= 0 {
		return nil, ErrFactor
	}
	if err := s.Levers.check(); err != nil {
		return nil, err
	}
	a := &Alone{Workload: w, Setup: s}
	if w.Input+w.Output == 0 {
		return a, nil
	}
	dearest := new(big.Rat)
	costs := make([]*big.Rat, len(models))
	for i, m := range models {
		if costs[i] = s.cost(w, m, one); costs[i].Cmp(dearest) > 0 {
			dearest = costs[i]
		}
	}
	if dearest.Sign() == 0 {
		dearest = one
	}
	for i, m := range models {
		a.Models = append(a.Models, newSpend(m.ID, costs[i], dearest))
	}
	return a, nil
}

// WriteTable writes the result for people, with rounded amounts.
func (a *Alone) WriteTable(w io.Writer) error {
	var b strings.Builder
	if len(a.Models) > 0 {
		b.WriteString(headed(a.Workload, &a.Setup))
		lines := make([]line, len(a.Models))
		for i := range a.Models {
			lines[i] = line{name: a.Models[i].Model, spend: &a.Models[i]}
		}
		name, cost := widths(lines)
		for _, l := range lines {
			fmt.Fprintf(&b, "%-*s  %*s%s\n", name, l.name, cost, dollars(&l.spend.Cost), a.times(l.spend))
		}
	}
	for i := range a.Sheets {
		a.Sheets[i].write(&b)
	}
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	return err
}

// times says how many times the cheapest model one costs, "" when there is nothing to compare.
func (a *Alone) times(s *Spend) string {
	least := s.Cost.Rat()
	for i := range a.Models {
		if c := a.Models[i].Cost.Rat(); c.Sign() > 0 && c.Cmp(least) < 0 {
			least = c
		}
	}
	if len(a.Models) < 2 || least.Sign() == 0 {
		return ""
	}
	return fmt.Sprintf("  %10s", new(big.Rat).Quo(s.Cost.Rat(), least).FloatString(2)+" x")
}

// WriteJSON writes the result for programs.
func (a *Alone) WriteJSON(w io.Writer) error {
	out := struct {
		Requests int64       `json:"requests,omitempty"`
		Input    int64       `json:"input_tokens,omitempty"`
		Output   int64       `json:"output_tokens,omitempty"`
		Discount string      `json:"discount"`
		Models   []spendJSON `json:"models,omitempty"`
		Levers   []sheetJSON `json:"levers,omitempty"`
	}{
		a.Workload.Requests, a.Workload.Input, a.Workload.Output, a.Setup.Discount.RatString(), nil, jsonOf(a.Sheets),
	}
	for i := range a.Models {
		out.Models = append(out.Models, a.Models[i].json())
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
