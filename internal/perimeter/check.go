package perimeter

import (
	"context"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Signer is for whom a request is made, and as whom it is signed: the account that this
// belongs to may be named.
type Signer struct {
	Tenant   string   // its id
	Accounts Accounts // nil: nobody knows
	Upstream string
	Role     role.Role
	// Offline is whether nothing is sent, so that nobody can be asked: an account that
	// may be the gateway's own passes.
	Offline bool
}

// own reports whether an account is that of whoever signs. It fails when nobody knows.
func (s *Signer) own(ctx context.Context, account string) (bool, error) {
	if s.Accounts == nil {
		return s.Offline, nil
	}
	id, err := s.Accounts.Account(ctx, s.Upstream, s.Role)
	return err == nil && id == account, err
}

// Model fails for the ARN of a model that may not be named, and for a name that hides
// one. Other names pass.
func (p *Perimeter) Model(ctx context.Context, s *Signer, name string) *wire.Error {
	if !IsARN(name) {
		return nil
	}
	a, ok := parse(name)
	if !ok || strings.HasPrefix(a.kind, "guardrail") || notModels[a.kind] || !a.wellFormed() {
		return invalid(name)
	}
	return p.resource(ctx, s, name, &a)
}

// notModels are further kinds of ARN that Bedrock has and that are no models.
var notModels = map[string]bool{"async-invoke": true, "knowledge-base": true, "agent-alias": true}

// Guardrail fails for a guardrail that may not be named. region is where it is asked
// for, "" where nobody knows.
func (p *Perimeter) Guardrail(ctx context.Context, s *Signer, region, name string) *wire.Error {
	if !p.lists(s.Tenant, name, func(l *lists) glob.List { return l.guardrails }) {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to the guardrail %s: it is not among "+
			"allowed_guardrails.", short(name))
	}
	if !IsARN(name) {
		return nil
	}
	a, ok := parse(name)
	if !ok || !strings.HasPrefix(a.kind, "guardrail") || !a.wellFormed() {
		return invalid(name)
	}
	if region != "" && a.region != region {
		return wire.Errorf(wire.KindValidation, "The guardrail %s belongs to region %s, but the model is served from "+
			"region %s.", short(name), a.region, region)
	}
	return p.resource(ctx, s, name, &a)
}

// Knowledge fails for a knowledge base, or an agent as AGENT/ALIAS, that may not be named.
func (p *Perimeter) Knowledge(ctx context.Context, s *Signer, name string) *wire.Error {
	if !p.lists(s.Tenant, name, func(l *lists) glob.List { return l.knowledge }) {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to the knowledge base or agent "+
			"%s: it is not among allowed_knowledge.", short(name))
	}
	if !IsARN(name) {
		return nil
	}
	a, ok := parse(name)
	if !ok || a.kind != "knowledge-base" && a.kind != "agent-alias" || !a.wellFormed() {
		return invalid(name)
	}
	return p.resource(ctx, s, name, &a)
}

// resource fails for an ARN of a kind, a region or an account that may not be named. A
// profile of AWS's own passes while nothing says which accounts are meant: it is in each
// account alike, so that the number in its ARN opens nothing.
func (p *Perimeter) resource(ctx context.Context, s *Signer, name string, a *arn) *wire.Error {
	if !p.kinds[a.kind] && !p.mapped[name] {
		return denied(name, "the kind", a.kind, "allowed_kinds")
	}
	if !p.Owns(s.Tenant, name) {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to %s: it is the profile of another tenant.",
			short(name))
	}
	err := p.owned(ctx, s, name, a)
	if err != nil && err.Cause != nil && a.kind == "inference-profile" && len(p.accounts) == 0 {
		return nil
	}
	return err
}

// owned fails for an ARN of a region or an account that may not be named.
func (p *Perimeter) owned(ctx context.Context, s *Signer, name string, a *arn) *wire.Error {
	switch {
	case p.regions != nil && a.region != "" && !p.regions[a.region]:
		return denied(name, "region", a.region, "allowed_regions")
	case a.account != "":
		return p.account(ctx, s, a.account, name)
	}
	return nil
}

// denied is that a name has something that a setting does not list.
func denied(name, what, value, setting string) *wire.Error {
	return wire.Errorf(wire.KindAccessDenied, "You do not have access to %s: %s %s is not among %s.", short(name), what,
		value, setting)
}

// account fails for an account that may not be named. of is what belongs to it.
func (p *Perimeter) account(ctx context.Context, s *Signer, id, of string) *wire.Error {
	if p.every || p.accounts[id] {
		return nil
	}
	own, err := false, error(nil)
	if !p.listed {
		own, err = s.own(ctx, id)
	}
	if own {
		return nil
	}
	refusal := denied(of, "account", id, "allowed_accounts")
	if err != nil {
		refusal.Message += " The gateway could not find out its own account."
		refusal.Cause = err
	}
	return refusal
}

// Header fails for a guardrail in the header that may not be named. Each occurrence
// counts: nobody knows which one Bedrock obeys.
func (p *Perimeter) Header(ctx context.Context, s *Signer, region string, h wire.Header) *wire.Error {
	for i := range h {
		if strings.EqualFold(h[i].Name, "x-amzn-bedrock-guardrailidentifier") && h[i].Value != "" {
			if err := p.Guardrail(ctx, s, region, h[i].Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// Body fails for a body that names what it may not: a guardrail, a place in S3, the
// owner of a bucket, a key of KMS, another model. The body must be well-formed JSON.
// One that wire.MayName says no of names nothing.
func (p *Perimeter) Body(ctx context.Context, s *Signer, region string, body []byte) *wire.Error {
	r := reader{body: body, found: func(what class, value string) *wire.Error {
		switch what {
		case guardrailName:
			return p.Guardrail(ctx, s, region, value)
		case placeURI:
			return p.place(s, value)
		case ownerName:
			return p.owner(ctx, s, value)
		case keyName:
			return p.key(ctx, s, value)
		case modelName:
			return p.Model(ctx, s, value)
		case roleName:
			return p.role(ctx, s, value)
		case knowledgeName:
			return p.Knowledge(ctx, s, value)
		case wrapped:
			inner, ok := unwrap(value)
			if !ok {
				return wire.Errorf(wire.KindValidation, "The body within the request is not valid base64.")
			}
			return p.Body(ctx, s, region, inner)
		}
		return nil
	}}
	return r.read()
}

// place fails for a place in S3 that allowed_s3 does not have.
func (p *Perimeter) place(s *Signer, uri string) *wire.Error {
	listed := false
	allowed := p.lists(s.Tenant, uri, func(l *lists) glob.List {
		listed = listed || l.places != nil
		return l.places
	})
	if listed && allowed && !plainPlace(uri) {
		return wire.Errorf(wire.KindValidation, "The provided S3 URI %q is not valid.", short(uri))
	}
	if !allowed {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to %s: it is not among allowed_s3.", short(uri))
	}
	return nil
}

// placeForm is the form that Bedrock's own model of its API has.
var placeForm = regexp.MustCompile(`^s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?$`)

// plainPlace reports whether every reader takes a URI for the same place, so that no
// pattern is led astray.
func plainPlace(uri string) bool {
	for segment := range strings.SplitSeq(uri, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return placeForm.MatchString(uri)
}

// unwrap decodes base64 as the most lenient reader does: in either alphabet, with or
// without what fills it up, past what is not of it. ok is false where readers would not
// agree about where it ends.
func unwrap(text string) (inner []byte, ok bool) {
	plain := strings.Map(func(c rune) rune {
		switch {
		case c == '-':
			return '+'
		case c == '_':
			return '/'
		case c < 0x80 && (c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.ContainsRune("+/=", c)):
			return c
		}
		return -1
	}, text)
	plain = strings.TrimRight(plain, "=")
	if len(plain)%4 == 1 {
		plain = plain[:len(plain)-1]
	}
	inner, err := base64.RawStdEncoding.DecodeString(plain)
	return inner, err == nil
}

// owner fails for an owner of a bucket whose account may not be named.
func (p *Perimeter) owner(ctx context.Context, s *Signer, id string) *wire.Error {
	if !config.IsAccount(id) {
		return wire.Errorf(wire.KindValidation, "The bucketOwner %q is not the number of an account.", short(id))
	}
	return p.account(ctx, s, id, "the buckets of others")
}

// role fails for a role that the tenant's batch jobs may not have.
func (p *Perimeter) role(ctx context.Context, s *Signer, name string) *wire.Error {
	part := strings.SplitN(name, ":", 6)
	if len(part) < 6 || part[0] != "arn" || part[2] != "iam" || !config.IsAccount(part[4]) ||
		!strings.HasPrefix(part[5], "role/") {
		return invalid(name)
	}
	if !p.roles[s.Tenant].Match(name) {
		return wire.Errorf(wire.KindAccessDenied, "You do not have access to %s: it is not among the roles of batch.",
			short(name))
	}
	return p.account(ctx, s, part[4], name)
}

// key fails for a key of KMS whose account or region may not be named.
func (p *Perimeter) key(ctx context.Context, s *Signer, name string) *wire.Error {
	if !IsARN(name) {
		return nil // an id or an alias of the gateway's own account
	}
	a, ok := parse(name)
	if !ok || a.service != "kms" || a.account == "" || a.kind != "key" && a.kind != "alias" {
		return invalid(name)
	}
	return p.owned(ctx, s, name, &a)
}
