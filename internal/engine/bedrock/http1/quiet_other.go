//go:build !unix

package http1

import (
	"net"
	"syscall"
)

// pollable returns nil: a connection cannot be checked without waiting here, and a
// stale one shows by its failure.
func pollable(net.Conn) syscall.RawConn { return nil }

func quiet(uintptr) bool { return true }
