package serving

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/heap"
)

// options are what the program and its flags say beside the configuration.
type options struct {
	version string
	profile string // address that serves profiles, "" for none
	// takeOver is whether a gateway that serves with the same data directory is followed.
	takeOver bool
	// load reads the configuration, previous being the one in use, nil at the start.
	load func(previous *config.Config) (*config.Config, error)
	// started is called when the ports listen, and says so; nil: the log says it.
	started func(*app)
}

func serveCommand(version string) *cobra.Command {
	o := options{version: version}
	cmd := &cobra.Command{
		Use:        "serve --config FILE",
		Short:      "Run the gateway",
		Args:       command.Args(cobra.NoArgs),
		SuggestFor: []string{"start", "run", "up", "server"},
	}
	file := command.ConfigFlag(cmd)
	cmd.Flags().StringVar(&o.profile, "pprof", "", "serve profiles at `ADDR`, a loopback address such as 127.0.0.1:6060")
	cmd.Flags().BoolVar(&o.takeOver, "take-over", false,
		"follow the gateway that runs with the same data_dir: its sockets are taken, and it drains")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.load = fromFile(*file)
		return serve(cmd.Context(), o)
	}
	return cmd
}

// fromFile loads a configuration from the same file each time.
func fromFile(file string) func(*config.Config) (*config.Config, error) {
	return func(previous *config.Config) (*config.Config, error) {
		if previous == nil {
			return command.Load(file)
		}
		return command.Reread(previous, file)
	}
}

// serve runs the gateway until ctx ends, then drains.
func serve(ctx context.Context, o options) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anybody can know of the gateway: unasked for, it ends the process
	defer signal.Stop(hangup)
	// Unasked for, a line for a log that nobody reads any more ends the process; so it is lost alone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	cfg, err := o.load(nil)
	if err != nil {
		return err
	}
	var closing closers
	drain := cfg.Timeouts.Drain // nothing here keeps cfg, which may be large, when a reload has replaced it
	defer func() { closing.run(drain) }()
	if err := startProfile(o.profile, newLog(os.Stderr), &closing); err != nil {
		return err
	}
	a, err := start(ctx, o, cfg, &closing)
	if err != nil {
		return err
	}
	r := newReloader(a, o.load)
	heap.KeepFloor(heap.Floor)
	if err := heap.Trim(); err != nil { // what only the start needed; before anybody is served or changes a file
		a.log.Debug("the program keeps its pages", "err", err)
	}
	served := make(chan error, 1)
	go func() { served <- a.edge.Serve(context.WithoutCancel(ctx)) }()
	closing.add(a.drain)
	a.succession.Serving()
	if o.started != nil {
		o.started(a)
	} else {
		a.announce(o.version, cfg)
	}
	err = r.run(ctx, hangup, served)
	drain = a.snapshots.Load().Config.Timeouts.Drain
	return err
}

// run waits for the end, and reloads on SIGHUP and when files have changed.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal, served <-chan error) error {
	look := time.NewTicker(reloadEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.app.succession.Taken():
			r.app.log.Info("another gateway has taken over")
			return nil
		case err := <-served:
			return err
		case <-hangup:
			r.reload(ctx)
		case now := <-look.C:
			r.app.upstreams.Expire(now)
			r.look(ctx)
		}
	}
}
