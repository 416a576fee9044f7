//go:build linux

// Command bench measures what a request costs in Sluice and in what it is
// compared with, in one run, and writes bench/results.md, .json and .svg. See
// README.md for the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.SetFlags(0)
		log.Fatal("bench: ", err)
	}
}

// options is what the command line asks for.
type options struct {
	rows       *regexp.Regexp // of the rows to measure
	rounds     int
	lasting    time.Duration // of a round
	quick      bool
	out        string // folder of the results
	perf       string // folder of the prototype
	compare    string // git ref to compare with, "" measures all rows
	micro      bool   // compare the benchmarks beside the code too
	subjectCPU int
	loadCPU    int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := flags.String("rows", "", "`REGEXP` of the rows to measure; all")
	flags.BoolVar(&o.quick, "quick", false, "short rounds, and few of them: for a first look")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each row")
	flags.DurationVar(&o.lasting, "for", 2*time.Second, "how long a round lasts")
	flags.StringVar(&o.out, "out", "bench", "`FOLDER` for the results of a full run; others go to bin/bench")
	flags.StringVar(&o.perf, "perf", "../shared/perf", "`FOLDER` with the source of the prototype")
	flags.StringVar(&o.compare, "compare", "", "git `REF` to compare the gateway with, instead")
	flags.BoolVar(&o.micro, "micro", true, "with -compare: compare the benchmarks beside the code too")
	flags.IntVar(&o.subjectCPU, "subject-cpu", 0, "processor of what is measured")
	flags.IntVar(&o.loadCPU, "load-cpu", 1, "processor of the load and the stand-in")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.quick {
		o.rounds, o.lasting = min(o.rounds, 3), min(o.lasting, time.Second)
	}
	var err error
	o.rows, err = regexp.Compile(*rows)
	return o, err
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	g, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	b := newBench(ctx, g)
	if o.compare != "" {
		return comparing{b}.compareWith(ctx, o.compare, os.Stdout)
	}
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	return b.write(os.Stdout)
}
