package bedrock

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/sigv4"
)

const (
	// refreshWindow is how long before they expire credentials are renewed.
	refreshWindow = 5 * time.Minute
	// clockSlack is how long before they expire credentials are not used.
	clockSlack = 10 * time.Second
	// retryRefresh is the pause after a refresh, so that a machine without
	// credentials, or whose provider still returns the old ones, does not ask with
	// every request.
	retryRefresh   = time.Second
	refreshTimeout = 30 * time.Second
	maxRoles       = 256 // roles per upstream whose credentials are kept
	sessionName    = "sluice"
)

// refreshEarly has the SDK's own cache report an expiry refreshWindow early.
func refreshEarly(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = refreshWindow }

// identity is who an upstream's requests are signed as.
type identity struct {
	own   *source                        // the upstream's, its role included
	base  *source                        // what roles are assumed with
	roles *lru.Cache[role.Role, *source] // nil: roles are not assumed
	make  func(role.Role) *source
	site  aws.Config // without credentials; for what the security token service is asked
}

func fixedIdentity(c sigv4.Credentials, t *trouble) *identity {
	fixed := credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	own := &source{provider: fixed, now: time.Now, trouble: t} //nolint:forbidigo // never called: fixed keys do not expire
	own.current.Store(&fixed.Value)
	return &identity{own: own, base: own}
}

// newIdentity uses the AWS default chain. The role of a tenant is assumed in
// place of the upstream's own, not on top of it.
func newIdentity(found site, own role.Role, o *Options, b *background, troubles func(role string) *trouble) *identity {
	roles, err := lru.New[role.Role, *source](maxRoles)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	id := &identity{roles: roles}
	id.base = &source{provider: found.chain, now: o.Now, background: b, trouble: troubles("")}
	settings := found.aws
	id.site = found.aws
	settings.Credentials = id.base
	id.make = func(r role.Role) *source {
		r = r.Over(&own)
		if r.ARN == "" {
			return id.base
		}
		provider := stscreds.NewAssumeRoleProvider(newSTS(settings, r.STSRegion), r.ARN, func(a *stscreds.AssumeRoleOptions) {
			assume(a, &r)
		})
		return &source{provider: &assumed{provider, id.base}, now: o.Now, background: b, trouble: troubles(r.ARN)}
	}
	id.own = id.make(role.Role{})
	return id
}

func newSTS(settings aws.Config, region string) *sts.Client {
	settings.Region = cmp.Or(region, settings.Region)
	return sts.NewFromConfig(settings)
}

// assume says how a role is assumed.
func assume(a *stscreds.AssumeRoleOptions, r *role.Role) {
	a.RoleSessionName = cmp.Or(r.SessionName, sessionName)
	if r.ExternalID != "" {
		a.ExternalID = aws.String(r.ExternalID)
	}
	tags := r.SessionTags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		a.Tags = append(a.Tags, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
}

// assumed returns the credentials of a role, assumed anew each time, with an expiry
// that is refreshWindow early. When what it is assumed with is refused, that is renewed
// and the role assumed once more.
type assumed struct {
	role aws.CredentialsProvider
	base *source
}

// Retrieve implements aws.CredentialsProvider.
func (a *assumed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	used := a.base.current.Load()
	c, err := a.role.Retrieve(ctx)
	if err != nil && refusalBySDK(err) != "" && used != nil && a.base.renew(ctx, used) {
		c, err = a.role.Retrieve(ctx)
	}
	c.Expires = c.Expires.Add(-refreshWindow)
	return c, err
}

// of returns the credentials of a tenant's role, those of the upstream for the
// zero one. Fixed credentials know no roles and are used for all of them.
func (id *identity) of(r role.Role) *source {
	if r == (role.Role{}) || id.roles == nil {
		return id.own
	}
	if known, ok := id.roles.Get(r); ok {
		return known
	}
	fresh := id.make(r)
	if known, ok, _ := id.roles.PeekOrAdd(r, fresh); ok {
		return known // another goroutine was faster
	}
	return fresh
}

// sources are all whose credentials are known.
func (id *identity) sources() []*source {
	all := []*source{id.base}
	if id.own != id.base {
		all = append(all, id.own)
	}
	if id.roles != nil {
		all = append(all, id.roles.Values()...)
	}
	return all
}

// source returns credentials. While it has valid ones no request waits: they
// are renewed in the background. The provider must report an expiry that is
// refreshWindow earlier than the true one.
type source struct {
	provider   aws.CredentialsProvider
	now        func() time.Time
	background *background // nil: fixed, never renewed
	current    atomic.Pointer[aws.Credentials]
	trouble    *trouble // of being refused with them
	account    account  // that they are of

	mu      sync.Mutex
	pending chan struct{} // guarded by mu, closed when the running refresh ends
	err     error         // guarded by mu, of the last refresh
	retryAt time.Time     // guarded by mu, no refresh before it
	renewAt time.Time     // guarded by mu, none because of a refusal before it
}

var _ aws.CredentialsProvider = (*source)(nil)

// Retrieve implements aws.CredentialsProvider.
func (s *source) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := s.get(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return *c, nil
}

// get returns valid credentials, which must not be changed. It waits for a refresh,
// at most until ctx ends, only when there are none.
func (s *source) get(ctx context.Context) (*aws.Credentials, error) {
	if c := s.valid(); c != nil {
		if c.CanExpire && !s.now().Before(c.Expires) {
			s.refresh()
		}
		return c, nil
	}
	if err := wait(ctx, s.refresh()); err != nil {
		return nil, err
	}
	if c := s.valid(); c != nil {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil, errors.New("the credentials that were found have expired")
	}
	return nil, s.err
}

// wait returns when a refresh has ended, at once when there is none.
func wait(ctx context.Context, pending <-chan struct{}) error {
	if pending == nil {
		return nil
	}
	select {
	case <-pending:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) valid() *aws.Credentials {
	c := s.current.Load()
	if c == nil || c.CanExpire && !s.now().Before(c.Expires.Add(refreshWindow-clockSlack)) {
		return nil
	}
	return c
}

// renew looks for other credentials than those that were refused, and reports
// whether it is worth to ask again: there are others, or it looked. Not each refusal
// makes it look (retryRefresh), so that it cannot double the load for long.
func (s *source) renew(ctx context.Context, refused *aws.Credentials) bool {
	if s.current.Load() != refused {
		return true // somebody else was faster
	}
	pending := s.refreshAfter(&s.renewAt)
	if pending == nil || wait(ctx, pending) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// refresh starts a refresh unless one runs or the last one ended just now. It
// returns what is closed at its end, nil when none runs.
func (s *source) refresh() <-chan struct{} { return s.refreshAfter(&s.retryAt) }

// refreshAfter starts a refresh unless one runs or it is too early, and moves the time
// before which it is.
func (s *source) refreshAfter(at *time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil && s.background != nil && !s.now().Before(*at) {
		*at = s.now().Add(retryRefresh)
		pending := make(chan struct{})
		if s.background.start(s.fetch) {
			s.pending = pending
		}
	}
	return s.pending
}

func (s *source) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	c, err := s.provider.Retrieve(ctx)
	if had := s.current.Load(); err == nil && (had == nil || !same(had, &c)) {
		s.current.Store(&c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.retryAt = s.now().Add(retryRefresh)
	close(s.pending)
	s.pending = nil
}

func same(a, b *aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey &&
		a.SessionToken == b.SessionToken && a.CanExpire == b.CanExpire && a.Expires.Equal(b.Expires)
}

// background runs what must not delay a request and ends it with the engine.
type background struct {
	ctx    context.Context //nolint:containedctx // it lasts as long as the engine
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool           // guarded by mu
	running sync.WaitGroup // started under mu
}

func newBackground(ctx context.Context) *background {
	b := new(background)
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return b
}

// start reports false when the engine is closed.
func (b *background) start(task func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Go(func() { task(b.ctx) })
	return true
}

func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.running.Wait()
}
