package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/server/shed"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// waiting is a stream whose every Read must come after a Wait.
type waiting struct {
	io.Reader
	waits, left int // left is how many Waits there are before the one that panics
}

func (w *waiting) Wait() {
	w.waits++
	if w.left--; w.left < 0 {
		panic("waited too often")
	}
}

func (w *waiting) Close() error { return nil }

// TestStreamWaitsBeforeItReads: each Read is one Write, behind a Wait, and an end by
// an error or a panic reaches fasthttp, which then cuts the answer.
func TestStreamWaitsBeforeItReads(t *testing.T) {
	s := start(t, Options{})
	broken := errors.New("broken")
	f := func(name string, in io.Reader, left int, want error, text string, waits int) {
		t.Helper()
		w := &waiting{Reader: in, left: left}
		var out bytes.Buffer
		_, err := (&stream{server: s, id: "x", inner: w, after: func() {}}).WriteTo(&out)
		if !errors.Is(err, want) || out.String() != text || w.waits != waits {
			t.Errorf("%s: %q and %v after %d waits, want %q and %v after %d", name, &out, err, w.waits, text, want, waits)
		}
	}
	abc := func() io.Reader { return iotest.OneByteReader(strings.NewReader("abc")) }
	f("whole", abc(), 9, nil, "abc", 4)
	f("end with the last bytes", iotest.DataErrReader(abc()), 9, nil, "abc", 3)
	f("error", io.MultiReader(abc(), iotest.ErrReader(broken)), 9, broken, "abc", 4)
	f("panic", abc(), 2, errStreamPanic, "ab", 3)
}

// crowded returns a server that has too many requests, and its connections. It serves no other ones.
func crowded(t *testing.T, opts Options) (*Server, func() net.Conn) {
	t.Helper()
	opts.Listen, opts.Log, opts.Limits.MaxQueueDelay = "127.0.0.1:0", discard(), time.Nanosecond
	opts.Translate = func(req *gateway.Request, res *gateway.Response) *gateway.Response {
		res.Body = []byte("in the dialect of " + req.Target + " " + req.Header.Get("anthropic-version") + " to " + req.ID)
		return res
	}
	s, err := New(withDefaults(opts))
	if err != nil {
		t.Fatal(err)
	}
	go s.accept()
	t.Cleanup(func() {
		s.ln.Close()
		s.stopOnce.Do(func() { close(s.stopped) })
		s.closeAll()
		s.work.Wait()
		s.watcher.Close()
	})
	const many = 2000
	s.inFlight.Store(many)
	s.shed.Late(time.Second, many)
	if turn, ok := s.shed.Enter(many); turn == nil || !ok {
		t.Fatal("the first one has to wait in line")
	}
	for !s.shed.Limits() { // until the clock has gone on
		s.shed.Late(time.Second, many)
	}
	return s, func() net.Conn {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// TestOverloaded is E11: while there are too many requests, a new one is refused with a pause to
// wait, in the dialect of its caller. Its connection stays, whether the parser saw the request or
// not, and what is wrong is told as ever.
func TestOverloaded(t *testing.T) {
	_, dial := crowded(t, Options{Handler: handlerFunc(func(*gateway.Request) *gateway.Response {
		t.Error("a request was begun")
		return &gateway.Response{Status: 200}
	})})
	const length, chunked = "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	post := func(fields string) string { return "POST /v1/messages?a=b HTTP/1.1\r\nHost: a\r\n" + fields }
	for name, row := range map[string]struct {
		request string
		status  int
		closes  bool
	}{
		"with a length":           {post(length), 503, false},
		"without a body":          {post("Content-Length: 0\r\n\r\n"), 503, false},
		"without a length":        {post("\r\n"), 503, false},
		"in chunks":               {post(chunked), 503, false},
		"of a header":             {post("anthropic-version: 2023-06-01\r\n" + length), 503, false},
		"that expects":            {post("Expect: 100-continue\r\n" + length), 503, false},
		"with a long head":        {post("A: " + strings.Repeat("a", 8<<10) + "\r\n" + length), 503, false},
		"with a long body":        {post("Content-Length: 10000\r\n\r\n" + strings.Repeat("a", 10_000)), 503, false},
		"to leave":                {post("Connection: close\r\n" + length), 503, true},
		"to stay":                 {post("Connection: keep-alive\r\n" + length), 503, false},
		"of HTTP/1.0":             {"POST /v1/messages?a=b HTTP/1.0\r\nHost: a\r\n" + length, 503, true},
		"GET":                     {"GET /v1/messages?a=b HTTP/1.1\r\nHost: a\r\n\r\n", 503, false},
		"without a host":          {"POST /v1/messages HTTP/1.1\r\n" + length, 400, true},
		"of two lengths":          {post("Content-Length: 5\r\n" + length), 400, true},
		"of a length and chunks":  {post("Content-Length: 5\r\n" + chunked), 400, true},
		"of another encoding":     {post("Content-Encoding: gzip\r\n" + length), 415, true},
		"of an unknown method":    {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, true},
		"of a bad name":           {post("A : b\r\n" + length), 400, true},
		"of a folded line":        {post("A: b\r\n c\r\n" + length), 400, true},
		"of a bare line feed":     {post("A: b\n" + length), 400, true},
		"behind empty lines":      {"\r\n\r\n\r\n" + post(length), 400, true},
		"behind one empty line":   {"\r\n" + post(length), 503, false},
		"of an absolute target":   {"POST http://a/v1/messages HTTP/1.1\r\nHost: a\r\n" + length, 400, true},
		"of a later version":      {"POST / HTTP/1.2\r\nHost: a\r\n" + length, 505, true},
		"of a target with spaces": {"POST / / HTTP/1.1\r\nHost: a\r\n" + length, 400, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range []int{1, 2, 7} { // in which it comes
				c := dial()
				r := bufio.NewReader(c)
				for asked := 1; asked <= 3; asked++ { // a connection is new, kept, and has waited for long
					send(t, c, row.request, pieces)
					closed := refusedAs(t, r, row.status)
					if closed != row.closes && row.request != post(chunked) { // which closes where it came in pieces
						t.Errorf("it closes: %v", closed)
					}
					if closed {
						break
					}
					if asked == 2 && pieces == 1 {
						time.Sleep(2 * parkAfter)
					}
				}
			}
		})
	}
}

// send sends a text in pieces.
func send(t *testing.T, c net.Conn, text string, pieces int) {
	t.Helper()
	for ; pieces > 0; pieces-- {
		n := len(text) / pieces
		if _, err := io.WriteString(c, text[:n]); err != nil {
			t.Fatal(err)
		}
		if text = text[n:]; text != "" {
			time.Sleep(time.Millisecond)
		}
	}
}

// refusedAs reads the answer to a request that was refused, and reports whether it is the last.
func refusedAs(t *testing.T, r *bufio.Reader, status int) (closes bool) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	for err == nil && res.StatusCode == 100 {
		res, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%d, %v; want %d", res.StatusCode, err, status)
	}
	if status != 503 {
		return res.Close
	}
	id := res.Header.Get(requestIDHeader)
	if res.Header.Get("Retry-After") != "1" || len(id) != len(shed.Placeholder) || id == shed.Placeholder ||
		res.Header.Get("x-amzn-RequestId") != id || !strings.HasPrefix(string(body), "in the dialect of /v1/messages") ||
		!strings.HasSuffix(string(body), " to "+id) || res.Header.Get("Date") == "" {
		t.Errorf("%v %s", res.Header, body)
	}
	return res.Close
}

// TestOverloadedPipeline: requests that come together are each answered once, in their order.
func TestOverloadedPipeline(t *testing.T) {
	_, dial := crowded(t, Options{})
	c := dial()
	one := "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	ask := func(text string, answers int) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		for range answers {
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 503 {
				t.Fatal(res, err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(one, 1)
	ask(one+one+one, 3)
	ask(one, 1)
	ask(one+one[:30], 1)
	ask(one[30:]+one, 2)
}

// TestOverloadedIsListed (U11): a few of the requests that are refused are listed, and how many more
// there were.
func TestOverloadedIsListed(t *testing.T) {
	var mu sync.Mutex
	listed, total := map[string]bool{}, int64(0)
	s, dial := crowded(t, Options{OnShed: func(id string, _ netip.Addr, e *wire.Error, more int64) {
		mu.Lock()
		defer mu.Unlock()
		listed[id] = true
		if total += 1 + more; e.Status() != 503 {
			t.Error(e)
		}
	}})
	c := dial()
	r := bufio.NewReader(c)
	first := ""
	const asked = 200
	for i := range asked {
		send(t, c, "POST /v1/messages HTTP/1.1\r\nHost: a\r\n\r\n", 1)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if i == 0 {
			first = res.Header.Get(requestIDHeader)
		}
	}
	s.shed.Rest(s.shed.rest)
	if !listed[first] || total != asked {
		t.Errorf("%d listed, the first among them: %v, %d in all", len(listed), listed[first], total)
	}
}
