package dialect

import (
	"net/http"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/anthropic"
)

// estimatedHeader says that the gateway has counted the tokens of a request by itself.
const estimatedHeader = "x-sluice-estimated"

// estimates reports whether the upstream has refused to count tokens for this model, of which
// it counts for few. What the gateway itself refuses stays refused.
func (x *exchange) estimates(res *gateway.Response) bool {
	if x.failure != nil || x.native == nil || x.native.Count == nil {
		return false
	}
	return res.Status == http.StatusBadRequest || res.Status == http.StatusNotFound
}

// estimate answers with the gateway's own count.
func (x *exchange) estimate(res *gateway.Response) *gateway.Response {
	var facts wire.Facts
	if err := facts.Read(x.native.CountOp, wire.DialectNamed(anthropic.Family), x.native.Count); err != nil {
		return x.fail(x.failed(res), res)
	}
	told := x.told(res)
	told.Estimated = true
	told.Body = strconv.AppendInt([]byte(`{"inputTokens":`), int64(facts.InputTokens), 10)
	told.Body = append(told.Body, '}')
	body, failure := x.own.Answer(told)
	if failure != nil {
		return x.fail(failure, res)
	}
	res.Status, res.Body = http.StatusOK, body
	x.finish(res)
	res.Header = append(res.Header, wire.Field{Name: estimatedHeader, Value: "input_tokens"})
	return res
}
