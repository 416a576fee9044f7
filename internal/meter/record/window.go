package record

import "time"

// Unit is what a budget or limit counts.
type Unit uint8

// The units. Money is counted in nano-dollars, rounded up; one open call is one
// Concurrent.
const (
	UnitUSD Unit = iota
	UnitTokens
	UnitRequests
	UnitConcurrent
)

// Window is one budget or limit of one tenant in one stretch of time. Budgets
// charge the window in which a hold was taken, so a record names its windows.
type Window struct {
	Tenant string // whose budget it is: the caller's or one above it
	Unit   Unit
	Period string // minute, hour, day, month; "" for Concurrent
	// Start and End bound the window, End is exclusive. Both are zero for
	// Concurrent. They are instants; the budget's time zone decided on them.
	Start, End time.Time
}

// UTC returns the window with its bounds in UTC and whole seconds, so that equal
// windows are equal values.
func (w Window) UTC() Window {
	if w.Unit == UnitConcurrent || w.Start.IsZero() {
		w.Start, w.End = time.Time{}, time.Time{}
		return w
	}
	w.Start, w.End = time.Unix(w.Start.Unix(), 0).UTC(), time.Unix(w.End.Unix(), 0).UTC()
	return w
}

// Expiry is when a ledger may forget the window: long after no record can charge
// it any more. It is the zero time for Concurrent, which no record charges.
func (w Window) Expiry() time.Time {
	switch w.Period {
	case "minute":
		return w.End.Add(2 * time.Hour)
	case "hour":
		return w.End.Add(KeepHours)
	case "":
		return time.Time{}
	}
	return w.End.AddDate(0, 13, 0)
}
