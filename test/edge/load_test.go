package edge

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-gateway/sluice/test/harness"
)

// answered is one answer as the load sees it. What the load itself was late with is not the
// gateway's: took is from the moment when the load turned to the request, before it had a
// connection for it, until the system had the answer, whenever the load came to read that.
type answered struct {
	status int // 0: none
	due    time.Time
	behind time.Duration // how long after that the load turned to it
	took   time.Duration
	unread time.Duration // how long after that the load read it
	later  bool          // has Retry-After
}

// load sends one request over and over, over connections that it keeps.
type load struct {
	addr    string
	request []byte
	opened  atomic.Int64 // connections that are open

	mu      sync.Mutex // guards the following
	idle    []*loadConn
	replies []answered
}

// mostConnections is fewer than a gateway takes from one address, and than the system's limit of
// open files on both sides: more would be closed, which would look like the gateway's fault.
const mostConnections = 8192

// longestIdle is less than a gateway waits for the next request on a connection. Nobody reads an idle
// one here, who would notice that it was closed.
const longestIdle = time.Minute

type loadConn struct {
	*stamped
	turn  chan turn
	since time.Time // it is idle
}

// turn is when a request was due, and when the load turned to it.
type turn struct{ due, at time.Time }

func newLoad(addr, target string, key harness.Key, body string) *load {
	var b bytes.Buffer
	b.WriteString("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
		key.Bearer + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	return &load{addr: addr, request: b.Bytes()}
}

// take returns what was answered since the last call.
func (l *load) take() []answered {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.replies
	l.replies = nil
	return all
}

// note takes an answer, and the connection that brought it, nil for none.
func (l *load) note(c *loadConn, a answered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replies = append(l.replies, a)
	if c != nil {
		c.since = time.Now()
		l.idle = append(l.idle, c)
	}
}

// closed lets so many callers ask, each as soon as it is answered, and returns how many
// requests are answered with that status.
func (l *load) closed(callers int, lasting time.Duration, status int) float64 {
	end := time.Now().Add(lasting)
	var wg sync.WaitGroup
	var as atomic.Int64
	for range callers {
		wg.Go(func() {
			for time.Now().Before(end) {
				as.Add(l.repeat(end, status))
			}
		})
	}
	wg.Wait()
	return float64(as.Load())
}

// repeat asks over one connection until it is closed, or a moment has come.
func (l *load) repeat(end time.Time, status int) (as int64) {
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	for room := make([]byte, 64<<10); time.Now().Before(end); {
		if _, err := c.Write(l.request); err != nil {
			return as
		}
		got, _, err := readReply(c, room)
		if err != nil {
			return as
		}
		if got == status {
			as++
		}
	}
	return as
}

// open sends so many requests per second, whatever the answers take, until they are sent. It opens
// few connections at a time: with more, it would never come to read. With no room for another, a
// request waits and is late.
func (l *load) open(rate float64, lasting time.Duration) {
	const most = 16
	began := time.Now()
	sent := 0
	for since := time.Duration(0); since < lasting; since = time.Since(began) {
		for opened := 0; opened < most && sent < int(rate*since.Seconds()); sent++ {
			now := turn{began.Add(time.Duration(float64(sent) / rate * float64(time.Second))), time.Now()}
			if c := l.again(); c != nil {
				l.send(c, now)
				continue
			}
			if l.opened.Load() >= mostConnections {
				break
			}
			opened++
			l.opened.Add(1)
			go l.first(now) // who sends waits for nobody
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// warm opens so many connections and asks once over each, so that the load has to open none
// later: that costs it more than a request does. A connection that is lost is not waited for.
func (l *load) warm(connections int) {
	const most = 64
	for range connections / most {
		for range most {
			l.opened.Add(1)
			go l.first(turn{time.Now(), time.Now()})
		}
		for late := time.Now().Add(10 * time.Second); l.waiting() < l.opened.Load() && time.Now().Before(late); {
			time.Sleep(time.Millisecond)
		}
	}
	l.take()
}

// waiting is how many connections are idle.
func (l *load) waiting() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.idle))
}

// first asks over a new connection, which is kept. It is counted as open before.
func (l *load) first(now turn) {
	defer l.opened.Add(-1)
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.note(nil, answered{due: now.due, behind: now.at.Sub(now.due)})
		return
	}
	c := &loadConn{stamped: stamp(conn), turn: make(chan turn, 1)}
	l.send(c, now)
	l.receive(c)
}

func (l *load) send(c *loadConn, now turn) {
	c.turn <- now
	if _, err := c.Write(l.request); err != nil {
		c.Close() // its reader notices
	}
}

// again returns the connection that was used last, unless all are idle for too long.
func (l *load) again() *loadConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle)
	if n == 0 {
		return nil
	}
	c := l.idle[n-1]
	if time.Since(c.since) < longestIdle {
		l.idle = l.idle[:n-1]
		return c
	}
	for _, old := range l.idle {
		close(old.turn)
	}
	l.idle = nil
	return nil
}

func (l *load) receive(c *loadConn) {
	defer c.Close()
	room := make([]byte, 8<<10)
	for now := range c.turn {
		status, later, err := readReply(c, room)
		read := time.Now()
		a := answered{
			status: status, due: now.due, behind: now.at.Sub(now.due), later: later,
			took: c.came.Sub(now.at), unread: read.Sub(c.came),
		}
		if err != nil {
			a.took, a.unread = read.Sub(now.at), 0
			l.note(nil, a)
			return
		}
		l.note(c, a)
	}
}

// close closes the connections that are idle.
func (l *load) close() {
	for c := l.again(); c != nil; c = l.again() {
		close(c.turn)
	}
}

// TestLoadLeavesOldConnections: the gateway may have closed them, which is not its fault.
func TestLoadLeavesOldConnections(t *testing.T) {
	old, l := &loadConn{turn: make(chan turn)}, &load{}
	for _, idle := range []time.Duration{longestIdle, longestIdle / 2} {
		old.since = time.Now().Add(-idle)
		l.idle = append(l.idle, old)
		if c := l.again(); (c == nil) != (idle == longestIdle) || len(l.idle) > 0 {
			t.Errorf("idle for %v: %v", idle, c)
		}
	}
	if _, open := <-old.turn; open {
		t.Error("it is not closed")
	}
}

// readReply reads one answer as cheaply as it can.
func readReply(c net.Conn, room []byte) (status int, later bool, err error) {
	n, head, length := 0, -1, -1
	var tail [5]byte // the last bytes of a chunked body
	for {
		got, err := c.Read(room[n:])
		if err != nil {
			return 0, false, err
		}
		fresh := room[n : n+got]
		if head < 0 {
			n += got
			at := bytes.Index(room[:n], []byte("\r\n\r\n"))
			if at < 0 {
				continue
			}
			head = at + 4
			status, _ = strconv.Atoi(string(room[9:12]))
			fields := bytes.ToLower(room[:head])
			later = bytes.Contains(fields, []byte("\r\nretry-after:"))
			if _, rest, ok := bytes.Cut(fields, []byte("\r\ncontent-length: ")); ok {
				value, _, _ := bytes.Cut(rest, []byte("\r\n"))
				length, _ = strconv.Atoi(string(value))
			}
			fresh, n = room[head:n], 0
		}
		length -= len(fresh)
		if length == 0 {
			return status, later, nil
		}
		if length < -1 || length == -1-len(fresh) { // chunked
			both := append(tail[:], fresh...)
			copy(tail[:], both[len(both)-5:])
			if string(tail[:]) == "0\r\n\r\n" {
				return status, later, nil
			}
		}
	}
}

// pin runs a process on one processor, and returns what undoes it.
func pin(t *testing.T, pid, processor int) (undo func()) {
	t.Helper()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &before); err != nil {
		t.Skip("the system does not say on which processors a process runs")
	}
	only.Set(processor)
	set := func(to *unix.CPUSet) {
		threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil {
			return // it has ended
		}
		for _, thread := range threads {
			id, _ := strconv.Atoi(thread.Name())
			unix.SchedSetaffinity(id, to)
		}
	}
	set(&only)
	return func() { set(&before) }
}
