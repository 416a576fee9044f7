package simulate

import (
	"errors"
	"fmt"
	"math/big"
)

// SeatsSheet is what a workload costs by seat, when so many people cause it.
func SeatsSheet(d Demand, seats int64) Sheet {
	sheet := Sheet{Title: fmt.Sprintf("%s seats on %s", grouped(fmt.Sprint(seats)), d.Model)}
	one := new(big.Rat).Quo(d.Cost, whole(seats))
	sheet.add(fmt.Sprintf("all seats, %d days", d.Days), USD, d.Cost, "")
	sheet.add(fmt.Sprintf("a seat, %d days", d.Days), USD, one, "")
	sheet.add("a seat, a twelfth of that", USD, product(one, big.NewRat(1, 12)), "")
	return sheet
}

// ErrChain is a chain with more calls or tokens than can be counted.
var ErrChain = errors.New("a chain has from 1 to 1,000 calls, and its tokens must be countable")

// Chained is w where each request is a chain of so many calls. Each call sends what the first
// did, and the answers of all calls before it. It fails with ErrChain.
func (w Workload) Chained(calls int64) (Workload, error) {
	if calls < 1 || calls > 1000 || max(w.Input, w.Output, w.Requests) > maxUsage/(calls*calls) {
		return Workload{}, ErrChain
	}
	return Workload{
		Requests: w.Requests * calls,
		Input:    w.Input*calls + w.Output*(calls*(calls-1)/2),
		Output:   w.Output * calls,
	}, nil
}

// ChainSheet compares a chain of calls with one call. With whole answers in each next call the
// cost grows faster than the number of calls.
func ChainSheet(one, chain Demand, calls int64) Sheet {
	sheet := Sheet{Title: fmt.Sprintf("chains of %d calls on %s", calls, one.Model)}
	sheet.add("one call", USD, one.Cost, "")
	sheet.add("calls that carry nothing over", USD, product(one.Cost, whole(calls)), "")
	sheet.add("calls that carry the answers before", USD, chain.Cost, "")
	if one.Cost.Sign() > 0 {
		sheet.add("over one call", Times, new(big.Rat).Quo(chain.Cost, one.Cost), "")
	}
	return sheet
}
