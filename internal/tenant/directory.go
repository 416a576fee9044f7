package tenant

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Directory knows all tenants and their keys. Make it with Build.
type Directory struct {
	tenants map[string]*Tenant
	keys    map[string]*key
	// stranger replaces a key id that does not exist, so that checking one takes
	// the same steps. No check against it succeeds.
	stranger *key
}

// key is one key with what is needed to prove it.
type key struct {
	identity *Identity // nil for the stranger
	bearer   [sha256.Size]byte
	secret   string // secret access key
}

func newKey(c Credentials, identity *Identity) *key {
	return &key{identity: identity, bearer: sha256.Sum256([]byte(c.Bearer)), secret: c.SecretAccessKey}
}

// Build compiles the tenants of a configuration. Problems carry paths like
// "tenants[2].keys[0]"; without errors among them the directory is usable. With
// nil secrets it checks everything but the generation of keys, and the
// directory admits nobody.
func Build(cfg *config.Config, s *Secrets) (*Directory, []config.Problem) {
	b := builder{
		secrets: s,
		owner:   make(map[string]string),
		dir:     &Directory{tenants: make(map[string]*Tenant), keys: make(map[string]*key), stranger: new(key)},
	}
	if s != nil {
		b.dir.stranger = newKey(s.generations[0].credentials("stranger"), nil)
	}
	for i := range cfg.Tenants {
		b.add(&cfg.Tenants[i], fmt.Sprintf("tenants[%d]", i))
	}
	for _, t := range b.dir.tenants {
		t.Ancestors = b.dir.ancestors(t.ID)
	}
	return b.dir, b.problems
}

// Lookup returns the configured tenant with this id, or nil.
func (d *Directory) Lookup(id string) *Tenant { return d.tenants[id] }

// ancestors returns the configured tenants on the path of id, nearest first and
// with the tenant itself. Parents that are not configured are left out.
func (d *Directory) ancestors(id string) []*Tenant {
	var line []*Tenant
	for id != "" {
		if t := d.tenants[id]; t != nil {
			line = append(line, t)
		}
		id = id[:max(0, strings.LastIndexByte(id, '/'))]
	}
	return line
}

type builder struct {
	secrets  *Secrets
	dir      *Directory
	owner    map[string]string // key id → tenant id
	problems []config.Problem
}

func (b *builder) fail(path, format string, args ...any) {
	b.problems = append(b.problems, config.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) add(c *config.Tenant, path string) {
	if reason := badID(c.ID); reason != "" {
		b.fail(path+".id", "a tenant id %s", reason)
		return
	}
	if b.dir.tenants[c.ID] != nil {
		b.fail(path+".id", "tenant %q is defined a second time here", c.ID)
		return
	}
	root, _, _ := strings.Cut(c.ID, "/")
	t := &Tenant{
		ID: c.ID, Root: root, Upstream: c.Upstream, RoleARN: c.RoleARN, Cap: c.OutputTokens,
		Budgets: c.Budgets, Limits: c.Limits, OnLedgerLoss: c.OnLedgerLoss,
		models:     glob.CompileList([]string{"*"}),
		deny:       b.globs(c.DenyModels, path+".deny_models"),
		operations: b.operations(c.Operations, path+".operations"),
	}
	if c.Models != nil {
		t.models = b.globs(c.Models, path+".models")
	}
	b.dir.tenants[t.ID] = t
	for i, id := range c.Keys {
		b.addKey(t, id, fmt.Sprintf("%s.keys[%d]", path, i))
	}
}

func (b *builder) globs(patterns []string, path string) glob.List {
	for i, p := range patterns {
		if p == "" {
			b.fail(fmt.Sprintf("%s[%d]", path, i), "an empty pattern matches no model")
		}
	}
	return glob.CompileList(patterns)
}

func (b *builder) operations(names []string, path string) map[wire.Operation]bool {
	if names == nil {
		names = defaultOperations
	}
	allowed := make(map[wire.Operation]bool, len(names))
	for i, name := range names {
		op, ok := wire.ParseOperation(name)
		if !ok {
			b.fail(fmt.Sprintf("%s[%d]", path, i), "%q is not an operation", name)
			continue
		}
		allowed[op] = true
	}
	return allowed
}

func (b *builder) addKey(t *Tenant, id, path string) {
	if !isKeyID(id) {
		b.fail(path, "%q is not a key id; issue one with: gateway keys new", id)
		return
	}
	if owner, taken := b.owner[id]; taken {
		b.fail(path, "key %s already belongs to tenant %q", id, owner)
		return
	}
	b.owner[id] = t.ID
	if b.secrets == nil {
		return
	}
	c, err := b.secrets.Credentials(id)
	if errors.Is(err, ErrGeneration) {
		// The key cannot be used, but the gateway can run: after a rotation the
		// configuration may still have ids of the old generation.
		b.problems = append(b.problems, config.Problem{Path: path, Warning: true,
			Message: fmt.Sprintf("key %s was issued under another root secret and will be refused; issue a new one", id)})
		return
	}
	b.dir.keys[id] = newKey(c, &Identity{Tenant: t, KeyID: id})
}

// badID says what is wrong with a tenant id, "" for nothing. Braces are kept
// out because Redis Cluster reads them in keys.
func badID(id string) string {
	const maxID = 256
	for segment := range strings.SplitSeq(id, "/") {
		if segment == "" {
			return "is a path of names, like acme/support, and none of them may be empty"
		}
	}
	if len(id) > maxID {
		return fmt.Sprintf("has at most %d bytes", maxID)
	}
	for _, r := range id {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '{' || r == '}' {
			return fmt.Sprintf("may not have the character %q", r)
		}
	}
	return ""
}
