//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/test/journalsum"
)

const (
	slowStream  = 10 * time.Second // how long a slow stream lasts
	slowStreams = 1000
	slowRamp    = 2 * time.Second // over which they start
	openRate    = 500             // requests per second of the open loop
	firstRate   = 100             // streams per second that begin
)

// special measures what is no load of requests as fast as they are answered.
type special struct{ *bench }

// measureSlowStreams opens a thousand streams of ten seconds through fresh
// processes of the bare proxy and of Sluice.
func (b special) measureSlowStreams(ctx context.Context) error {
	slow := full(b.program("gateway"))
	slow.slow = true
	for round := range b.rounds {
		all, err := beside([]string{"full"}, func(name string) (sample, error) {
			if name == yardstick {
				return b.slowStreams(ctx, func() (*running, error) { return b.startBare(ctx, b.slow) })
			}
			return b.slowStreams(ctx, func() (*running, error) { return b.startGateway(ctx, slow) })
		}, func(name string, err error) { b.miss(name+"/slow", err) })
		if err != nil {
			return err
		}
		if len(all) == 0 {
			continue
		}
		s, bare := all[0].sample, all[0].bare
		s[report.Times] = s[report.PerMessage] / bare[report.PerMessage]
		b.note("full/slow", round+1, s)
		b.note("bare/slow", round+1, bare)
		log.Printf("full/slow        round %2d  %6.2f × bare  %.1f KB (bare %.1f), %.2f goroutines", round+1,
			s[report.Times], s[report.KB], bare[report.KB], s[report.Goroutines])
	}
	return nil
}

// slowStreams starts a process, sends it the streams and looks at it when all of
// them are open.
func (b special) slowStreams(ctx context.Context, start func() (*running, error)) (sample, error) {
	b.lookAtLoad()
	r, err := start()
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	time.Sleep(time.Second) // what starts up in the background is done
	alone := r.look(ctx)
	halfway := make(chan state, 1)
	time.AfterFunc(slowRamp+slowStream/2, func() { halfway <- r.look(ctx) })
	l := load{body: "2k", path: "/model/auto/converse-stream"}
	seen, err := b.ours(ctx, r, l, "-streams", strconv.Itoa(slowStreams), "-ramp", slowRamp.String())
	if err != nil {
		return nil, err
	}
	open, end := <-halfway, r.look(ctx)
	if err := errors.Join(alone.err, open.err, end.err); err != nil {
		return nil, err
	}
	s := sample{
		report.KB:         float64(open.resident-alone.resident) / slowStreams / 1e3,
		report.PerMessage: end.used.Minus(alone.used).CPU.Seconds() * 1e6 / float64(seen.Messages),
	}
	if open.goroutines > 0 {
		s[report.Goroutines] = float64(open.goroutines-alone.goroutines) / slowStreams
	}
	return s, nil
}

// state is what a process uses at one moment.
type state struct {
	used       proc.Usage
	resident   int64
	goroutines int64
	err        error
}

func (r *running) look(ctx context.Context) state {
	used, err := r.Usage()
	resident, _, otherErr := r.Resident()
	return state{used, resident, r.goroutines(ctx), errors.Join(err, otherErr)}
}

// measureOpenLoop sends at a fixed rate and looks at the median latency.
func (b special) measureOpenLoop(ctx context.Context) error {
	for round := range b.rounds {
		all, err := beside([]string{"reverse", "full"}, func(name string) (sample, error) {
			return b.openLoop(ctx, name, load{body: "2k", path: "/model/auto/converse"}, openRate)
		}, func(name string, err error) { b.miss(name+"/open", err) })
		if err != nil {
			return err
		}
		if len(all) == 0 {
			continue
		}
		b.note("bare/open", round+1, all[0].bare)
		for _, m := range all {
			m.sample[report.Added] = m.sample[report.P50] - m.bare[report.P50]
			b.note(m.name+"/open", round+1, m.sample)
			log.Printf("%-16s round %2d  p50 %.0f µs, %.0f over bare", m.name+"/open", round+1,
				m.sample[report.P50], m.sample[report.Added])
		}
	}
	return nil
}

// measureFirst looks at when streams begin that are put into another dialect: the
// first byte of a body is that of the first event.
func (b special) measureFirst(ctx context.Context) error {
	loads := []load{{"firstchat", "chatstream", chatStream, 0}, {"firstmessages", "messagesstream", messagesStream, 0}}
	for round := range b.rounds {
		for _, l := range loads {
			all, err := beside([]string{"full"}, func(name string) (sample, error) {
				return b.openLoop(ctx, name, l, firstRate)
			}, func(name string, err error) { b.miss(name+"/"+l.name, err) })
			if err != nil {
				return err
			}
			for _, m := range all {
				b.note("bare/"+l.name, round+1, m.bare)
				m.sample[report.AddedP99] = m.sample[report.P99] - m.bare[report.P99]
				b.note(m.name+"/"+l.name, round+1, m.sample)
				log.Printf("%-18s round %2d  p99 %.0f µs, %.0f over bare", m.name+"/"+l.name, round+1,
					m.sample[report.P99], m.sample[report.AddedP99])
			}
		}
	}
	return nil
}

func (b special) openLoop(ctx context.Context, name string, l load, rate int) (sample, error) {
	b.lookAtLoad()
	r, err := b.get(ctx, name)
	if err != nil {
		return nil, err
	}
	before := r.look(ctx)
	seen, err := b.ours(ctx, r, l, "-rate", strconv.Itoa(rate), "-for", (b.lasting * 3 / 2).String())
	if err != nil {
		return nil, err
	}
	after := r.look(ctx)
	cpu := after.used.Minus(before.used).CPU.Seconds() * 1e6 / float64(seen.Requests)
	return sample{report.P50: seen.P50, report.P99: seen.P99, report.CPU: cpu}, errors.Join(before.err, after.err)
}

// measureMemory looks at the resident memory of fresh gateways.
func (b special) measureMemory(ctx context.Context) error {
	for round := range min(b.rounds, 3) {
		s, err := b.memory(ctx)
		if err != nil {
			return err
		}
		b.note("full/memory", round+1, s)
		log.Printf("memory round %d: idle %.1f MB, saturated %.1f, after large bodies %.1f", round+1,
			s[report.Idle], s[report.Saturated], s[report.After])
	}
	return nil
}

func (b special) memory(ctx context.Context) (sample, error) {
	b.lookAtLoad()
	r, err := b.startGateway(ctx, full(b.program("gateway")))
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	time.Sleep(2 * time.Second)
	idle, _, err := r.Resident()
	if err != nil {
		return nil, err
	}
	var most int64
	for _, body := range []string{"2k", "40k"} {
		l := load{body: body, path: "/model/auto/converse", connections: 64}
		watched := r.watch()
		_, err := b.wrk(ctx, r, l, r.headers, 2*b.lasting)
		most = max(most, watched())
		if err != nil {
			return nil, err
		}
	}
	large := load{body: "1m", path: "/model/auto/converse", connections: 64}
	if _, err := b.wrk(ctx, r, large, r.headers, time.Second); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	after, _, err := r.Resident()
	return sample{
		report.Idle: float64(idle) / 1e6, report.Saturated: float64(most) / 1e6, report.After: float64(after) / 1e6,
	}, err
}

// watch looks at the resident memory until the function that it returns is
// called, which returns the most that it was.
func (r *running) watch() func() int64 {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var highest int64
		for {
			if now, _, err := r.Resident(); err == nil {
				highest = max(highest, now)
			}
			select {
			case <-stop:
				most <- highest
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-most
	}
}

// reported is how many requests a report is made of.
const reported = 1_000_000

// measureReports makes reports over a journal of very many calls.
func (b special) measureReports(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "report-")
	if err != nil {
		return err
	}
	log.Printf("writing a journal of %d calls", reported)
	if err := journalsum.Write(ctx, filepath.Join(dir, "data", "journal"), reported, time.Now()); err != nil {
		return err
	}
	debug.FreeOSMemory() // so that the report has the machine's memory
	file := filepath.Join(dir, "sluice.yaml")
	yaml := "upstream: {region: us-east-1, endpoint: sandbox}\ndata_dir: data\ntenants: [{id: t000}]\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return err
	}
	for _, one := range []struct{ row, by string }{
		{"report/records", "tenant,model"}, {"daily/records", "tenant,model,day"}, {"wide/records", "tenant,hour"},
	} {
		for round := range b.rounds {
			b.lookAtLoad()
			s, err := b.report(ctx, file, one.by)
			if err != nil {
				return err
			}
			b.note(one.row, round+1, s)
			log.Printf("%-16s round %2d  %.2f s, %.0f MB", one.row, round+1, s[report.Seconds], s[report.Memory])
		}
	}
	return nil
}

// report makes one report. The kernel's own figure for a child begins with what its parent
// had, so the memory is looked at while it runs.
func (b special) report(ctx context.Context, config, by string) (sample, error) {
	cmd := exec.CommandContext(ctx, b.program("gateway"), "report", "--config", config, "--by", by, "--format", "csv")
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var most int64
	for {
		select {
		case err := <-ended:
			took := time.Since(began)
			if err != nil || bytes.Count(out.Bytes(), []byte("\n")) < 1000 {
				return nil, fmt.Errorf("no report: %w\n%s", err, failed.Bytes())
			}
			return sample{report.Seconds: took.Seconds(), report.Memory: float64(most) / 1e6}, nil
		case <-time.After(10 * time.Millisecond):
			_, now, err := (&proc.Process{Pid: cmd.Process.Pid}).Resident()
			if err == nil {
				most = max(most, now)
			}
		}
	}
}
