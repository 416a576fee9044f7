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
	"path/filepath"
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
	shared  bool // the ledger is, so that two processes can grant at once
	log     *slog.Logger

	peer   *handover.Peer   // the old process, nil for none
	got    handover.Sockets // from the old process, or from systemd
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
		dataDir: cfg.DataDir, shared: cfg.Ledger.Redis != "", log: log, gone: make(chan struct{}),
		first: command.JournalDir(cfg), offers: takeOver,
	}
	s.folder = s.first
	var err error
	if s.got, err = handover.FromSystemd(os.Getenv, os.Getpid()); err != nil {
		return nil, err
	}
	s.offers = s.offers || s.got.Edge != nil
	if s.offers {
		if s.peer, err = handover.Take(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	if s.peer == nil {
		close(s.gone)
		return s, nil
	}
	log.Info("taking over from the gateway that runs here")
	if s.got.Edge == nil {
		s.got.Edge = s.peer.Edge
	}
	if s.got.Admin == nil {
		s.got.Admin = s.peer.Admin
	}
	go s.waitForEnd()
	return s, nil
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
func (s *Succession) Edge(addr string) (net.Listener, error) {
	if s.hold != nil {
		return s.hold, nil
	}
	var err error
	s.got.Edge, err = listen(s.got.Edge, addr)
	return s.got.Edge, err
}

// Admin is the socket of the admin port.
func (s *Succession) Admin(addr string) (net.Listener, error) {
	var err error
	s.got.Admin, err = listen(s.got.Admin, addr)
	return s.got.Admin, err
}

// listen returns the socket that is there, unless the configuration has another port.
func listen(got net.Listener, addr string) (net.Listener, error) {
	if got != nil {
		_, want, err := net.SplitHostPort(addr)
		_, have, _ := net.SplitHostPort(got.Addr().String())
		if err != nil || want == have || want == "0" {
			return got, nil //nolint:nilerr // an address that cannot be read was refused before
		}
		got.Close() //nolint:errcheck // another one is wanted
	}
	return net.Listen("tcp", addr)
}

// mostFolders is how many processes of one data directory may be draining at once, with
// the one that serves.
const mostFolders = 9

// Journal is the folder that this process writes its records to. With a shared ledger that
// is the first one that no other process has: they serve side by side, each its own writer.
// With an embedded ledger, which is the old process's memory, it tells that process to
// drain and waits until it has ended, while connections are taken and kept waiting.
func (s *Succession) Journal(ctx context.Context) (journal.Dir, error) {
	if err := os.MkdirAll(string(s.folder), 0o700); err != nil {
		return "", err
	}
	if s.peer == nil {
		return s.folder, nil
	}
	if !s.shared {
		return s.folder, s.wait(ctx)
	}
	return s.free()
}

// free looks for the first folder that no other process has.
func (s *Succession) free() (journal.Dir, error) {
	for n := 1; n <= mostFolders; n++ {
		s.folder = s.first
		if n > 1 {
			s.folder = journal.Dir(fmt.Sprintf("%s-%d", s.first, n))
		}
		if err := os.MkdirAll(string(s.folder), 0o700); err != nil {
			return "", err
		}
		lock, err := s.folder.Lock()
		if err == nil {
			return s.folder, lock.Close()
		}
		if !errors.Is(err, journal.ErrLocked) {
			return "", err
		}
	}
	return "", fmt.Errorf("%d gateways of %s are still draining: wait until one has ended", mostFolders, s.dataDir)
}

// Open opens what is in the folder of Journal. Another process may have locked it since,
// to post what the one before has left in it: then the next free folder is tried.
func (s *Succession) Open(open func(journal.Dir) error) error {
	err := open(s.folder)
	for try := 1; try < mostFolders && s.peer != nil && s.shared && errors.Is(err, journal.ErrLocked); try++ {
		if _, err = s.free(); err == nil {
			err = open(s.folder)
		}
	}
	return err
}

// wait tells the old process to drain, and waits until it has.
func (s *Succession) wait(ctx context.Context) error {
	if s.got.Edge != nil {
		s.hold = newHolding(s.got.Edge)
	}
	if err := s.peer.Ready(); err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-s.gone:
		s.log.Info("the gateway before has drained; its ledger is this one's now", "took", time.Since(began))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Others are the folders of records that processes beside this one have or had.
func (s *Succession) Others() (others []journal.Dir) {
	all, err := filepath.Glob(filepath.Join(s.dataDir, "journal*"))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, dir := range all {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && dir != string(s.folder) {
			others = append(others, journal.Dir(dir))
		}
	}
	return others
}

// AdoptEvery is how often what Adopter returns is worth calling while there is something left.
const AdoptEvery = 2 * time.Second

// adoptWithin is how long posting what one process left may take at once.
const adoptWithin = 5 * time.Second

// Folder is what Journal returned.
func (s *Succession) Folder() journal.Dir { return s.folder }

// Adopter returns what posts to a shared ledger what processes left in folders of their own that ended
// before it had all, and reports whether there is more to come. Those that still drain post
// it themselves.
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
	if s.offer, err = handover.NewOffer(s.dataDir, s.got); err != nil {
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
		return s.offer != nil
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
