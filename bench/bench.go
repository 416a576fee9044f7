//go:build linux

package main

import (
	"context"
	"errors"
	"log"
	"strings"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
)

// bench is one run and what it found.
type bench struct {
	*rig
	commit  string // that the programs were built from
	found   report.Figures
	missing map[string]string // rows that cannot be measured, and why
	load    [3]float64        // load average before, at most, now
}

func newBench(ctx context.Context, g *rig) *bench {
	load := proc.Load()
	return &bench{
		rig: g, commit: commit(ctx), found: report.Figures{}, missing: map[string]string{},
		load: [3]float64{load, load, load},
	}
}

// lookAtLoad notes the load average where it is the highest yet.
func (b *bench) lookAtLoad() {
	b.load[2] = proc.Load()
	b.load[1] = max(b.load[1], b.load[2])
}

// measureAll measures all rows that are asked for.
func (b *bench) measureAll(ctx context.Context) error {
	for _, g := range groups() {
		if err := b.measureGroup(ctx, g); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			for _, name := range g.subjects {
				b.miss(name+"/"+g.load.name, err)
			}
		}
	}
	special, growth := special{b}, growth{b}
	for _, one := range []struct {
		row     string
		measure func(context.Context) error
	}{
		{"full/slow", special.measureSlowStreams},
		{"full/open", special.measureOpenLoop},
		{"full/first", special.measureFirst},
		{"full/memory", special.measureMemory},
		{"many/tenants", growth.measureTenants},
		{"capacity/gateway", growth.measureSizes},
		{"capacity/ledger", growth.measureLedger},
		{"pages", b.measurePages},
		{"calls", b.measureCalls},
		{"report/records", special.measureReports},
	} {
		if !b.wants(one.row) {
			continue
		}
		if err := one.measure(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.miss(one.row, err)
		}
	}
	b.lookAtLoad()
	return ctx.Err()
}

// wants reports whether a row is asked for. Those of docs/capacity.md prove no
// promise and take long: they are measured by name alone.
func (b *bench) wants(row string) bool {
	return b.rows.MatchString(row) && (b.rows.String() != "" || !strings.HasPrefix(row, "capacity/"))
}

// miss notes that a row has no figures.
func (b *bench) miss(row string, err error) {
	log.Printf("%s: %v", row, err)
	b.missing[row] = err.Error()
	if !errors.Is(err, errMissing) {
		b.missing[row] = "failed: " + err.Error()
	}
}
