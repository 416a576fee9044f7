// Package history runs what a gateway keeps of single requests: the log of decisions, its API,
// and the announcement of where that API is.
package history

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/decision/api"
	"github.com/sluice-gateway/sluice/internal/decision/recorder"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/admins"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Options say what a history needs.
type Options struct {
	Config *config.Config
	// Folder is that of the process's journal, Others are those of processes before it.
	Folder  journal.Dir
	Others  []journal.Dir
	Writer  string // of the process's journal: nobody else ever has it
	Dropped func(n int)
	Log     *slog.Logger
	Now     func() time.Time
}

// History is what a gateway keeps of requests. A nil History is of one that keeps nothing.
type History struct {
	opts     Options // without the configuration, which may be large and is replaced by a reload
	admin    config.Admin
	log      *decision.Log
	recorder *recorder.Recorder
}

// file is where the decisions of this process are: beside those of another one that still
// writes its own.
func (o *Options) file() string {
	_, slot, beside := strings.Cut(filepath.Base(string(o.Folder)), "-")
	if !beside {
		return File(o.Config)
	}
	return filepath.Join(o.Config.DataDir, "decisions-"+slot+".db")
}

// File is where decisions are.
func File(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "decisions.db") }

// Open opens the history of a gateway, nil when it is off. A file that cannot be opened is no
// reason to serve nobody: it is logged.
func Open(o Options) *History {
	c := &o.Config.Decisions
	if c.Off {
		return nil
	}
	log, err := decision.Open(decision.Options{
		File: o.file(), Keep: c.Keep, MaxBytes: c.MaxBytes, Dropped: o.Dropped, Log: o.Log, Now: o.Now,
	})
	if err != nil {
		o.Log.Error("no decisions are kept", "err", err)
		return nil
	}
	h := &History{opts: o, admin: o.Config.Admin, log: log, recorder: recorder.New(log, name(o.Config))}
	h.opts.Config = nil
	return h
}

// name is how a gateway is called in its decisions.
func name(cfg *config.Config) string {
	host, err := os.Hostname()
	if err != nil {
		return cfg.Listen
	}
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

// Decisions is who is told of requests that are over, nil for nobody.
func (h *History) Decisions() gateway.Decisions {
	if h == nil {
		return nil
	}
	return h.recorder
}

// Edge takes a request that was refused before it reached the request line.
func (h *History) Edge(id string, from netip.Addr, err *wire.Error) {
	if h != nil {
		h.recorder.Edge(id, from, err, h.opts.Now())
	}
}

// Handler is the API of what is kept, nil for none.
func (h *History) Handler() http.Handler {
	if h == nil {
		return nil
	}
	return api.Handler(h.log)
}

// Close writes what waits.
func (h *History) Close(ctx context.Context) {
	if h != nil {
		h.log.Close(ctx)
	}
}

// Announcement tells the other gateways of a ledger where this one's admin port is, until
// Close. A nil one is of a gateway that has none to tell.
type Announcement struct {
	list       *admins.List
	name, at   string
	log        *slog.Logger
	stop, done chan struct{}
}

// within is how long the ledger may take.
const within = 2 * time.Second

// Announce begins to tell it. addr is where the port listens.
func (h *History) Announce(shared *redis.Ledger, addr net.Addr) *Announcement {
	if h == nil || shared == nil {
		return nil
	}
	a := &Announcement{
		list: admins.New(shared, h.opts.Now), name: h.opts.Writer, at: address(&h.admin, addr), log: h.opts.Log,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go a.run()
	return a
}

// address is where others reach the admin port.
func address(admin *config.Admin, addr net.Addr) string {
	if admin.Advertise != "" {
		return admin.Advertise
	}
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	host, err := os.Hostname()
	if err != nil {
		host = "127.0.0.1"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return net.JoinHostPort(host, port)
}

func (a *Announcement) run() {
	defer close(a.done)
	tick := time.NewTicker(admins.Every)
	defer tick.Stop()
	away := false
	for {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		err := a.list.Announce(ctx, a.name, a.at)
		cancel()
		if err != nil && !away {
			a.log.Warn("commands do not learn from the ledger where this gateway is", "err", err)
		}
		away = err != nil
		select {
		case <-a.stop:
			return
		case <-tick.C:
		}
	}
}

// Close takes the gateway off the list.
func (a *Announcement) Close(ctx context.Context) {
	if a == nil {
		return
	}
	close(a.stop)
	<-a.done
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a.list.Leave(ctx, a.name) //nolint:errcheck // what it announced expires
}
