package peers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// Every is how often a gateway declares what its file says, and hears of others.
	Every = time.Second
	// Lease is how long a declaration holds without being renewed: longer than a
	// failover of the ledger takes, during which nobody can renew.
	Lease = 30 * time.Second
	// settle is how long gateways have to speak again after the ledger was away, before
	// one that does not counts as gone.
	settle = 5 * time.Second
)

// Declaration is what a gateway declares.
type Declaration struct {
	Gateway string
	// Digest names the file of rules that it goes by, "" for one that leaves and holds
	// nobody any more.
	Digest string
	Lease  time.Duration
}

// Declared is what the board has of one gateway.
type Declared struct {
	Gateway, Digest string
	Left            time.Duration // of its lease
}

// Board is where gateways put what they declare: a shared ledger.
type Board interface {
	// Declare takes a declaration and returns those of all gateways whose lease has not
	// passed. file is what the digest names; without one, known reports whether the
	// board has it, and if not nothing is declared.
	Declare(ctx context.Context, d Declaration, file []byte) (all []Declared, known bool, err error)
	// File returns what a digest names, nil when the board does not have it.
	File(ctx context.Context, digest string) ([]byte, error)
}

// Limits is a configuration's budgets and limits.
type Limits interface {
	// Rules are those of the configuration itself.
	Rules() File
	// Heed makes the limits hold these rules too, by tenant. It fails when one of them
	// cannot be held here, and holds the others.
	Heed(rules map[string][]Rule) error
}

// Options say who declares where.
type Options struct {
	Board   Board
	Gateway string // a name that no other process ever has
	Log     *slog.Logger
	Now     func() time.Time
}

// Peers keeps what other gateways declare. A nil Peers is a gateway with a ledger of
// its own, which has none. It is safe for concurrent use.
type Peers struct {
	opts Options
	turn sync.Mutex // held by Refresh

	mu     sync.Mutex // guards the following
	limits Limits     // in use
	own    string     // the digest of their rules
	heard  map[string]heard
	files  map[string][]byte // encoded, by digest: the own one and those heard of
	named  []Difference
	total  int   // differences, also those not named
	away   bool  // the board did not answer the last time
	failed error // why the last Refresh did not bring all that there is
	broken error // why not all of it is held
}

// heard is what another gateway declared last.
type heard struct {
	digest string
	until  time.Time
}

// New returns the peers of a gateway that goes by these limits. Refresh makes it known
// to others.
func New(o Options, limits Limits) *Peers {
	p := &Peers{opts: o, heard: map[string]heard{}, files: map[string][]byte{}}
	p.Use(limits)
	return p
}

// Use puts other limits into use, as a reload does, and makes them heed what other
// gateways declare before anybody goes by them. Others know of them after the next
// Refresh.
func (p *Peers) Use(limits Limits) {
	if p == nil {
		return
	}
	body := encode(limits.Rules())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits, p.own = limits, digest(body)
	p.files[p.own] = body
	p.apply()
}

// Refresh declares the limits in use, and takes in what others declare. While the board
// does not answer, what was heard goes on to hold.
func (p *Peers) Refresh(ctx context.Context) {
	p.turn.Lock()
	defer p.turn.Unlock()
	all, err := p.declare(ctx)
	var files map[string][]byte
	if err == nil {
		files, err = p.fetch(ctx, all)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if all != nil {
		p.took(all, files)
	}
	if err != nil && p.failed == nil {
		p.opts.Log.Warn("what the files of other gateways say is not known", "err", err)
	}
	p.away, p.failed = all == nil, err
}

// declare says what this gateway's file is, with the file itself when the board lacks it.
func (p *Peers) declare(ctx context.Context) ([]Declared, error) {
	p.mu.Lock()
	d := Declaration{p.opts.Gateway, p.own, Lease}
	file := p.files[p.own]
	p.mu.Unlock()
	all, known, err := p.opts.Board.Declare(ctx, d, nil)
	if err == nil && !known {
		all, _, err = p.opts.Board.Declare(ctx, d, file)
	}
	return all, err
}

// errFile is for a file that the board does not have yet: its gateway puts it there
// within a second.
var errFile = errors.New("the ledger does not have the limits of another gateway yet")

// fetch reads the files that are not known yet.
func (p *Peers) fetch(ctx context.Context, all []Declared) (files map[string][]byte, failed error) {
	files = map[string][]byte{}
	for i := range all {
		named := all[i].Digest
		if named == "" || files[named] != nil || p.has(named) {
			continue
		}
		body, err := p.opts.Board.File(ctx, named)
		if err == nil && (body == nil || digest(body) != named) {
			err = errFile
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		files[named] = body
	}
	return files, failed
}

func (p *Peers) has(named string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files[named] != nil
}

// took takes in what all gateways declare. One whose file is not known yet goes on to
// count as it did.
func (p *Peers) took(all []Declared, files map[string][]byte) {
	maps.Copy(p.files, files)
	now, before := p.opts.Now(), p.digests()
	for name, h := range p.heard { // who could not speak meanwhile lives until it can
		if p.away && h.until.Before(now.Add(settle)) {
			p.heard[name] = heard{h.digest, now.Add(settle)}
		}
	}
	for _, d := range all {
		h := heard{p.heard[d.Gateway].digest, now.Add(d.Left)}
		if p.files[d.Digest] != nil || d.Digest == "" {
			h.digest = d.Digest
		}
		p.heard[d.Gateway] = h
	}
	maps.DeleteFunc(p.heard, func(name string, h heard) bool {
		return name == p.opts.Gateway || h.digest == "" || !h.until.After(now)
	})
	after := p.digests()
	if !maps.Equal(before, after) {
		p.apply()
	}
	named := slices.Collect(maps.Values(after))
	maps.DeleteFunc(p.files, func(d string, _ []byte) bool { return d != p.own && !slices.Contains(named, d) })
}

// digests are what others go by, by gateway.
func (p *Peers) digests() map[string]string {
	all := make(map[string]string, len(p.heard))
	for name, h := range p.heard {
		all[name] = h.digest
	}
	return all
}

// apply compares the files of all gateways and makes the limits in use heed the others.
func (p *Peers) apply() {
	files, others := p.digests(), map[string]map[string][]Rule{}
	p.broken = nil
	for _, named := range files {
		if named == p.own || others[named] != nil {
			continue
		}
		file, err := decode(p.files[named])
		if err != nil {
			p.broken = err // another version: its gateway's limits are not held here
			continue
		}
		others[named] = file
	}
	var demands map[string][]Rule
	before := p.total
	p.named, p.total = nil, 0
	if len(others) > 0 {
		own := maps.Collect(p.limits.Rules())
		demands = stricter(own, slices.Collect(maps.Values(others)))
		p.named, p.total = name(own, others, files)
	}
	p.broken = errors.Join(p.broken, p.limits.Heed(demands))
	p.log(before)
}

// log says when files begin or cease to differ.
func (p *Peers) log(before int) {
	switch {
	case p.total > 0 && p.total != before:
		p.opts.Log.Warn("gateways of this ledger have different budgets or limits; the strictest hold on all of them",
			"gateway", p.named[0].Gateway, "tenant", p.named[0].Tenant, "differences", p.total)
	case p.total == 0 && before > 0:
		p.opts.Log.Info("all gateways of this ledger have the same budgets and limits again")
	}
	if p.broken != nil {
		p.opts.Log.Error("not all limits of other gateways are held here", "err", p.broken)
	}
}

// Leave tells the others that this gateway's limits hold nobody any more.
func (p *Peers) Leave(ctx context.Context) error {
	if p == nil {
		return nil
	}
	_, _, err := p.opts.Board.Declare(ctx, Declaration{Gateway: p.opts.Gateway, Lease: Lease}, nil)
	return err
}

// State is how the files of all gateways compare.
type State struct {
	// Differ names tenants for which another gateway's file says something else than
	// this one's, at most 100 of Total.
	Differ []Difference
	Total  int
	Err    error // why not all is known or held
}

// State returns how the files compare as of the last Refresh.
func (p *Peers) State() State {
	if p == nil {
		return State{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{slices.Clone(p.named), p.total, errors.Join(p.failed, p.broken)}
}
