// Package config is the gateway's configuration: typed settings, a strict
// loader that reports every mistake with its position, and the YAML that ships
// with the program. It is plain data; each package compiles its own part.
package config

import (
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/role"
)

// Config is a whole configuration. Load returns it with defaults filled in, so
// no reader needs to know them.
type Config struct {
	Listen   string
	BasePath string // "" or "/bedrock"
	TLS      *TLS   // nil: cleartext
	Admin    Admin
	DataDir  string // absolute
	Journal  Journal
	// Decisions are those of single requests, beside the records.
	Decisions Decisions
	Export    Export
	Upstream  Upstream
	// Upstreams are further ones by name.
	Upstreams map[string]Upstream
	// Pools are upstreams that take calls in place of one another, by a name that may stand where an upstream's may.
	Pools map[string]pools.Pool
	// ModelUpstreams maps model globs to upstream names, in the file's order.
	ModelUpstreams []ModelUpstream
	// ModelMap maps opaque ARNs to the model that they stand for.
	ModelMap map[string]string
	// Behind is ModelMap with the profiles that tenants have for themselves.
	Behind map[string]string
	// AllowedAccounts are those whose ARNs and buckets requests may name, "*" for any; nil
	// for those that the configuration names otherwise, and the gateway's own.
	AllowedAccounts []string
	// AllowedRegions and AllowedKinds are those of ARNs; nil for the regions of the
	// upstreams, and all kinds that Bedrock has.
	AllowedRegions, AllowedKinds []string
	// AllowedGuardrails and AllowedS3 are globs on guardrails, by id or ARN, and on S3
	// URIs; nil for any of an account that is allowed.
	AllowedGuardrails, AllowedS3, AllowedKnowledge []string // the last on knowledge bases, and on agents as AGENT/ALIAS
	Ledger                                         Ledger
	Prices                                         []PriceBook // the shipped books first; a later book wins
	// Locks are books of prices that a contract guarantees: what is charged is the
	// lower of these and the list price.
	Locks     []PriceBook
	Discounts []Discount
	// Commitments are what was promised to be spent at list price, as in an AWS Enterprise
	// Discount Program.
	Commitments []Commitment
	Capacity    []Capacity // bought by the hour or the month
	// Users is whom calls are booked for; nil for nobody but the tenant.
	Users    *Users
	Models   []Model // catalogue, the shipped one first; a later entry wins
	Terms    []Terms // of the makers of models, the shipped ones first; later ones win
	Unpriced Unpriced
	// UnknownFamily is what happens under an output cap to a body of a family that
	// the gateway does not know: refuse (default), cut, allow.
	UnknownFamily string
	Timeouts      Timeouts
	Limits        EdgeLimits
	// TrustedProxies are from where connections and requests may say whose they are.
	TrustedProxies []netip.Prefix
	Telemetry      Telemetry
	Tenants        []Tenant
	Aliases        map[string]string
	Cascades       []Cascade

	source *source // positions, for At
}

// TLS names a certificate and key, reloaded when the files change.
type TLS struct{ Cert, Key string }

// Admin is the port for health, metrics and reports.
type Admin struct {
	Listen string
	Token  string // needed when Listen is not loopback
	OIDC   *OIDC  // nil: nobody signs in by an identity provider
	// Advertise is where other gateways and commands reach the port, "" for Listen.
	Advertise string
}

// The roles that a grant may give.
const (
	RoleViewer   = "viewer"
	RoleKeyAdmin = "key-admin"
	RoleAdmin    = "admin"
)

// OIDC is an identity provider by which people sign in to the page.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	URL                            string // of the page, as browsers have it
	Scopes                         []string
	Grants                         []Grant // the first one that applies counts
}

// Grant gives a role to whose ID token has a claim with a value.
type Grant struct {
	Claim, Value, Role string
	// Tenant is whose figures they see, "*" for everybody's. TenantClaim is a claim that
	// names the tenant instead.
	Tenant, TenantClaim string
}

// Decisions is how long is kept what became of each request.
type Decisions struct {
	Off      bool
	Keep     time.Duration // default 35 days
	MaxBytes int64         // default 2 GiB
}

// Export is where usage records and decisions go as Parquet.
type Export struct {
	To    string        // s3://bucket/prefix, or an absolute folder; "" for nowhere
	Every time.Duration // default 5m
	// Region is the bucket's, "" for that of the environment. Endpoint is another service
	// that speaks S3.
	Region, Endpoint string
}

// Journal is how durable a usage record is before the call goes on.
type Journal struct {
	Fsync string        // always, group (default), os
	Every time.Duration // longest wait of a group, default 5ms
	// SegmentBytes is when a segment is closed, default 64 MiB.
	SegmentBytes int64
	// Keep is how long applied segments stay, default 72h.
	Keep time.Duration
}

// Upstream is one Bedrock.
type Upstream struct {
	// Kind is runtime, default, or mantle: the host bedrock-mantle, which has OpenAI's and Anthropic's own paths
	// alone. Only one of the further upstreams can be of that kind.
	Kind     string
	Region   string
	Endpoint string // "" AWS for the region; "sandbox" the built-in stand-in; else a URL
	// BearerToken is a Bedrock API key; "" signs with the AWS credential chain.
	BearerToken string
	Role        role.Role
	// Proxy is a URL; "" is that of the default upstream, or HTTPS_PROXY. NO_PROXY
	// holds for both. That of the default upstream is for webhooks and traces too.
	Proxy string
	// CAFile has authorities that are trusted beside those of AWS_CA_BUNDLE and of
	// the system; "" is that of the default upstream, which webhooks and traces trust too.
	CAFile string
	// TagRequests adds the record id to requests as Bedrock request metadata.
	TagRequests bool
	Retry       Retry
	Breaker     Breaker
	Quotas      []pools.Quota // the first one of a model counts
}

// Mantle reports whether it is the host bedrock-mantle.
func (u *Upstream) Mantle() bool { return u.Kind == "mantle" }

// Sandbox is the endpoint that means the built-in stand-in for Bedrock, and
// SandboxAccount the account that it is in: the one that AWS's documentation uses for
// nobody's.
const (
	Sandbox        = "sandbox"
	SandboxAccount = "123456789012"
)

// Retry bounds the attempts of one leg.
type Retry struct {
	MaxAttempts int // default 3
	// BudgetPercent is how many retries there may be per hundred calls, default 20.
	BudgetPercent int
	BaseDelay     time.Duration // default 100ms, doubled, full jitter
	MaxDelay      time.Duration // default 5s
	ColdStart     time.Duration // default 2m, how long a model that is not ready is asked again
	OnTimeout     bool          // retry a time-out, which may be billed twice
}

// Breaker opens after consecutive failures of one upstream and model.
type Breaker struct {
	Failures int           // default 10
	OpenFor  time.Duration // default 10s
}

// ModelUpstream sends models that match Glob to the upstream Name.
type ModelUpstream struct{ Glob, Name string }

// Ledger is where counters live.
type Ledger struct {
	Redis string // URL; "" embedded
}

// Unpriced says what happens to a model without a price.
type Unpriced string

// The values of Unpriced.
const (
	UnpricedAllow  Unpriced = "allow"
	UnpricedRefuse Unpriced = "refuse"
)

// Timeouts bound a request.
type Timeouts struct {
	Request   time.Duration // default 65m
	FirstByte time.Duration // default Request
	Idle      time.Duration // default Request, between frames
	Drain     time.Duration // default 5m, after the caller has left or SIGTERM
	Header    time.Duration // default 5s, until the head of a request is complete
	Body      time.Duration // default 30s without a byte of a body
	KeepAlive time.Duration // default 75s idle
	Write     time.Duration // default 30s without progress
}

// Users is where a request says whom it is for, in the order in which they are
// asked. What callers say is not proven.
type Users struct {
	Header   string // a header field, "" for none
	Metadata string // a key of the request's metadata, "" for none
	Body     bool   // `user` in OpenAI's bodies, `metadata.user_id` in Claude's
	Hash     bool   // books a hash in place of the name
}

// Derive sets the limits on connections that the file does not set, for a process that
// may have so many files open. Three quarters of them are for callers; the rest is for
// upstreams, the ledger and the journal. Unproven connections leave some room to proven
// ones, and those of one address some to others'.
func (c *Config) Derive(files uint64) {
	const atMost = 20_000 // that many need 400 MB
	l := &c.Limits
	if !c.Written("limits.max_connections") {
		l.MaxConnections = int(min(max(files/4*3, 16), atMost))
	}
	if !c.Written("limits.max_unproven_connections") {
		l.MaxUnprovenConnections = max(l.MaxConnections/6*5, 1)
	}
	if !c.Written("limits.max_connections_per_address") {
		l.MaxConnectionsPerAddress = max(l.MaxConnections/4*3, 1)
	}
}

// EdgeLimits bound what callers can make the gateway hold.
type EdgeLimits struct {
	MaxBodyBytes   int64 // default 26,214,400 (25 MiB; Bedrock takes 25,000,000)
	BufferedBytes  int64 // default 1 GiB, over all requests
	MaxConnections int   // default as Derive says, without it 10,000
	// MaxUnprovenConnections bounds those on which no request has had a good credential
	// yet, MaxConnectionsPerAddress those of them that come from one address; 0 is no bound.
	MaxUnprovenConnections, MaxConnectionsPerAddress int
	// MaxQueueDelay is how long requests may stand in line for a processor before new ones are
	// refused, default 25 ms; 0: none is.
	MaxQueueDelay time.Duration
}

// Telemetry is traces and metrics.
type Telemetry struct {
	OTLP    string  // collector URL; "" off
	Sample  float64 // share of requests traced, default 0.1
	Content bool    // put prompts and answers into the log of pairs, default false
	// AccessLog is where a line for each request goes: the absolute path of a file, or
	// "stdout"; "" nowhere.
	AccessLog string
	// ServerTiming adds to answers how long the gateway and its upstreams took, default
	// false.
	ServerTiming bool
}

// Tenant is who pays.
type Tenant struct {
	ID          string
	RenamedFrom string // what it was called before, "" for nothing else: its budgets count that too
	// Name is what people call it, CostCenter whom finance bills, and Tags whatever else
	// reports should say of it. Those below it have its cost center and tags too.
	Name, CostCenter string
	Tags             map[string]string
	// BillingTimeZone is what its months are closed in, "" for UTC. Only roots have it.
	BillingTimeZone string
	Keys            []string
	// KeySettings are what is set of some of the keys, by their ids.
	KeySettings map[string]*Key
	Models      []string // nil: all
	DenyModels  []string
	// Residency is how far its requests may go: any, geo, region; "" leaves the ids as they are asked for.
	Residency string
	// Spill is what a model is asked as, in turn, when it throttles: named, the id that was asked for, or global, its
	// profile of that name.
	Spill   []string
	Require []string // terms that the makers of its models must give in full
	Tier    *Tier    // that of those above it, nil for none
	// ModelMap is the application inference profiles by model, for the tenant and those below it.
	ModelMap     map[string]string
	Resources    *Resources // nil: any that the gateway allows
	Operations   []string   // nil: the default list
	Upstream     string
	Role         *role.Role // what its upstream's is not, nil for nothing
	OutputTokens *OutputTokens
	Batch        *Batch // nil: it starts no batch jobs
	PromptCache  Caching
	Budgets      []Budget
	Session      *SessionBudget // of each of its sessions, nil for none, or that of those above it
	Limits       Limits
	OnLedgerLoss string // lease_only (default), allow, deny
	// BudgetHeaders is which budgets answers tell of: none (default), own, all. All are
	// those of the tenants above too.
	BudgetHeaders string
	// NativePaths is whether Chat Completions and Responses reach AWS's own paths where it has them for the model,
	// default true. Else they always go by Converse.
	NativePaths bool
	// GuardNewTurn is whether guardrails in Converse read what the user said last alone, and not the conversation again.
	GuardNewTurn bool
	// UnsupportedFields is what becomes of what a caller of OpenAI's or Anthropic's API asks
	// for and the model cannot be given: fit (default) drops and names what changes no meaning
	// and refuses the rest; refuse and drop do one thing with all of it.
	UnsupportedFields string
	// Store is whether AWS may keep what this tenant sends to OpenAI's Responses and gets from it, for 30 days:
	// refuse (default) has it store nothing.
	Store string
	// Webhook receives notifications, signed with WebhookSecret.
	Webhook, WebhookSecret string
}

// Resources are globs on what its requests may name of AWS beside models, nil for any. They
// only narrow what the gateway and the tenants above allow.
type Resources struct {
	Guardrails []string // ids or ARNs
	S3         []string // URIs
	Knowledge  []string // ids of knowledge bases, AGENT/ALIAS
}

// OutputTokens caps answers.
type OutputTokens struct {
	Default  int64  // when the request names none; 0: Max
	Max      int64  // 0: no maximum
	OnExceed string // clamp (default), reject
	// UnknownFamily overrides that of the gateway; "" does not.
	UnknownFamily string
}

// Key is what is set of one key of a tenant. The zero value restricts nothing.
type Key struct {
	Name, Owner string
	Expires     time.Time // when it ceases to be valid; zero: never
	// Networks are where requests may come from; none: from everywhere.
	Networks []netip.Prefix
	Budgets  []Budget // for the key alone, beside its tenant's
	Limits   Limits   // likewise
	Tier     *Tier    // in place of its tenant's, nil for that
	Session  *SessionBudget
}

// Cascade is a light model with an escalation model behind it.
type Cascade struct {
	Name         string
	Match        string // CEL
	Mode         string // rules, check (default), observe, enforce
	Light        string
	Partner      string
	PartnerWhen  string // always (default), uncertain
	Escalation   string
	EscalateIf   []Rule
	Unknown      string // escalate (default), accept
	OnLength     string // accept (default), escalate
	OnUngrounded string // accept (default), escalate
	Stream       string // buffer (default), pre_only, parallel
	OnAbandon    string // drain (default), cancel
	Target       Target
	Certificate  string // absolute path, "" none
	Score        string // absolute path of a trained score of light answers, "" none
	PreScore     string // absolute path of a trained gate, "" none
	Session      Session
	Guard        EscalationGuard
	Shadow       Shadow
	Tier         LegTiers
	CheckTimeout time.Duration // default 150ms
}

// Rule is one complexity pattern.
type Rule struct{ ID, If string }

// Target is the bound on quality that a certificate must prove.
type Target struct {
	MaxQualityLoss float64 // default 0.02
	Confidence     float64 // default 0.9
}

// Session keeps a conversation on the highest tier that it reached.
type Session struct {
	TTL time.Duration // default 30m; 0 with Off
	Off bool
}

// EscalationGuard bounds escalations against cost attacks. Zero is no bound.
type EscalationGuard struct {
	MaxRate         float64 // share of the cascade's requests
	PerKeyPerMinute int64
}

// Shadow runs the other model on a fraction of requests, for labels.
type Shadow struct {
	Fraction  float64 // default 0.02 when Tenant is set
	Tenant    string  // who pays; "" no shadows
	USDPerDay money.Pico
	Judge     string // JudgeKeys (default), a model id or alias
	// Adequate is the grade from which on an answer is adequate, 2 to 10, when the
	// judge grades each answer by itself; 0 when it chooses the better one.
	Adequate       int
	SecondReadings float64 // share of the graded samples that are graded again, default 0.1
	GradeAgreeing  float64 // share of the samples with equal keys that are graded too, default 0.1
}

// JudgeKeys labels samples by the keys of their answers, without a judge model.
const JudgeKeys = "key_disagreement"

// PriceBook is one file of prices.
type PriceBook struct {
	Name      string // file name
	Shipped   bool   // with the program
	Prices    []Price
	Lifecycle []Lifecycle
	Unpriced  []Unlisted
}

// Price is what its models cost from a day on, in one scope, region, tier and
// latency: the loader expands entries that hold for several. The row with the
// guardrail rates has the model "guardrail".
type Price struct {
	Models           []string  // foundation ids, or globs
	Scope            string    // "" in region, a geography (us, eu, …), geo for any of them, global
	Region           string    // of scope "": the region whose rates they are, "" for any
	Tier             string    // "" default, flex, priority, reserved, batch
	Latency          string    // "" standard, optimized
	Above            int64     // 0, or: the rates of a request with more input tokens than this
	Effective, Until time.Time // UTC days; Until, the last one, is zero without an end
	Source           string
	// Everywhere is whether the entry named no scopes, so that its rates are those of
	// every one.
	Everywhere bool
	Rates
}

// Rates are what a million of each class cost. Has says which of them are listed;
// the others are unknown, not free. Guardrail is per million text units, by policy.
type Rates struct {
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h                money.Price
	Query, Image                                                        money.Price
	Second                                                              money.Price // per million milliseconds
	HasInput, HasOutput, HasCacheRead, HasCacheWrite5m, HasCacheWrite1h bool
	HasQuery, HasImage, HasSecond                                       bool
	Guardrail                                                           map[string]money.Price
}

// Lifecycle says when models end, and what follows them.
type Lifecycle struct {
	Models    []string
	Ends      time.Time // UTC day from which they are not served
	Successor string    // "" where none is named
}

// Unlisted names models that a book has no price for on purpose.
type Unlisted struct {
	Models []string
	Reason string
}

// Discount lowers the list price of what it names, from a day to a day, by a
// percentage: an enterprise agreement, or a sleeve for Bedrock in it.
type Discount struct {
	Services []string  // bedrock, marketplace; nil: both
	Models   glob.List // of foundation ids; nil: all
	Tiers    []string  // default and the rest; nil: all
	// PPM is the discount in millionths of the list price.
	PPM      int64
	From, To time.Time // UTC days, both included; To is zero without an end
}

// Position is a place in a configuration file. Line and Column count from 1.
type Position struct {
	File         string
	Line, Column int
	Text         string // the offending line
}

// Problem is one mistake: where, as a path like "cascades[0].match", and what.
type Problem struct {
	Path    string
	Offset  int // bytes into the scalar at Path, for CEL
	Message string
	// Warning does not make the configuration invalid.
	Warning bool
}
