//go:build !linux

package hangup

type pollFD int

func newPollFD(fd int) pollFD { return pollFD(fd) }

func left(pollFD) bool { return false }

func fdOf(p pollFD) int { return int(p) }

func poll([]pollFD) bool { return false }
