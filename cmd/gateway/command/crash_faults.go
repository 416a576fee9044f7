//go:build faults

package command

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
)

// The variables that fault tests set. SLUICE_CRASH_AT is the point, "NAME:N", at
// which the process kills itself when it passes it for the Nth time. SLUICE_CLOCK
// names a file with a duration by which the gateway's clock is off the machine's,
// such as +90s. It is read at every look at the clock, so that a test can step it
// while requests are under way. Signatures for AWS keep the machine's time: they
// would be refused.
const (
	crashVariable = "SLUICE_CRASH_AT"
	clockVariable = "SLUICE_CLOCK"
)

// Faults are the hooks that fault tests ask for.
func Faults() (meter.Crash, func() time.Time, error) {
	crash, err := crashAt(os.Getenv(crashVariable), killSelf)
	if err != nil {
		return nil, nil, err
	}
	now, err := clockFrom(os.Getenv(clockVariable))
	return crash, now, err
}

// killSelf ends the process as a crash would: nothing is flushed.
func killSelf() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // nothing is left to do about it
	select {}
}

// points are those of package meter. Constant.
var points = []string{
	meter.BeforeStart, meter.AfterStart, meter.AfterReserve, meter.AfterDispatch, meter.FirstByte, meter.UsageFrame,
	meter.AfterEnd, meter.ApplySent, meter.ApplyReply, meter.AfterAdjust,
}

// crashAt returns a Crash that calls kill when the point of spec, "NAME:N", is
// passed for the Nth time, counted from 1. An empty spec is nil.
func crashAt(spec string, kill func()) (meter.Crash, error) {
	if spec == "" {
		return nil, nil
	}
	name, number, _ := strings.Cut(spec, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || !slices.Contains(points, name) {
		return nil, Invalidf("%s=%q: want NAME:N with NAME one of %s", crashVariable, spec,
			strings.Join(points, ", "))
	}
	var passed atomic.Int64
	return func(point string) {
		if point == name && passed.Add(1) == n {
			kill()
		}
	}, nil
}

// clockFrom returns the clock that file sets off, time.Now for no file.
func clockFrom(file string) (func() time.Time, error) {
	if file == "" {
		return time.Now, nil
	}
	first, err := offset(file)
	if err != nil {
		return nil, Invalidf("%s: %w", clockVariable, err)
	}
	var last atomic.Int64
	last.Store(int64(first))
	return func() time.Time {
		if off, err := offset(file); err == nil { // else the file is being written
			last.Store(int64(off))
		}
		return time.Now().Add(time.Duration(last.Load()))
	}, nil
}

func offset(file string) (time.Duration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return offset, nil
}
