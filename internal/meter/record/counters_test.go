package record

import (
	"math"
	"reflect"
	"slices"
	"strings"
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

// TestColumnsCoverRows: a correction can set every column that a row has (M23).
func TestColumnsCoverRows(t *testing.T) {
	var key RowKey
	var add Counters
	for _, name := range Columns() {
		if err := SetColumn(&key, &add, name+"=-7"); err != nil {
			t.Error(err)
		}
	}
	for _, v := range []reflect.Value{reflect.ValueOf(key), reflect.ValueOf(add)} {
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !slices.Contains([]string{"Hour", "Held", "Corrects", "Late", "Withheld"}, name) {
				t.Errorf("no column sets %s", name)
			}
		}
	}
	if got := len(add.Values()); got != len(add.values())-2 {
		t.Errorf("%d values of %d", got, len(add.values()))
	}
	if key.Tenant != "-7" || add.Input != -7 || add.CostInput != -7_000_000_000_000 {
		t.Errorf("%+v %+v", key, add)
	}
	for _, bad := range []string{"", "input_tokens", "nonsense=1", "input_tokens=1.5", "input_usd=much", "requests="} {
		if err := SetColumn(&key, &add, bad); err == nil || !strings.Contains(err.Error(), strings.SplitN(bad, "=", 2)[0]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
