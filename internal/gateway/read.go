package gateway

import (
	"github.com/sluice-gateway/sluice/internal/wire"
)

// read finds the operation, the model and the facts of the body.
func (l *Line) read(c *call) *wire.Error {
	target, err := wire.ParseTarget(c.req.Method, c.req.Target, c.snap.Config.BasePath)
	if err != nil {
		return err
	}
	c.target = target
	return c.readFacts()
}

func (c *call) readFacts() *wire.Error {
	if err := c.permit(); err != nil {
		return err
	}
	var dialect *wire.Dialect
	if c.target.Op == wire.OpInvoke || c.target.Op == wire.OpInvokeStream {
		dialect = c.snap.Router.Dialect(c.target.Model, c.body)
	}
	if err := c.facts.Read(c.target.Op, dialect, c.body); err != nil {
		return err
	}
	if c.target.Op == wire.OpStartAsyncInvoke {
		c.target.Model = c.facts.BodyModelID
	}
	if wire.ParseModelID(c.target.Model).Kind == wire.ModelPrompt {
		c.facts.NoMaxTokens = true // AWS: a prompt's settings cannot be given with the request
	}
	return nil
}

// permit refuses operations that the gateway or the tenant does not allow.
func (c *call) permit() *wire.Error {
	switch c.target.Op {
	case wire.OpInvokeBidirectional:
		return wire.Errorf(wire.KindValidation, "InvokeModelWithBidirectionalStream is not supported by this gateway")
	case wire.OpListAsyncInvokes:
		return wire.Errorf(wire.KindAccessDenied, "ListAsyncInvokes is not allowed: it would show the jobs of every tenant")
	}
	if !c.caller.Tenant.AllowsOperation(c.target.Op) {
		return wire.Errorf(wire.KindAccessDenied, "operation %s is not allowed to this key", c.target.Op)
	}
	return nil
}

// modelled reports whether the operation runs a model that policy, prices and
// cascades know.
func (c *call) modelled() bool {
	switch c.target.Op {
	case wire.OpConverse, wire.OpConverseStream, wire.OpInvoke, wire.OpInvokeStream, wire.OpCountTokens, wire.OpStartAsyncInvoke:
		return true
	default:
		return false
	}
}

// metered reports whether the operation is billed. CountTokens is free of
// charge (AWS Bedrock user guide, "Monitor your token usage by counting
// tokens"), and looking after a job is too.
func (c *call) metered() bool {
	return c.target.Op != wire.OpCountTokens && c.target.Op != wire.OpGetAsyncInvoke
}
