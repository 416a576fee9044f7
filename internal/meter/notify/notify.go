// Package notify posts messages to webhooks: a Sender posts JSON, signed and with
// retries; an Outbox in front of it makes sure that one of several gateways posts
// each message, and that another one posts what a dead gateway left.
//
// Delivery is at least once as long as the Store keeps its contents; a receiver
// drops repetitions by the id in the message. The package does not look into the
// messages.
package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// SignatureHeader carries "t=SECONDS,v1=HEX": when the message was signed, and
// the HMAC-SHA256 of "SECONDS.BODY" under the webhook's secret. A receiver
// refuses what is too old, so that nothing can be played back.
const SignatureHeader = "x-sluice-signature"

// Message is one post. Body is encoded as JSON.
type Message struct {
	URL, Secret string
	Body        any
	// Ended is called once, when the message is delivered or given up; nil for
	// nobody.
	Ended func(Outcome)
}

// Options say how a sender works; the zero values take the defaults.
type Options struct {
	Transport http.RoundTripper // default that of package net/http
	Log       *slog.Logger
	Now       func() time.Time
	Queue     int           // messages that wait, default 256
	Workers   int           // posts at once, default 4
	Attempts  int           // of one message, default 8
	Wait      time.Duration // before the second attempt, doubled each time, default 1s
}

// postTimeout is how long one attempt may take.
const postTimeout = 5 * time.Second

// Sender posts messages in the background. Make it with New.
type Sender struct {
	opts    Options
	client  *http.Client
	queue   chan Message
	workers sync.WaitGroup
	stop    context.Context //nolint:containedctx // ends when Close cuts off what is left
	halt    context.CancelFunc

	mu     sync.RWMutex // guards closed, so that nothing is sent to a closed queue
	closed bool
}

// New returns a sender and starts its workers. Close ends them.
func New(o Options) *Sender {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Queue, o.Workers, o.Attempts = cmp.Or(o.Queue, 256), cmp.Or(o.Workers, 4), cmp.Or(o.Attempts, 8)
	o.Wait = cmp.Or(o.Wait, time.Second)
	s := &Sender{opts: o, queue: make(chan Message, o.Queue), client: &http.Client{
		Transport: o.Transport, Timeout: postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.stop, s.halt = context.WithCancel(context.Background())
	for range o.Workers {
		s.workers.Go(s.work)
	}
	return s
}

// Post queues a message. It never blocks; without room the message is given up.
func (s *Sender) Post(m Message) {
	if !s.enqueue(m) {
		s.drop(m, "the queue is full or closed")
	}
}

func (s *Sender) enqueue(m Message) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	select {
	case s.queue <- m:
		return true
	default:
		return false
	}
}

// Close delivers what is queued, until ctx ends, and stops.
func (s *Sender) Close(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	s.mu.Unlock()
	unwatch := context.AfterFunc(ctx, s.halt)
	s.workers.Wait()
	unwatch()
	s.halt()
}

func (s *Sender) work() {
	for m := range s.queue {
		s.deliver(m)
	}
}

func (s *Sender) deliver(m Message) {
	body, err := json.Marshal(m.Body)
	if err != nil {
		s.drop(m, err.Error())
		return
	}
	wait := s.opts.Wait
	for n := 1; ; n++ {
		err = s.post(m, body)
		if err == nil {
			m.end(Delivered)
			return
		}
		if n == s.opts.Attempts || !s.pause(wait) {
			s.drop(m, reason(err))
			return
		}
		wait *= 2
	}
}

func (s *Sender) drop(m Message, why string) {
	s.opts.Log.Warn("webhook message is not delivered", "receiver", receiver(m.URL), "why", why)
	m.end(GivenUp)
}

// receiver is a webhook's address without the path and the query, in which services have secrets.
func receiver(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// reason is an error without the address that those of net/http begin with.
func reason(err error) string {
	if of := (*url.Error)(nil); errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}

func (m *Message) end(how Outcome) {
	if m.Ended != nil {
		m.Ended(how)
	}
}

// post makes one attempt, signed anew so that its time is fresh.
func (s *Sender) post(m Message, body []byte) error {
	req, err := http.NewRequestWithContext(s.stop, http.MethodPost, m.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("content-type", "application/json")
	req.Header.Set(SignatureHeader, Sign(m.Secret, s.opts.Now(), body))
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // the answer is not needed
	if res.StatusCode < 200 || res.StatusCode >= 300 {
		return fmt.Errorf("the receiver answered %d", res.StatusCode)
	}
	return nil
}

func (s *Sender) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop.Done():
		return false
	}
}

// Sign returns the value of SignatureHeader for a body.
func Sign(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
