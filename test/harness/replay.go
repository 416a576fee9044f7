package harness

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Replay is an upstream that answers with recorded exchanges. It finds the
// recording by x-amzn-trace-id, which the gateway passes unchanged, and checks
// that request and signature arrived as they should.
type Replay struct {
	*httptest.Server
	mu        sync.Mutex
	exchanges map[string]*replayed
	faults    []string
}

type replayed struct {
	rec *Recording
	// received gets each frame that reached the caller; nil plays at once.
	received chan int
}

// NewReplay starts the upstream.
func NewReplay(t testing.TB) *Replay {
	r := &Replay{exchanges: map[string]*replayed{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

// Expect announces the exchange that will come under a trace id. With lockstep,
// frame n+1 leaves only after Received was called for frame n.
func (r *Replay) Expect(trace string, rec *Recording) { r.expect(trace, &replayed{rec: rec}) }

// ExpectLockstep announces a stream whose frames wait for each other.
func (r *Replay) ExpectLockstep(trace string, rec *Recording) chan<- int {
	received := make(chan int, 1)
	r.expect(trace, &replayed{rec, received})
	return received
}

func (r *Replay) expect(trace string, e *replayed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges[trace] = e
}

// Faults returns what was wrong with the requests that came.
func (r *Replay) Faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}

func (r *Replay) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *Replay) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.fault("reading a request: %v", err)
	}
	r.mu.Lock()
	e := r.exchanges[req.Header.Get("X-Amzn-Trace-Id")]
	r.mu.Unlock()
	if e == nil {
		r.fault("unexpected request %s %s", req.Method, req.RequestURI)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if err := VerifySignature(req, body, UpstreamKeyID, UpstreamSecret); err != nil {
		r.fault("%s: %v", e.rec.ID, err)
	}
	if string(body) != string(e.rec.RequestBody) {
		r.fault("%s: the request body changed to %q", e.rec.ID, body)
	}
	if want := strings.ReplaceAll(e.rec.Path, ":", "%3A"); req.RequestURI != want {
		r.fault("%s: target %s, want %s", e.rec.ID, req.RequestURI, want)
	}
	for name, want := range e.rec.RequestHeaders {
		if got := req.Header.Get(name); got != want && !strings.EqualFold(name, "x-amzn-trace-id") {
			r.fault("%s: header %s is %q, want %q", e.rec.ID, name, got, want)
		}
	}
	r.answer(w, e)
}

func (r *Replay) answer(w http.ResponseWriter, e *replayed) {
	for name, value := range e.rec.ResponseHeaders {
		if !strings.EqualFold(name, "transfer-encoding") {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(e.rec.Status)
	if !strings.Contains(e.rec.ResponseHeaders["content-type"], "eventstream") {
		w.Write(e.rec.ResponseBody)
		return
	}
	for i, frame := range SplitFrames(e.rec.ResponseBody) {
		w.Write(frame)
		w.(http.Flusher).Flush()
		if e.received == nil {
			continue
		}
		select {
		case n := <-e.received:
			if n != i {
				r.fault("%s: the caller has frame %d, want %d", e.rec.ID, n, i)
			}
		case <-time.After(10 * time.Second):
			r.fault("%s: frame %d did not reach the caller before frame %d", e.rec.ID, i, i+1)
			return
		}
	}
}

// SplitFrames cuts an event stream at its length prefixes.
func SplitFrames(stream []byte) [][]byte {
	var frames [][]byte
	for len(stream) >= 4 {
		n := int(binary.BigEndian.Uint32(stream))
		if n < 16 || n > len(stream) {
			break
		}
		frames = append(frames, stream[:n])
		stream = stream[n:]
	}
	return frames
}

// VerifySignature recomputes a request's Signature V4 with the AWS SDK's signer.
func VerifySignature(req *http.Request, body []byte, keyID, secret string) error {
	auth := req.Header.Get("Authorization")
	_, list, ok := strings.Cut(auth, "SignedHeaders=")
	if !ok {
		return fmt.Errorf("no Signature V4 in %q", auth)
	}
	list, _, _ = strings.Cut(list, ",")
	at, err := time.Parse("20060102T150405Z", req.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	again, err := http.NewRequest(req.Method, "http://"+req.Host+req.RequestURI, nil)
	if err != nil {
		return err
	}
	again.ContentLength = -1
	for _, name := range strings.Split(list, ";") {
		switch name {
		case "host", "x-amz-date":
		case "content-length":
			again.ContentLength = req.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = req.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), "bedrock",
		"us-east-1", at); err != nil {
		return err
	}
	if want := again.Header.Get("Authorization"); want != auth {
		return fmt.Errorf("signature differs:\n got %s\nwant %s", auth, want)
	}
	return nil
}
