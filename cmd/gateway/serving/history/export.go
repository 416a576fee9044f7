package history

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/lake"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/s3"
)

// Export writes records and decisions to a lake, until Close. A nil one is off.
type Export struct {
	exporter *lake.Exporter
	every    time.Duration
	log      *slog.Logger
	stop     context.CancelFunc // also of an upload that takes long
	done     chan struct{}
	after    <-chan struct{} // nothing is exported before it is closed; nil: at once
	failing  bool
}

// lastExport is how long a stop waits for what is left; the next start exports the rest.
const lastExport = 5 * time.Second

// StartExport begins the export of a gateway's configuration once after is closed, nil
// without one.
func (h *History) StartExport(
	ctx context.Context, o Options, m *meter.Meter, calls s3.Calls, after <-chan struct{},
) (*Export, error) {
	c := &o.Config.Export
	if c.To == "" {
		return nil, nil
	}
	to, err := storeOf(ctx, c, calls, o.Now)
	if err != nil {
		return nil, err
	}
	disk, _ := m.Journal()
	of := lake.Options{
		Store: to, State: filepath.Join(o.Config.DataDir, "export.json"), Now: o.Now,
		Journals: []lake.Source{
			{Name: filepath.Base(string(o.Folder)), Disk: disk, Synced: m.Synced},
			{Name: "corrections", Disk: command.CorrectionsDir(o.Config)},
		},
	}
	for _, folder := range o.Others {
		of.Journals = append(of.Journals, lake.Source{Name: filepath.Base(string(folder)), Disk: folder})
	}
	if h != nil {
		of.Decisions = h.log
	}
	e := &Export{every: c.Every, log: o.Log, done: make(chan struct{})}
	if e.exporter, err = lake.Open(of); err != nil {
		return nil, err
	}
	var until context.Context
	until, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.after = after
	go e.run(until)
	return e, nil
}

func storeOf(
	ctx context.Context, c *config.Export, calls s3.Calls, now func() time.Time,
) (lake.Store, error) {
	if !strings.HasPrefix(c.To, s3.Scheme) {
		return lake.Folder(c.To), nil
	}
	return lake.OpenBucket(ctx, lake.BucketOptions{
		To: c.To, Region: c.Region, Endpoint: c.Endpoint, Calls: calls, Now: now,
	})
}

func (e *Export) run(ctx context.Context) {
	defer close(e.done)
	if e.after != nil {
		select {
		case <-e.after: // two exports at once would both send what is new
		case <-ctx.Done():
			return
		}
	}
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.once(ctx)
		}
	}
}

// once says in the log when exports begin or cease to fail.
func (e *Export) once(ctx context.Context) {
	n, err := e.exporter.Run(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return // it was stopped, which is no failure
	}
	switch {
	case err != nil && !e.failing:
		e.log.Error("the export fails; what is not exported yet follows when it works again", "err", err)
	case err == nil && e.failing:
		e.log.Info("the export works again", "records", n)
	}
	e.failing = err != nil
}

// Close exports what is left, within ctx and five seconds.
func (e *Export) Close(ctx context.Context) {
	if e == nil {
		return
	}
	e.stop()
	<-e.done
	if e.after != nil {
		select {
		case <-e.after:
		default: // the next start exports the rest
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lastExport)
	defer cancel()
	e.once(ctx)
}
