package serving

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine/bedrock"
)

// engines are the engine in use and the ones before it. A request keeps the
// engine that it began with, so one is closed only when no request that began
// with it can be left. It is for one goroutine at a time.
type engines struct {
	current *bedrock.Engine
	made    bedrock.Options // what current was made from
	longest time.Duration   // that a request with current may take
	retired []retiredEngine
}

type retiredEngine struct {
	engine *bedrock.Engine
	until  time.Time
}

// take returns an engine for the options. It is the one in use when they have
// not changed: its connections, and what it knows of its upstreams' health, stay.
func (e *engines) take(ctx context.Context, o bedrock.Options, longest time.Duration) (*bedrock.Engine, error) {
	if e.current != nil && sameUpstreams(e.made, o) {
		e.longest = max(e.longest, longest)
		return e.current, nil
	}
	engine, err := bedrock.New(context.WithoutCancel(ctx), o)
	if err != nil {
		return nil, fmt.Errorf("upstreams: %w", err)
	}
	if e.current != nil {
		e.retired = append(e.retired, retiredEngine{e.current, time.Now().Add(e.longest)})
	}
	e.current, e.made, e.longest = engine, o, longest
	return engine, nil
}

// sameUpstreams reports whether an engine made from a would be like one made
// from b. The contents of a certificate file may differ under the same name.
func sameUpstreams(a, b bedrock.Options) bool {
	for _, u := range a.Upstreams {
		if u.CAFile != "" {
			return false
		}
	}
	return a.Timeouts == b.Timeouts && reflect.DeepEqual(a.Upstreams, b.Upstreams) && reflect.DeepEqual(a.Credentials, b.Credentials)
}

// expire closes what nobody can be using any more.
func (e *engines) expire(now time.Time) {
	kept := e.retired[:0]
	for _, r := range e.retired {
		if now.Before(r.until) {
			kept = append(kept, r)
			continue
		}
		r.engine.Close()
	}
	e.retired = kept
}

// close closes all.
func (e *engines) close() {
	for _, r := range e.retired {
		r.engine.Close()
	}
	if e.current != nil {
		e.current.Close()
	}
}
