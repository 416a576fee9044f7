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
