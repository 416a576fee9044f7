package meter

// Points at which a fault test can kill the process. Those between BeforeStart
// and AfterEnd belong to one call, in this order; the gateway passes the ones
// that the meter does not see.
const (
	BeforeStart   = "before-start"
	AfterStart    = "after-start"
	AfterReserve  = "after-reserve"
	AfterDispatch = "after-dispatch"
	FirstByte     = "first-byte"
	UsageFrame    = "usage-frame"
	AfterEnd      = "after-end"
	ApplySent     = "apply-sent"
	ApplyReply    = "apply-reply"
	AfterAdjust   = "after-adjust" // of a command: an adjustment is in its journal
)

// Crash is called with the name of each point that is passed. Nil does nothing.
type Crash func(point string)

// At reports that a point is passed.
func (c Crash) At(point string) {
	if c != nil {
		c(point)
	}
}
