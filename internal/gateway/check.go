package gateway

import (
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/router"
)

// check decides whether a leg's answer is the one that the caller gets. The
// last leg's always is. A leg left behind is recorded as it ended.
func (l *Line) check(c *call, g *leg) (accepted bool) {
	outcome := cascade.Outcome{Last: g.index == len(c.legs)-1}
	switch {
	case g.err != nil:
		outcome.Failure = g.err.Failure
	case g.fault != "":
		outcome.Status = statusOfFault
	default:
		outcome.Status = g.res.Status
	}
	verdict := cascade.Check(outcome)
	if verdict.Accepted() {
		c.served = g
		return true
	}
	c.path, c.reason = router.Escalated, verdict.Reason
	if g.res != nil && g.res.Frames != nil {
		g.res.Frames.Close()
	}
	l.record(c, g, leftBehind)
	return false
}

// statusOfFault stands for a stream whose first frame is an exception: the
// status line said 200, but no answer followed.
const statusOfFault = 500
