package main

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// target is a gateway under test and what its caller has of it.
type target struct {
	url string // without a slash at the end
	key string // sent as bearer token; it has neither cap nor budget
	// id and secret are the same key as AWS key pair; "" when there is none.
	id, secret string
	// capped is a bearer key under a maximum of `most` output tokens; "" when there is none.
	capped string
	most   int64
	// dollar is a bearer key with one dollar to spend; "" when there is none.
	dollar string
	ca     string // a file of authorities for https; "" has the system's
}

// suite runs checks against one gateway.
type suite struct {
	target
	up           *upstream
	http1, http2 *http.Client
	clients      string        // the directory of unmodified clients; "" when they are not to run
	earlier      int           // how many requests the upstream had before this suite
	wait         time.Duration // how long an event of streams may take
}

// check is one row: what a gateway owes its callers, and how that is found out.
type check struct {
	id   string // group/name
	owes string
	run  func(s *suite) (evidence string, err error)
}

// errSkipped is wrapped by checks that cannot run here.
var errSkipped = errors.New("not run")

func skip(why string) error { return fmt.Errorf("%w: %s", errSkipped, why) }

// result is what one check found.
type result struct {
	ID       string `json:"id"`
	Owes     string `json:"owes"`
	Verdict  string `json:"verdict"` // pass, fail or skip
	Evidence string `json:"evidence"`
	Millis   int64  `json:"millis"`
}

// checks lists all rows, in the order of the table.
func checks() []check {
	var all []check
	for _, group := range [][]check{
		operationChecks(), byteChecks(), answerChecks(), headerChecks(), errorChecks(), streamChecks(), hangupChecks(),
		authChecks(), edgeChecks(), limitChecks(), clientChecks(),
	} {
		all = append(all, group...)
	}
	return all
}

// run runs the checks that want holds for, one after the other.
func (s *suite) run(want func(id string) bool, each func(result)) (results []result) {
	for _, c := range checks() {
		if !want(c.id) {
			continue
		}
		r := s.one(c)
		results = append(results, r)
		each(r)
	}
	return results
}

func (s *suite) one(c check) result {
	began := time.Now()
	evidence, err := c.run(s)
	r := result{ID: c.id, Owes: c.owes, Verdict: "pass", Evidence: evidence}
	switch {
	case errors.Is(err, errSkipped):
		r.Verdict, r.Evidence = "skip", err.Error()
	case err != nil:
		r.Verdict, r.Evidence = "fail", err.Error()
	}
	r.Millis = time.Since(began).Milliseconds()
	return r
}

// atOnce calls f n times at once and returns the first error.
func atOnce(n int, f func(i int) error) error {
	failed := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { failed[i] = f(i) })
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}
