// Package decision keeps what became of each request, without a word of what was asked or
// answered: who asked, what the gateway decided and why, each leg with its tokens, cost
// and times, what it did to budgets, and where it was refused. It answers which request
// has an id, and which requests are of a kind.
//
// Decisions are no books. They are written behind the records, through a bounded queue; when
// that is full they are dropped and counted. How long they stay is bounded by age and size.
// docs/requests.md describes them for users.
package decision

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Decision is what became of one request. Empty fields are left out of JSON.
type Decision struct {
	ID       string     `json:"id"`       // ULID, x-sluice-request-id
	Received time.Time  `json:"received"` // to the millisecond
	Gateway  string     `json:"gateway,omitempty"`
	From     netip.Addr `json:"from,omitzero"`
	Tenant   string     `json:"tenant,omitempty"`
	Key      string     `json:"key,omitempty"`         // key id, never a secret
	Claimed  string     `json:"claimed_key,omitempty"` // key id that a caller named and did not prove
	User     string     `json:"user,omitempty"`        // whom it is attributed to, as in usage records
	Session  string     `json:"session,omitempty"`     // which it is a call of, or a hash of that
	Signal   string     `json:"signal,omitempty"`      // what tells that its session goes round in circles

	Method    string `json:"method,omitempty"`
	Operation string `json:"operation,omitempty"`
	Asked     string `json:"model,omitempty"`  // model or alias that was asked for
	Served    string `json:"served,omitempty"` // model that answered
	Cascade   string `json:"cascade,omitempty"`
	Rule      string `json:"rule,omitempty"`   // what decided about the way before the call
	Path      string `json:"path,omitempty"`   // of the answer
	Reason    string `json:"reason,omitempty"` // the check or rule that led to that path
	Cap       int64  `json:"output_cap,omitempty"`
	Cut       int64  `json:"tokens_cut,omitempty"` // how far the cap lowered what was asked for

	Status  int    `json:"status"`
	Error   string `json:"error,omitempty"`      // AWS error type
	Step    string `json:"refused_at,omitempty"` // the step of the request line that refused it
	Message string `json:"message,omitempty"`    // what the gateway answered, when it refused

	Cost      Dollars      `json:"cost_usd"`
	CostState string       `json:"cost_state,omitempty"` // known, unpriced, unknown
	FirstByte Microseconds `json:"first_byte_us"`
	Duration  Microseconds `json:"duration_us"`

	Legs []Leg `json:"legs,omitempty"`
}

// Leg is one attempt at one model.
type Leg struct {
	Record   string `json:"record,omitempty"` // ULID of its usage record, "" without one
	Index    int    `json:"leg"`              // from 0
	Attempt  int    `json:"attempt,omitempty"`
	Path     string `json:"path,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Model    string `json:"model"`
	Upstream string `json:"upstream,omitempty"` // configured name, "" for the default one
	Region   string `json:"region,omitempty"`
	Tier     string `json:"tier,omitempty"`
	Payer    string `json:"payer,omitempty"` // tenant that paid, when not the caller's
	Levers

	Status     int    `json:"status,omitempty"` // 0 without an answer
	Outcome    string `json:"outcome"`          // completed, failed, unknown
	Error      string `json:"error,omitempty"`
	UpstreamID string `json:"upstream_request_id,omitempty"` // AWS's id of the call
	Stop       string `json:"stop_reason,omitempty"`
	Is         Fate   `json:"fate,omitempty"`

	Tokens       Tokens       `json:"tokens"`
	Cost         Dollars      `json:"cost_usd"`
	CostState    string       `json:"cost_state,omitempty"`
	PriceVersion string       `json:"price_version,omitempty"`
	Began        time.Time    `json:"began,omitzero"`
	Took         Microseconds `json:"duration_us"`

	Effects []Effect `json:"budgets,omitempty"`
}

// Levers are what policies that save made of one attempt, "" where they had no part in it.
type Levers struct {
	Named string `json:"named,omitempty"` // the id in whose place its global profile was asked, by residency
	Tiers string `json:"tiers,omitempty"` // the service tiers that were tried: "flex late, default"
	Cache string `json:"cache,omitempty"` // what points were put into the prompt for, or "none: " and why there are none
	// Capacity is what was bought that served, or was left and why: "floor", "floor throttled, on demand".
	Capacity string `json:"capacity,omitempty"`
	// Lines are the upstreams in whose lines it waited for room in a quota: "default, west". Waited is for how long.
	Lines  string       `json:"waited_for,omitempty"`
	Waited Microseconds `json:"waited_us,omitempty"`
}

// Tokens are those of one attempt, as far as the upstream reported them.
type Tokens struct {
	Input        Count `json:"input,omitzero"`
	Output       Count `json:"output,omitzero"`
	CacheRead    Count `json:"cache_read,omitzero"`
	CacheWrite5m Count `json:"cache_write_5m,omitzero"`
	CacheWrite1h Count `json:"cache_write_1h,omitzero"`
}

// Effect is what an attempt did to one budget or limit.
type Effect struct {
	Tenant string    `json:"tenant"`           // whose budget it is
	Unit   string    `json:"unit"`             // usd, tokens, requests
	Period string    `json:"period,omitempty"` // minute, hour, day, month
	Start  time.Time `json:"start,omitzero"`
	// Posted is what the window counts of the attempt, Suspense what it keeps back because
	// nobody knows what the attempt came to: nano-dollars, tokens or requests.
	Posted   int64 `json:"posted"`
	Suspense int64 `json:"suspense,omitempty"`
}

// Fate is what became of an attempt's answer, as a set.
type Fate uint8

// What became of an answer.
const (
	FateServed    Fate = 1 << iota // the caller got it
	FateWasted                     // it was paid for and thrown away
	FateDrained                    // it was read to its end after the caller had left
	FateEscalated                  // it was served in place of a light one
)

// MarshalJSON writes the words of the set.
func (f Fate) MarshalJSON() ([]byte, error) { return json.Marshal(f.Words()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fate) UnmarshalJSON(b []byte) error {
	var words []string
	err := json.Unmarshal(b, &words)
	*f = 0
	for _, w := range words {
		for i, name := range fates() {
			if w == name {
				*f |= 1 << i
			}
		}
	}
	return err
}

// Words name what is in the set.
func (f Fate) Words() []string {
	all := []string{}
	for i, name := range fates() {
		if f&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return all
}

func fates() [4]string { return [4]string{"served", "wasted", "drained", "escalated"} }

// Count is a number of tokens, perhaps not known. Its zero value is unknown.
type Count wire.Count

// IsZero reports whether the count is not known.
func (c Count) IsZero() bool { return !c.Known }

// MarshalJSON writes the number.
func (c Count) MarshalJSON() ([]byte, error) { return json.Marshal(c.N) }

// UnmarshalJSON reads a number.
func (c *Count) UnmarshalJSON(b []byte) error {
	c.Known = true
	return json.Unmarshal(b, &c.N)
}

// Dollars is an amount whose text is a decimal fraction of dollars.
type Dollars money.Pico

// String is the amount in dollars, exactly.
func (d Dollars) String() string { return money.Pico(d).String() }

// MarshalText is String.
func (d Dollars) MarshalText() ([]byte, error) { return money.Pico(d).Append(nil), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Dollars) UnmarshalText(b []byte) error {
	p, err := money.ParseDollars(string(b))
	*d = Dollars(p)
	return err
}

// Microseconds is a time span in whole microseconds.
type Microseconds int64

// Micro is a duration in whole microseconds.
func Micro(d time.Duration) Microseconds { return Microseconds(d.Microseconds()) }

// Duration is the time span.
func (m Microseconds) Duration() time.Duration { return time.Duration(m) * time.Microsecond }
