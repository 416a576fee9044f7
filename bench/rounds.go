//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/bench/report"
)

// yardstick is the subject that lies around every other one's round.
const yardstick = "bare"

// group is rows under the same load: each round measures the bare proxy, a
// subject, the bare proxy, the next subject, and so on.
type group struct {
	load     load
	subjects []string
}

func groups() []group {
	const converse, stream = "/model/auto/converse", "/model/auto/converse-stream"
	const invoke = "/model/" + claudeModel + "/invoke"
	return []group{
		{load{"2k", "2k", converse, 64}, []string{
			"standin", "nginx", "reverse", "sdk", "prototype",
			"minimal", "full", "sigv4", "spans", "h2", "redis", "check",
		}},
		{load{"chat", "chat", "/v1/chat/completions", 64}, []string{"full"}},
		{load{"invoke", "invoke", invoke, 64}, []string{"full"}},
		{load{"messages", "messages", "/v1/messages", 64}, []string{"full"}},
		{load{"40k", "40k", converse, 64}, []string{"nginx", "reverse", "sdk", "prototype", "minimal", "full"}},
		{load{"1m", "1m", converse, 16}, []string{"nginx", "reverse", "prototype", "minimal", "full"}},
		{load{"stream", "2k", stream, 64}, []string{"standin", "nginx", "reverse", "prototype", "minimal", "full"}},
		{load{"chatstream", "chatstream", chatStream, 64}, []string{"full"}},
		{load{"invokestream", "invoke", invoke + "-with-response-stream", 64}, []string{"full"}},
		{load{"messagesstream", "messagesstream", messagesStream, 64}, []string{"full"}},
	}
}

// Streams of the other dialects. The ends are for the bare proxy and the stand-in,
// which know by them that they have a stream before them, and of which kind.
const (
	chatStream     = "/v1/chat/completions?like=converse-stream"
	messagesStream = "/v1/messages?like=invoke-with-response-stream"
)

// repeats is how often the rounds of a row are run again while its quartiles
// are too far apart.
const repeats = 2

// measureGroup runs all rounds of the group's wanted rows.
func (b *bench) measureGroup(ctx context.Context, g group) error {
	wanted := b.available(ctx, g)
	if len(wanted) == 0 {
		return ctx.Err()
	}
	wanted, err := b.warmUp(ctx, wanted, g.load)
	if err != nil {
		return err
	}
	return b.repeat(ctx, g.load, wanted)
}

// repeat runs the rounds of the subjects, and those of noisy ones again.
func (b *bench) repeat(ctx context.Context, l load, names []string) error {
	round := 0
	for attempt := 0; attempt <= repeats && len(names) > 0; attempt++ {
		for range b.rounds {
			round++
			if err := b.round(ctx, l, names, round); err != nil {
				return err
			}
		}
		if b.quick {
			return nil
		}
		names = b.stillNoisy(names, l)
	}
	return nil
}

// available starts the group's subjects that are asked for. It notes those that
// cannot be had.
func (b *bench) available(ctx context.Context, g group) []string {
	var out []string
	for _, name := range g.subjects {
		row := name + "/" + g.load.name
		if !b.rows.MatchString(row) {
			continue
		}
		if _, err := b.get(ctx, name); err != nil {
			b.miss(row, err)
			continue
		}
		out = append(out, name)
	}
	return out
}

// warmUp lets each subject open its connections and fill its pools. It returns
// those that answer.
func (b *bench) warmUp(ctx context.Context, names []string, l load) ([]string, error) {
	var out []string
	for _, name := range append([]string{yardstick}, names...) {
		r, err := b.get(ctx, name)
		if err == nil {
			_, err = b.send(ctx, r, l, name, time.Second)
		}
		switch {
		case err != nil && name == yardstick:
			return nil, fmt.Errorf("%s/%s: %w", name, l.name, err)
		case err != nil:
			b.miss(name+"/"+l.name, err)
		case name != yardstick:
			out = append(out, name)
		}
	}
	return out, ctx.Err()
}

// stillNoisy are the subjects whose quartiles lie too far apart. Rounds that
// were measured stay: more of them are added.
func (b *bench) stillNoisy(names []string, l load) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !report.Noisy(b.found.Summary(name+"/"+l.name, report.Times))
	})
}

// round measures each subject once, the bare proxy before and after it.
func (b *bench) round(ctx context.Context, l load, names []string, n int) error {
	all, err := beside(names, func(name string) (sample, error) {
		r, err := b.get(ctx, name)
		if err != nil {
			return nil, err
		}
		return b.sample(ctx, r, l, name)
	}, func(name string, err error) { b.miss(name+"/"+l.name, err) })
	if err != nil || len(all) == 0 {
		return errors.Join(err, ctx.Err())
	}
	b.note(yardstick+"/"+l.name, n, all[0].bare)
	for _, m := range all {
		m.sample[report.Times] = m.sample[report.CPU] / m.bare[report.CPU]
		b.note(m.name+"/"+l.name, n, m.sample)
		log.Printf("%-16s round %2d  %6.2f × bare  %7.1f µs  %6.0f/s  load %.1f", m.name+"/"+l.name, n,
			m.sample[report.Times], m.sample[report.CPU], m.sample[report.Rate], b.load[2])
	}
	return nil
}

// measured is a sample of a subject and what the bare proxy gave around it.
type measured struct {
	name         string
	sample, bare sample
}

// beside takes a sample of each subject between two of the bare proxy. A subject
// that fails is left out, and failed is told why.
func beside(names []string, take func(string) (sample, error), failed func(string, error)) ([]measured, error) {
	var out []measured
	before, err := take(yardstick)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		s, err := take(name)
		if err != nil {
			failed(name, err)
			continue
		}
		after, err := take(yardstick)
		if err != nil {
			return nil, err
		}
		out = append(out, measured{name, s, mean(before, after)})
		before = after
	}
	return out, nil
}

func mean(a, b sample) sample {
	out := sample{}
	for measure := range a {
		out[measure] = (a[measure] + b[measure]) / 2
	}
	return out
}

func (b *bench) note(row string, round int, s sample) {
	for measure, v := range s {
		b.found.Add(row, measure, round, v)
	}
}

// sample is the figures of one round, by measure.
type sample map[string]float64

// sample sends for a while and returns what each request cost.
func (b *bench) sample(ctx context.Context, r *running, l load, caller string) (sample, error) {
	b.lookAtLoad()
	heap, journal := r.heap(ctx), r.journalBytes()
	before, err := r.Usage()
	if err != nil {
		return nil, err
	}
	n, err := b.send(ctx, r, l, caller, b.lasting)
	if err != nil {
		return nil, err
	}
	after, err := r.Usage()
	if err != nil {
		return nil, err
	}
	used, requests := after.Minus(before), float64(n)
	s := sample{
		report.CPU: used.CPU.Seconds() * 1e6 / requests, report.Rate: requests / b.lasting.Seconds(),
		report.Reads: float64(used.Reads) / requests, report.Writes: float64(used.Writes) / requests,
	}
	if r.dir != "" {
		s[report.Journal] = float64(r.journalBytes()-journal) / requests
	}
	if now := r.heap(ctx); now.allocs > heap.allocs && heap.allocs > 0 {
		s[report.Allocs] = float64(now.allocs-heap.allocs) / requests
		s[report.Alloced] = float64(now.bytes-heap.bytes) / requests
	}
	return s, nil
}

// journalBytes is the size of the gateway's journal.
func (r *running) journalBytes() int64 {
	var sum int64
	if r.dir == "" {
		return 0
	}
	files, _ := filepath.Glob(filepath.Join(r.dir, "data", "journal", "*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
