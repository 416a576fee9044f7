package gateway

import (
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/internal/controlplane"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// accept opens the request: its configuration, its deadline, its span. When the
// caller leaves, the deadline shrinks to the drain bound: the upstream bills the
// whole answer anyway, so its usage is worth waiting for.
func (l *Line) accept(req *Request) *call {
	c, ok := l.calls.Get().(*call)
	if !ok {
		c = new(call)
	}
	c.line, c.Host, c.exchange = l, c, req
	c.ID, c.Method, c.Header, c.Received, c.Gone = req.ID, req.Method, req.Header, req.Received, req.Caller
	c.Account = req.Account
	c.Snapshot, c.Span = l.snapshots.Load(), l.asker.Telemetry.Request(req.Header)
	c.users.Store(1)
	l.open.Add(1)
	bounds := &c.Snapshot.Config.Timeouts
	l.requests.BeginDraining(req.Caller, &c.life, bounds.Request, bounds.Drain)
	return c
}

// Go implements leg.Host: it runs f in a goroutine of its own, which keeps the
// request open.
func (c *call) Go(f func()) {
	c.users.Add(1)
	c.line.drains.Go(func() {
		defer c.line.release(c)
		leg.Grow()
		f()
	})
}

// authenticate checks the credential on the headers alone, then reads the body
// and confirms the signature over it. So nobody without a credential makes the
// gateway hold a body.
func (l *Line) authenticate(c *call) *wire.Error {
	req := c.exchange
	admission, err := c.Snapshot.Tenants.Admit(&tenant.AuthRequest{
		Method: req.Method, Target: req.Target, BasePath: c.Snapshot.Config.BasePath,
		Authority: req.Authority, HTTP2: req.HTTP2, Header: req.Header, Remote: req.From,
		Account: req.Account,
	}, l.asker.Now())
	if err != nil {
		return c.judged(err)
	}
	if c.Body, err = req.Body.ReadAll(); err != nil {
		return err
	}
	c.Caller, err = admission.Confirm(c.Body)
	c.BodyHash = admission.BodyHash()
	return c.judged(err)
}

// judged tells the connection whether the credential was good, and returns err.
func (c *call) judged(err *wire.Error) *wire.Error {
	switch sender := c.exchange.Sender; {
	case sender == nil:
	case err == nil:
		sender.Proven()
	case err.Status() == http.StatusForbidden:
		sender.Failed()
	}
	return err
}

// read finds the model and the facts of the body.
func (l *Line) read(c *call) *wire.Error {
	if c.Target.Op.Control() {
		return l.asker.Find(&c.life.Context, &c.Request, c.Target.Resource)
	}
	if err := l.asker.Find(&c.life.Context, &c.Request, c.Target.Model); err != nil {
		return err
	}
	if err := c.ReadFacts(); err != nil {
		return err
	}
	return c.Within(&c.life.Context)
}

// native finds out what the line goes on with, of a request in whatever dialect: its operation, model and body.
func (c *call) native() (err *wire.Error) {
	if c.exchange.Translator != nil {
		c.BodyHash = nil
		return c.exchange.Translator.Native(&c.Request)
	}
	c.Target, err = wire.ParseTarget(c.Method, c.exchange.Target, c.Snapshot.Config.BasePath)
	return err
}

// describe answers what the control plane is asked: of nothing that costs or changes.
func (c *call) describe(now time.Time) (res *Response, err *wire.Error) {
	var body []byte
	if c.exchange.Translator != nil {
		body, err = c.exchange.Translator.Describe(&c.Request)
	} else {
		body, err = controlplane.Answer(c.Snapshot, c.Caller.Tenant, &c.Target, now)
	}
	if err != nil {
		return nil, err
	}
	res = c.exchange.respond(http.StatusOK)
	res.Header = append(res.Header, wire.Field{Name: "content-type", Value: "application/json"},
		wire.Field{Name: "x-amzn-requestid", Value: c.ID})
	res.Header, res.Body = c.appendDecision(res.Header), body
	return res, nil
}
