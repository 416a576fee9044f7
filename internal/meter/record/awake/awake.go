// Package awake is in which windows of five minutes an imported model was awake, as rows of the ledger say it: behind
// their tier, because rows are of hours, and of days later on.
package awake

import (
	"strings"
	"time"
)

// Window is what AWS bills an imported model by, each copy that is awake.
const Window = 5 * time.Minute

const (
	mark   = "@"
	clock  = "15:04"
	joiner = "-"
)

// Tier is the tier of a row with the windows in which a call ran, in UTC: "imported@10:35", or "imported@10:35-10:40"
// with the first and the last one. A row is of one hour, so that a call that began in another counts from its hour on.
func Tier(tier string, began, ended time.Time) string {
	last := ended.UTC().Truncate(Window)
	first := began.UTC().Truncate(Window)
	if hour := last.Truncate(time.Hour); first.Before(hour) {
		first = hour
	}
	if !first.Before(last) {
		return tier + mark + last.Format(clock)
	}
	return tier + mark + first.Format(clock) + joiner + last.Format(clock)
}

// Plain is the tier of a row without its windows.
func Plain(tier string) string {
	plain, _, _ := strings.Cut(tier, mark)
	return plain
}

// Windows are the beginnings of the windows that a row of a day says, none where its tier says none that can be.
func Windows(day time.Time, tier string) []time.Time {
	_, of, _ := strings.Cut(tier, mark)
	from, to, several := strings.Cut(of, joiner)
	first, err := time.Parse(clock, from)
	if err != nil {
		return nil
	}
	last := first
	if several {
		if last, err = time.Parse(clock, to); err != nil {
			return nil
		}
	}
	var all []time.Time
	midnight := day.UTC().Truncate(24 * time.Hour)
	for ; !first.After(last); first = first.Add(Window) {
		since := time.Duration(first.Hour())*time.Hour + time.Duration(first.Minute())*time.Minute
		all = append(all, midnight.Add(since.Truncate(Window)))
	}
	return all
}
