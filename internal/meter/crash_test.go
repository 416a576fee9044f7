package meter

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCrashPoints: a call and its posting pass the points in this order.
func TestCrashPoints(t *testing.T) {
	var passed []string
	o := testOptions(t, t.TempDir(), newModelLedger())
	o.Flush = 1 << 40 // the shipper posts at Close, after the call
	o.Crash = func(point string) { passed = append(passed, point) }
	m := openMeter(t, o)
	call(t, m, 1, "acme")
	want := []string{BeforeStart, AfterStart, AfterEnd}
	if diff := cmp.Diff(want, passed); diff != "" {
		t.Error(diff)
	}
	closeMeter(t, m)
	if diff := cmp.Diff(append(want, ApplySent, ApplyReply), passed); diff != "" {
		t.Error(diff)
	}
}
