package tenant

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Directory knows all tenants and their keys. Make it with Build. There may be very
// many of both, most of them never asked for, so each is compiled on its first use.
// It is safe for concurrent use.
type Directory struct {
	config  []config.Tenant
	secrets *Secrets // nil: nobody is admitted
	// tenants and keys are positions in slots and keySlots.
	tenants  map[string]int32
	keys     map[string]int32
	slots    []atomic.Pointer[Tenant] // as config
	keySlots []keySlot
	// stranger replaces a key id that does not exist, so that checking one takes
	// the same steps, but for the first use of a key. No check against it succeeds.
	stranger *key

	everyModel        glob.List
	defaultOperations map[wire.Operation]bool

	renamed map[string]string // what tenants are called now, by what they were called

	set  keys.Configured // what the configuration sets of keys
	acts runtime         // what was done to keys since the configuration was written
}

// keySlot is where a key is in the configuration, and the key once it was used.
type keySlot struct {
	tenant, index int32
	compiled      atomic.Pointer[key]
}

// key is one key with what is needed to prove it.
type key struct {
	identity *Identity // nil for a key that nobody is admitted by
	bearer   [sha256.Size]byte
	secret   *sigv4.Secret
	gate     gate
	under    *overlay     // the acts that it was compiled with
	used     atomic.Int64 // when it was noted last that it was used, in minutes
}

func newKey(c Credentials, identity *Identity) *key {
	return &key{identity: identity, bearer: sha256.Sum256([]byte(c.Bearer)), secret: sigv4.NewSecret(c.SecretAccessKey)}
}

// Build compiles the tenants of a configuration, which must not change any more.
// Problems carry paths like "tenants[2].keys[0]"; without errors among them the
// directory is usable. With nil secrets it checks everything but the generation of
// keys, and the directory admits nobody.
func Build(cfg *config.Config, s *Secrets) (*Directory, []config.Problem) {
	n := len(cfg.Tenants)
	d := &Directory{
		config: cfg.Tenants, secrets: s, stranger: &key{secret: sigv4.NewSecret("")},
		tenants: make(map[string]int32, n), keys: make(map[string]int32, n),
		slots: make([]atomic.Pointer[Tenant], n), keySlots: make([]keySlot, 0, countKeys(cfg.Tenants)),
		renamed: map[string]string{}, set: keys.NewConfigured(cfg.Tenants),
		everyModel: glob.CompileList([]string{"*"}), defaultOperations: operations(defaultOperations),
	}
	if s != nil {
		d.stranger = newKey(s.generations[0].credentials("stranger"), nil)
	}
	d.acts.current.Store(&overlay{state: (*keys.State)(nil).With(d.set, nil)})
	b := builder{dir: d}
	for i := range cfg.Tenants {
		b.add(i)
	}
	for i := range cfg.Tenants {
		b.checkResidency(i)
	}
	return d, b.problems
}

func countKeys(tenants []config.Tenant) int {
	n := 0
	for i := range tenants {
		n += len(tenants[i].Keys)
	}
	return n
}

// Lookup returns the configured tenant with this id, or nil.
func (d *Directory) Lookup(id string) *Tenant {
	i, ok := d.tenants[id]
	if !ok {
		return nil
	}
	if t := d.slots[i].Load(); t != nil {
		return t
	}
	d.slots[i].CompareAndSwap(nil, d.compile(&d.config[i]))
	return d.slots[i].Load()
}

// Each calls do with the id of every tenant, in the order of the configuration, until it
// reports false.
func (d *Directory) Each(do func(id string) (more bool)) {
	for i := range d.config {
		if !do(d.config[i].ID) {
			return
		}
	}
}

// compile makes a tenant, and those above it.
func (d *Directory) compile(c *config.Tenant) *Tenant {
	root, _, _ := strings.Cut(c.ID, "/")
	t := &Tenant{
		ID: c.ID, Root: root, Upstream: c.Upstream, Cap: c.OutputTokens,
		Budgets: c.Budgets, Limits: c.Limits, OnLedgerLoss: c.OnLedgerLoss, UnsupportedFields: c.UnsupportedFields,
		Stores: c.Store == "allow", Converse: !c.NativePaths, Injects: c.PromptCache.Inject == "auto",
		GuardsNewTurn: c.GuardNewTurn,
		Residency:     c.Residency, Spill: c.Spill, Require: c.Require, Tier: c.Tier, Session: c.Session,
		Batch: c.Batch,
		role:  c.Role, models: d.everyModel, deny: glob.CompileList(denied(c.DenyModels)), operations: d.defaultOperations,
	}
	if c.Models != nil {
		t.models = glob.CompileList(c.Models)
	}
	if c.Operations != nil {
		t.operations = operations(c.Operations)
	}
	t.Ancestors = []*Tenant{t}
	for id := parent(c.ID); id != ""; id = parent(id) {
		if above := d.Lookup(id); above != nil { // parents that are not configured are left out
			t.Ancestors = append(t.Ancestors, above.Ancestors...)
			t.profiles = above.profiles
			t.within(above)
			break
		}
	}
	t.profiles = withProfiles(t.profiles, c.ModelMap)
	return t
}

// withProfiles are the profiles of those above a tenant, with its own in place of theirs.
func withProfiles(above map[modelKey]string, own map[string]string) map[modelKey]string {
	if len(own) == 0 {
		return above
	}
	all := make(map[modelKey]string, len(above)+len(own))
	maps.Copy(all, above)
	for model, arn := range own {
		all[keyOf(model)] = arn
	}
	return all
}

// denied are patterns with those in lower case, in which the ids of models are.
func denied(patterns []string) []string {
	both := slices.Clone(patterns)
	for _, p := range patterns {
		if lower := strings.ToLower(p); lower != p {
			both = append(both, lower)
		}
	}
	return both
}

// parent is the path above id, "" above a root.
func parent(id string) string { return id[:max(0, strings.LastIndexByte(id, '/'))] }

// operations are the operations with these names.
func operations(names []string) map[wire.Operation]bool {
	allowed := make(map[wire.Operation]bool, len(names))
	for _, name := range names {
		if op, ok := wire.ParseOperation(name); ok {
			allowed[op] = true
		}
	}
	return allowed
}

// builder fills a directory and collects what is wrong with the tenants.
type builder struct {
	dir      *Directory
	problems []config.Problem
}

// fail reports a problem below tenant i.
func (b *builder) fail(i int, below, format string, args ...any) {
	b.problems = append(b.problems, config.Problem{
		Path: fmt.Sprintf("tenants[%d].%s", i, below), Message: fmt.Sprintf(format, args...),
	})
}

func (b *builder) add(i int) {
	c := &b.dir.config[i]
	if reason := badID(c.ID); reason != "" {
		b.fail(i, "id", "a tenant id %s", reason)
		return
	}
	if _, twice := b.dir.tenants[c.ID]; twice {
		b.fail(i, "id", "tenant %q is defined a second time here", c.ID)
		return
	}
	b.dir.tenants[c.ID] = int32(i)
	if c.RenamedFrom != "" {
		b.dir.renamed[c.RenamedFrom] = c.ID
	}
	b.checkGlobs(i, "deny_models", c.DenyModels)
	for j, name := range c.Operations {
		if _, ok := wire.ParseOperation(name); !ok {
			b.fail(i, fmt.Sprintf("operations[%d]", j), "%q is not an operation", name)
		}
	}
	if c.Batch == nil && operations(c.Operations)[wire.OpCreateBatch] {
		b.fail(i, "operations", "batch needs the section batch: where input is, or what is held for a job, and its roles")
	}
	b.checkGlobs(i, "models", c.Models)
	for j, id := range c.Keys {
		b.addKey(i, j, id)
	}
}

func (b *builder) checkGlobs(i int, key string, patterns []string) {
	for j, p := range patterns {
		if p == "" {
			b.fail(i, fmt.Sprintf("%s[%d]", key, j), "an empty pattern matches no model")
		}
	}
}

// notKeyID says why something is no key id. A bearer token is a secret, which is not repeated.
func notKeyID(text string) string {
	if rest, ok := strings.CutPrefix(text, bearerPrefix); ok {
		if id, _, _ := strings.Cut(rest, "_"); IsKeyID(id) {
			return "is a bearer token, which is a secret; the key's id is " + id
		}
	}
	return fmt.Sprintf("%q is not a key id; issue one with: gateway keys new", text)
}

func (b *builder) addKey(i, j int, id string) {
	below := func() string { return fmt.Sprintf("keys[%d]", j) }
	if !IsKeyID(id) {
		b.fail(i, below(), "%s", notKeyID(id))
		return
	}
	d := b.dir
	if slot, taken := d.keys[id]; taken {
		b.fail(i, below(), "key %s already belongs to tenant %q", id, d.config[d.keySlots[slot].tenant].ID)
		return
	}
	d.keys[id] = int32(len(d.keySlots))
	d.keySlots = append(d.keySlots, keySlot{tenant: int32(i), index: int32(j)})
	if d.secrets != nil && d.secrets.generation(id) == nil {
		// The key cannot be used, but the gateway can run: after a rotation the
		// configuration may still have ids of the old generation.
		b.fail(i, below(), "key %s was issued under another root secret and will be refused; issue a new one", id)
		b.problems[len(b.problems)-1].Warning = true
	}
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
