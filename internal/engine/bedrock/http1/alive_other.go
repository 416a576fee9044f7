//go:build !unix

package http1

import "net"

// alive cannot check a connection without waiting here; a stale one shows by its
// failure.
func alive(net.Conn) bool { return true }
