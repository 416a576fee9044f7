package simulate

import (
	"fmt"
	"math/big"
)

// Imported is a model of Custom Model Import: copies that are awake are paid by the minute,
// in windows of five.
type Imported struct {
	Units  int64    // custom model units of one copy
	Copies int64    // that are awake at once
	Awake  *big.Rat // hours of a day in which they are
}

// window is the least time, in minutes, for which a copy is paid once a call has woken it.
const window = 5

// ImportedSheet is what an imported model costs. With a demand it says from how many tokens an
// hour it is cheaper than that model on demand.
func ImportedSheet(m Imported, prices UnitPrices, days int64, d *Demand) Sheet {
	sheet := Sheet{Title: fmt.Sprintf("custom model import: %d units a copy, copies %d", m.Units, m.Copies)}
	minute := product(whole(m.Units), prices.rat(CustomUnitMinute))
	hour := product(minute, whole(60))
	all := product(hour, whole(m.Copies))
	sheet.add("a lone call", USD, product(minute, whole(window)), "five minutes of one copy are the least")
	sheet.add("a copy, an hour", USD, hour, "")
	sheet.add("a copy, 24 hours", USD, product(hour, whole(24)), "")
	sheet.add(fmt.Sprintf("all copies, days %d, awake %s hours", days, m.Awake.FloatString(1)), USD,
		product(all, m.Awake, whole(days)), "")
	sheet.add(fmt.Sprintf("all copies, %d hours", monthHours), USD, product(all, whole(monthHours)),
		"a mean month, always awake")
	sheet.add("storage, a month", USD, product(whole(m.Units), prices.rat(CustomUnitMonth)), "by unit, not by gigabyte")
	if d == nil {
		return sheet
	}
	if perToken := d.perToken(); perToken != nil {
		sheet.add("cheaper from tokens an hour", Count, new(big.Rat).Quo(all, perToken), "than "+d.Model+" on demand")
	}
	return sheet
}
