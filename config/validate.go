package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/internal/role"
)

// validate checks what one value alone cannot show: forms, references,
// duplicates. It passes over what is empty because it could not be read. Region
// defaults come from the environment, as the AWS SDKs take them. Every problem
// is returned. unread are the paths of values that could not be read.
func validate(c *Config, env func(string) string, unread map[string]bool) []Problem {
	v := &validator{c: c, unread: unread, zones: map[string]bool{}}
	v.edge()
	v.upstream("upstream", &c.Upstream, env)
	v.require(!c.Upstream.Mantle(), "upstream.kind",
		"must be runtime: put the host bedrock-mantle into upstreams, and its models into model_upstreams")
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		u := c.Upstreams[name]
		v.upstream(member("upstreams", name), &u, env)
		c.Upstreams[name] = u
	}
	validatePools(v)
	v.references()
	v.tenants()
	v.profiles()
	v.capacity()
	v.cascades()
	v.discounts()
	return v.problems
}

type validator struct {
	c        *Config
	problems []Problem
	unread   map[string]bool
	zones    map[string]bool // time zones by name: whether there is one
}

// require reports a problem at path unless ok.
func (v *validator) require(ok bool, path, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// edge checks the two ports and where counters and traces go.
func (v *validator) edge() {
	c := v.c
	c.Timeouts.FirstByte = cmp.Or(c.Timeouts.FirstByte, c.Timeouts.Request)
	c.Timeouts.Idle = cmp.Or(c.Timeouts.Idle, c.Timeouts.Request)
	v.address("listen", c.Listen)
	v.address("admin.listen", c.Admin.Listen)
	v.require(c.Admin.Token != "" || v.unread["admin.token"] || isLoopback(c.Admin.Listen), "admin",
		"needs a token, because %s can be reached from other machines", c.Admin.Listen)
	v.oidc(c.Admin.OIDC)
	v.require(c.BasePath == "" || strings.HasPrefix(c.BasePath, "/") && !strings.HasSuffix(c.BasePath, "/"),
		"base_path", "must begin with a slash and not end with one, as /bedrock does")
	v.require(c.Limits.MaxBodyBytes <= c.Limits.BufferedBytes, "limits",
		"max_body_bytes must not be above buffered_bytes, or the largest body is never taken")
	if c.Ledger.Redis != "" {
		v.redis(c.Ledger.Redis)
	}
	if c.Telemetry.OTLP != "" {
		v.url("telemetry.otlp", c.Telemetry.OTLP, "http", "https")
	}
}

// oidc checks the identity provider of the page.
func (v *validator) oidc(o *OIDC) {
	if o == nil {
		return
	}
	if o.Issuer != "" {
		v.url("admin.oidc.issuer", o.Issuer, "http", "https")
	}
	if o.URL != "" {
		v.url("admin.oidc.url", o.URL, "http", "https")
	}
	for i := range o.Grants {
		g, path := &o.Grants[i], fmt.Sprintf("admin.oidc.grants[%d]", i)
		set := func(s, below string) bool { return s != "" || v.unread[path+"."+below] }
		v.require(set(g.Tenant, "tenant") != set(g.TenantClaim, "tenant_claim"), path, "needs one of tenant and tenant_claim")
		v.require(g.Tenant == "" || g.Tenant == "*" || ValidTenant(g.Tenant), path+".tenant",
			"must be the path of a tenant, or \"*\" for all of them")
	}
}

func (v *validator) address(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	n, numeric := strconv.ParseUint(port, 10, 16)
	v.require(err == nil && numeric == nil && n <= 65535, path,
		"must be an address such as 127.0.0.1:8080 or :8080, not %q", addr)
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return true // a wrong form is reported once
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// redis checks only that the ledger's URL is one; what it may say is up to the
// ledger.
func (v *validator) redis(s string) {
	u, err := url.Parse(s)
	ok := err == nil && (u.Scheme == "unix" || strings.HasPrefix(u.Scheme, "redis") && u.Host != "")
	v.require(ok, "ledger.redis", "must be a URL such as redis://127.0.0.1:6379/0 or rediss://…")
	v.port("ledger.redis", u)
}

func (v *validator) url(path, s string, schemes ...string) {
	u, err := url.Parse(s)
	ok := err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
	v.require(ok, path, "must be a URL with a host that begins with %s://", strings.Join(schemes, ":// or "))
	v.port(path, u)
}

// port checks the port of a URL, which may name none; nil is none.
func (v *validator) port(path string, u *url.URL) {
	if u == nil {
		return
	}
	n, err := strconv.ParseUint(cmp.Or(u.Port(), "1"), 10, 16)
	v.require(err == nil && n > 0, path, "there is no port %s", u.Port())
}

// upstream checks one Bedrock and fills in its region.
func (v *validator) upstream(path string, u *Upstream, env func(string) string) {
	if u.Region == "" {
		u.Region = cmp.Or(env("AWS_REGION"), env("AWS_DEFAULT_REGION"))
	}
	if u.Region == "" && u.Endpoint != "" {
		u.Region = "us-east-1" // any will do to sign for something that is not AWS
	}
	v.require(u.Region != "" || v.unread[path+".region"], path,
		"needs the key %q (AWS_REGION is not set either)", "region")
	v.require(strings.Trim(u.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" || v.unread[path+".region"],
		joinPath(path, "region"), "must be a region such as us-east-1, not %q", u.Region)
	if u.Endpoint != "" && u.Endpoint != Sandbox {
		v.endpoint(path+".endpoint", u.Endpoint)
	}
	v.require(!u.Mantle() || !u.TagRequests, joinPath(path, "tag_requests"),
		"has no effect at an upstream of kind mantle, which takes no request metadata")
	v.role(&u.Role, func(below string) string { return joinPath(path, below) })
	v.require(u.BearerToken == "" || u.Role.ARN == "", path, "has a bearer_token, with which role_arn has no effect")
	if u.Proxy != "" {
		v.url(path+".proxy", u.Proxy, "http", "https", "socks5", "socks5h")
	}
	u.Proxy, u.CAFile = cmp.Or(u.Proxy, v.c.Upstream.Proxy), cmp.Or(u.CAFile, v.c.Upstream.CAFile)
	v.require(u.Retry.BaseDelay <= u.Retry.MaxDelay, path+".retry", "base_delay must not be above max_delay")
}

func (v *validator) endpoint(path, s string) {
	u, err := url.Parse(s)
	ok := err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	v.require(ok, path, "must be sandbox or a URL such as https://bedrock-runtime.us-east-1.amazonaws.com")
	v.port(path, u)
	v.require(!ok || u.RawQuery == "" && u.Fragment == "" && u.User == nil, path,
		"must not have a user, a query or a fragment")
}

// role checks a role. at makes a path below its section.
func (v *validator) role(r *role.Role, at func(below string) string) {
	for _, m := range r.Mistakes() {
		v.require(false, at(m.Key), "%s", m.Text)
	}
}

// tenantRole checks also that what a tenant says of a role has an effect.
func (v *validator) tenantRole(t *Tenant, at func(below string) string) {
	v.role(t.Role, at)
	u := v.c.Upstream
	if first := pools.First(v.c.Pools, t.Upstream); first != "" {
		u = v.c.Upstreams[first]
	}
	if t.Role.ARN != "" || u.Role.ARN != "" {
		return
	}
	for _, key := range t.Role.Details() {
		v.require(false, at(key), "has an effect with a role only: neither the tenant nor its upstream has a role_arn")
	}
}

// validatePools checks pools, and gives the section upstream the name that it has elsewhere.
func validatePools(v *validator) {
	kinds := map[string]string{}
	for name, u := range v.c.Upstreams {
		kinds[name] = u.Kind
	}
	for _, name := range slices.Sorted(maps.Keys(v.c.Pools)) {
		p, path := v.c.Pools[name], member("pools", name)
		for _, m := range p.Mistakes(name, kinds) {
			v.require(m.Path == "members" && len(p.Members) == 0 && v.unread[path], path+"."+m.Path, "%s", m.Text)
		}
		for i, m := range p.Members {
			if m.Upstream == pools.Default {
				p.Members[i].Upstream = ""
			}
		}
	}
}

// references checks the tables that map names to names.
func (v *validator) references() {
	c := v.c
	_, reserved := c.Upstreams["default"]
	v.require(!reserved, member("upstreams", "default"), "the name default means the section upstream")
	for _, m := range c.ModelUpstreams {
		v.upstreamName(member("model_upstreams", m.Glob), m.Name)
	}
	for _, arn := range slices.Sorted(maps.Keys(c.ModelMap)) {
		v.require(strings.HasPrefix(arn, "arn:"), member("model_map", arn),
			"maps ARNs; for other names use aliases")
	}
	for _, alias := range slices.Sorted(maps.Keys(c.Aliases)) {
		target := c.Aliases[alias]
		_, chained := c.Aliases[target]
		v.require(alias != "", "aliases", "has an alias without a name")
		v.require(!chained, member("aliases", alias), "leads to %q, which is an alias itself", target)
	}
}

// applicationProfile is what the ARN of one has.
const applicationProfile = ":application-inference-profile/"

// profiles checks the profiles that tenants have for themselves, and collects what all opaque ARNs
// are for.
func (v *validator) profiles() {
	c := v.c
	c.Behind = c.ModelMap
	for i := range c.Tenants {
		own := c.Tenants[i].ModelMap
		for _, model := range slices.Sorted(maps.Keys(own)) {
			path, arn := member(fmt.Sprintf("tenants[%d].model_map", i), model), own[model]
			before, twice := c.Behind[arn]
			switch aliased, alias := c.Aliases[model]; {
			case strings.HasPrefix(model, "arn:"):
				v.require(false, path, "maps models to profiles of the tenant; model_map at the top says what an ARN is for")
			case alias:
				v.require(false, path, "is an alias: write the model, %s", aliased)
			case !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, applicationProfile):
				v.require(false, path, "must be the ARN of an application inference profile")
			case twice && before != model:
				v.require(false, path, "this profile is for %s already: a profile is for one model", before)
			default:
				v.behind(arn, model)
			}
		}
	}
}

// behind notes what an ARN is for. The map of the configuration stays as it is written.
func (v *validator) behind(arn, model string) {
	c := v.c
	if len(c.Behind) == len(c.ModelMap) {
		c.Behind = maps.Clone(c.ModelMap)
	}
	if c.Behind == nil {
		c.Behind = map[string]string{}
	}
	c.Behind[arn] = model
}

func (v *validator) upstreamName(path, name string) {
	_, ok := v.c.Upstreams[name]
	_, pooled := v.c.Pools[name]
	v.require(ok || pooled || name == "", path, "there is no upstream %q; upstreams has %s%s", name, names(v.c.Upstreams),
		similar.Hint(name, slices.Sorted(maps.Keys(v.c.Upstreams))))
}

func names[T any](m map[string]T) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

var tenantForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// ValidTenant reports whether id can be the path of a tenant.
func ValidTenant(id string) bool { return len(id) <= 200 && tenantForm.MatchString(id) }

// tenants checks each tenant, and that no two have the same id or key. There may
// be very many, so a path is written only for a message.
func (v *validator) tenants() {
	ids, keys := make(map[string]int, len(v.c.Tenants)), make(map[string]keyIndex, len(v.c.Tenants))
	for i := range v.c.Tenants {
		t := &v.c.Tenants[i]
		at := func(below string) string { return fmt.Sprintf("tenants[%d].%s", i, below) }
		v.tenant(t, at)
		if first, twice := ids[t.ID]; twice && t.ID != "" {
			v.twice(at("id"), "tenant", t.ID, fmt.Sprintf("tenants[%d].id", first))
		} else {
			ids[t.ID] = i
		}
		for j, k := range t.Keys {
			if first, twice := keys[k]; twice && k != "" {
				v.twice(at(fmt.Sprintf("keys[%d]", j)), "key", k, fmt.Sprintf("tenants[%d].keys[%d]", first.tenant, first.key))
			} else {
				keys[k] = keyIndex{i, j}
			}
			if set := t.KeySettings[k]; set != nil {
				v.key(set, at(fmt.Sprintf("keys[%d]", j)))
			}
		}
	}
}

// key checks what is set of a key.
func (v *validator) key(k *Key, path string) {
	for below, told := range map[string]string{"name": k.Name, "owner": k.Owner} {
		v.require(plainText(told), path+"."+below, notPlain)
	}
	v.require(len(k.Networks) <= maxOfKey, path+".networks", "at most %d", maxOfKey)
	v.require(len(k.Budgets) <= maxOfKey, path+".budgets", "at most %d", maxOfKey)
	for i := range k.Budgets {
		v.budget(&k.Budgets[i], func(below string) string { return fmt.Sprintf("%s.budgets[%d].%s", path, i, below) })
	}
}

// maxOfKey is how many networks, and how many budgets, a key has at most.
const maxOfKey = 64

// keyIndex is a place in the list of tenants.
type keyIndex struct{ tenant, key int }

const notPlain = "must be one line of text, of at most 200 bytes"

// plainText reports whether a text can be a cell of a report.
func plainText(s string) bool {
	return len(s) <= 200 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// tenant checks what one tenant says by itself. at makes a path below it.
func (v *validator) tenant(t *Tenant, at func(below string) string) {
	require := func(ok bool, below, message string) {
		if !ok {
			v.require(false, at(below), "%s", message)
		}
	}
	require(t.ID == "" || ValidTenant(t.ID), "id",
		"must be a path of letters, digits, dot, dash and underscore, as acme/support is, of at most 200 bytes")
	require(t.RenamedFrom == "" || ValidTenant(t.RenamedFrom) && t.RenamedFrom != t.ID, "renamed_from",
		"must be the path that the tenant had before")
	require(plainText(t.Name), "name", notPlain)
	require(plainText(t.CostCenter), "cost_center", notPlain)
	for name, value := range t.Tags {
		require(plainText(name) && plainText(value), "tags", notPlain)
	}
	if t.BillingTimeZone != "" {
		v.billingZone(t, at("billing_time_zone"))
	}
	if t.Upstream != "" {
		v.upstreamName(at("upstream"), t.Upstream)
	}
	if t.Role != nil {
		v.tenantRole(t, at)
	}
	require(t.NativePaths || t.Store != "allow", "store", "has no effect without native_paths: Converse stores nothing")
	if t.Webhook != "" {
		v.url(at("webhook"), t.Webhook, "http", "https")
		require(t.WebhookSecret != "" || v.unread[at("webhook_secret")], "webhook",
			"needs webhook_secret, which signs what is sent")
	}
	if o := t.OutputTokens; o != nil {
		require(o.Default != 0 || o.Max != 0 || v.unread[at("output_tokens.default")] || v.unread[at("output_tokens.max")],
			"output_tokens", "needs default or max")
		require(o.Max == 0 || o.Default <= o.Max, "output_tokens.default", "must not be above max")
	}
	for j := range t.Budgets {
		v.budget(&t.Budgets[j], func(below string) string { return at(fmt.Sprintf("budgets[%d].%s", j, below)) })
	}
}

// billingZone checks what the months of a root are closed in: its hours are UTC's.
func (v *validator) billingZone(t *Tenant, path string) {
	root := !ValidTenant(t.ID) || !strings.Contains(t.ID, "/")
	v.require(root, path, "is for a root tenant, and is that of all below it")
	if !v.zone(t.BillingTimeZone) {
		v.require(false, path, "there is no time zone %q%s", t.BillingTimeZone, zoneHint(t.BillingTimeZone))
		return
	}
	v.require(wholeHours(t.BillingTimeZone), path,
		"%s is not whole hours off UTC, and counters are of whole hours", t.BillingTimeZone)
}

// wholeHours reports whether a time zone differs from UTC by whole hours in each
// month of this time.
func wholeHours(zone string) bool {
	in, err := time.LoadLocation(zone)
	for month := time.January; month <= time.December && err == nil; month++ {
		if _, offset := time.Date(2026, month, 1, 0, 0, 0, 0, in).Zone(); offset%3600 != 0 {
			return false
		}
	}
	return err == nil
}

// BillingZone is what the months of a root tenant are closed in, nil where it is
// not configured.
func (c *Config) BillingZone(root string) (*time.Location, error) {
	for i := range c.Tenants {
		if t := &c.Tenants[i]; t.ID == root && t.BillingTimeZone != "" {
			return time.LoadLocation(t.BillingTimeZone)
		}
	}
	return nil, nil
}

// unique reports a name that is at another path already.
func (v *validator) unique(seen map[string]string, path, what, name string) {
	before, twice := seen[name]
	if !twice || name == "" {
		seen[name] = path
		return
	}
	v.twice(path, what, name, before)
}

// twice reports a name that is at the path before already.
func (v *validator) twice(path, what, name, before string) {
	at := v.c.At(before)
	v.require(false, path, "%s %q is already in %s:%d", what, name, at.File, at.Line)
}

func (v *validator) budget(b *Budget, at func(below string) string) {
	if !v.zone(b.TimeZone) {
		v.require(false, at("time_zone"), "there is no time zone %q%s", b.TimeZone, zoneHint(b.TimeZone))
	}
	if b.HardUSD == 0 {
		return
	}
	v.require(b.OnExceed == "light_only" || v.unread[at("on_exceed")], at("hard_usd"),
		"has an effect with on_exceed: light_only only")
	v.require(b.HardUSD >= b.USD, at("hard_usd"), "must not be below usd")
}

// zone reports whether there is a time zone of this name.
func (v *validator) zone(name string) bool {
	known, seen := v.zones[name]
	if !seen {
		_, err := time.LoadLocation(name)
		known = err == nil && name != "Local"
		v.zones[name] = known
	}
	return known
}

func (v *validator) cascades() {
	seen := map[string]string{}
	for i := range v.c.Cascades {
		c := &v.c.Cascades[i]
		path := fmt.Sprintf("cascades[%d]", i)
		v.unique(seen, path+".name", "cascade", c.Name)
		v.require(c.Light == "" || v.resolve(c.Light) != v.resolve(c.Escalation), path+".escalation", "is the light model")
		v.require(c.Partner == "" || v.resolve(c.Partner) != v.resolve(c.Light), path+".partner", "is the light model")
		rules := map[string]string{}
		for j, r := range c.EscalateIf {
			v.unique(rules, fmt.Sprintf("%s.escalate_if[%d].id", path, j), "rule", r.ID)
		}
		v.require(0 < c.Target.MaxQualityLoss && c.Target.MaxQualityLoss < 1, path+".target.max_quality_loss",
			"must be above 0 and below 1")
		v.require(0 < c.Target.Confidence && c.Target.Confidence < 1, path+".target.confidence",
			"must be above 0 and below 1")
		v.shadow(path+".shadow", c)
	}
}

// resolve follows an alias.
func (v *validator) resolve(model string) string { return cmp.Or(v.c.Aliases[model], model) }

func (v *validator) shadow(path string, c *Cascade) {
	s := &c.Shadow
	v.require(s.Tenant != "" || s.USDPerDay == 0 || v.unread[path+".tenant"], path, "needs a tenant, who pays for it")
	for _, model := range []string{c.Light, c.Partner, c.Escalation} {
		v.require(model == "" || v.resolve(s.Judge) != v.resolve(model), path+".judge",
			"is a model of the cascade, which cannot judge itself")
	}
	graded := s.Judge != JudgeKeys || v.unread[path+".judge"]
	v.require(s.Adequate == 0 || graded, path+".adequate", "needs a judge, a model that grades answers")
}
