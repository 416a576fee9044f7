package http1

import (
	"testing"
	"time"
)

// TestRenew: a deadline is set anew when the one that is set is too early or too late for
// an exchange, and seldom between exchanges of one kind that follow each other.
func TestRenew(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := begin
	c := &conn{now: func() time.Time { return now }}
	set := 0
	read := func(within, bound time.Duration) time.Duration {
		c.until = now.Add(within)
		due, renewed := c.renew(c.readDue, bound)
		if renewed {
			set++
		} else if !due.Equal(c.readDue) {
			t.Fatal("another deadline that is not to be set")
		}
		c.readDue = due
		return due.Sub(now)
	}
	for range 1000 {
		now = now.Add(3 * time.Millisecond)
		if left := read(65*time.Minute, 65*time.Minute); left > 65*time.Minute || left < 64*time.Minute {
			t.Fatalf("%v are left of 65 minutes", left)
		}
	}
	if set != 1 {
		t.Errorf("set %d times in 3 s", set)
	}
	f := func(within, bound, least, most time.Duration) {
		t.Helper()
		if left := read(within, bound); left < least || left > most {
			t.Errorf("%v within %v: %v", bound, within, left)
		}
	}
	f(2*time.Second, 65*time.Minute, 2*time.Second, 2*time.Second) // much shorter than the one before
	now = now.Add(time.Second)
	f(2*time.Second, 65*time.Minute, 2*time.Second, 2*time.Second) // it would end in a second
	f(time.Hour, 5*time.Minute, 5*time.Minute, 338*time.Second)
	f(0, time.Minute, 0, 0)
	f(-time.Second, time.Minute, -time.Second, -time.Second) // its end is over
}
