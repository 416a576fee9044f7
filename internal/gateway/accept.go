package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// accept opens the request: its configuration, its deadline, its span. When the
// caller leaves, the deadline shrinks to the drain bound: the upstream bills the
// whole answer anyway, so its usage is worth waiting for.
func (l *Line) accept(req *Request) *call {
	c := &call{req: req, snap: l.Snapshot()}
	c.users.Store(1)
	l.open.Add(1)
	times := c.snap.Config.Timeouts
	c.ctx, c.cancel = context.WithTimeout(l.stop, times.Request)
	c.unwatch = context.AfterFunc(req.Caller, func() { time.AfterFunc(times.Drain, c.cancel) })
	c.span = l.Telemetry.Request(req.Header)
	return c
}

// authenticate checks the credential on the headers alone, then reads the body
// and confirms the signature over it. So nobody without a credential makes the
// gateway hold a body.
func (l *Line) authenticate(c *call) *wire.Error {
	admission, err := c.snap.Tenants.Admit(&tenant.AuthRequest{
		Method: c.req.Method, Target: c.req.Target, Authority: c.req.Authority,
		HTTP2: c.req.HTTP2, Header: c.req.Header,
	}, l.Now())
	if err != nil {
		return err
	}
	if err := c.readBody(); err != nil {
		return err
	}
	c.caller, err = admission.Confirm(c.body)
	return err
}

func (c *call) readBody() *wire.Error {
	body, err := c.req.Body.ReadAll()
	if err == nil {
		c.body, c.bodyRead = body, true
		return nil
	}
	var refused *wire.Error
	if errors.As(err, &refused) {
		return refused
	}
	return &wire.Error{Kind: wire.KindValidation, Message: "the request's body could not be read", Cause: err}
}

// finish gives back what the request holds. It runs once, when its answer is
// complete, or its caller has left, and every leg is drained.
func (c *call) finish() {
	c.unwatch()
	c.cancel()
	c.req.Body.Release()
	c.giveBack()
}

// giveBack releases what no attempt holds of the reservations, the request's
// place among the concurrent ones included. It may be called again.
func (c *call) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.reserved {
		r.Release()
	}
}
