package config

import (
	"math"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluice-gateway/sluice/internal/role"
)

// The tables below are the whole schema: one row per key, in the order of the
// documentation. Defaults are at the head of each section.

func rootSection(d *decoder, v value, c *Config) {
	d.section(v,
		key("listen", &c.Listen, serving(name)),
		key("base_path", &c.BasePath, text),
		key("tls", &c.TLS, optional(tlsSection)),
		key("admin", &c.Admin, adminSection),
		key("data_dir", &c.DataDir, path),
		key("journal", &c.Journal, journalSection),
		key("decisions", &c.Decisions, decisionsSection),
		key("export", &c.Export, exportSection),
		key("upstream", &c.Upstream, upstreamSection),
		key("upstreams", &c.Upstreams, table(upstreamSection)),
		key("pools", &c.Pools, table(poolSection)),
		key("model_upstreams", &c.ModelUpstreams, modelUpstreams),
		key("model_map", &c.ModelMap, table(name)),
		key("allowed_accounts", &c.AllowedAccounts, list(account)),
		key("allowed_regions", &c.AllowedRegions, list(name)),
		key("allowed_kinds", &c.AllowedKinds, list(oneOf(ARNKinds...))),
		key("allowed_guardrails", &c.AllowedGuardrails, list(name)),
		key("allowed_s3", &c.AllowedS3, list(name)),
		key("allowed_knowledge", &c.AllowedKnowledge, list(name)),
		key("ledger", &c.Ledger, ledgerSection),
		key("prices", &c.Prices, list(priceFile)),
		key("price_locks", &c.Locks, list(priceFile)),
		key("discounts", &c.Discounts, list(discountSection)),
		key("commitments", &c.Commitments, list(commitmentSection)),
		key("capacity", &c.Capacity, list(capacitySection)),
		key("users", &c.Users, optional(usersSection)),
		key("models", &c.Models, modelFiles),
		key("unpriced", &c.Unpriced, oneOf(UnpricedAllow, UnpricedRefuse)),
		key("unknown_family", &c.UnknownFamily, oneOf("refuse", "cut", "allow")),
		key("timeouts", &c.Timeouts, timeoutsSection),
		key("limits", &c.Limits, edgeSection),
		key("trusted_proxies", &c.TrustedProxies, list(onNetwork)),
		key("telemetry", &c.Telemetry, telemetrySection),
		key("tenants", &c.Tenants, list(tenantSection)),
		key("aliases", &c.Aliases, table(name)),
		key("cascades", &c.Cascades, list(cascadeSection)),
		key("include", &d.includes, list(path)),
	)
}

// includedSection is what a file named by include may hold.
func includedSection(d *decoder, v value, c *Config) {
	d.section(v,
		key("tenants", &c.Tenants, list(tenantSection)),
		key("cascades", &c.Cascades, list(cascadeSection)),
	)
}

// defaults is the configuration that an empty file means.
func defaults() *Config {
	return &Config{
		Listen:  "127.0.0.1:8080",
		Admin:   Admin{Listen: "127.0.0.1:9090"},
		DataDir: "data",
		Journal: Journal{
			Fsync: "group", Every: 5 * time.Millisecond,
			SegmentBytes: 64 << 20, Keep: 72 * time.Hour,
		},
		Decisions: Decisions{Keep: 35 * 24 * time.Hour, MaxBytes: 2 << 30},
		Export:    Export{Every: 5 * time.Minute},
		Upstream:  defaultUpstream(),
		Unpriced:  UnpricedAllow, UnknownFamily: "refuse",
		Timeouts: Timeouts{
			Request: 65 * time.Minute, Drain: 5 * time.Minute, // the longest calls that Bedrock documents last 60
			Header: 5 * time.Second, Body: 30 * time.Second, KeepAlive: 75 * time.Second, Write: 30 * time.Second,
		},
		Limits: EdgeLimits{
			MaxBodyBytes: 25 << 20, BufferedBytes: 1 << 30,
			MaxConnections: 10_000, MaxUnprovenConnections: 8330, MaxConnectionsPerAddress: 7500, // unless derived
			MaxQueueDelay: 25 * time.Millisecond,
		},
		Telemetry: Telemetry{Sample: 0.1},
	}
}

func usersSection(d *decoder, v value, u *Users) {
	d.section(v,
		key("header", &u.Header, name),
		key("metadata", &u.Metadata, name),
		key("body", &u.Body, boolean),
		key("hash", &u.Hash, boolean),
	)
}

func tlsSection(d *decoder, v value, t *TLS) {
	d.section(v,
		need("cert", &t.Cert, serving(path)),
		need("key", &t.Key, serving(path)),
	)
}

func adminSection(d *decoder, v value, a *Admin) {
	d.section(v,
		key("listen", &a.Listen, serving(name)),
		key("token", &a.Token, serving(text)),
		key("oidc", &a.OIDC, optional(oidcSection)),
		key("advertise", &a.Advertise, serving(text)),
	)
}

func oidcSection(d *decoder, v value, o *OIDC) {
	d.section(v,
		need("issuer", &o.Issuer, serving(name)),
		need("client_id", &o.ClientID, serving(name)),
		key("client_secret", &o.ClientSecret, serving(text)),
		need("url", &o.URL, serving(name)),
		key("scopes", &o.Scopes, list(name)),
		need("grants", &o.Grants, list(grantSection)),
	)
}

func grantSection(d *decoder, v value, g *Grant) {
	*g = Grant{Role: RoleViewer}
	d.section(v,
		need("claim", &g.Claim, name),
		need("value", &g.Value, name),
		key("role", &g.Role, oneOf(RoleViewer, RoleKeyAdmin, RoleAdmin)),
		key("tenant", &g.Tenant, name),
		key("tenant_claim", &g.TenantClaim, name),
	)
}

func journalSection(d *decoder, v value, j *Journal) {
	d.section(v,
		key("fsync", &j.Fsync, oneOf("always", "group", "os")),
		key("every", &j.Every, period(100*time.Microsecond)),
		key("segment_bytes", &j.SegmentBytes, size),
		key("keep", &j.Keep, period(time.Minute)),
	)
}

func decisionsSection(d *decoder, v value, c *Decisions) {
	d.section(v,
		key("keep", &c.Keep, period(time.Minute)),
		key("max_bytes", &c.MaxBytes, size),
		key("off", &c.Off, boolean),
	)
}

func exportSection(d *decoder, v value, e *Export) {
	d.section(v,
		need("to", &e.To, serving(pathOrBucket)),
		key("every", &e.Every, period(time.Second)),
		key("region", &e.Region, serving(name)),
		key("endpoint", &e.Endpoint, serving(text)),
	)
}

func defaultUpstream() Upstream {
	return Upstream{
		Kind: "runtime",
		Retry: Retry{
			MaxAttempts: 3, BudgetPercent: 20, ColdStart: 2 * time.Minute,
			BaseDelay: 100 * time.Millisecond, MaxDelay: 5 * time.Second,
		},
		Breaker: Breaker{Failures: 10, OpenFor: 10 * time.Second},
	}
}

func upstreamSection(d *decoder, v value, u *Upstream) {
	*u = defaultUpstream()
	d.section(v, append(roleKeys(&u.Role),
		key("kind", &u.Kind, oneOf("runtime", "mantle")),
		key("region", &u.Region, name),
		key("endpoint", &u.Endpoint, serving(text)),
		key("bearer_token", &u.BearerToken, serving(text)),
		key("proxy", &u.Proxy, serving(text)),
		key("ca_file", &u.CAFile, serving(path)),
		key("tag_requests", &u.TagRequests, boolean),
		key("retry", &u.Retry, retrySection),
		key("breaker", &u.Breaker, breakerSection),
		key("quotas", &u.Quotas, list(quotaSection)),
	)...)
}

// roleKeys are the keys of a role in the section that it belongs to.
func roleKeys(r *role.Role) []field {
	return []field{
		key("role_arn", &r.ARN, serving(text)),
		key("external_id", &r.ExternalID, serving(text)),
		key("session_name", &r.SessionName, serving(text)),
		key("session_tags", &r.Tags, serving(sessionTags)),
		key("sts_region", &r.STSRegion, serving(text)),
	}
}

// sessionTags reads a mapping of text.
func sessionTags(d *decoder, v value, dst *string) {
	var tags map[string]string
	table(name)(d, v, &tags)
	*dst = role.EncodeTags(tags)
}

func retrySection(d *decoder, v value, r *Retry) {
	d.section(v,
		key("max_attempts", &r.MaxAttempts, whole(1, 10)),
		key("budget_percent", &r.BudgetPercent, whole(0, 100)),
		key("base_delay", &r.BaseDelay, period(time.Millisecond)),
		key("max_delay", &r.MaxDelay, period(time.Millisecond)),
		key("cold_start", &r.ColdStart, period(0)),
		key("on_timeout", &r.OnTimeout, boolean),
	)
}

func breakerSection(d *decoder, v value, b *Breaker) {
	d.section(v,
		key("failures", &b.Failures, whole(1, 1_000_000)),
		key("open_for", &b.OpenFor, period(time.Millisecond)),
	)
}

func ledgerSection(d *decoder, v value, l *Ledger) {
	d.section(v, key("redis", &l.Redis, text))
}

func timeoutsSection(d *decoder, v value, t *Timeouts) {
	positive := period(time.Millisecond)
	d.section(v,
		key("request", &t.Request, positive),
		key("first_byte", &t.FirstByte, positive),
		key("idle", &t.Idle, positive),
		key("drain", &t.Drain, positive),
		key("header", &t.Header, positive),
		key("body", &t.Body, positive),
		key("keep_alive", &t.KeepAlive, positive),
		key("write", &t.Write, positive),
	)
}

func edgeSection(d *decoder, v value, l *EdgeLimits) {
	d.section(v,
		key("max_body_bytes", &l.MaxBodyBytes, size),
		key("buffered_bytes", &l.BufferedBytes, size),
		key("max_connections", &l.MaxConnections, whole(1, math.MaxInt32)),
		key("max_unproven_connections", &l.MaxUnprovenConnections, whole(0, math.MaxInt32)),
		key("max_connections_per_address", &l.MaxConnectionsPerAddress, whole(0, math.MaxInt32)),
		key("max_queue_delay", &l.MaxQueueDelay, period(0)),
	)
}

func telemetrySection(d *decoder, v value, t *Telemetry) {
	d.section(v,
		key("otlp", &t.OTLP, serving(text)),
		key("sample", &t.Sample, share),
		key("content", &t.Content, boolean),
		key("access_log", &t.AccessLog, serving(pathOrStdout)),
		key("server_timing", &t.ServerTiming, boolean),
	)
}

func tenantSection(d *decoder, v value, t *Tenant) {
	*t = Tenant{
		OnLedgerLoss: "lease_only", BudgetHeaders: "none", UnsupportedFields: "fit", Store: "refuse", NativePaths: true,
		PromptCache: Caching{Inject: "off"},
	}
	var assumed role.Role
	var within Resources
	d.section(v, append(roleKeys(&assumed),
		need("id", &t.ID, name),
		key("renamed_from", &t.RenamedFrom, name),
		key("name", &t.Name, name),
		key("cost_center", &t.CostCenter, name),
		key("tags", &t.Tags, table(name)),
		key("billing_time_zone", &t.BillingTimeZone, name),
		key("keys", &t.Keys, serving(list(tenantKey(&t.KeySettings)))),
		key("models", &t.Models, list(name)),
		key("deny_models", &t.DenyModels, list(name)),
		key("residency", &t.Residency, oneOf("any", "geo", "region")),
		key("require", &t.Require, list(oneOf(TermNames...))),
		key("spill", &t.Spill, list(oneOf("named", "global"))),
		key("tier", &t.Tier, optional(tierSection)),
		key("model_map", &t.ModelMap, table(name)),
		key("allowed_guardrails", &within.Guardrails, list(name)),
		key("allowed_s3", &within.S3, list(name)),
		key("allowed_knowledge", &within.Knowledge, list(name)),
		key("operations", &t.Operations, list(oneOf(operations...))),
		key("batch", &t.Batch, optional(batchSection)),
		key("upstream", &t.Upstream, text),
		key("output_tokens", &t.OutputTokens, optional(outputSection)),
		key("prompt_cache", &t.PromptCache, cachingSection),
		key("budgets", &t.Budgets, list(budgetSection)),
		key("session_budget", &t.Session, optional(sessionBudgetSection)),
		key("limits", &t.Limits, limitsSection),
		key("on_ledger_loss", &t.OnLedgerLoss, oneOf("lease_only", "allow", "deny")),
		key("budget_headers", &t.BudgetHeaders, oneOf("none", "own", "all")),
		key("unsupported_fields", &t.UnsupportedFields, oneOf("fit", "refuse", "drop")),
		key("store", &t.Store, oneOf("refuse", "allow")),
		key("native_paths", &t.NativePaths, boolean),
		key("guard_new_turn", &t.GuardNewTurn, boolean),
		key("webhook", &t.Webhook, serving(text)),
		key("webhook_secret", &t.WebhookSecret, serving(text)),
	)...)
	if assumed != (role.Role{}) {
		t.Role = &assumed
	}
	if within.Guardrails != nil || within.S3 != nil || within.Knowledge != nil {
		t.Resources = &within
	}
}

// ARNKinds are the kinds of ARN that allowed_kinds may list, the resource types of AWS.
var ARNKinds = []string{
	"foundation-model", "inference-profile", "application-inference-profile", "provisioned-model", "custom-model",
	"custom-model-deployment", "imported-model", "prompt", "prompt-router", "default-prompt-router", "guardrail",
	"guardrail-profile", "endpoint", "knowledge-base", "agent-alias",
}

// operations are the operations of the Bedrock Runtime API by the names of the
// AWS CLI, as far as the gateway serves them.
var operations = []string{
	"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens",
	"apply-guardrail", "invoke-guardrail-checks", "start-async-invoke", "get-async-invoke",
	"batch", "retrieve", "retrieve-and-generate", "rerank", "invoke-agent",
}

// tenantKey reads a key, which is its id or a mapping with the id and what is set of it, by
// the id into settings.
func tenantKey(settings *map[string]*Key) decode[string] {
	return func(d *decoder, v value, id *string) {
		if d.shape != nil {
			keySection(d, v, id, &Key{})
			d.shape["type"] = []string{"string", "number", "object"}
			return
		}
		switch v.node.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
		default:
			name(d, v, id)
			return
		}
		before := len(d.faults)
		entries, _ := d.entries(v)
		d.faults = d.faults[:before] // the section says them
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.name == "id" }) {
			d.fault(v, `needs the key "id", or is an id alone`)
			return
		}
		var k Key
		keySection(d, v, id, &k)
		if *settings == nil {
			*settings = map[string]*Key{}
		}
		(*settings)[*id] = &k
	}
}

func keySection(d *decoder, v value, id *string, k *Key) {
	d.section(v,
		need("id", id, name),
		key("name", &k.Name, name),
		key("owner", &k.Owner, name),
		key("expires", &k.Expires, instant),
		key("networks", &k.Networks, list(onNetwork)),
		key("budgets", &k.Budgets, list(budgetSection)),
		key("limits", &k.Limits, limitsSection),
		key("tier", &k.Tier, optional(tierSection)),
		key("session_budget", &k.Session, optional(sessionBudgetSection)),
	)
}

func outputSection(d *decoder, v value, o *OutputTokens) {
	*o = OutputTokens{OnExceed: "clamp"}
	d.section(v,
		key("default", &o.Default, count),
		key("max", &o.Max, count),
		key("on_exceed", &o.OnExceed, oneOf("clamp", "reject")),
		key("unknown_family", &o.UnknownFamily, oneOf("refuse", "cut", "allow")),
	)
}

func cachingSection(d *decoder, v value, c *Caching) {
	d.section(v, key("inject", &c.Inject, oneOf("off", "auto")))
}

func budgetSection(d *decoder, v value, b *Budget) {
	*b = Budget{OnExceed: "reject", TimeZone: "UTC"}
	d.section(v,
		need("period", &b.Period, oneOf("minute", "hour", "day", "month")),
		need("usd", &b.USD, dollars),
		key("on_exceed", &b.OnExceed, oneOf("reject", "light_only", "notify")),
		key("hard_usd", &b.HardUSD, dollars),
		key("time_zone", &b.TimeZone, name),
	)
}

func limitsSection(d *decoder, v value, l *Limits) {
	d.section(v,
		key("requests_per_minute", &l.RequestsPerMinute, count),
		key("tokens_per_minute", &l.TokensPerMinute, count),
		key("concurrent_requests", &l.ConcurrentRequests, count),
	)
}

func cascadeSection(d *decoder, v value, c *Cascade) {
	*c = Cascade{
		Mode: "check", PartnerWhen: "always", Unknown: "escalate", OnLength: "accept",
		OnUngrounded: "accept", Stream: "buffer", OnAbandon: "drain",
		Target:  Target{MaxQualityLoss: 0.02, Confidence: 0.9},
		Session: Session{TTL: 30 * time.Minute}, Shadow: Shadow{Judge: JudgeKeys},
		CheckTimeout: 150 * time.Millisecond,
	}
	d.section(v,
		need("name", &c.Name, name),
		need("match", &c.Match, name),
		key("mode", &c.Mode, oneOf("rules", "check", "observe", "enforce")),
		need("light", &c.Light, name),
		key("partner", &c.Partner, name),
		key("partner_when", &c.PartnerWhen, oneOf("always", "uncertain")),
		need("escalation", &c.Escalation, name),
		key("escalate_if", &c.EscalateIf, list(ruleSection)),
		key("unknown", &c.Unknown, oneOf("escalate", "accept")),
		key("on_length", &c.OnLength, oneOf("accept", "escalate")),
		key("on_ungrounded", &c.OnUngrounded, oneOf("accept", "escalate")),
		key("stream", &c.Stream, oneOf("buffer", "pre_only", "parallel")),
		key("on_abandon", &c.OnAbandon, oneOf("drain", "cancel")),
		key("target", &c.Target, targetSection),
		key("certificate", &c.Certificate, path),
		key("score", &c.Score, path),
		key("pre_score", &c.PreScore, path),
		key("session", &c.Session, sessionSection),
		key("guard", &c.Guard, guardSection),
		key("shadow", &c.Shadow, shadowSection),
		key("tier", &c.Tier, legTiers),
		key("check_timeout", &c.CheckTimeout, period(time.Millisecond)),
	)
}

func ruleSection(d *decoder, v value, r *Rule) {
	d.section(v,
		need("id", &r.ID, name),
		need("if", &r.If, name),
	)
}

func targetSection(d *decoder, v value, t *Target) {
	d.section(v,
		key("max_quality_loss", &t.MaxQualityLoss, share),
		key("confidence", &t.Confidence, share),
	)
}

func sessionSection(d *decoder, v value, s *Session) {
	d.section(v,
		key("ttl", &s.TTL, period(time.Second)),
		key("off", &s.Off, boolean),
	)
	if s.Off {
		s.TTL = 0
	}
}

func guardSection(d *decoder, v value, g *EscalationGuard) {
	d.section(v,
		key("max_rate", &g.MaxRate, share),
		key("per_key_per_minute", &g.PerKeyPerMinute, count),
	)
}

func shadowSection(d *decoder, v value, s *Shadow) {
	s.Fraction, s.SecondReadings, s.GradeAgreeing = 0.02, 0.1, 0.1
	d.section(v,
		key("fraction", &s.Fraction, share),
		key("tenant", &s.Tenant, name),
		key("usd_per_day", &s.USDPerDay, dollars),
		key("judge", &s.Judge, name),
		key("adequate", &s.Adequate, whole(2, 10)),
		key("second_readings", &s.SecondReadings, share),
		key("grade_agreeing", &s.GradeAgreeing, share),
	)
	if s.Tenant == "" {
		s.Fraction = 0
	}
}
