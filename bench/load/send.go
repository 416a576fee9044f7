//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// caller is one connection. Its requests go out from the loop that keeps the
// rate, its answers are read by a goroutine of its own.
type caller struct {
	conn net.Conn
	due  chan time.Time // moments at which the requests that are not answered were due
}

// openLoop sends at a fixed rate, whatever the answers take. Connections are
// opened as they are needed.
func openLoop(addr string, request []byte, rate int, lasting time.Duration, s *seen) {
	// It sleeps in the kernel: Go's own timers are late by up to a millisecond.
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // it is late by 50 µs, then
	var answered sync.WaitGroup                    // one for each request
	idle := make(chan *caller, rate*int(lasting.Seconds()+1))
	pause := time.Second / time.Duration(rate)
	begin := time.Now()
	for i := range int(lasting / pause) {
		due := begin.Add(time.Duration(i) * pause)
		sleepUntil(due)
		var c *caller
		select {
		case c = <-idle:
		default:
			var err error
			if c, err = dial(addr, idle, &answered, s); err != nil {
				s.add(0, 0, err)
				continue
			}
		}
		answered.Add(1)
		c.due <- due
		if _, err := c.conn.Write(request); err != nil {
			c.conn.Close() // its reader notices
		}
	}
	answered.Wait()
}

func sleepUntil(due time.Time) {
	if left := time.Until(due); left > 0 {
		t := unix.NsecToTimespec(int64(left))
		unix.Nanosleep(&t, nil) // woken early, it is early
	}
}

func dial(addr string, idle chan<- *caller, answered *sync.WaitGroup, s *seen) (*caller, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &caller{conn: conn, due: make(chan time.Time, 1)}
	go func() {
		r := bufio.NewReader(conn)
		for due := range c.due {
			first, messages, err := read(r)
			s.add(first.Sub(due), messages, err)
			if err == nil {
				idle <- c
			}
			answered.Done()
			if err != nil {
				conn.Close()
				return
			}
		}
	}()
	return c, nil
}

// openStreams opens n streams and reads them to their end.
func openStreams(addr string, request []byte, n int, ramp time.Duration, s *seen) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			time.Sleep(ramp * time.Duration(i) / time.Duration(n))
			begin := time.Now()
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				s.add(0, 0, err)
				return
			}
			defer conn.Close()
			if _, err := conn.Write(request); err != nil {
				s.add(0, 0, err)
				return
			}
			first, messages, err := read(bufio.NewReaderSize(conn, 2<<10))
			s.add(first.Sub(begin), messages, err)
		})
	}
	all.Wait()
}

var errStatus = errors.New("not answered with 200")

// read reads one answer to its end. It returns when its body began, and how
// many messages of an event stream it had.
func read(r *bufio.Reader) (first time.Time, messages int, err error) {
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return time.Time{}, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return time.Time{}, 0, fmt.Errorf("%w: %d %s", errStatus, answer.StatusCode, text)
	}
	body := bufio.NewReaderSize(answer.Body, 1<<10)
	prelude, err := body.Peek(4)
	first = time.Now()
	if answer.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" {
		_, err = io.Copy(io.Discard, body)
		return first, 0, err
	}
	for ; err == nil; prelude, err = body.Peek(4) {
		if _, err := body.Discard(int(binary.BigEndian.Uint32(prelude))); err != nil {
			return first, messages, err
		}
		messages++
	}
	if errors.Is(err, io.EOF) && len(prelude) == 0 {
		return first, messages, nil
	}
	log.Printf("a stream ended in the middle of a message: %v", err)
	return first, messages, io.ErrUnexpectedEOF
}
