package bedrock

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
)

func TestHealth(t *testing.T) {
	status := func(code int, want error) {
		t.Helper()
		if got := health(&engine.Response{Status: code}, nil); !errors.Is(got, want) {
			t.Errorf("status %d: %v, want %v", code, got, want)
		}
	}
	for _, code := range []int{200, 302, 400, 403, 404, 408, 424, 429} {
		status(code, nil)
	}
	for _, code := range []int{500, 502, 503, 504, 529} {
		status(code, errUnhealthy)
	}
	failure := func(f engine.Failure, want error) {
		t.Helper()
		if got := health(nil, &engine.Error{Failure: f}); !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", f, got, want)
		}
	}
	failure(engine.NotSent, errUnhealthy)
	failure(engine.LostInAnswer, errUnhealthy)
	failure(engine.TimedOut, errUnhealthy)
	failure(engine.Corrupt, errUnhealthy)
	failure(engine.StaleConn, errNeutral)
	failure(engine.Misconfigured, errNeutral)
	failure(engine.Cancelled, errNeutral)
}

// scripted is a server that answers with the status in its channel.
func scripted(t *testing.T, statuses <-chan string) string {
	t.Helper()
	return serve(t, func(_ int, p *peer) {
		for p.request() != nil {
			p.say(answer(<-statuses, "", ""))
		}
	})
}

func TestBreakerOpensPerModel(t *testing.T) {
	statuses := make(chan string, 10)
	up := settings(scripted(t, statuses))
	up.Breaker = config.Breaker{Failures: 3, OpenFor: time.Hour}
	e := newEngine(t, up)
	try := func(model, status string) error {
		t.Helper()
		if status != "" {
			statuses <- status
		}
		req := request()
		req.Model = model
		_, err := e.Attempt(t.Context(), req)
		return err
	}
	for _, status := range []string{"503", "500", "200", "503", "429", "500", "503", "500"} {
		if err := try("a", status); err != nil {
			t.Fatalf("status %s: %v", status, err)
		}
	}
	mustFail(t, "after three failures in a row", try("a", ""), engine.CircuitOpen)
	if err := try("b", "200"); err != nil {
		t.Errorf("another model: %v", err)
	}
}

func TestBreakerCountsBrokenStreams(t *testing.T) {
	up := settings(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(streamHead + chunk(frame(t, "x")))
	}))
	up.Breaker = config.Breaker{Failures: 2, OpenFor: time.Hour}
	e := newEngine(t, up)
	res, err := e.Attempt(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Frames.Close()
	_, _ = res.Frames.Next()
	for range 3 { // one break counts once, however often it is met
		_, err = res.Frames.Next()
		mustFail(t, "cut", err, engine.LostInAnswer)
	}
	failures := e.upstreams[""].breakers.of("m").Counts().ConsecutiveFailures
	if failures != 1 {
		t.Errorf("%d failures counted, want 1", failures)
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(config.Breaker{Failures: 2, OpenFor: 10 * time.Second}).of("m")
		unhealthy := &engine.Error{Failure: engine.LostInAnswer}
		note(b, unhealthy)
		note(b, unhealthy)
		if b.State() != gobreaker.StateOpen {
			t.Fatalf("state %s after two failures", b.State())
		}
		time.Sleep(11 * time.Second)
		probe, err := b.Allow()
		if err != nil {
			t.Fatalf("probe: %v", err)
		}
		if _, err := b.Allow(); err == nil {
			t.Error("a second attempt went through beside the probe")
		}
		probe(errUnhealthy)
		if _, err := b.Allow(); err == nil {
			t.Error("not open again after a failed probe")
		}
		time.Sleep(11 * time.Second)
		if probe, err = b.Allow(); err != nil {
			t.Fatalf("second probe: %v", err)
		}
		probe(errNeutral) // the caller left: another probe is needed
		if probe, err = b.Allow(); err != nil {
			t.Fatalf("probe after one that said nothing: %v", err)
		}
		probe(nil)
		if b.State() != gobreaker.StateClosed {
			t.Errorf("state %s after a good probe", b.State())
		}
	})
}

func TestBreakerSwitchedOff(t *testing.T) {
	b := newBreakers(config.Breaker{}).of("m")
	for range 100 {
		note(b, &engine.Error{Failure: engine.LostInAnswer})
	}
	if _, err := b.Allow(); err != nil {
		t.Error("open although no number of failures is configured")
	}
}

func TestBreakersAreBounded(t *testing.T) {
	b := newBreakers(config.Breaker{Failures: 1, OpenFor: time.Hour})
	note(b.of("first"), &engine.Error{Failure: engine.LostInAnswer})
	if first := b.of("first"); first != b.of("first") {
		t.Error("two breakers for one model")
	}
	for i := range maxBreakers + 10 {
		b.of(itoa(i))
	}
	if n := b.byModel.Len(); n != maxBreakers {
		t.Errorf("%d breakers, want %d", n, maxBreakers)
	}
}
