package bedrock

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// NoCredentials is the kind of trouble of an identity that has no valid
// credentials.
const NoCredentials = "no_credentials"

// IdentityTrouble is an identity of the gateway that is refused at present, or that
// has no credentials.
type IdentityTrouble struct {
	Upstream string // name, "" for the default one
	Role     string // ARN, "" for the upstream's credentials themselves
	Kind     string // AWS's error type, or NoCredentials
	Text     string // what AWS or the SDK said of it; not for callers
	Since    time.Time
	Count    int64 // attempts that failed of it
	Healed   bool  // it has just been accepted again
}

// trouble is what is wrong with one identity. While nothing is, it costs one load
// per attempt.
type trouble struct {
	upstream, role string
	now            func() time.Time
	report         func(IdentityTrouble) // each failure, and once when it is over

	failing atomic.Bool
	mu      sync.Mutex      // guards the following
	state   IdentityTrouble // valid while failing
	last    time.Time
}

// stale is how long after its last failure an identity that nobody uses any more
// counts as failing.
const stale = 5 * time.Minute

func (t *trouble) failed(kind, text string) {
	t.mu.Lock()
	now := t.now()
	if !t.failing.Load() || now.Sub(t.last) > stale {
		t.state = IdentityTrouble{Upstream: t.upstream, Role: t.role, Since: now}
	}
	t.last = now
	t.state.Kind, t.state.Text = kind, text
	t.state.Count++
	state := t.state
	t.failing.Store(true)
	t.mu.Unlock()
	t.report(state)
}

// accepted notes that the identity works.
func (t *trouble) accepted() {
	if !t.failing.Load() {
		return
	}
	t.mu.Lock()
	state := t.state
	over := t.failing.CompareAndSwap(true, false)
	t.mu.Unlock()
	if over {
		state.Healed = true
		t.report(state)
	}
}

// now returns the trouble of the moment.
func (t *trouble) present() (IdentityTrouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.failing.Load() && t.now().Sub(t.last) <= stale
}

// Troubles lists the identities that are refused at present, or that have no
// credentials, by upstream and role.
func (e *Engine) Troubles() (all []IdentityTrouble) {
	for _, up := range e.upstreams {
		troubles := []*trouble{up.trouble}
		if up.identity != nil {
			troubles = troubles[:0]
			for _, s := range up.identity.sources() {
				troubles = append(troubles, s.trouble)
			}
		}
		for _, t := range troubles {
			if now, failing := t.present(); failing {
				all = append(all, now)
			}
		}
	}
	slices.SortFunc(all, func(a, b IdentityTrouble) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.Role, b.Role))
	})
	return all
}

// judge notes what an answer says of who signed the request, and returns what
// makes the attempt one that the gateway is refused by.
func (t *trouble) judge(res *engine.Response) *engine.Refusal {
	kind := ""
	if res.Status >= 400 {
		if kind = refusalOf(res); kind == "" && res.Status != 400 && res.Status != 404 {
			return nil // of a service in trouble, nobody knows
		}
	}
	if kind == "" {
		t.accepted()
		return nil
	}
	const most = 500
	t.failed(kind, string(res.Body[:min(len(res.Body), most)]))
	return &engine.Refusal{Kind: kind}
}
