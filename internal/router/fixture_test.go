package router

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	lite   = "amazon.nova-lite-v1:0"
	haiku  = "us.anthropic.claude-3-5-haiku-20241022-v1:0"
	sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
	nobody = "nobody.unlisted-v1:0"
)

// claude is the dialect of the haiku and sonnet above, by whatever name the wire
// has it.
var claude = wire.DialectOf(wire.ParseModelID(sonnet).Foundation)

// baseConfig has one cascade across families and one within a family.
func baseConfig() *config.Config {
	return &config.Config{
		Upstream: config.Upstream{Region: "us-east-1"},
		Aliases:  map[string]string{"auto": sonnet, "claude": sonnet},
		Models: []config.Model{
			{
				IDs: []string{"amazon.nova-lite-*"}, Dialect: "nova", Converse: true,
				Context: 300_000, MaxOutput: 10_000, System: true, Tools: true,
			},
			{
				IDs: []string{"anthropic.claude-3-5-haiku-*"}, Dialect: claude.Name, Converse: true,
				Context: 200_000, MaxOutput: 8192, System: true, Tools: true, CachePoints: true,
			},
			{
				IDs: []string{"anthropic.claude-sonnet-4-5-*"}, Dialect: claude.Name, Converse: true,
				Context: 200_000, MaxOutput: 64_000, System: true, Tools: true, Images: true,
				Documents: true, CachePoints: true, Reasoning: true,
			},
		},
		Cascades: []config.Cascade{
			{
				Name: "support", Match: `request.model == "auto"`, Mode: "check", Light: lite, Escalation: sonnet,
				EscalateIf: []config.Rule{
					{ID: "long", If: `request.input_tokens > 30000`},
					{ID: "proof", If: `request.text.contains("prove")`},
				},
			},
			{Name: "claude", Match: `request.model == "claude"`, Mode: "rules", Light: haiku, Escalation: sonnet},
		},
	}
}

// policy is a tenant's that denies no model by name.
type policy func(ids ...string) bool

func (p policy) AllowsModel(ids ...string) bool { return p(ids...) }
func (p policy) DeniesModels() bool             { return false }
func (p policy) Profile(string) string          { return "" }

func everything(...string) bool { return true }

func converse(asked string) *Input {
	in := &Input{
		Asked: asked, Tenant: "acme/support", Root: "acme", Key: "KEY1",
		Policy: policy(everything), Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	in.says(`{"messages":[{"role":"user","content":[{"text":"what is the time"}]}]}`)
	return in
}

// says makes body that of a Converse request.
func (in *Input) says(body string) {
	in.Body, in.Facts = []byte(body), new(wire.Facts)
	if err := in.Facts.Read(wire.OpConverse, nil, in.Body); err != nil {
		panic(err)
	}
}

func invoke(asked, dialect string) *Input {
	in := converse(asked)
	in.Facts.Op, in.Facts.Dialect = wire.OpInvoke, wire.DialectNamed(dialect)
	return in
}

// planOf plans as the line does for a cascade without a certificate.
func planOf(r *Router, in *Input) (*Plan, *wire.Error) {
	m := r.Match(in)
	if m.Open() && m.Cascade.Mode == "enforce" {
		m.Direct = ReasonUncertified
	}
	return r.Legs(in, m)
}
