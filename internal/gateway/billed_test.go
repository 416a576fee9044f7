package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// outcome is what an upstream makes of an attempt. billed is whether it may cost.
type outcome struct {
	name     string
	failure  engine.Failure
	sent     bool
	status   int // of an answer
	page     bool
	refusal  string
	kind     string // the error type of Bedrock's answer
	billed   bool
	reshaped bool // the caller does not get it as it came
}

// outcomes are all ways in which an attempt can end without an answer of the model's:
// each failure, sent and not, each status that SDKs repeat, Bedrock's own and a proxy's.
func outcomes() []outcome {
	var all []outcome
	for f := engine.NotSent; !strings.HasPrefix(nameOf(f), "?"); f++ {
		for _, sent := range []bool{true, false} {
			all = append(all, outcome{name: fmt.Sprintf("%s sent=%v", f, sent), failure: f, sent: sent,
				billed: sent && f.Billable(), reshaped: true})
		}
	}
	for _, status := range []int{500, 502, 503, 504} {
		all = append(all, outcome{name: fmt.Sprintf("page %d", status), status: status, page: true,
			billed: status != 503, reshaped: true})
	}
	for status, kind := range map[int]string{
		429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException",
		408: "ModelTimeoutException", 424: "ModelErrorException", 400: "ValidationException",
	} {
		all = append(all, outcome{name: kind, status: status, kind: kind})
	}
	for _, kind := range []string{"ExpiredTokenException", "AccessDeniedException"} {
		all = append(all, outcome{name: "refused " + kind, status: 403, kind: kind, refusal: kind, reshaped: true})
	}
	return all
}

// nameOf is a failure's name, "?" beyond the last one.
func nameOf(f engine.Failure) (name string) {
	defer func() {
		if recover() != nil {
			name = "?"
		}
	}()
	return f.String()
}

// ends is an upstream whose attempts at a model end in one way; others are answered.
type ends struct {
	*scripted
	of map[string]outcome
}

func (u *ends) Attempt(ctx context.Context, r *engine.Request) (*engine.Response, error) {
	o, scripted := u.of[r.Model]
	switch {
	case !scripted:
		return u.scripted.Attempt(ctx, r)
	case o.failure != 0:
		return nil, &engine.Error{Failure: o.failure, Sent: o.sent, Err: errors.New("scripted")}
	case o.page:
		return &engine.Response{Status: o.status, Header: wire.Header{{Name: "content-type", Value: "text/html"}},
			Body: []byte("<html>")}, nil
	}
	res := &engine.Response{Status: o.status, Body: []byte(`{"message":"arn:aws:iam::1:user/gw is not authorized"}`),
		Header: wire.Header{{Name: "content-type", Value: "application/json"}, {Name: "x-amzn-ErrorType", Value: o.kind}}}
	if o.refusal != "" {
		res.Refusal = &engine.Refusal{Kind: o.refusal}
	}
	return res, nil
}

// sdksRepeat reports whether some SDK repeats an answer by itself: the AWS SDKs 429
// and 5xx, Anthropic's, OpenAI's and Vercel's clients 408 and 409 too.
func sdksRepeat(status int) bool {
	return status == 408 || status == 409 || status == 429 || status >= 500
}

// TestBilledIsNotRepeated walks all ends of an attempt, alone and behind a light leg
// that was billed, may have been, or was not (U1): what the gateway answers in place of
// Bedrock is repeatable only where nothing may have been billed.
func TestBilledIsNotRepeated(t *testing.T) {
	rules, checked := compiled(t, "    mode: rules\n"), compiled(t, "")
	light, strong := checked.Config.Cascades[0].Light, checked.Config.Cascades[0].Escalation
	lights := append(outcomes(), outcome{name: "vetoed", billed: true})
	synctest.Test(t, func(t *testing.T) {
		for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
			for _, last := range outcomes() {
				for _, first := range lights {
					for name, s := range map[string]bool{"rules": true, "check": false} {
						snapshot := checked
						if s {
							snapshot = rules
						}
						b := newBench(snapshot, func(*engine.Request) reply { return reply{text: "", stop: "content_filtered"} })
						b.books.cost = 7
						served := *snapshot
						u := &ends{b.upstream, map[string]outcome{strong: last, light: first}}
						if first.name == "vetoed" {
							if s {
								continue // rules accept it
							}
							delete(u.of, light)
						}
						served.Upstream = u
						b.line.Use(&served)
						what := fmt.Sprintf("%v %s: %s, then %s", op, name, first.name, last.name)
						if first.failure == engine.Cancelled { // nobody waits, and no other leg is asked
							checkBilled(t, b, what, op, first.billed, first)
							continue
						}
						checkBilled(t, b, what, op, first.billed || last.billed, last)
					}
				}
			}
		}
	})
}

func checkBilled(t *testing.T, b *bench, what string, op wire.Operation, billed bool, last outcome) {
	t.Helper()
	res := b.line.Serve(b.ask(t.Context(), op, hello))
	if res.Stream != nil {
		io.Copy(io.Discard, res.Stream)
		res.Stream.Close()
	}
	synctest.Wait()
	repeated, final := sdksRepeat(res.Status), res.Header.Get("x-should-retry") == "false"
	served := !last.reshaped || strings.HasPrefix(res.Header.Get("x-amzn-requestid"), "up")
	if billed && repeated && !served {
		t.Errorf("%s: may be billed, but is answered with %d %s", what, res.Status, res.Body)
	}
	if billed && !served && !final {
		t.Errorf("%s: %d without x-should-retry: false", what, res.Status)
	}
	if !billed && !served && !repeated && last.failure != engine.Cancelled {
		t.Errorf("%s: nothing was billed, but %d is final", what, res.Status)
	}
	if strings.Contains(string(res.Body), "arn:aws:iam") && last.refusal != "" {
		t.Errorf("%s: the caller reads %s", what, res.Body)
	}
	if last.refusal != "" && !strings.Contains(string(res.Body), "the gateway's own") {
		t.Errorf("%s: %s does not name the gateway", what, res.Body)
	}
	inBooks := false
	for _, ended := range b.books.ends {
		inBooks = inBooks || ended[0].Outcome != record.Failed
	}
	if inBooks != billed {
		t.Errorf("%s: billed in the books: %v, want %v", what, inBooks, billed)
	}
}

// TestLongCall asks for what takes 615 seconds, and 59 minutes (U1).
func TestLongCall(t *testing.T) {
	s := compiled(t, "    mode: rules\n")
	s.Config.Timeouts.Request = 65 * time.Minute
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		for _, takes := range []time.Duration{615 * time.Second, 59 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(s, func(*engine.Request) reply { return reply{text: "late", after: takes} })
				if got := b.do(b.ask(t.Context(), op, hello)); got.status != 200 || !holds(got.body, "end_turn") {
					t.Errorf("%v after %v: %d %s", op, takes, got.status, got.body)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(s, func(*engine.Request) reply { return reply{text: "too late", after: 66 * time.Minute} })
		if got := b.do(b.ask(t.Context(), wire.OpConverse, hello)); got.status != 424 {
			t.Errorf("beyond timeouts.request: %d %s", got.status, got.body)
		}
	})
}
