// Package ports gives the programs of tests ports to listen at. A port that is only looked at and then closed may be
// another program's before its own begins to listen, and whoever waits for it would talk to that one.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Range is the lowest of 9,000 ports that one kind of programs gets. All are below what Linux gives to outgoing
// connections by itself.
type Range int

// Servers is for gateways, stand-ins and others, Redis for redis-server, whose cluster has a second port 10,000 above.
const (
	Servers Range = 3_000
	Redis   Range = 12_000
)

// errNone says that 1,000 ports were taken.
var errNone = errors.New("no free port")

// Take finds a loopback port at which nobody listens, nor at those that are further above it by each of also. No other
// Take of this machine gets it until release, whoever listens there or not: while a server is down its port is not
// another's.
func (r Range) Take(also ...int) (port int, release func(), err error) {
	return take(int(r), 9_000, also)
}

func take(from, n int, also []int) (port int, release func(), err error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sluice-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, nil, err
	}
	for range 1_000 {
		port := from + rand.IntN(n)
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return 0, nil, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(port, also) {
			return port, func() { _ = f.Close() }, nil
		}
		if err := f.Close(); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, errNone
}

func free(port int, also []int) bool {
	for _, above := range append([]int{0}, also...) {
		ln, err := net.Listen("tcp", Addr(port+above))
		if err != nil {
			return false
		}
		_ = ln.Close()
	}
	return true
}

// Addr is a port's loopback address.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
