package record

import (
	"math"
	"reflect"
	"testing"
)

// TestPlusCoversEveryField fails when a counter is added to the struct and not
// to the sums.
func TestPlusCoversEveryField(t *testing.T) {
	var one, two Counters
	for i := range reflect.TypeFor[Counters]().NumField() {
		reflect.ValueOf(&one).Elem().Field(i).SetInt(int64(i + 1))
		reflect.ValueOf(&two).Elem().Field(i).SetInt(int64(2 * (i + 1)))
	}
	got, ok := one.Plus(one)
	if !ok || got != two {
		t.Errorf("sum is %+v, %v", got, ok)
	}
	for i := range reflect.TypeFor[Counters]().NumField() {
		var c Counters
		reflect.ValueOf(&c).Elem().Field(i).SetInt(math.MaxInt64)
		if _, ok := c.Plus(one); ok {
			t.Errorf("field %d overflows and nobody notices", i)
		}
		if c.Storable() {
			t.Errorf("field %d is storable at %d", i, math.MaxInt64)
		}
	}
}
