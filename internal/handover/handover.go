// Package handover gives the listening sockets of one process to the next one, so
// that no caller finds nobody listening: over a Unix socket from the old process of
// the same data directory, or from systemd. It knows nothing of what is served.
//
// The old process goes on until the new one says that it is ready. If the new one
// ends before, the old one has lost nothing.
package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// socketName is the Unix socket in the data directory.
const socketName = "handover.sock"

// patience bounds what one side waits for the other to send or to take the sockets.
const patience = 10 * time.Second

// Sockets are those of a gateway, nil for what is not there.
type Sockets struct{ Edge, Admin net.Listener }

// Peer is the old process, seen from the new one.
type Peer struct {
	Sockets
	conn *net.UnixConn
}

// Ready tells the old process to drain: from now on the new one takes connections.
func (p *Peer) Ready() error {
	_, err := p.conn.Write([]byte("ready\n"))
	return err
}

// Gone waits until the old process has ended, or ctx has.
func (p *Peer) Gone(ctx context.Context) error {
	if err := p.conn.SetReadDeadline(time.Time{}); err != nil { // an earlier call may have set one
		return err
	}
	stop := context.AfterFunc(ctx, func() { p.conn.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it is open
	defer stop()
	_, err := io.Copy(io.Discard, p.conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil // however it ended
}

// within calls f with a path of a file in dir that is short enough for a Unix socket,
// whose names are bounded by 108 bytes.
func within(dir, name string, f func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // was only named
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return f(filepath.Join(dir, name))
	}
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
}

// Take asks the process that serves dataDir for its sockets. It returns nil when there
// is none.
func Take(dataDir string) (*Peer, error) {
	var conn *net.UnixConn
	err := within(dataDir, socketName, func(path string) (err error) {
		conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil //nolint:nilnil // nobody is there
	}
	if err != nil {
		return nil, fmt.Errorf("ask the running gateway for its sockets: %w", err)
	}
	p := &Peer{conn: conn}
	p.Sockets, err = receive(conn)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // it ended, or is about to
		return nil, conn.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the sockets of the running gateway: %w", err), conn.Close())
	}
	return p, nil
}

func receive(conn *net.UnixConn) (s Sockets, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil { //nolint:forbidigo // sockets have real time
		return s, err
	}
	const most = 2
	word, room := make([]byte, 1), make([]byte, syscall.CmsgSpace(most*4))
	_, n, _, _, err := conn.ReadMsgUnix(word, room)
	if err != nil {
		return s, err
	}
	messages, err := syscall.ParseSocketControlMessage(room[:n])
	if err != nil || len(messages) != 1 {
		return s, errors.Join(errors.New("no sockets came"), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return s, err
	}
	var all []net.Listener
	for _, fd := range fds {
		l, err := listener(uintptr(fd))
		if err != nil {
			return s, err
		}
		all = append(all, l)
	}
	if len(all) != most {
		return s, fmt.Errorf("%d sockets came, not %d", len(all), most)
	}
	return Sockets{all[0], all[1]}, conn.SetReadDeadline(time.Time{})
}

func listener(fd uintptr) (net.Listener, error) {
	syscall.CloseOnExec(int(fd)) //nolint:gosec // a descriptor fits
	f := os.NewFile(fd, "socket")
	defer f.Close() //nolint:errcheck // the listener has a copy
	return net.FileListener(f)
}

// Offer is the old process, ready to hand its sockets over. Close it at the end.
type Offer struct {
	ln *net.UnixListener
	// Taken is closed when a new process is ready in place of this one.
	Taken chan struct{}
	kept  *net.UnixConn // open until this process ends, which is how the other one notices
}

// NewOffer begins to offer the sockets. The file in dataDir is for its owner alone: whoever
// can write there can take a gateway over. A file that an earlier process left is replaced.
func NewOffer(dataDir string, s Sockets) (*Offer, error) {
	o := &Offer{Taken: make(chan struct{})}
	fresh := socketName + "." + strconv.Itoa(os.Getpid())
	err := within(dataDir, fresh, func(path string) (err error) {
		if o.ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		o.ln.SetUnlinkOnClose(false)
		return errors.Join(os.Chmod(path, 0o600),
			os.Rename(filepath.Join(dataDir, fresh), filepath.Join(dataDir, socketName)))
	})
	if err != nil {
		return nil, fmt.Errorf("offer the sockets to the next gateway: %w", err)
	}
	go o.serve(s)
	return o, nil
}

// serve offers the sockets to one process after the other, until one of them is ready.
func (o *Offer) serve(s Sockets) {
	for {
		conn, err := o.ln.AcceptUnix()
		if err != nil {
			return
		}
		if give(conn, s) == nil && isReady(conn) {
			o.kept = conn
			close(o.Taken)
			return
		}
		conn.Close() //nolint:errcheck // it is of no use any more
	}
}

func give(conn *net.UnixConn, s Sockets) error {
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil { //nolint:forbidigo // sockets have real time
		return err
	}
	return withFDs([]net.Listener{s.Edge, s.Admin}, nil, func(fds []int) error {
		_, _, err := conn.WriteMsgUnix([]byte{'s'}, syscall.UnixRights(fds...), nil)
		return err
	})
}

// withFDs calls f with the descriptors of the sockets themselves. A copy by File would make
// them blocking, for everybody who has them.
func withFDs(all []net.Listener, fds []int, f func(fds []int) error) error {
	if len(all) == 0 {
		return f(fds)
	}
	socket, ok := all[0].(syscall.Conn)
	if !ok {
		return errors.New("this socket cannot be handed over")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = withFDs(all[1:], append(fds, int(fd)), f) //nolint:gosec // a descriptor fits
	})
	return errors.Join(err, failed)
}

// isReady waits for the word of the new process, as long as that lives.
func isReady(conn *net.UnixConn) bool {
	word := make([]byte, len("ready\n"))
	_, err := io.ReadFull(conn, word)
	return err == nil && string(word) == "ready\n"
}

// Close takes no further process; one that asked and is not ready yet is left alone. The socket's
// file stays: the next process may have replaced it.
func (o *Offer) Close() {
	o.ln.Close() //nolint:errcheck // nothing is lost
}

// FromSystemd are the sockets that systemd, or a program like it, gives this process:
// LISTEN_FDS of them from descriptor 3 on, if LISTEN_PID is this process. LISTEN_FDNAMES
// may call them edge and admin; without, the first one is the edge and the second the
// admin port.
func FromSystemd(getenv func(string) string, pid int) (s Sockets, err error) {
	const first = 3
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 1 || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return s, nil //nolint:nilerr // none
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	named := len(names) == n && (slices.Contains(names, "edge") || slices.Contains(names, "admin"))
	for i := range n {
		l, err := listener(uintptr(first + i)) //nolint:gosec // a small number
		if err != nil {
			return s, fmt.Errorf("the socket %d of systemd: %w", i, err)
		}
		switch {
		case named && names[i] == "edge", !named && i == 0:
			s.Edge = l
		case named && names[i] == "admin", !named && i == 1:
			s.Admin = l
		default:
			l.Close() //nolint:errcheck // nobody wants it
		}
	}
	return s, nil
}
