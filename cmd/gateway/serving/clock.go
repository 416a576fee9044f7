package serving

import (
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
)

// clockVariable names a file with a duration by which the gateway's clock is off
// the machine's, such as +90s, for fault tests. It is read at every look at the
// clock, so that a test can step it while requests are under way. Signatures for
// AWS keep the machine's time: they would be refused.
const clockVariable = "SLUICE_CLOCK"

// clockFrom returns the clock that file sets off, time.Now for no file.
func clockFrom(file string) (func() time.Time, error) {
	if file == "" {
		return time.Now, nil
	}
	first, err := offset(file)
	if err != nil {
		return nil, command.Invalidf("%s: %w", clockVariable, err)
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
	return time.ParseDuration(strings.TrimSpace(string(text)))
}
