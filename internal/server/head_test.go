package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Every row is one request that a strict server refuses. None may reach the
// handler, each is answered in Bedrock's form, and the connection is closed, so
// that nothing behind it is read as a second request.
func TestStrictHTTP1(t *testing.T) {
	var reached atomic.Int64
	var refused atomic.Int64
	s := start(t, Options{
		Handler:   handlerFunc(func(r *gateway.Request) *gateway.Response { reached.Add(1); return echo(r) }),
		OnRefusal: func(string, netip.Addr, *wire.Error) { refused.Add(1) },
	})
	const second = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	f := func(name string, status int, request string) {
		t.Helper()
		before := refused.Load()
		c := dial(t, s)
		io.WriteString(c, request+second)
		all, _ := io.ReadAll(c)
		if n := bytes.Count(all, []byte("HTTP/1.1 ")); n != 1 {
			t.Errorf("%s: %d answers", name, n)
			return
		}
		head, body, _ := strings.Cut(string(all), "\r\n\r\n")
		res, err := http.ReadResponse(newReader(all), nil)
		if err != nil || res.StatusCode != status {
			t.Errorf("%s: %v %v, want %d", name, head, err, status)
			return
		}
		var e struct{ Message string }
		if json.Unmarshal([]byte(body), &e) != nil || e.Message == "" || res.Header.Get("X-Amzn-Errortype") == "" ||
			res.Header.Get("Content-Type") != "application/json" || len(res.Header.Get("X-Sluice-Request-Id")) != 26 {
			t.Errorf("%s: not in Bedrock's form: %s %s", name, head, body)
		}
		if reached.Load() != 0 {
			t.Errorf("%s: reached the handler", name)
			reached.Store(0)
		}
		if refused.Load() != before+1 {
			t.Errorf("%s: counted %d times", name, refused.Load()-before)
		}
	}
	post := func(fields string) string { return "POST /m HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }
	line := func(l string) string { return l + "\r\nHost: a\r\n\r\n" }

	f("two empty lines before", 400, "\r\n\r\n"+line("GET /m HTTP/1.1"))
	f("a bare line feed before", 400, "\n"+line("GET /m HTTP/1.1"))
	f("1,000 empty lines before", 400, strings.Repeat("\r\n", 1000)+line("GET /m HTTP/1.1")) // E10
	f("200 KB of empty lines before", 400, strings.Repeat("\r\n", 100_000)+line("GET /m HTTP/1.1"))
	f("CL and TE", 400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n")
	f("TE and CL", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")+"0\r\n\r\n")
	f("TE identity", 400, post("Transfer-Encoding: identity\r\n"))
	f("TE gzip", 400, post("Transfer-Encoding: gzip\r\n"))
	f("TE gzip, chunked", 400, post("Transfer-Encoding: gzip, chunked\r\n")+"0\r\n\r\n")
	f("TE twice", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n")
	f("TE over HTTP/1.0", 400, "POST /m HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f("two lengths", 400, post("Content-Length: 5\r\nContent-Length: 5\r\n")+"abcde")
	f("length +5", 400, post("Content-Length: +5\r\n")+"abcde")
	f("length -5", 400, post("Content-Length: -5\r\n"))
	f("length list", 400, post("Content-Length: 5, 5\r\n")+"abcde")
	f("length hex", 400, post("Content-Length: 0x5\r\n")+"abcde")
	f("folded line", 400, post("X-A: b\r\n c\r\n"))
	f("folded first line", 400, "POST /m HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n")
	f("folded TE", 400, post("Transfer-Encoding:\r\n chunked\r\n")+"0\r\n\r\n")
	f("bare LF", 400, post("X-A: b\nX-B: c\r\n"))
	f("bare CR", 400, post("X-A: b\rX-B: c\r\n"))
	f("space in a name", 400, post("x amz date: b\r\n"))
	f("space before the colon", 400, post("X-A : b\r\n"))
	f("no name", 400, post(": b\r\n"))
	f("no colon", 400, post("nonsense\r\n"))
	f("bracket in a name", 400, post("x[a]: b\r\n"))
	f("NUL in a value", 400, post("X-A: b\x00c\r\n"))
	f("no host", 400, "GET /m HTTP/1.1\r\n\r\n")
	f("two hosts", 400, "GET /m HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
	f("HTTP/1.0 without a host", 400, "GET /m HTTP/1.0\r\n\r\n")
	f("userinfo in the host", 400, "GET /m HTTP/1.1\r\nHost: a@b\r\n\r\n")
	f("path in the host", 400, "GET /m HTTP/1.1\r\nHost: a/b\r\n\r\n")
	f("HTTP/1.2", 505, line("GET /m HTTP/1.2"))
	f("HTTP/2.0 as text", 505, line("GET /m HTTP/2.0"))
	f("no version", 400, "GET /m\r\n\r\n")
	f("absolute form", 400, line("GET http://evil/m HTTP/1.1"))
	f("absolute form with userinfo", 400, line("GET http://u@evil/m HTTP/1.1"))
	f("asterisk form", 400, line("OPTIONS * HTTP/1.1"))
	f("authority form", 400, line("CONNECT evil:443 HTTP/1.1"))
	f("fragment", 400, line("GET /a#b HTTP/1.1"))
	f("bad escape", 400, line("GET /a%zz HTTP/1.1"))
	f("cut escape", 400, line("GET /a%2 HTTP/1.1"))
	f("raw UTF-8", 400, line("GET /\xc3\xa9 HTTP/1.1"))
	f("backslash", 400, line(`GET /a\b HTTP/1.1`))
	f("quote", 400, line(`GET /a"b HTTP/1.1`))
	f("space in the target", 400, line("GET /a b HTTP/1.1"))
	f("TRACE", 405, line("TRACE /m HTTP/1.1"))
	f("CONNECT with a path", 405, line("CONNECT /m HTTP/1.1"))
	f("lower-case method", 405, line("post /m HTTP/1.1"))
	f("unknown method", 405, line("BREW /m HTTP/1.1"))
	f("target over 8 KB", 431, line("GET /"+strings.Repeat("a", 9000)+" HTTP/1.1"))
	f("201 fields", 431, post(strings.Repeat("X-A: b\r\n", 200)))
	f("header over 64 KB", 431, post("X-A: "+strings.Repeat("b", 66_000)+"\r\n"))
	f("two Authorizations", 400, post("Authorization: Bearer a\r\nauthorization: Bearer b\r\n"))
	f("Content-Encoding", 415, post("Content-Encoding: gzip\r\n"))
	f("GET with a body", 400, "GET /m HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	f("GET with a chunked body", 400, "GET /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f("announced above the limit", 413, post("Content-Length: 26214401\r\n"))
	f("expect, announced above the limit", 413, post("Expect: 100-continue\r\nContent-Length: 104857600\r\n"))
	f("expect, two Authorizations", 400, post("Expect: 100-continue\r\nContent-Length: 3\r\nAuthorization: "+
		"a\r\nAuthorization: b\r\n"))
}

// TestStrictChunks: what the framing of a body may have beside it is bounded (E10), and what
// follows is not read as a request.
func TestStrictChunks(t *testing.T) {
	s := start(t, Options{})
	const head = "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, body := range map[string]string{
		"64 KB of extension":            "2;" + strings.Repeat("a", 64<<10) + "\r\nab\r\n0\r\n\r\n",
		"2 KB of extension":             "2;" + strings.Repeat("a", 2<<10) + "\r\nab\r\n0\r\n\r\n",
		"2 KB behind the last chunk":    "2\r\nab\r\n0;" + strings.Repeat("a", 2<<10) + "\r\n\r\n",
		"an extension for each byte":    strings.Repeat("1;"+strings.Repeat("a", 60)+"\r\na\r\n", 60) + "0\r\n\r\n",
		"a carriage return within":      "2;a\rb\r\nab\r\n0\r\n\r\n",
		"zeros without end":             strings.Repeat("0", 30) + "2\r\nab\r\n0\r\n\r\n",
		"a space behind the size":       "2 \r\nab\r\n0\r\n\r\n",
		"2 KB of trailers":              "2\r\nab\r\n0\r\nx: " + strings.Repeat("a", 2<<10) + "\r\n\r\n",
		"data longer than its size":     "2\r\nabc\r\n0\r\n\r\n",
		"a size that ends by line feed": "2\nab\r\n0\r\n\r\n",
	} {
		c := dial(t, s)
		io.WriteString(c, head+body+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		all, _ := io.ReadAll(c)
		if !bytes.HasPrefix(all, []byte("HTTP/1.1 400 ")) || bytes.Count(all, []byte("HTTP/1.1 ")) != 1 {
			t.Errorf("%s: %.200s", name, all)
		}
	}
}

// TestCutChunks is E10: chunks count as a whole body when their end has come whole, with the
// empty line behind it, and not when the caller closes before.
func TestCutChunks(t *testing.T) {
	var reached atomic.Int64
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		if _, err := r.Body.ReadAll(); err == nil {
			reached.Add(1)
		}
		return echo(r)
	})})
	const head = "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	const whole = head + "2;x\r\nab\r\n3\r\ncde\r\n0\r\nx: y\r\n\r\n"
	for n := len(head); n <= len(whole); n++ {
		c := dial(t, s)
		io.WriteString(c, whole[:n])
		c.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(c)
		want := n == len(whole)
		if got := bytes.HasPrefix(all, []byte("HTTP/1.1 200 ")); got != want || (reached.Load() == 1) != want {
			t.Errorf("cut to %q: %.100q", whole[len(head):n], all)
		}
	}
}

func TestLegalHTTP1(t *testing.T) {
	s := start(t, Options{})
	f := func(name, request string) {
		t.Helper()
		if res, body := raw(t, s, request); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	f("60 KB of header", "POST /m HTTP/1.1\r\nHost: a\r\nX-A: "+strings.Repeat("b", 60_000)+"\r\n\r\n")
	f("190 fields", "POST /m HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X-A: b\r\n", 190)+"\r\n")
	f("one empty line before", "\r\nGET /m HTTP/1.1\r\nHost: a\r\n\r\n")
	f("HTTP/1.0 with a host", "GET /m HTTP/1.0\r\nHost: a\r\n\r\n")
	f("every path byte", "GET /-._~:@!$&'()*+,;=%2F%c3%A9//x?a=b&c HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
	f("tab and Latin-1 in a value", "GET /m HTTP/1.1\r\nHost: a\r\nX-A: b\t\xe9\r\n\r\n")
	f("chunk extension", "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n")
}

func TestExpectContinue(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	io.WriteString(c, "POST /m HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	got := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(c, got); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(c, "abc")
	if res, body := answer(t, newReader2(c)); res.StatusCode != 200 || body != "abc" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// h2conn speaks HTTP/2 by hand, to send what no client sends.
type h2conn struct {
	t      *testing.T
	framer *xhttp2.Framer
	next   uint32
}

func dialH2(t *testing.T, s *Server) *h2conn {
	t.Helper()
	c := dial(t, s)
	io.WriteString(c, xhttp2.ClientPreface)
	return newH2(t, c)
}

// newH2 speaks on a connection that has had the preface.
func newH2(t *testing.T, c net.Conn) *h2conn {
	t.Helper()
	h := &h2conn{t: t, framer: xhttp2.NewFramer(c, c), next: 1}
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := h.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return h
}

func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// status sends one request and returns its status, or "reset".
func (h *h2conn) status(body string, fields ...string) string {
	h.t.Helper()
	id := h.next
	h.next += 2
	h.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields...), EndHeaders: true,
		EndStream: body == ""})
	if body != "" {
		h.framer.WriteData(id, true, []byte(body))
	}
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			return err.Error()
		}
		switch f := f.(type) {
		case *xhttp2.MetaHeadersFrame:
			if f.StreamID == id {
				return f.PseudoValue("status")
			}
		case *xhttp2.RSTStreamFrame:
			if f.StreamID == id {
				return "reset"
			}
		}
	}
}

func TestStrictHTTP2(t *testing.T) {
	var reached atomic.Int64
	s := start(t,
		Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response { reached.Add(1); return echo(r) })})
	h := dialH2(t, s)
	f := func(name, want, body, method, path string, more ...string) {
		t.Helper()
		fields := append([]string{":method", method, ":scheme", "http", ":authority", "a", ":path", path}, more...)
		if got := h.status(body, fields...); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if n := reached.Swap(0); (n == 1) != (want == "200") {
			t.Errorf("%s: reached the handler %d times", name, n)
		}
	}
	f("fine", "200", "", "POST", "/m")
	f("same host", "200", "", "POST", "/m", "host", "a")
	f("other host", "400", "", "POST", "/m", "host", "b")
	f("two hosts", "400", "", "POST", "/m", "host", "a", "host", "a")
	f("space in the path", "400", "", "POST", "/a b")
	f("asterisk", "400", "", "OPTIONS", "*")
	f("fragment", "400", "", "POST", "/a#b")
	f("bad escape", "reset", "", "POST", "/a%zz")
	f("absolute", "400", "", "POST", "http://evil/m")
	f("long path", "431", "", "POST", "/"+strings.Repeat("a", 9000))
	f("two Authorizations", "400", "", "POST", "/m", "authorization", "a", "authorization", "b")
	f("two lengths", "400", "abc", "POST", "/m", "content-length", "3", "content-length", "3")
	f("length -1", "400", "", "POST", "/m", "content-length", "-1")
	f("length +0", "400", "", "POST", "/m", "content-length", "+0")
	f("above the limit", "413", "abc", "POST", "/m", "content-length", "26214401")
	f("encoded", "415", "abc", "POST", "/m", "content-encoding", "gzip")
	f("GET with a length", "400", "abc", "GET", "/m", "content-length", "3")
	f("TRACE", "405", "", "TRACE", "/m")
	many := make([]string, 0, 402)
	for range 201 {
		many = append(many, "x-a", "b")
	}
	f("201 fields", "431", "", "POST", "/m", many...)
}

// A body that is not as long as announced never counts as whole.
func TestHTTP2LengthLies(t *testing.T) {
	s := start(t, Options{})
	h := dialH2(t, s)
	head := []string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/m", "content-length"}
	for _, length := range []string{"2", "4"} {
		if got := h.status("abc", append(head, length)...); got == "200" {
			t.Errorf("length %s for 3 bytes: 200", length)
		}
	}
	if got := h.status("", append(head, "5")...); got == "200" {
		t.Errorf("length 5 for no body: 200")
	}
}

func TestFloodCloses(t *testing.T) {
	reached := make(chan struct{}, 1)
	handler := handlerFunc(func(r *gateway.Request) *gateway.Response {
		select {
		case reached <- struct{}{}:
		default:
		}
		return echo(r)
	})
	f := func(kind string, flood func(*xhttp2.Framer, uint32) error) {
		t.Helper()
		glitches := make(chan string, 10)
		s := start(t, Options{Handler: handler, OnGlitch: func(k string) { glitches <- k }})
		h := dialH2(t, s)
		go io.Copy(io.Discard, readerOf(h.framer))
		for i := uint32(1); ; i += 2 {
			if flood(h.framer, i) != nil {
				break
			}
			if i > 200_000 {
				t.Errorf("%s: still open after %d frames", kind, i/2)
				return
			}
		}
		select {
		case got := <-glitches:
			if got != kind {
				t.Errorf("%s: counted as %s", kind, got)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: not counted", kind)
		}
	}
	request := block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/m")
	f("settings", func(f *xhttp2.Framer, _ uint32) error { return f.WriteSettings() })
	f("ping", func(f *xhttp2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) })
	f("priority", func(f *xhttp2.Framer, id uint32) error { return f.WritePriority(id, xhttp2.PriorityParam{Weight: 3}) })
	f("reset", func(f *xhttp2.Framer, id uint32) error {
		f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: request, EndHeaders: true, EndStream: true})
		if id == 1 {
			<-reached // header blocks that never become a request are a flood of another kind
		}
		return f.WriteRSTStream(id, xhttp2.ErrCodeCancel)
	})
	bomb := append(bytes.Clone(block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/m", "x-big",
		strings.Repeat("b", 3900))),
		bytes.Repeat([]byte{0xbe}, 1000)...)
	f("unserved_headers", func(f *xhttp2.Framer, id uint32) error {
		return f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: bomb, EndHeaders: true, EndStream: true})
	})
}

// TestLongFramesAreRefused: who is not known yet makes the gateway keep no more than 16 KB for a
// frame, of whatever kind: it is refused by its head (E4).
func TestLongFramesAreRefused(t *testing.T) {
	s := start(t, Options{})
	for kind := range byte(12) {
		for _, length := range []int{h2guard.MaxFrame + 1, 1 << 20, 1<<24 - 1} {
			c := dial(t, s)
			io.WriteString(c, h2guard.Preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			c.Write([]byte{byte(length >> 16), byte(length >> 8), byte(length), kind, 0, 0, 0, 0, 1})
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			f := xhttp2.NewFramer(io.Discard, c)
			for {
				frame, err := f.ReadFrame()
				if away, ok := frame.(*xhttp2.GoAwayFrame); ok && away.ErrCode == xhttp2.ErrCodeFrameSize {
					break
				}
				if err != nil {
					t.Fatalf("a frame of kind %d with %d bytes: %v", kind, length, err)
				}
			}
			c.Close()
		}
	}
}

// A head that does not fit into a connection's reader is read with a larger one,
// whatever comes before it, behind it, and in which pieces.
func TestLongHeads(t *testing.T) {
	s := start(t, Options{})
	request := func(size int, body string) string {
		head := "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\nX-A: "
		return head + strings.Repeat("b", max(size-len(head)-4, 0)) + "\r\n\r\n" + body
	}
	f := func(name string, pieces int, bodies []string, sizes ...int) {
		t.Helper()
		c := dial(t, s)
		var all strings.Builder
		for i, size := range sizes {
			all.WriteString(request(size, bodies[i%len(bodies)]))
		}
		go func() {
			for rest := all.String(); rest != ""; {
				n := min(len(rest), all.Len()/pieces+1)
				_, _ = io.WriteString(c, rest[:n])
				rest = rest[n:]
				time.Sleep(time.Millisecond)
			}
		}()
		r := bufio.NewReader(c)
		for i, size := range sizes {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			got, err := io.ReadAll(res.Body)
			if want := bodies[i%len(bodies)]; res.StatusCode != 200 || string(got) != want || err != nil {
				t.Errorf("%s, head of %d: %d with %d bytes, want %d; %v", name, size, res.StatusCode, len(got), len(want), err)
			}
		}
	}
	short, long := []string{"{}"}, []string{strings.Repeat("x", 20_000), ""}
	for _, size := range []int{readBuffer - 1, readBuffer, readBuffer + 1, 9000, 60_000} {
		for _, pieces := range []int{1, 2, 7, 100} {
			name := fmt.Sprintf("%d in %d pieces", size, pieces)
			f(name, pieces, short, size, 100, size)
			f(name+", behind others", pieces, long, 100, 3000, size, size, 100)
		}
	}
	f("behind an answer that has not left", 1, short, 100, 9000, 100)
	f("behind many", 1, []string{"{}", "", strings.Repeat("x", 3000)}, 100, 100, 100, 200, 100, 100, 9000, 100)
	f("many", 3, short, 5000, 5000, 5000, 5000, 5000, 9000, 5000, 5000)
}
