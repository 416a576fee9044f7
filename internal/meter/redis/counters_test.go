package redis

import (
	"reflect"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// everyCounter has another value in each counter.
func everyCounter() record.Counters {
	var c record.Counters
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(1_000_001 * (i + 1)))
	}
	return c
}

// tokenCounters are the counters that a row of a model billed by tokens can have in which all has a price: no other
// units, no cost of before version 3 of usage records, and nothing that a budget counted late.
func tokenCounters() record.Counters {
	c := everyCounter()
	c.Queries, c.Images, c.Milliseconds, c.Late, c.Withheld, c.Unpriced = 0, 0, 0, 0, 0, 0
	c.CostQuery, c.CostImage, c.CostSecond, c.CostCacheWrite = 0, 0, 0, 0
	return c
}
