package commitment

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
)

// windowsNote says what AWS counts otherwise.
const windowsNote = "Windows are those of the clock in which a call ran. AWS begins them with the first call, " +
	"so that a time awake may have one more or less."

// storageSuffix follows the name of an imported model in the bill of its storage.
const storageSuffix = " storage"

// inWindows reports whether a block is paid by the windows in which it is awake.
func inWindows(c *config.Capacity) bool { return c.Minute > 0 }

// withStorage puts the storage of imported models behind what they cost awake: it is paid by the month, used or not.
func withStorage(all []config.Capacity) []config.Capacity {
	lines := make([]config.Capacity, 0, len(all))
	for _, c := range all {
		lines = append(lines, c)
		if inWindows(&c) && c.Month > 0 {
			c.Name, c.Minute = c.Name+storageSuffix, 0
			lines = append(lines, c)
		}
	}
	return lines
}

// wake adds what a row of an imported model says: in which windows a call ran, and its tokens in equal parts. A call
// that failed woke nothing. Of one whose outcome is unknown nobody knows the tokens, but the model was awake.
func (u *usage) wake(k *record.RowKey, c *record.Counters) {
	t := served(c)
	if t.Input <= 0 && t.Output <= 0 && c.Unknown <= 0 {
		return
	}
	windows := awake.Windows(k.Hour, k.Tier)
	for i, at := range windows {
		rows, left := u.rows(at), int64(len(windows)-i)
		part := Tokens{t.Input / left, t.Output / left}
		t = Tokens{t.Input - part.Input, t.Output - part.Output}
		if part.Input > 0 || part.Output > 0 {
			rows[*k] = Tokens{rows[*k].Input + part.Input, rows[*k].Output + part.Output}
		}
	}
}

// shareWindows shares out each window in which the model was awake.
func (u *usage) shareWindows(b *Bill) {
	cost := rated(b.Minute, b.Units*b.Copies, awake.Window, time.Minute)
	for _, at := range slices.SortedFunc(maps.Keys(u.spans), time.Time.Compare) {
		if at.Before(b.From.Truncate(awake.Window)) || !at.Before(b.To) {
			continue
		}
		b.Windows++
		b.share(u.spans[at], at, awake.Window, cost)
	}
}
