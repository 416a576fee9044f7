// Package succession is how one gateway follows another of the same data directory
// while that still serves: where the sockets come from, which folder the journal is
// in, and when the old process is gone (docs/adr/0025).
package succession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/cmd/gateway/command"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/handover"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// Succession is the place of a process among those of its data directory. Make it with
// Begin.
type Succession struct {
	dataDir string
	listen  string // the address for callers
	shared  bool   // the ledger is, so that two processes can grant at once
	log     *slog.Logger

	peer   *handover.Peer   // the old process, nil for none
	ports  handover.Sockets // from the old process or from systemd, as far as they fit, or opened here
	offer  *handover.Offer  // to the next one
	hold   *holding         // takes connections while the old process drains; nil for nobody
	gone   chan struct{}    // closed when the old process has ended
	first  journal.Dir      // of a process that follows none
	folder journal.Dir      // of this one
	offers bool             // the next process may take over
}

// Begin finds out whether there is a process to follow. One is looked for when takeOver is
// asked for, or when systemd gave this process sockets.
func Begin(cfg *config.Config, takeOver bool, log *slog.Logger) (*Succession, error) {
	s := &Succession{
		dataDir: cfg.DataDir, listen: cfg.Listen, shared: cfg.Ledger.Redis != "", log: log, gone: make(chan struct{}),
		first: command.JournalDir(cfg), offers: takeOver,
	}
	s.folder = s.first
	given, err := handover.FromSystemd(os.Getenv, os.Getpid())
	if err != nil {
		return nil, err
	}
	s.offers = s.offers || given.Edge != nil
	if s.offers {
		if s.peer, err = handover.Take(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	var old handover.Sockets
	if s.peer == nil {
		close(s.gone)
	} else {
		log.Info("taking over from the gateway that runs here")
		old = s.peer.Sockets
		go s.waitForEnd()
	}
	s.ports.Edge = fitting(cfg.Listen, given.Edge, old.Edge)
	s.ports.Admin = fitting(cfg.Admin.Listen, given.Admin, old.Admin)
	return s, nil
}

// fitting returns the first socket that has the port of addr, nil for none, and closes the
// others: the configuration has another port by now, or two are of the same one.
func fitting(addr string, sockets ...net.Listener) (found net.Listener) {
	_, want, err := net.SplitHostPort(addr)
	for _, l := range sockets {
		if l == nil {
			continue
		}
		_, have, _ := net.SplitHostPort(l.Addr().String())
		// An address that cannot be read was refused before.
		if found == nil && (err != nil || want == have || want == "0") {
			found = l
		} else {
			l.Close() //nolint:errcheck // nobody wants it
		}
	}
	return found
}

func (s *Succession) waitForEnd() {
	defer close(s.gone)
	if err := s.peer.Gone(context.Background()); err != nil {
		s.log.Warn("whether the gateway before is gone is not known", "err", err)
	}
}

// Gone is closed when the process before this one has ended, or there was none.
func (s *Succession) Gone() <-chan struct{} { return s.gone }

// Edge is the socket for callers: that of the process before, or a new one.
func (s *Succession) Edge() (net.Listener, error) {
	if s.hold != nil {
		return s.hold, nil
	}
	return opened(&s.ports.Edge, s.listen)
}

// Admin is the socket of the admin port.
func (s *Succession) Admin(addr string) (net.Listener, error) { return opened(&s.ports.Admin, addr) }

func opened(port *net.Listener, addr string) (_ net.Listener, err error) {
	if *port == nil {
		*port, err = net.Listen("tcp", addr)
	}
	return *port, err
}

// mostFolders is how many processes of one data directory may be draining at once, with
// the one that serves.
const mostFolders = 9

// Journal makes the folder that this process writes its records to. With a shared ledger that
// is the first one that no other process has: they serve side by side, each its own writer.
// With an embedded ledger, which is the old process's memory, it tells that process to
// drain and waits until it has ended, while connections are taken and kept waiting. Also without
// an old process that can be asked, one may still be draining: the one that this one was to
// replace may have been replaced by a process that is dead by now.
func (s *Succession) Journal(ctx context.Context) error {
	if s.offers && s.shared {
		if _, err := s.Edge(); err != nil { // a gateway serves, and offers nothing: not one to be beside
			return err
		}
		return s.free()
	}
	if err := os.MkdirAll(string(s.folder), 0o700); err != nil || !s.offers {
		return err
	}
	return s.wait(ctx)
}

// Folder is the folder of Journal.
func (s *Succession) Folder() journal.Dir { return s.folder }

// free looks for the first folder that no other process has.
func (s *Succession) free() error {
	for n := 1; n <= mostFolders; n++ {
		s.folder = s.first
		if n > 1 {
			s.folder = journal.Dir(fmt.Sprintf("%s-%d", s.first, n))
		}
		if err := os.MkdirAll(string(s.folder), 0o700); err != nil {
			return err
		}
		lock, err := s.folder.Lock()
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, journal.ErrLocked) {
			return err
		}
	}
	return fmt.Errorf("%d gateways of %s are still draining: wait until one has ended", mostFolders, s.dataDir)
}

// Open opens what is in the folder of Journal. Another process may have locked it since,
// to post what the one before has left in it: then the next free folder is tried.
func (s *Succession) Open(open func(journal.Dir) error) error {
	err := open(s.folder)
	for try := 1; try < mostFolders && s.offers && s.shared && errors.Is(err, journal.ErrLocked); try++ {
		if err = s.free(); err == nil {
			err = open(s.folder)
		}
	}
	return err
}

// lockedEvery is how often the lock of a process that drains is tried.
const lockedEvery = 50 * time.Millisecond

// wait tells the old process to drain, and takes connections until nobody has the journal.
func (s *Succession) wait(ctx context.Context) error {
	if s.peer != nil {
		if err := s.peer.Ready(); err != nil {
			s.log.Warn("the gateway before has ended", "err", err)
		}
	}
	began := time.Now()
	for {
		lock, err := s.folder.Lock()
		if err == nil {
			if s.hold != nil {
				s.log.Info("the gateway before has drained", "took", time.Since(began))
			}
			return lock.Close()
		}
		if !errors.Is(err, journal.ErrLocked) {
			return err
		}
		if err := s.holdCallers(); err != nil {
			return err
		}
		select {
		case <-time.After(lockedEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// holdCallers takes connections of callers, and keeps them until Edge is served. It fails when a
// gateway that offers nothing has the port.
func (s *Succession) holdCallers() error {
	if s.hold != nil {
		return nil
	}
	port, err := s.Edge()
	if err != nil {
		return err
	}
	s.log.Info("callers wait until the gateway before has drained")
	s.hold = newHolding(port)
	return nil
}

// Others are the folders of records that processes beside this one have or had.
func (s *Succession) Others() []journal.Dir {
	beside, err := s.first.Beside()
	if err != nil {
		s.log.Warn("whether gateways before this one left journals is not known", "err", err)
	}
	all := append([]journal.Dir{s.first}, beside...)
	return slices.DeleteFunc(all, func(d journal.Dir) bool { return d == s.folder })
}

// AdoptEvery is how often what Adopter returns is worth calling while there is something left.
const AdoptEvery = 2 * time.Second

// adoptWithin is how long posting what one process left may take at once.
const adoptWithin = 5 * time.Second

// Adopter returns what posts to a shared ledger what processes left in folders of their own
// that ended before it had all, and reports whether there is more to come. Those that still
// drain post it themselves.
func (s *Succession) Adopter(snapshots *snapshot.Store, to ledger.Ledger) func() (more bool) {
	return func() bool { return s.adopt(snapshots.Load().Config, to) }
}

func (s *Succession) adopt(cfg *config.Config, to ledger.Ledger) (more bool) {
	if !s.shared { // an embedded ledger is made of one folder
		return false
	}
	for _, folder := range s.Others() {
		of := command.MeterOptions(cfg, to)
		of.Disk, of.Log = folder, s.log
		ctx, cancel := context.WithTimeout(context.Background(), adoptWithin)
		left, err := meter.Open(ctx, of)
		if err == nil {
			err = left.Retire(ctx)
		}
		cancel()
		if err != nil && !errors.Is(err, journal.ErrLocked) {
			s.log.Warn("what a gateway left in its journal is not posted yet", "journal", string(folder), "err", err)
		}
		more = more || err != nil
	}
	return more
}

// Serving tells the old process to drain, if it was not told yet, and offers the sockets to
// the next one. Without that offer the gateway still serves. Only one that was to take over
// offers: elsewhere the data directory has no socket in it, and can be copied.
func (s *Succession) Serving() {
	if s.peer != nil && s.shared {
		if err := s.peer.Ready(); err != nil {
			s.log.Warn("the gateway before is not told to drain; end it", "err", err)
		}
	}
	if !s.offers {
		return
	}
	var err error
	if s.offer, err = handover.NewOffer(s.dataDir, s.ports); err != nil {
		s.log.Warn("no gateway can take over from this one", "err", err)
	}
}

// Taken is closed when the next process serves, or will once this one has drained. It is
// nil, and never ready, before Serving.
func (s *Succession) Taken() <-chan struct{} {
	if s.offer == nil {
		return nil
	}
	return s.offer.Taken
}

// WasTaken reports whether another process took over.
func (s *Succession) WasTaken() bool {
	select {
	case <-s.Taken():
		return true
	default:
		return false
	}
}

// Close takes no further process.
func (s *Succession) Close() {
	if s.offer != nil {
		s.offer.Close()
	}
}
