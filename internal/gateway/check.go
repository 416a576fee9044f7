package gateway

import (
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/router"
)

// check decides whether a leg's answer is the one that the caller gets. The
// last leg's always is. A leg left behind is recorded as it ended.
func (l *Line) check(c *call, a *leg.Attempt, last bool) (accepted bool) {
	status, failure := a.Result()
	verdict := cascade.Check(cascade.Outcome{Status: status, Failure: failure, Last: last})
	if verdict.Accepted() {
		c.served = a
		return true
	}
	c.path, c.reason = router.Escalated, verdict.Reason
	if a.Streams() {
		a.Response.Frames.Close()
	}
	a.Close(leg.LeftBehind)
	return false
}
