// Package server is the edge: it accepts connections and turns HTTP/1.1 and
// HTTP/2 on one port, cleartext or TLS, into gateway requests.
//
// HTTP/1.1 is fasthttp's work, HTTP/2 that of net/http; the first bytes of a
// connection, or ALPN, decide. The rest of the gateway does not rely on either
// parser: the raw request target, the raw authority and the raw header fields
// are read here and checked by one table of refusals (head.go). Memory for
// bodies grows with what arrives, not with what is announced, inside one budget
// of bytes. The edge knows nothing of tenants, models or Bedrock beyond the
// shape of an error.
//
// Every connection has a goroutine that New's Server waits for; after Shutdown
// none is left.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/server/crowd"
	"github.com/sluice-gateway/sluice/internal/server/hangup"
	"github.com/sluice-gateway/sluice/internal/server/shed"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Handler answers one request. Its Response's Body must not alias the request's
// body, which is invalid once the handler has released it.
type Handler interface {
	Serve(*gateway.Request) *gateway.Response
}

// Options is what a Server needs. All of it must be set but TLS; time-outs and
// limits are those of a loaded configuration.
type Options struct {
	Listen string // host:port
	// Listener is the port, open already; nil opens Listen.
	Listener net.Listener
	TLS      *config.TLS // nil: cleartext
	Timeouts config.Timeouts
	Limits   config.EdgeLimits
	Proxies  network.Set // that may say who calls
	Handler  Handler
	Log      *slog.Logger
	// Memory is how many bytes connections and requests may hold in all; 0 is not bounded.
	Memory int64
	// Now is the clock that stamps requests. Deadlines on sockets always follow
	// the real clock.
	Now func() time.Time
	// OnGlitch gets the kind of each HTTP/2 flood, OnRefusal each request that never
	// reached the handler, with the answer that it got.
	OnGlitch  func(kind string)
	OnRefusal func(id string, from netip.Addr, e *wire.Error)
	// OnShed gets requests that were refused because there were too many, a few of them, and how
	// many more there were since the last one. Of those at the end there may be no id.
	OnShed func(id string, from netip.Addr, e *wire.Error, more int64)
	// Translate says a refusal of the edge in the dialect of who asked; nil leaves all in Bedrock's.
	Translate func(*gateway.Request, *gateway.Response) *gateway.Response
}

// Stats is what the edge has open at one moment.
type Stats struct {
	Connections   int64 // open, all protocols
	Pending       int64 // of them: protocol not known yet
	InFlight      int64 // requests from head to the last byte of the answer
	BufferedBytes int64 // request bodies, answers and what was made of either
	BufferedLimit int64 // of these, from which on large bodies are refused
	// QueueDelay is how long what is ready waits for a processor. Above limits.max_queue_delay,
	// requests are refused.
	QueueDelay time.Duration
}

// goneInterval is how often sockets of waiting requests are checked.
const goneInterval = 50 * time.Millisecond

// Server serves one port. Make it with New.
type Server struct {
	opts    Options
	ln      net.Listener
	certs   *certificate // nil: cleartext
	h1      *http1
	h2      *http2
	watcher *hangup.Watcher
	pool    *pool.Pool
	ids     *IDs
	crowd   *crowd.Crowd
	floods  crowd.Floods
	shed    shedding
	// holdTime is how long a head of HTTP/2 may wait for its body; a test sets it
	// before the first connection.
	holdTime time.Duration

	settings    atomic.Pointer[Settings]
	pending     atomic.Int64
	connections atomic.Int64 // how many are in open, for those without the lock
	inFlight    atomic.Int64
	held        atomic.Int64   // bytes that connections hold beside what each does
	begun       atomic.Int64   // requests ever
	busiest     atomic.Int64   // the most of them since memory was looked at
	work        sync.WaitGroup // one per goroutine that Serve started
	stopOnce    sync.Once
	stopped     chan struct{} // closed when Shutdown has begun
	accepted    chan struct{} // closed when no connection is accepted any more
	quiet       atomic.Int64  // how long after Leave connections may wait for a request; 0: no Leave
	heard       atomic.Int64  // when the last request of HTTP/1.1 came after that, in nanoseconds

	mu   sync.Mutex // guards open
	open map[*conn]struct{}
}

// New opens the port and loads the certificate. Nothing is served before Serve.
func New(opts Options) (*Server, error) {
	s := &Server{
		opts:     opts,
		ids:      NewIDs(),
		crowd:    crowd.New(crowdLimits(&opts.Limits)),
		holdTime: holdTime,
		stopped:  make(chan struct{}),
		accepted: make(chan struct{}),
		open:     make(map[*conn]struct{}),
	}
	s.shed = shedding{shed.New(opts.Limits.MaxQueueDelay, time.Now), &s.opts, s.ids}
	s.settings.Store(&Settings{TLS: opts.TLS, Timeouts: opts.Timeouts, Limits: opts.Limits, Proxies: opts.Proxies})
	s.pool = pool.New(s.poolLimits(), s.fixedBytes)
	if opts.TLS != nil {
		certs, err := loadCertificate(*opts.TLS)
		if err != nil {
			return nil, err
		}
		s.certs = certs
	}
	if s.ln = opts.Listener; s.ln == nil {
		ln, err := net.Listen("tcp", opts.Listen)
		if err != nil {
			return nil, err
		}
		s.ln = ln
	}
	s.watcher = hangup.New(goneInterval)
	s.h1 = newHTTP1(s)
	s.h2 = newHTTP2(s)
	return s, nil
}

// Addr is where the server listens, with the real port.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Stats returns what is open and held now.
func (s *Server) Stats() Stats {
	return Stats{
		Connections:   s.connections.Load(),
		Pending:       s.pending.Load(),
		InFlight:      s.inFlight.Load(),
		BufferedBytes: s.pool.InUse(),
		BufferedLimit: s.pool.ForLarge(),
		QueueDelay:    s.shed.Delay(),
	}
}

// waitedFor is how long after its start a server refuses nobody for the others' sake: who waited
// for it comes at once, while the process before it drained, and is no more than it can serve.
const waitedFor = 2 * time.Second

// Serve accepts connections until Shutdown, then returns nil. When ctx ends first
// it closes everything at once and returns ctx's error. It must be called once.
func (s *Server) Serve(ctx context.Context) error {
	s.work.Go(s.returnMemory)
	s.work.Go(func() {
		select {
		case <-time.After(waitedFor):
		case <-s.stopped:
			return
		}
		if err := s.shed.Run(s.inFlight.Load, s.shed.rest, s.stopped); err != nil {
			s.opts.Log.Warn("requests are not shed when there are too many", "error", err)
		}
	})
	if s.certs != nil {
		s.work.Go(func() { s.certs.watch(s.stopped, s.opts.Log) })
	}
	go func() { s.accept(); close(s.accepted) }() // not of work: see acceptedWithin
	select {
	case <-s.stopped:
		return nil
	case <-s.accepted:
		return nil
	case <-ctx.Done():
		_ = s.Shutdown(ctx)
		return ctx.Err()
	}
}

// forcedGrace is how long handlers have to return once their callers' connections
// have been closed under them.
const forcedGrace = 5 * time.Second

// Leave begins a shutdown that breaks no request. It stops listening, and from then on
// callers are told with each answer to leave (Connection: close), those of HTTP/2 at once
// (GOAWAY). A connection that was told nothing yet is closed when no request comes on any for
// the time quiet, because one that is closed while its caller begins a request breaks that.
// Shutdown does the rest.
func (s *Server) Leave(quiet time.Duration) {
	s.stopListening() // whoever was accepted is served
	s.quiet.Store(int64(quiet))
	s.stopOnce.Do(func() { close(s.stopped) })
	for _, c := range s.all() {
		if c.isHTTP2.Load() {
			s.work.Go(c.held.leave)
		}
	}
	s.closeIdle()
}

// acceptedWithin is how long a stop waits for the last connection. Where several processes have
// the socket, one of them may have made it wait in the system for the next caller, and so the
// others: then that one is served, and told to leave.
const acceptedWithin = 200 * time.Millisecond

// stopListening closes the socket, and waits for that, and for whoever accepts, no longer than
// acceptedWithin.
func (s *Server) stopListening() {
	go s.ln.Close() //nolint:errcheck // nobody can do anything about it
	select {
	case <-s.accepted:
	case <-time.After(acceptedWithin):
	}
}

// mostOnTheWay bounds how long a caller of HTTP/2 who was told to leave may begin streams: what
// it sent before it heard must come.
const mostOnTheWay = time.Second

// closeQuiet closes a connection that waits for a request, unless one comes in time. While
// requests come on others, its caller may be about to use it too.
func (s *Server) closeQuiet(c *conn) {
	quiet := time.Duration(s.quiet.Load())
	if quiet == 0 {
		c.evict()
		return
	}
	var look func()
	look = func() {
		if c.busy.Load() {
			return
		}
		if left := quiet - time.Since(time.Unix(0, s.heard.Load())); left > 0 {
			time.AfterFunc(left, look)
		} else if !c.unread() {
			c.evict()
		}
	}
	time.AfterFunc(quiet, look)
}

// Shutdown stops listening, asks callers to leave (GOAWAY, Connection: close),
// waits for the requests in flight, and closes what is left when ctx ends,
// returning its error then. After it no goroutine of the server is left but
// those of handlers that do not return although their caller has left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopped) })
	if s.quiet.Load() == 0 {
		s.stopListening()
	}
	if quiet := time.Duration(s.quiet.Load()); quiet == 0 {
		s.closeIdle()
	} else {
		onTheWay, cancel := context.WithTimeout(ctx, min(quiet, mostOnTheWay))
		_ = s.waitEmpty(onTheWay) // net/http drops what comes after its GOAWAY
		cancel()
	}
	err := errors.Join(s.h2.shutdown(ctx), s.waitEmpty(ctx))
	s.quiet.Store(0) // no more are served
	s.closeAll()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), forcedGrace)
	defer cancel()
	if late := s.waitEmpty(grace); late != nil {
		return errors.Join(err, late)
	}
	s.work.Wait()
	s.watcher.Close()
	return err
}

// waitEmpty waits until no connection is open and no handler runs.
func (s *Server) waitEmpty(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if now := s.Stats(); now.Connections == 0 && now.InFlight == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// accept hands each connection to its own goroutine, which finds the protocol.
// It returns when the listener is closed.
func (s *Server) accept() {
	const longestPause = time.Second
	var pause time.Duration
	for {
		raw, err := s.ln.Accept()
		if err == nil {
			pause = 0
			s.admit(raw)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of descriptors, most likely: go on when some are free again.
		pause = min(max(2*pause, 5*time.Millisecond), longestPause)
		s.opts.Log.Warn("accept failed", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.stopped:
			return
		}
	}
}

// admit applies the limits on connections. One over a limit closes another, or is
// closed, without an answer: a caller who opens thousands does not read answers.
func (s *Server) admit(raw net.Conn) {
	c := newConn(s, raw)
	if !s.remember(c) {
		_ = raw.Close()
		return
	}
	s.pending.Add(1)
	s.work.Go(func() {
		serve := s.protocolOf(c)
		s.pending.Add(-1)
		serve(c)
	})
}

func drop(c *conn) { _ = c.Close() }

// remember reports whether a connection may stay.
func (s *Server) remember(c *conn) bool {
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.connections.Store(int64(len(s.open)))
	s.mu.Unlock()
	if (!s.draining() || s.quiet.Load() != 0) && s.crowd.Enter(&c.guest, c.arrival()) {
		return true
	}
	s.forget(c)
	return false
}

func (s *Server) forget(c *conn) {
	c.letGo()
	s.crowd.Leave(&c.guest)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.connections.Store(int64(len(s.open)))
}

// draining is whether Shutdown has begun.
func (s *Server) draining() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// closeIdle closes connections that wait for a request, the first or the next,
// so that no silent caller delays a shutdown.
func (s *Server) closeIdle() {
	for _, c := range s.all() {
		if !c.busy.Load() {
			s.closeQuiet(c)
		}
	}
}

// closeAll closes every connection and ends the contexts of their callers.
func (s *Server) closeAll() {
	for _, c := range s.all() {
		s.watcher.Hangup(&c.watch)
		_ = c.Close()
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

// tlsConfig offers both protocols and always the newest certificate.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: s.certs.get,
	}
}
