package awake

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var day = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

// TestTier says the windows of a call, and reads them again from the row of the hour and of the day.
func TestTier(t *testing.T) {
	f := func(began, ended time.Duration, tier string, windows ...time.Duration) {
		t.Helper()
		got := Tier("imported", day.Add(began), day.Add(ended))
		if got != tier || Plain(got) != "imported" {
			t.Errorf("%s to %s: %q, want %q", began, ended, got, tier)
		}
		var want []time.Time
		for _, w := range windows {
			want = append(want, day.Add(w))
		}
		for _, at := range []time.Time{day, day.Add(ended).Truncate(time.Hour)} {
			if diff := cmp.Diff(want, Windows(at, got)); diff != "" {
				t.Errorf("%s at %s: %s", got, at, diff)
			}
		}
	}
	const m = time.Minute
	f(0, 0, "imported@00:00", 0)
	f(637*m, 638*m, "imported@10:35", 635*m)
	f(637*m, 647*m, "imported@10:35-10:45", 635*m, 640*m, 645*m)
	f(598*m, 607*m, "imported@10:00-10:05", 600*m, 605*m) // from its hour on
	f(1439*m, 1439*m, "imported@23:55", 1435*m)
	f(640*m, 637*m, "imported@10:35", 635*m) // a clock that was set back
}

// FuzzWindows reads windows of any tier: they are of the day, whole, and no more than it has.
func FuzzWindows(f *testing.F) {
	for _, tier := range []string{"", "flex", "imported@10:35", "imported@10:35-10:45", "imported@10:45-10:35", "i@1-x"} {
		f.Add(tier)
	}
	f.Fuzz(func(t *testing.T, tier string) {
		all := Windows(day, tier)
		for i, at := range all {
			if at.Truncate(Window) != at || at.Before(day) || !at.Before(day.Add(24*time.Hour)) {
				t.Errorf("%q: window %s", tier, at)
			}
			if i > 0 && at != all[i-1].Add(Window) {
				t.Errorf("%q: %s follows %s", tier, at, all[i-1])
			}
		}
		if len(all) > 288 {
			t.Errorf("%q: %d windows", tier, len(all))
		}
	})
}
