//go:build unix

package http1

import (
	"errors"
	"net"
	"syscall"
)

// pollable returns what waits for c's bytes without reading them, nil when there
// is no such thing.
func pollable(c net.Conn) syscall.RawConn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// quiet reports whether an idle connection is open and silent. Bytes that come
// without a request make it unusable too, so losing one does no harm.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, err := syscall.Read(int(fd), b[:])
	return errors.Is(err, syscall.EAGAIN) // never waits: the descriptor does not block
}
