// Package record is the usage record of one upstream attempt: how it began and
// ended (Start, End), what it cost by the price book (Derive), what that adds to
// the counters and budgets (Posting), and the bytes of all this in a journal. It
// is pure: it opens no file and asks no ledger. docs/format/usage-record.md has
// the bytes.
package record

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Start is the first half of a usage record, journalled before a call leaves.
// One upstream attempt has one record.
type Start struct {
	ID        string // ULID, unique per attempt
	RequestID string // ULID of the caller's request, shared by its legs
	Root      string // first element of the tenant path; the ledger's slot
	Tenant    string // whole path
	Key       string // key id
	Op        wire.Operation
	Model     string // id sent upstream, decoded
	SKU       SKU    // what it is priced as
	User      string // who the caller says it is for, as reports name them; "" for none
	Cascade   string // "" when none
	Path      string // passthrough, direct, light, escalated, partner, shadow
	Reason    string
	Leg       int // from 0
	Attempt   int // from 1
	// EstimatedInput and MaxOutput are the worst case that was reserved, in tokens.
	EstimatedInput, MaxOutput int64
	Hold                      money.Pico
	// Charges are the holds that this attempt took, one for each budget and limit
	// on the tenant's path, in the windows of the moment it was taken.
	Charges      []Charge
	PriceVersion string // "" when unpriced
	At           time.Time
	// AskedTier and AskedLatency are what the caller asked for, in its own words and
	// wherever AWS reads them; "" where it asked for nothing. SKU has what they mean.
	AskedTier, AskedLatency string
}

// SKU is what a call is priced as, resolved before it leaves because the answer
// does not name the serving region.
type SKU struct {
	Model string // foundation model id without region prefix
	Scope string // "" in region, "geo" for us. eu. …, "global"
	Tier  string // "" default, flex, priority, reserved
	// Region is the AWS region of the upstream that is called, "" for none known.
	Region  string
	Latency string // "" standard, "optimized"
	// Context is "long" for a call whose whole price is that of a long input, else
	// "". It is known when the usage is.
	Context string
}

// Outcome is how an attempt ended.
type Outcome uint8

// The outcomes. The zero value is unknown: it may have been billed and nobody
// knows how much; its estimate stays in suspense.
const (
	Unknown   Outcome = iota
	Completed         // usage is known
	Failed            // answered with an error or provably not sent; nothing is billed
)

// End is the second half of a usage record.
type End struct {
	ID      string
	Outcome Outcome
	Status  int // HTTP status, 0 without an answer
	Usage   wire.Usage
	// Drained is whether the usage was read after the caller had left.
	Drained bool
	// Served marks the leg whose answer the caller got: it counts the request.
	Served bool
	// Wasted marks a light answer that was paid for and thrown away.
	Wasted bool
	// Escalated marks the served leg of a request that left a light one behind
	// or skipped it by rule.
	Escalated bool
	// GuardrailUnknown is whether a guardrail was asked for and the answer reports no
	// units of it: what it cost is not known.
	GuardrailUnknown bool
	// CapHit is whether the answer ended because of the most tokens that the gateway's cap
	// had set.
	CapHit bool
	// TokensCut is how far the cap lowered what the caller asked for.
	TokensCut    int64
	AWSRequestID string
	At           time.Time
}

// Costs is money per token class. The zero value is nothing.
type Costs struct {
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h money.Pico
	Guardrail, Query, Image, Second                      money.Pico
	// Discount is how much more the call costs at list price. It is no part of the
	// total, which is what is charged.
	Discount money.Pico
	// Open is what the attempt may have cost beside the total: a guardrail whose units
	// nobody reported. It goes into suspense.
	Open money.Pico
	// Unpriced is whether something was used that has no price: the total is then a
	// lower bound.
	Unpriced bool
}

// Total is the sum of all classes.
func (c Costs) Total() money.Pico {
	return c.Input + c.Output + c.CacheRead + c.CacheWrite5m + c.CacheWrite1h +
		c.Guardrail + c.Query + c.Image + c.Second
}
