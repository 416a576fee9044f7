package meter

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

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
)

// points are constant.
var points = [...]string{
	BeforeStart, AfterStart, AfterReserve, AfterDispatch, FirstByte, UsageFrame, AfterEnd, ApplySent, ApplyReply,
}

// Crash is called with the name of each point that is passed. Nil does nothing.
type Crash func(point string)

// At tells that a point is passed.
func (c Crash) At(point string) {
	if c != nil {
		c(point)
	}
}

// CrashAt returns a Crash that calls kill when the point of spec, "NAME:N", is
// passed for the Nth time, counted from 1. An empty spec is nil, which costs
// nothing.
func CrashAt(spec string, kill func()) (Crash, error) {
	if spec == "" {
		return nil, nil
	}
	name, number, _ := strings.Cut(spec, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || !isPoint(name) {
		return nil, fmt.Errorf("crash point %q: want NAME:N with NAME one of %s", spec, strings.Join(points[:], ", "))
	}
	var passed atomic.Int64
	return func(point string) {
		if point == name && passed.Add(1) == n {
			kill()
		}
	}, nil
}

func isPoint(name string) bool {
	for _, p := range points {
		if p == name {
			return true
		}
	}
	return false
}
