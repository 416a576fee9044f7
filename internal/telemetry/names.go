package telemetry

import (
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// SemconvVersion is the version of the OpenTelemetry semantic conventions that
// the names below follow. The generative AI part is in development and changes;
// a new version changes this file and nothing else.
const SemconvVersion = "1.44.0"

// SchemaURL names the conventions in the exported resource.
const SchemaURL = "https://opentelemetry.io/schemas/" + SemconvVersion

// Attributes of the HTTP and error conventions, which are stable.
const (
	AttrServerAddress  = "server.address"
	AttrServerPort     = "server.port"
	AttrHTTPMethod     = "http.request.method"
	AttrHTTPStatus     = "http.response.status_code"
	AttrErrorType      = "error.type"
	AttrServiceName    = "service.name"
	AttrServiceVersion = "service.version"
	AttrAWSRequestID   = "aws.request_id"
)

// Attributes of the generative AI conventions.
const (
	AttrGenAISystem       = "gen_ai.system" // the old name of provider; most dashboards still read it
	AttrGenAIProvider     = "gen_ai.provider.name"
	AttrGenAIOperation    = "gen_ai.operation.name"
	AttrGenAIRequestModel = "gen_ai.request.model"
	AttrGenAIModel        = "gen_ai.response.model"
	AttrGenAIMaxTokens    = "gen_ai.request.max_tokens"
	AttrGenAIStream       = "gen_ai.request.stream"
	AttrGenAIInput        = "gen_ai.usage.input_tokens"
	AttrGenAIOutput       = "gen_ai.usage.output_tokens"
	AttrGenAICacheRead    = "gen_ai.usage.cache_read.input_tokens"
	AttrGenAICacheWrite   = "gen_ai.usage.cache_write.input_tokens"
	AttrGenAIFinish       = "gen_ai.response.finish_reasons"
	AttrGenAIFirstChunk   = "gen_ai.response.time_to_first_chunk" // seconds

	// ProviderBedrock is the value of provider and system.
	ProviderBedrock = "aws.bedrock"
	// FinishError is the finish reason of a stream that ended without its end.
	FinishError = "error"
)

// Attributes of our own. The conventions have only proposals for gateways and
// cost.
const (
	AttrRequestID = "sluice.request.id"
	AttrTenant    = "sluice.tenant"
	AttrKey       = "sluice.key"
	AttrCascade   = "sluice.cascade"
	AttrRule      = "sluice.rule.id"
	AttrPath      = "sluice.path"
	AttrReason    = "sluice.reason"
	AttrCapTokens = "sluice.cap.tokens"
	AttrCapCut    = "sluice.cap.cut_tokens"
	AttrCapCutAt  = "sluice.cap.cut_at_tokens"
	AttrCost      = "sluice.cost.usd"             // decimal string: money is never a float
	AttrAlone     = "sluice.escalation_alone.usd" // what the escalation model alone would have cost
	AttrSaved     = "sluice.saved.usd"
	AttrSavedLow  = "sluice.saved.low.usd" // 95 % interval
	AttrSavedHigh = "sluice.saved.high.usd"
	AttrQuality   = "sluice.quality_loss" // the bound in words; never a saving without it
	AttrCostState = "sluice.cost.state"
	AttrRecordID  = "sluice.record.id"
	AttrLeg       = "sluice.leg"
	AttrAttempt   = "sluice.attempt"
	AttrUpstream  = "sluice.upstream"
	AttrOutcome   = "sluice.outcome"
	AttrVerdict   = "sluice.leg.verdict"
	AttrPriceBook = "sluice.price_book"
	AttrBuffered  = "sluice.stream.buffered"
	AttrOperation = "sluice.operation"
	scopeName     = "github.com/sluice-gateway/sluice"
)

// genAIOperation is the convention's well-known value for one of our operations;
// what it does not name keeps its own name.
func genAIOperation(operation string) string {
	if op, _ := wire.ParseOperation(operation); op.Writes() {
		return "chat"
	}
	return operation
}

// ServerTiming is the value of a Server-Timing field (https://www.w3.org/TR/server-timing/): how long the gateway
// itself and its upstreams took, in milliseconds to the microsecond. Neither is below 0.
func ServerTiming(gateway, upstream time.Duration) string {
	millis := func(b []byte, d time.Duration) []byte {
		return strconv.AppendFloat(b, float64(max(d, 0).Microseconds())/1000, 'f', 3, 64)
	}
	b := millis(append(make([]byte, 0, 64), "gateway;dur="...), gateway)
	return string(millis(append(b, ", upstream;dur="...), upstream))
}
