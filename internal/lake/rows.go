package lake

import (
	"encoding/binary"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Decimal is dollars as Parquet has them: DECIMAL(38, 12), so that pico-dollars are exact.
type Decimal [16]byte

// decimal is an amount as a big-endian number of twelve decimals.
func decimal(p money.Pico) (d Decimal) {
	if p < 0 {
		for i := range 8 {
			d[i] = 0xff
		}
	}
	binary.BigEndian.PutUint64(d[8:], uint64(p))
	return d
}

// Usage is one posting of a journal: what it added to the counters of a row, and the record
// that did. The sums of all rows are those of gateway report. docs/lake.md has the columns.
type Usage struct {
	Kind      string `parquet:"kind,dict"` // usage, unknown, resolve, adjust, lost, sums
	Writer    string `parquet:"writer,dict"`
	Seq       int64  `parquet:"seq"` // with writer and root, the record's name; 0 for sums
	RecordID  string `parquet:"record_id"`
	RequestID string `parquet:"request_id"`
	At        int64  `parquet:"at,timestamp(microsecond)"`
	Hour      int64  `parquet:"hour,timestamp(microsecond)"`

	Tenant       string `parquet:"tenant,dict"`
	KeyID        string `parquet:"key_id,dict"`
	UserID       string `parquet:"user_id,dict"`
	Model        string `parquet:"model,dict"`
	Scope        string `parquet:"scope,dict"`
	Tier         string `parquet:"tier,dict"`
	Region       string `parquet:"region,dict"`
	Latency      string `parquet:"latency,dict"`
	Context      string `parquet:"context,dict"`
	Cascade      string `parquet:"cascade,dict"`
	Path         string `parquet:"path,dict"`
	PriceVersion string `parquet:"price_version,dict"`

	Reason       string `parquet:"reason,dict"` // of the leg, or of a correction
	Status       int32  `parquet:"status"`
	StopReason   string `parquet:"stop_reason,dict"`
	AWSRequestID string `parquet:"aws_request_id"`

	Requests        int64 `parquet:"requests"`
	Legs            int64 `parquet:"legs"`
	Escalated       int64 `parquet:"escalated"`
	InputTokens     int64 `parquet:"input_tokens"`
	OutputTokens    int64 `parquet:"output_tokens"`
	CacheReadTokens int64 `parquet:"cache_read_tokens"`
	CacheWrite5m    int64 `parquet:"cache_write_5m_tokens"`
	CacheWrite1h    int64 `parquet:"cache_write_1h_tokens"`
	GuardrailUnits  int64 `parquet:"guardrail_units"`
	TokensCut       int64 `parquet:"tokens_cut"`
	CapHits         int64 `parquet:"cap_hits"`
	Unpriced        int64 `parquet:"unpriced"`
	Unknown         int64 `parquet:"unknown"`
	Drained         int64 `parquet:"drained"`
	SuspenseTokens  int64 `parquet:"suspense_tokens"`
	SearchUnits     int64 `parquet:"search_units"`
	Images          int64 `parquet:"images"`
	Milliseconds    int64 `parquet:"milliseconds"`

	CostUSD             Decimal `parquet:"cost_usd,decimal(12:38)"` // of all classes
	CostInputUSD        Decimal `parquet:"cost_input_usd,decimal(12:38)"`
	CostOutputUSD       Decimal `parquet:"cost_output_usd,decimal(12:38)"`
	CostCacheReadUSD    Decimal `parquet:"cost_cache_read_usd,decimal(12:38)"`
	CostCacheWriteUSD   Decimal `parquet:"cost_cache_write_usd,decimal(12:38)"`
	CostCacheWrite5mUSD Decimal `parquet:"cost_cache_write_5m_usd,decimal(12:38)"`
	CostCacheWrite1hUSD Decimal `parquet:"cost_cache_write_1h_usd,decimal(12:38)"`
	CostGuardrailUSD    Decimal `parquet:"cost_guardrail_usd,decimal(12:38)"`
	CostOtherUSD        Decimal `parquet:"cost_other_usd,decimal(12:38)"` // search units, images, seconds
	WastedUSD           Decimal `parquet:"wasted_usd,decimal(12:38)"`     // part of cost_usd
	SuspenseUSD         Decimal `parquet:"suspense_usd,decimal(12:38)"`
	DiscountUSD         Decimal `parquet:"discount_usd,decimal(12:38)"` // list price is cost_usd and this
}

// kinds are those of journal records as the lake names them.
func kindOf(kind byte) string {
	switch kind {
	case record.KindEnd:
		return "usage"
	case record.KindUnknown:
		return "unknown"
	case record.KindResolve:
		return "resolve"
	case record.KindAdjust:
		return "adjust"
	case record.KindTotal:
		return "sums"
	}
	return "lost"
}

// usageOf is the row of what a journal posts.
func usageOf(e *meter.Entry) (*Usage, error) {
	p := e.Posting
	r, c := &p.Row, &p.Add
	u := &Usage{
		Kind: kindOf(e.Kind), Writer: e.Writer, Hour: r.Hour.UnixMicro(), At: r.Hour.UnixMicro(),
		Seq:    int64(p.Seq), //nolint:gosec // numbers count up from 1
		Tenant: r.Tenant, KeyID: r.Key, UserID: r.User, Model: r.Model, Scope: r.Scope, Tier: r.Tier, Region: r.Region,
		Latency: r.Latency, Context: r.Context, Cascade: r.Cascade, Path: r.Path, PriceVersion: r.PriceVersion,

		Requests: c.Requests, Legs: c.Legs, Escalated: c.Escalated, InputTokens: c.Input, OutputTokens: c.Output,
		CacheReadTokens: c.CacheRead, CacheWrite5m: c.CacheWrite5m, CacheWrite1h: c.CacheWrite1h,
		GuardrailUnits: c.GuardrailUnits, TokensCut: c.TokensCut, CapHits: c.CapHits,
		Unpriced: c.Unpriced, Unknown: c.Unknown,
		Drained: c.Drained, SuspenseTokens: c.SuspenseTokens, SearchUnits: c.Queries, Images: c.Images,
		Milliseconds: c.Milliseconds,
	}
	u.costs(c)
	return u, u.details(e)
}

func (u *Usage) costs(c *record.Counters) {
	var sum money.Pico
	for _, class := range c.CostClasses() {
		sum += class
	}
	u.CostUSD = decimal(sum)
	u.CostInputUSD, u.CostOutputUSD = decimal(c.CostInput), decimal(c.CostOutput)
	u.CostCacheReadUSD, u.CostCacheWriteUSD = decimal(c.CostCacheRead), decimal(c.CostCacheWrite)
	u.CostCacheWrite5mUSD, u.CostCacheWrite1hUSD = decimal(c.CostCacheWrite5m), decimal(c.CostCacheWrite1h)
	u.CostGuardrailUSD = decimal(c.CostGuardrail)
	u.CostOtherUSD = decimal(c.CostQuery + c.CostImage + c.CostSecond)
	u.WastedUSD, u.SuspenseUSD, u.DiscountUSD = decimal(c.CostWasted), decimal(c.Suspense), decimal(c.Discount)
}

// details are what the record says beside what it posts.
func (u *Usage) details(e *meter.Entry) error {
	var end *record.End
	switch e.Kind {
	case record.KindEnd, record.KindUnknown:
		var err error
		if _, end, err = record.ReadEnd(e.Payload); err != nil {
			return err
		}
	case record.KindResolve:
		var r record.ResolveEntry
		if err := record.Read(e.Payload, &r); err != nil {
			return err
		}
		end, u.Reason = r.End, r.Note
	case record.KindAdjust:
		var a record.AdjustEntry
		if err := record.Read(e.Payload, &a); err != nil {
			return err
		}
		u.RecordID, u.RequestID, u.Reason, u.At = a.ID, a.RefersTo, a.Reason, a.At.UnixMicro()
	}
	if end != nil {
		u.RecordID, u.Status, u.AWSRequestID = end.ID, int32(end.Status), end.AWSRequestID //nolint:gosec // an HTTP status
		u.StopReason, u.At = end.Usage.StopReason, end.At.UnixMicro()
	}
	if e.Start == nil {
		return nil
	}
	s, err := record.ReadStart(e.Start)
	if err != nil {
		return err
	}
	u.RequestID = s.RequestID
	if u.Reason == "" {
		u.Reason = s.Reason
	}
	return nil
}

// Decided is a decision as a row.
type Decided struct {
	RequestID string  `parquet:"request_id"`
	Gateway   string  `parquet:"gateway,dict"`
	Received  int64   `parquet:"received,timestamp(microsecond)"`
	Tenant    string  `parquet:"tenant,dict"`
	KeyID     string  `parquet:"key_id,dict"`
	UserID    string  `parquet:"user_id,dict"`
	Operation string  `parquet:"operation,dict"`
	Asked     string  `parquet:"asked,dict"`
	Served    string  `parquet:"served,dict"`
	Cascade   string  `parquet:"cascade,dict"`
	Rule      string  `parquet:"rule,dict"`
	Path      string  `parquet:"path,dict"`
	Reason    string  `parquet:"reason,dict"`
	Status    int32   `parquet:"status"`
	Error     string  `parquet:"error,dict"`
	RefusedAt string  `parquet:"refused_at,dict"`
	OutputCap int64   `parquet:"output_cap"`
	TokensCut int64   `parquet:"tokens_cut"`
	Legs      int32   `parquet:"legs"`
	CostState string  `parquet:"cost_state,dict"`
	FirstByte int64   `parquet:"first_byte_us"`
	Duration  int64   `parquet:"duration_us"`
	CostUSD   Decimal `parquet:"cost_usd,decimal(12:38)"`
}

func decidedOf(d *decision.Decision) *Decided {
	return &Decided{
		RequestID: d.ID, Gateway: d.Gateway, Received: d.Received.UnixMicro(), Tenant: d.Tenant, KeyID: d.Key, UserID: d.User,
		Operation: d.Operation, Asked: d.Asked, Served: d.Served, Cascade: d.Cascade, Rule: d.Rule, Path: d.Path,
		Status: int32(d.Status),    //nolint:gosec // an HTTP status
		Legs:   int32(len(d.Legs)), //nolint:gosec // a few
		Reason: d.Reason, Error: d.Error, RefusedAt: d.Step, OutputCap: d.Cap, TokensCut: d.Cut,
		CostState: d.CostState, FirstByte: int64(d.FirstByte), Duration: int64(d.Duration),
		CostUSD: decimal(money.Pico(d.Cost)),
	}
}

// pico is what decimal made.
func pico(d Decimal) money.Pico { return money.Pico(binary.BigEndian.Uint64(d[8:])) } //nolint:gosec // two's complement

// dayOf is the partition of a time.
func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }
