package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox/prefixcache"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Options configure a Server. The zero value is a stand-in with the default
// credentials, no script and no files.
type Options struct {
	// AccessKeyID and SecretAccessKey, and BearerToken, are what callers must
	// have. When all are empty the defaults of this package are.
	AccessKeyID, SecretAccessKey string
	BearerToken                  string
	// Script is nil for canned answers only.
	Script *Script
	// LogPath is the truth log, appended to and synced; "" is none. The newest
	// entries are in memory all the same.
	LogPath string
	// InvocationLogPath gets lines as Bedrock's invocation log has them; "" is none.
	InvocationLogPath string
	// Control turns on GET /_sandbox/log and PUT /_sandbox/script, without credentials.
	Control bool
	// Seed changes the default answers.
	Seed uint64
	// Behind are the models that opaque ARNs stand for, and answer as.
	Behind map[string]string
	// Now is the clock for log entries and signatures; nil is time.Now.
	Now func() time.Time
	// Rand gives request ids; nil is crypto/rand. It is used by one call at a time.
	Rand io.Reader
}

// Server is the stand-in. It is an http.Handler and can also listen itself.
type Server struct {
	opts     Options
	verifier verifier
	log      truth
	jobs     jobs
	stored   stored
	prompts  prefixcache.Cache
	models   func() []config.Model // the catalogue
	script   atomic.Pointer[player]
	random   sync.Mutex // guards opts.Rand

	ctx    context.Context //nolint:containedctx // of all calls; ends on Close
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	closed bool
	http   *http.Server
	active sync.WaitGroup // calls and the listener; Add only while not closed
}

// New opens the log files and returns a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.AccessKeyID == "" && o.SecretAccessKey == "" && o.BearerToken == "" {
		o.AccessKeyID, o.SecretAccessKey, o.BearerToken = DefaultAccessKeyID, DefaultSecretAccessKey, DefaultBearerToken
	}
	if (o.AccessKeyID == "") != (o.SecretAccessKey == "") {
		return nil, errors.New("sandbox: access key id and secret access key go together")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	s := &Server{opts: o, verifier: verifier{o.AccessKeyID, o.SecretAccessKey, o.BearerToken}}
	s.models = sync.OnceValue(config.ShippedModels)
	var err error
	if s.log.served, err = openLineFile(o.LogPath, (*lineFile).syncDisk); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if s.log.invocations, err = openLineFile(o.InvocationLogPath, (*lineFile).syncNot); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.log.close())
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.SetScript(o.Script)
	return s, nil
}

// SetScript replaces the script; its counters start anew. nil has no rules.
func (s *Server) SetScript(script *Script) {
	if script == nil {
		script = &Script{}
	}
	s.script.Store(newPlayer(script))
}

// Log returns the newest entries, at most 100,000, oldest first.
func (s *Server) Log() []Entry {
	recent, _ := s.log.entries()
	return recent
}

// Start listens on addr, such as 127.0.0.1:0, and serves until Close. It returns
// the URL that clients use as their endpoint.
func (s *Server) Start(addr string) (url string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.http != nil {
		return "", errors.New("sandbox: already started")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, callsKey{}, new(atomic.Int64))
		},
	}
	s.active.Go(func() { _ = s.http.Serve(ln) }) // always an error: the listener was closed
	return "http://" + ln.Addr().String(), nil
}

// Close severs what is in flight, which is billed, and returns when every call
// has ended and the log is closed. The server cannot be started again.
func (s *Server) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		return nil
	}
	s.cancel()
	if s.http != nil {
		_ = s.http.Close() // its error is that of a listener which is closed anyhow
	}
	s.active.Wait()
	return s.log.close()
}

// enter counts a call in, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.active.Add(1)
	}
	return !s.closed
}

// callsKey finds the count of calls on a connection in a request's context.
type callsKey struct{}

// reused reports whether the connection has carried a call before. It must be
// asked once per call.
func reused(r *http.Request) bool {
	n, ok := r.Context().Value(callsKey{}).(*atomic.Int64)
	return ok && n.Add(1) > 1
}

// maxBody is above what Bedrock accepts: 25,000,000 bytes.
const maxBody = 32 << 20

// ServeHTTP answers one call. It needs the raw request target, so nothing that
// rewrites paths may stand before it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.active.Done()
	if s.opts.Control && s.control(w, r) {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	x := &exchange{s: s, w: w, r: r, ctx: ctx, reused: reused(r), rule: &noRule}
	x.call = call{id: s.newID(), start: s.opts.Now(), header: r.Header}
	x.entry = Entry{Time: x.call.start.UTC(), RequestID: x.call.id}
	body, problem := x.accept()
	if problem == nil {
		problem = x.call.read(body)
	}
	x.entry.Operation, x.entry.Model, x.entry.Stream = x.call.op.String(), x.call.model, x.call.op.Streams()
	x.entry.Mantle = x.call.mantle
	if problem != nil {
		x.fail(problem)
		return
	}
	x.rule = s.script.Load().find(&x.call)
	x.answer()
}

// accept reads the head and the body and checks the caller.
func (x *exchange) accept() ([]byte, *failure) {
	c := &x.call
	target, mantle, own := ownTarget(x.r)
	c.mantle = mantle
	var err *wire.Error
	if !own {
		target, err = wire.ParseTarget(x.r.Method, x.r.RequestURI, "")
	}
	if err != nil {
		return nil, &failure{err.Status(), err.Type(), err.Message, coralURI}
	}
	c.target, c.op, c.model = target, target.Op, target.Model
	c.path, _, _ = strings.Cut(x.r.RequestURI, "?")
	body, readErr := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(readErr, &tooLarge) {
		return nil, &failure{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request body is too large.",
			coralURI}
	}
	if readErr != nil {
		return nil, invalid("The request body is shorter than its length.")
	}
	region, problem := x.s.verifier.check(x.r, c.service(), body, c.start)
	if c.region = region; region == "" {
		c.region = "us-east-1"
	}
	return body, problem
}

// newID returns a random UUID, version 4.
func (s *Server) newID() string {
	var b [16]byte
	s.random.Lock()
	_, err := io.ReadFull(s.opts.Rand, b[:])
	s.random.Unlock()
	if err != nil {
		panic("BUG: no randomness for a request id: " + err.Error())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// control serves the endpoints under /_sandbox/ and reports whether the request
// was for one.
func (s *Server) control(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method + " " + r.URL.Path {
	case "GET /_sandbox/log":
		s.writeLog(w)
	case "PUT /_sandbox/script":
		s.readScript(w, r)
	default:
		return false
	}
	return true
}

// writeLog sends the entries in memory as JSON lines. X-Sandbox-Dropped says how
// many older ones only the file has.
func (s *Server) writeLog(w http.ResponseWriter) {
	recent, dropped := s.log.entries()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Sandbox-Dropped", strconv.Itoa(dropped))
	lines := json.NewEncoder(w)
	for i := range recent {
		if lines.Encode(&recent[i]) != nil {
			return // the reader left
		}
	}
}

func (s *Server) readScript(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	script, err := LoadScript(data)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.SetScript(script)
	w.WriteHeader(http.StatusNoContent)
}
