//go:build faults

package command

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
)

func TestClockFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var bad InvalidError
	if _, err := clockFrom(file); !errors.As(err, &bad) {
		t.Errorf("a file that is not there: %v", err)
	}
	set("soon")
	if _, err := clockFrom(file); !errors.As(err, &bad) {
		t.Errorf("no duration: %v", err)
	}
	set("+1000h\n")
	now, err := clockFrom(file)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want time.Duration) {
		t.Helper()
		if off := time.Until(now()); off < want-time.Hour || off > want+time.Hour {
			t.Errorf("the clock is off by %v, want %v", off, want)
		}
	}
	check(1000 * time.Hour)
	set("-500h")
	check(-500 * time.Hour)
	set("-")
	check(-500 * time.Hour)
}

func TestCrashAt(t *testing.T) {
	killed := 0
	crash, err := crashAt("after-end:3", func() { killed++ })
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		crash.At(meter.AfterStart)
		crash.At(meter.AfterEnd)
		if want := 0; n < 2 && killed != want || n >= 2 && killed != 1 {
			t.Errorf("killed %d times after %d", killed, n+1)
		}
	}
	if none, err := crashAt("", nil); none != nil || err != nil {
		t.Errorf("%v", err)
	}
	meter.Crash(nil).At(meter.AfterEnd)
	for _, bad := range []string{"after-end", "after-end:0", "nowhere:1", "after-end:x", ":1"} {
		if _, err := crashAt(bad, nil); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}
