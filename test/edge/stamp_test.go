package edge

import (
	"encoding/binary"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stamped is a connection that knows when the system got what was read from it. Who reads
// may be late: it has a processor to wait for, too.
type stamped struct {
	net.Conn
	raw  syscall.RawConn
	came time.Time // when the last bytes that were read came
	side [64]byte
}

// stamp asks the system for the time of all that comes. Where it does not have that, it is the
// time of reading.
func stamp(c net.Conn) *stamped {
	s := &stamped{Conn: c}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return s
	}
	_ = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err == nil {
		s.raw = raw
	}
	return s
}

// Read reads what has come, and notes when it did.
func (s *stamped) Read(p []byte) (n int, err error) {
	if s.raw == nil {
		n, err = s.Conn.Read(p)
		s.came = time.Now()
		return n, err
	}
	side := 0
	waited := s.raw.Read(func(fd uintptr) bool {
		n, side, _, _, err = unix.Recvmsg(int(fd), p, s.side[:], 0)
		return err != unix.EAGAIN
	})
	s.came = time.Now()
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	if at := stampIn(s.side[:side]); at != 0 {
		s.came = s.came.Add(-max(time.Duration(s.came.UnixNano()-at), 0))
	}
	return n, nil
}

// stampIn is the time in nanoseconds that the system put beside the bytes, 0 for none. Its form
// is that of the processor.
func stampIn(side []byte) int64 {
	if len(side) < unix.SizeofCmsghdr {
		return 0
	}
	head, data, _, err := unix.ParseOneSocketControlMessage(side)
	if err != nil || head.Level != unix.SOL_SOCKET || head.Type != unix.SCM_TIMESTAMPNS || len(data) < 16 {
		return 0
	}
	seconds, nanoseconds := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
	return int64(seconds)*1e9 + int64(nanoseconds)
}
