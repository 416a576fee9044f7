package bedrock

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sluice-gateway/sluice/config"
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
	own   *source                     // the upstream's, its role included
	base  *source                     // what roles are assumed with
	roles *lru.Cache[string, *source] // nil: roles are not assumed
	make  func(roleARN string) *source
}

func fixedIdentity(c sigv4.Credentials) *identity {
	fixed := credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	own := &source{provider: fixed, now: time.Now} //nolint:forbidigo // never called: fixed keys do not expire
	own.current.Store(&fixed.Value)
	return &identity{own: own}
}

// newIdentity uses the AWS default chain. The role of a tenant is assumed in
// place of the upstream's own, not on top of it.
func newIdentity(c aws.Config, s config.Upstream, o *Options, b *background) *identity {
	roles, err := lru.New[string, *source](maxRoles)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	id := &identity{base: &source{provider: c.Credentials, now: o.Now, background: b}, roles: roles}
	c.Credentials = id.base
	if s.Proxy != "" {
		if proxy, err := parseURL("proxy", s.Proxy); err == nil {
			through := func(t *http.Transport) { t.Proxy = http.ProxyURL(proxy) }
			c.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(through)
		}
	}
	client := sts.NewFromConfig(c)
	id.make = func(roleARN string) *source {
		provider := stscreds.NewAssumeRoleProvider(client, roleARN, func(a *stscreds.AssumeRoleOptions) {
			a.RoleSessionName = sessionName
			for key, value := range s.SessionTags {
				a.Tags = append(a.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
			}
		})
		return &source{provider: aws.NewCredentialsCache(provider, refreshEarly), now: o.Now, background: b}
	}
	id.own = id.base
	if s.RoleARN != "" {
		id.own = id.make(s.RoleARN)
	}
	return id
}

// credentials returns those of a role, "" for the upstream's own. Fixed
// credentials know no roles and are used for all of them.
func (id *identity) credentials(ctx context.Context, roleARN string) (sigv4.Credentials, error) {
	c, err := id.of(roleARN).Retrieve(ctx)
	return sigv4.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
	}, err
}

func (id *identity) of(roleARN string) *source {
	if roleARN == "" || id.roles == nil {
		return id.own
	}
	if known, ok := id.roles.Get(roleARN); ok {
		return known
	}
	fresh := id.make(roleARN)
	if known, ok, _ := id.roles.PeekOrAdd(roleARN, fresh); ok {
		return known // another goroutine was faster
	}
	return fresh
}

// source returns credentials. While it has valid ones no request waits: they
// are renewed in the background. The provider must report an expiry that is
// refreshWindow earlier than the true one.
type source struct {
	provider   aws.CredentialsProvider
	now        func() time.Time
	background *background
	current    atomic.Pointer[aws.Credentials]

	mu      sync.Mutex
	pending chan struct{} // guarded by mu, closed when the running refresh ends
	err     error         // guarded by mu, of the last refresh
	retryAt time.Time     // guarded by mu, no refresh before it
}

var _ aws.CredentialsProvider = (*source)(nil)

// Retrieve returns valid credentials. It waits for a refresh, at most until ctx
// ends, only when there are none.
func (s *source) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if c := s.valid(); c != nil {
		if c.CanExpire && !s.now().Before(c.Expires) {
			s.refresh()
		}
		return *c, nil
	}
	if pending := s.refresh(); pending != nil {
		select {
		case <-pending:
		case <-ctx.Done():
			return aws.Credentials{}, ctx.Err()
		}
	}
	if c := s.valid(); c != nil {
		return *c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return aws.Credentials{}, errors.New("the credentials that were found have expired")
	}
	return aws.Credentials{}, s.err
}

func (s *source) valid() *aws.Credentials {
	c := s.current.Load()
	if c == nil || c.CanExpire && !s.now().Before(c.Expires.Add(refreshWindow-clockSlack)) {
		return nil
	}
	return c
}

// refresh starts a refresh unless one runs or the last one failed just now. It
// returns what is closed at its end, nil when none runs.
func (s *source) refresh() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil && !s.now().Before(s.retryAt) {
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
	if err == nil {
		s.current.Store(&c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.retryAt = s.now().Add(retryRefresh)
	close(s.pending)
	s.pending = nil
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
