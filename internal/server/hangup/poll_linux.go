package hangup

import "golang.org/x/sys/unix"

const leftEvents = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR

type pollFD = unix.PollFd

func newPollFD(fd int) pollFD { return pollFD{Fd: int32(fd), Events: unix.POLLRDHUP} }

func left(p pollFD) bool { return p.Revents&leftEvents != 0 }

func fdOf(p pollFD) int { return int(p.Fd) }

// poll asks without waiting and reports whether any descriptor has news. An
// interrupted call is as good as none: the next round asks again.
func poll(fds []pollFD) bool {
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
