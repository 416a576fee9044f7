//go:build !faults

package command

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
)

// Faults are the hooks of fault tests, which a program built without the tag
// faults does not have: it never kills itself, and its clock is the machine's.
func Faults() (meter.Crash, func() time.Time, error) { return nil, time.Now, nil }
