package serving

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

func TestClockFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var bad command.InvalidError
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
