//go:build linux

// Package proc runs processes on chosen processors and reads from /proc what
// they use.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running program with all that it starts.
type Process struct {
	Pid  int
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Start runs cmd on one processor. Its children stay there too, and a Go program
// sees one processor.
func Start(cmd *exec.Cmd, cpu int) (*Process, error) {
	if err := onCPU(cpu, cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Path, err)
	}
	p := &Process{Pid: cmd.Process.Pid, cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait() // who asks for it sees that it has ended
		close(p.done)
	}()
	return p, nil
}

// Output runs cmd on one processor to its end and returns what it printed. The
// error holds what it said on stderr.
func Output(cmd *exec.Cmd, cpu int) ([]byte, error) {
	var out []byte
	err := onCPU(cpu, func() (err error) {
		out, err = cmd.Output()
		return err
	})
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%v: %w: %s", cmd.Args, err, exit.Stderr)
	}
	return out, err
}

// onCPU calls f on a thread that is bound to one processor: what it starts
// inherits that.
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, wanted unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	wanted.Set(cpu)
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return fmt.Errorf("processor %d: %w", cpu, err)
	}
	defer unix.SchedSetaffinity(0, &before) // it was so before
	return f()
}

// Stop asks the process to end, and kills it after five seconds.
func (p *Process) Stop() {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill() // it has ended by itself, then
		<-p.done
	}
}

// Wait waits until the process has ended.
func (p *Process) Wait() { <-p.done }

// Signal sends a signal to the process. One that has ended is left alone.
func (p *Process) Signal(s syscall.Signal) { p.cmd.Process.Signal(s) } // see above

// Await waits until the process listens at addr.
func (p *Process) Await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s: %w before it listened at %s", p.cmd.Path, io.ErrUnexpectedEOF, addr)
		case <-ctx.Done():
			return fmt.Errorf("%s at %s: %w", p.cmd.Path, addr, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// FreeAddr is a loopback address that nothing listens at.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
