package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

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

// PeriodSession is the period of the windows of a session, which are of a tenant that none can be called:
// TENANT//~SESSION.
const PeriodSession = "session"

// Window is one budget or limit of one tenant in one stretch of time. Budgets
// charge the window in which a hold was taken, so a record names its windows.
type Window struct {
	Tenant string // whose budget it is: the caller's or one above it
	Unit   Unit
	Period string // minute, hour, day, month, session; "" for Concurrent
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
	case PeriodSession:
		return w.End.Add(24 * time.Hour) // there may be very many
	case "":
		return time.Time{}
	}
	return w.End.AddDate(0, 13, 0)
}

const (
	// heldNone is the mark of a row whose calls no budget counts.
	heldNone = "-"
	// heldUnknown is in the corrections of a row without a mark, which records of an
	// older version made: in other records an empty mark means that the charges say it.
	heldUnknown = "="
)

// HeldBy is RowKey.Held of what has these charges: the budgets of an hour and longer
// that count it, each once, with a comma between; "-" for none.
func HeldBy(tenant string, charges []Charge) string {
	return (*Decoder)(nil).heldBy(tenant, charges)
}

func (d *Decoder) heldBy(tenant string, charges []Charge) string {
	var space, one [64]byte
	held := space[:0]
	for i := range charges {
		mark := charges[i].Window.appendMark(one[:0], tenant)
		if len(mark) == 0 || Holds(string(held), string(mark)) {
			continue
		}
		if len(held) > 0 {
			held = append(held, ',')
		}
		held = append(held, mark...)
	}
	if len(held) == 0 {
		return heldNone
	}
	return d.text(held)
}

// Holds reports whether a mark of a row is one of those in held.
func Holds(held, mark string) bool {
	for more := true; more; {
		var one string
		one, held, more = strings.Cut(held, ",")
		if one == mark {
			return true
		}
	}
	return false
}

// Mark is what a row of a tenant says of a budget that counts it: whose of the
// tenants on the path it is, its period, and by how many seconds its windows begin
// after those of UTC. Windows that follow each other have the same mark, except
// where clocks change: that a call is counted is what matters, and not in which of
// them. It is "" for limits and for budgets of a minute, which no row tells.
func (w Window) Mark(tenant string) string { return string(w.appendMark(nil, tenant)) }

// OwnMark is Mark in the rows of the tenant, or of the key, whose window it is.
func (w Window) OwnMark() string {
	tenant, _ := w.Owner()
	return w.Mark(tenant)
}

// Owner is whose the window is: a tenant, and the first of a line of keys, "" for none,
// whose own it is. Such a window is of a tenant that none can be called, TENANT//KEY.
func (w *Window) Owner() (tenant, key string) {
	tenant, key, _ = strings.Cut(w.Tenant, "//")
	return tenant, key
}

func (w *Window) appendMark(b []byte, tenant string) []byte {
	if w.Unit != UnitUSD || w.Start.IsZero() {
		return nil
	}
	start, shift := w.Start.Unix(), int64(0)
	switch w.Period {
	case "hour":
		shift = start % 3600
	case "day":
		const day = 24 * 3600
		if shift = start % day; shift > day/2 {
			shift -= day
		}
	case "month":
		near := w.Start.UTC().Add(16 * time.Hour) // no zone begins its months earlier
		shift = start - time.Date(near.Year(), near.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	default:
		return nil
	}
	whose := depthOn(tenant, w.Tenant)
	b = strconv.AppendUint(b, whose, 10)
	if whose == 0 {
		b = append(b, w.Tenant...) // it is not on the path
	}
	b = append(b, w.Period[0])
	if shift == 0 {
		return b
	}
	return strconv.AppendInt(b, shift, 10)
}

// CountLate is the correction by which a budget's window counts dollars that were
// spent before it could, in nano-dollars, or takes back some of that. Its row says
// so beside the spending that is counted. A writer that has leased of the window does
// not pay for it out of its leases: that is what the pair of charges says (see
// ledger.Batch.WindowSums). Its id, actor, reason and time are the caller's.
func CountLate(w Window, nanos int64) *Adjustment {
	hour := w.Start.UTC().Truncate(time.Hour)
	if hour.Before(w.Start) {
		hour = hour.Add(time.Hour)
	}
	charges := []Charge{{Window: w, Amount: nanos}}
	if nanos > 0 {
		charges = []Charge{{Window: w, Amount: nanos + 1}, {Window: w, Amount: -1}}
	}
	tenant, key := w.Owner()
	return &Adjustment{
		Root: RootOf(w.Tenant), Charges: charges,
		Row: RowKey{Hour: hour, Tenant: tenant, Key: key, Held: w.OwnMark()},
		Add: Counters{Late: money.Pico(nanos) * money.Nano},
	}
}
