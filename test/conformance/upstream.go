package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/test/clients"
)

// upstream is the Bedrock behind the gateway under test. It records each request as it came. A request whose body has
// the mark of a visit is answered as that visit says, all others by the stand-in.
type upstream struct {
	url     string
	http    *http.Server
	standIn *sandbox.Server

	mu     sync.Mutex // guards what follows
	visits map[string]*visit
	heads  []http.Header // of all requests
}

// visit is what becomes of one request of a caller: every request upstream that has its mark.
type visit struct {
	mark   string
	answer func(w http.ResponseWriter, e *exchange) // nil: the stand-in's

	mu        sync.Mutex
	exchanges []*exchange
	arrived   chan struct{} // closed with the first
}

// exchange is one request at the upstream, and the answer as it left.
type exchange struct {
	target string // as it stood in the request line
	header http.Header
	body   []byte
	mark   string

	mu   sync.Mutex
	sent bytes.Buffer
}

var marks = regexp.MustCompile(`conf[0-9a-f]{16}`)

// listen starts the upstream.
func listen(addr string) (*upstream, error) {
	script, err := sandbox.LoadScript([]byte(clients.Script))
	if err != nil {
		return nil, err
	}
	standIn, err := sandbox.New(sandbox.Options{Script: script})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	u := &upstream{url: "http://" + ln.Addr().String(), standIn: standIn, visits: map[string]*visit{}}
	u.http = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go u.http.Serve(ln)
	return u, nil
}

func (u *upstream) close() {
	u.http.Close()
	u.standIn.Close()
}

// requests counts what has come.
func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.heads)
}

// expect makes a visit; its mark must be in the body of the request.
func (u *upstream) expect(answer func(w http.ResponseWriter, e *exchange)) *visit {
	var random [8]byte
	rand.Read(random[:])
	v := &visit{mark: "conf" + hex.EncodeToString(random[:]), answer: answer, arrived: make(chan struct{})}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.visits[v.mark] = v
	return v
}

// ServeHTTP answers one request of the gateway.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e := &exchange{target: r.RequestURI, header: r.Header.Clone(), body: body, mark: string(marks.Find(body))}
	u.mu.Lock()
	u.heads = append(u.heads, e.header)
	v := u.visits[e.mark]
	u.mu.Unlock()
	out := &recorder{ResponseWriter: w, e: e}
	if v != nil {
		v.add(e)
		if v.answer != nil {
			v.answer(out, e)
			return
		}
	}
	// The stand-in checks credentials, and a gateway may have any.
	r.Header.Set("Authorization", "Bearer "+sandbox.DefaultBearerToken)
	r.Body = io.NopCloser(bytes.NewReader(body))
	u.standIn.ServeHTTP(out, r)
}

func (v *visit) add(e *exchange) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.exchanges = append(v.exchanges, e); len(v.exchanges) == 1 {
		close(v.arrived)
	}
}

// all returns the requests that have come.
func (v *visit) all() []*exchange {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.exchanges)
}

// once returns the only request that came.
func (v *visit) once() (*exchange, error) {
	all := v.all()
	if len(all) != 1 {
		return nil, fmt.Errorf("the upstream was asked %d times for one request", len(all))
	}
	return all[0], nil
}

// answered is what the upstream wrote as a body.
func (e *exchange) answered() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.sent.Bytes())
}

// recorder keeps what is written.
type recorder struct {
	http.ResponseWriter
	e *exchange
}

// Write writes and keeps p.
func (r *recorder) Write(p []byte) (int, error) {
	r.e.mu.Lock()
	r.e.sent.Write(p)
	r.e.mu.Unlock()
	return r.ResponseWriter.Write(p)
}

// Unwrap lets a handler flush and hijack.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// reply answers with JSON.
func reply(status int, header map[string]string, body string) func(w http.ResponseWriter, e *exchange) {
	return func(w http.ResponseWriter, _ *exchange) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("x-amzn-RequestId", "01234567-89ab-cdef-0123-456789abcdef")
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// cut writes raw bytes to the gateway and closes the connection.
func cut(raw string) func(w http.ResponseWriter, e *exchange) {
	return func(w http.ResponseWriter, _ *exchange) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, raw)
		conn.Close()
	}
}
