package bedrock

import (
	"context"
	"reflect"
	"time"
)

// Generations are the engine in use and those that it replaced. A request keeps
// the engine that it began with, so an engine is closed only when no request that
// began with it can be left. The zero value has no engine. It is for one
// goroutine at a time.
type Generations struct {
	current *Engine
	made    Options       // what current was made from
	longest time.Duration // that a request with current may take
	retired []retired
}

type retired struct {
	engine *Engine
	until  time.Time
}

// Engine returns an engine for the options, whose requests take at most longest.
// It is the one in use while they have not changed: its connections stay, and what
// it knows of the health of its upstreams. An engine that it replaces is closed by
// Expire when its last request must be over.
func (g *Generations) Engine(ctx context.Context, o Options, longest time.Duration, now time.Time) (*Engine, error) {
	if g.current != nil && sameUpstreams(&g.made, &o) {
		g.longest = max(g.longest, longest)
		return g.current, nil
	}
	engine, err := New(context.WithoutCancel(ctx), o)
	if err != nil {
		return nil, err
	}
	if g.current != nil {
		g.retired = append(g.retired, retired{g.current, now.Add(g.longest)})
	}
	g.current, g.made, g.longest = engine, o, longest
	return engine, nil
}

// sameUpstreams reports whether an engine made from a would be like one made
// from b.
func sameUpstreams(a, b *Options) bool {
	return a.Timeouts == b.Timeouts && reflect.DeepEqual(a.Upstreams, b.Upstreams) &&
		reflect.DeepEqual(a.Credentials, b.Credentials)
}

// Expire closes the engines that no request can be using any more.
func (g *Generations) Expire(now time.Time) {
	kept := g.retired[:0]
	for _, r := range g.retired {
		if now.Before(r.until) {
			kept = append(kept, r)
			continue
		}
		r.engine.Close()
	}
	g.retired = kept
}

// Close closes all engines.
func (g *Generations) Close() {
	for _, r := range g.retired {
		r.engine.Close()
	}
	if g.current != nil {
		g.current.Close()
	}
}
