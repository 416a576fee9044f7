// Package tour prints what to try on a gateway that has just started: calls to paste for each client, which work as
// they are, by what stands in the gateway's configuration.
package tour

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/explain"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Gateway is a running gateway with a key for it. Snapshot, Listen and Admin must be set.
type Gateway struct {
	Version  string
	Snapshot *snapshot.Snapshot
	Key      tenant.Credentials
	// Listen and Admin are where the ports listen, with their real numbers.
	Listen, Admin net.Addr
	// CA is the file of the certificate authority that clients have to trust, "" when that is not known.
	CA string
	// Program and File are how to call the program, and its configuration.
	Program, File string
}

// fallback is asked for when the configuration names no model.
const fallback = "amazon.nova-lite-v1:0"

// Print writes the tour as of now.
func (g *Gateway) Print(w io.Writer, now time.Time) error {
	p := page{g: g}
	p.line("")
	p.line("Sluice %s serves %s, in front of %s.", g.Version, g.url(), g.upstream())
	if who := g.caller(now); who == nil {
		p.line("No tenant of %s has the demo key. These calls work once one has it among its keys: %s", g.File, g.Key.KeyID)
	} else {
		p.calls(who, now)
	}
	p.operations()
	p.line("")
	_, err := io.WriteString(w, p.text.String())
	return err
}

// upstream says whose answers callers get.
func (g *Gateway) upstream() string {
	switch u := &g.Snapshot.Config.Upstream; u.Endpoint {
	case "sandbox":
		return "its built-in stand-in for Bedrock: answers are canned; tokens, costs and reports are real"
	case "":
		return "Amazon Bedrock in " + u.Region + ": calls are real and billed; it signs them with its own AWS credentials"
	default:
		return u.Endpoint
	}
}

// url is where callers reach the gateway from this machine.
func (g *Gateway) url() string {
	scheme := "http://"
	if g.Snapshot.Config.TLS != nil {
		scheme = "https://"
	}
	return scheme + dialable(g.Listen) + g.Snapshot.Config.BasePath
}

// dialable is an address to dial for one to listen at: nobody can call 0.0.0.0.
func dialable(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return a.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
}

// caller is the tenant of the key, nil when none has it.
func (g *Gateway) caller(now time.Time) *tenant.Tenant {
	admitted, _ := g.Snapshot.Tenants.Admit(&tenant.AuthRequest{
		Header: wire.Header{{Name: "authorization", Value: "Bearer " + g.Key.Bearer}},
	}, now)
	if admitted == nil {
		return nil
	}
	who, _ := admitted.Confirm(nil)
	if who == nil {
		return nil
	}
	return who.Tenant
}

// choose picks the model to show: what the tenant may call, best an alias with a cascade behind it.
func (g *Gateway) choose(who *tenant.Tenant, now time.Time) *explain.Explanation {
	cfg := g.Snapshot.Config
	models := slices.Sorted(maps.Keys(cfg.Aliases))
	for i := range cfg.Cascades {
		models = append(models, cfg.Cascades[i].Light, cfg.Cascades[i].Escalation)
	}
	var best *explain.Explanation
	for _, model := range append(models, fallback) {
		if quote(model) != model {
			continue // none, or one to write in another way in each language
		}
		e := explain.Explain(g.Snapshot, &explain.Request{
			Op: wire.OpConverse, Model: model, Tenant: who, Key: g.Key.KeyID, Now: now, Output: 100,
			Body: explain.ConverseBody("hello", 0),
		})
		if best == nil || rank(e) > rank(best) {
			best = e
		}
	}
	return best
}

// rank orders what could be shown.
func rank(e *explain.Explanation) int {
	switch {
	case e.Refused != nil:
		return 0
	case e.Cascade != "" && e.Path == "light":
		return 3
	case e.Cascade != "":
		return 2
	}
	return 1
}

// page collects the lines.
type page struct {
	g    *Gateway
	text strings.Builder
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// calls are those that the tenant can make.
func (p *page) calls(who *tenant.Tenant, now time.Time) {
	e := p.g.choose(who, now)
	if e.Refused != nil {
		p.line("Tenant %s can call no model that %s names: %s", who.ID, p.g.File, e.Refused.Message)
		return
	}
	p.model(e)
	p.curl(e.Model)
	p.environment()
	p.line("")
	p.line("boto3:")
	p.line(`  python3 -c 'import boto3; print(boto3.client("bedrock-runtime").converse(modelId="%s",`, e.Model)
	p.line(`    messages=[{"role":"user","content":[{"text":"hello"}]}])["output"])'`)
	p.line("")
	p.line("AWS CLI:")
	p.line(`  aws bedrock-runtime converse --model-id %s \`, quote(e.Model))
	p.line(`    --messages '[{"role":"user","content":[{"text":"hello"}]}]'`)
	p.line("")
	p.line("JavaScript, where `npm install @aws-sdk/client-bedrock-runtime` was run:")
	p.line(`  node --input-type=module -e 'import { BedrockRuntime } from "@aws-sdk/client-bedrock-runtime";`)
	p.line(`    const answer = await new BedrockRuntime().converse({modelId: "%s",`, e.Model)
	p.line(`      messages: [{role: "user", content: [{text: "hello"}]}]}); console.log(answer.output.message)'`)
}

// model says what answers.
func (p *page) model(e *explain.Explanation) {
	switch {
	case e.Cascade == "" && e.Model == e.Resolved:
		p.line("The calls below ask for model %s.", e.Model)
	case e.Cascade == "":
		p.line("The calls below ask for %q, an alias for %s.", e.Model, e.Resolved)
	default:
		var legs []string
		for _, leg := range e.Legs {
			legs = append(legs, leg.Role+" "+leg.Model)
		}
		p.line("Model %q is cascade %q (%s): %s.", e.Model, e.Cascade, e.Mode, strings.Join(legs, ", "))
	}
}

func (p *page) curl(model string) {
	trust := ""
	if p.g.CA != "" {
		trust = " --cacert " + quote(p.g.CA)
	}
	p.line("")
	p.line("curl:")
	p.line(`  curl -s%s %s -H 'Content-Type: application/json' \`, trust, quote(p.g.url()+"/model/"+url.PathEscape(model)+"/converse"))
	p.line(`    -H 'Authorization: Bearer %s' \`, p.g.Key.Bearer)
	p.line(`    -d '{"messages":[{"role":"user","content":[{"text":"hello"}]}]}'`)
}

// environment is what the SDKs read. They send a bearer token over TLS only, so without it they get the key pair.
func (p *page) environment() {
	region := p.g.Snapshot.Config.Upstream.Region
	if region == "" {
		region = "us-east-1"
	}
	p.line("")
	p.line("For the AWS SDKs and the AWS CLI, in the shell that runs them:")
	p.line("  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_BEARER_TOKEN_BEDROCK")
	p.line("  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=%s AWS_REGION=%s AWS_DEFAULT_REGION=%[2]s", quote(p.g.url()), region)
	if p.g.Snapshot.Config.TLS == nil {
		p.line("  export AWS_ACCESS_KEY_ID=%s \\", p.g.Key.AccessKeyID)
		p.line("    AWS_SECRET_ACCESS_KEY=%s", p.g.Key.SecretAccessKey)
		return
	}
	p.line("  export AWS_BEARER_TOKEN_BEDROCK=%s", p.g.Key.Bearer)
	if p.g.CA != "" { // Node has a variable of its own
		p.line("  export AWS_CA_BUNDLE=%s NODE_EXTRA_CA_CERTS=%[1]s", quote(p.g.CA))
	}
}

func (p *page) operations() {
	token := ""
	if p.g.Snapshot.Config.Admin.Token != "" {
		token = " -H 'Authorization: Bearer ADMIN_TOKEN'"
	}
	admin := "http://" + dialable(p.g.Admin)
	p.line("")
	p.line("What it cost, and whether all is well:")
	p.line("  %s report --config %s", quote(p.g.Program), quote(p.g.File))
	p.line("  curl -s %s/readyz", admin)
	p.line("  curl -s %s/metrics%s", admin, token)
	p.line("")
	p.line("Spend, budgets and requests, in a browser: %s/", admin)
}

// quote is a word for a shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
