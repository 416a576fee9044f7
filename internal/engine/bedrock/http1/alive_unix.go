//go:build unix

package http1

import (
	"errors"
	"net"
	"syscall"
)

// alive reports whether an idle connection is open and silent. Bytes that come
// without a request make it unusable too, so losing one does no harm.
func alive(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = errors.Is(err, syscall.EAGAIN)
		return true // never wait: the descriptor does not block
	})
	return err == nil && silent
}
