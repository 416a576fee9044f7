package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestBadBodies(t *testing.T) {
	limits := config.EdgeLimits{MaxBodyBytes: 100_000}
	patient := start(t, Options{Limits: limits})
	hasty := start(t, Options{
		Timeouts: config.Timeouts{Body: 200 * time.Millisecond, Header: 200 * time.Millisecond}, Limits: limits,
	})
	f := func(name string, status int, request string, then func(io.Writer, func())) {
		t.Helper()
		s := patient
		if status == 408 {
			s = hasty
		}
		c := dial(t, s)
		io.WriteString(c, request)
		then(c, func() { c.(interface{ CloseWrite() error }).CloseWrite() })
		if res, body := answer(t, newReader2(c)); res.StatusCode != status || !strings.Contains(body, `"message"`) {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, status)
		}
	}
	nothing := func(io.Writer, func()) {}
	stop := func(_ io.Writer, closeWrite func()) { closeWrite() }
	const post = "POST /m HTTP/1.1\r\nHost: a\r\n"
	f("ends at once", 400, post+"Content-Length: 10\r\n\r\n", stop)
	f("ends early", 400, post+"Content-Length: 10\r\n\r\nabc", stop)
	f("ends early, large", 400, post+"Content-Length: 90000\r\n\r\n"+strings.Repeat("a", 40_000), stop)
	f("chunked, ends early", 400, post+"Transfer-Encoding: chunked\r\n\r\n3\r\nab", stop)
	f("chunked, bad size", 400, post+"Transfer-Encoding: chunked\r\n\r\nzz\r\nab", nothing)
	f("never comes", 408, post+"Content-Length: 10\r\n\r\n", nothing)
	f("stops", 408, post+"Content-Length: 10\r\n\r\nabc", nothing)
	f("chunked, stops", 408, post+"Transfer-Encoding: chunked\r\n\r\n3\r\nab", nothing)
	f("trickles", 408, post+"Content-Length: 90000\r\n\r\n", func(w io.Writer, _ func()) {
		for range 100 {
			if _, err := io.WriteString(w, "a"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	f("chunked, too large", 413, post+"Transfer-Encoding: chunked\r\n\r\n", func(w io.Writer, _ func()) {
		for range 11 {
			io.WriteString(w, "2710\r\n"+strings.Repeat("a", 10_000)+"\r\n")
		}
	})
	f("chunk extension without end", 400, post+"Transfer-Encoding: chunked\r\n\r\n3;", func(w io.Writer, _ func()) {
		io.WriteString(w, strings.Repeat("x", 300_000))
	})
	f("head stops", 408, "POST /m HTTP/1.1\r\nHo", nothing)
}

// TestRefusedBodyIsReadOn is a caller who reads the answer only after the whole
// body was sent: a connection that closes with unread bytes is reset, and the
// answer is lost.
func TestRefusedBodyIsReadOn(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	const size = 27 << 20
	fmt.Fprintf(c, "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := io.WriteString(c, strings.Repeat("a", size)); err != nil {
		t.Errorf("the body could not be sent: %v", err)
	}
	if res, body := answer(t, newReader2(c)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s, want 413", res.StatusCode, body)
	}
}

func TestHTTP2BadBodies(t *testing.T) {
	s := start(t, Options{
		Timeouts: config.Timeouts{Body: 200 * time.Millisecond},
		Limits:   config.EdgeLimits{MaxBodyBytes: 100_000},
	})
	c := clients(t, nil)["h2"]
	f := func(name string, status int, body io.Reader) {
		t.Helper()
		res, err := c.Post("http://"+s.Addr().String()+"/m", "", body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, status)
		}
	}
	r, w := io.Pipe()
	defer w.Close()
	f("stops", 408, r)
	f("too large", 413, io.MultiReader(strings.NewReader(strings.Repeat("a", 100_001))))
	f("as large as may be", 200, io.MultiReader(strings.NewReader(strings.Repeat("a", 100_000))))
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Forty callers that announce 25 MB and send a kilobyte cost what they sent.
func TestAnnouncedBytesCostNothing(t *testing.T) {
	everywhereRaw := map[string]func(*testing.T, *Server) func(){
		"h1": func(t *testing.T, s *Server) func() {
			c := dial(t, s)
			io.WriteString(c, "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 26214400\r\n\r\n"+strings.Repeat("a", 1024))
			return func() { c.Close() }
		},
		"h2": func(t *testing.T, s *Server) func() {
			h := dialH2(t, s)
			h.framer.WriteHeaders(headers(1, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/m",
				"content-length", "26214400"))
			h.framer.WriteData(1, false, bytes.Repeat([]byte("a"), 1024))
			return func() {}
		},
	}
	for name, open := range everywhereRaw {
		t.Run(name, func(t *testing.T) {
			var reading atomic.Int64
			s := start(t, Options{
				Timeouts: config.Timeouts{Body: time.Second},
				Handler:  handlerFunc(func(r *gateway.Request) *gateway.Response { reading.Add(1); return echo(r) }),
			})
			before := heapInUse()
			for range 40 {
				defer open(t, s)()
			}
			for reading.Load() < 40 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
			if grown := heapInUse() - before; grown > 8<<20 {
				t.Errorf("the heap grew by %d MB", grown>>20)
			} else {
				t.Logf("40 callers: %d KB", grown>>10)
			}
			if n := s.Stats().BufferedBytes; n > 40*32<<10 {
				t.Errorf("%d bytes taken from the budget", n)
			}
		})
	}
}

// More large bodies than the budget holds: some are refused, and served when they come again
// as SDKs do; the budget is never passed, and small requests beside them are served.
func TestBudget(t *testing.T) {
	const limit, callers = 4 << 20, 20
	var over atomic.Bool
	first := make(chan struct{}) // closed by the first refusal
	refused := sync.OnceFunc(func() { close(first) })
	var s *Server
	s = start(t, Options{
		Limits: config.EdgeLimits{BufferedBytes: limit},
		Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
			defer r.Body.Release()
			if _, err := r.Body.ReadAll(); err != nil {
				return errorResponse(err, r.ID)
			}
			if s.Stats().BufferedBytes > limit {
				over.Store(true)
			}
			if r.ContentLength > 1<<20 {
				<-first // two of them are the whole budget
			}
			return &gateway.Response{Status: 200}
		}),
	})
	c := clients(t, nil)["h1"]
	url := "http://" + s.Addr().String() + "/m"
	served := func() bool {
		res, err := c.Post(url, "", bytes.NewReader(make([]byte, 2<<20)))
		if err != nil { // refused while still sending
			refused()
			return false
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			refused()
		}
		if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return res.StatusCode == 200
	}
	var large, small sync.WaitGroup
	done := make(chan struct{})
	for range callers {
		large.Go(func() {
			for !served() {
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 4 {
		small.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				res, err := c.Post(url, "", strings.NewReader("small"))
				if err != nil || res.StatusCode != 200 {
					t.Errorf("small request: %v %v", res, err)
					return
				}
				res.Body.Close()
			}
		})
	}
	large.Wait()
	close(done)
	small.Wait()
	if over.Load() {
		t.Error("the budget was passed")
	}
}

func TestUnreadBodyClosesOrDrains(t *testing.T) {
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		return errorResponse(wire.Errorf(wire.KindAccessDenied, "no"), r.ID)
	})})
	f := func(size int, closed bool) {
		t.Helper()
		c := dial(t, s)
		fmt.Fprintf(c, "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size,
			strings.Repeat("a", min(size, 200_000)))
		res, _ := answer(t, newReader2(c))
		if res.StatusCode != 403 || res.Close != closed {
			t.Errorf("%d bytes: status %d, closed %v", size, res.StatusCode, res.Close)
		}
	}
	f(0, false)
	f(10, false)
	f(unreadLimit, false)
	f(unreadLimit+1, true)
	f(20<<20, true)
}

// pieces yields its bytes in the sizes that were drawn, then fails with end.
type pieces struct {
	data  []byte
	sizes []int
	end   error
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, p.end
	}
	n := min(len(b), len(p.data))
	if len(p.sizes) > 0 {
		n = min(n, p.sizes[0])
		p.sizes = p.sizes[1:]
	}
	n = copy(b, p.data[:n])
	p.data = p.data[n:]
	return n, nil
}

func (p *pieces) SetReadDeadline(time.Time) error { return nil }

// Whatever is announced and however it comes, ReadAll returns the bytes or the
// right refusal, and the budget is as before after Release.
func TestBodyModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Repeat([]byte("0123456789abcdef"), rapid.IntRange(0, 9000).Draw(t, "sixteens"))
		limit := int64(rapid.IntRange(0, 200_000).Draw(t, "max"))
		announced := int64(-1)
		if rapid.Bool().Draw(t, "announce") {
			announced = int64(max(0, len(data)+rapid.SampledFrom([]int{0, 0, 0, 5, -5}).Draw(t, "lie")))
		}
		end := rapid.SampledFrom([]error{io.EOF, io.EOF, io.ErrUnexpectedEOF}).Draw(t, "end")
		bu := pool.New(pool.Limits{Bytes: 1 << 20, Body: limit}, nil)
		var account pool.Account
		bu.Open(&account)
		b := &body{
			source:  &pieces{bytes.Clone(data), rapid.SliceOf(rapid.IntRange(1, 5000)).Draw(t, "sizes"), end},
			account: &account, pool: bu, announced: announced, max: limit, idle: time.Minute,
		}
		got, err := b.ReadAll()
		switch {
		case int64(len(data)) > limit:
			if err == nil || err.Kind != wire.KindTooLarge {
				t.Fatalf("%d bytes of %d: %v", len(data), limit, err)
			}
		case end != io.EOF, announced >= 0 && announced != int64(len(data)):
			if err == nil || err.Kind != wire.KindValidation {
				t.Fatalf("cut or lied: %v", err)
			}
		case err != nil || !bytes.Equal(got, data):
			t.Fatalf("%d bytes of %d: %v", len(got), len(data), err)
		}
		if err == nil && bu.InUse() > 4*int64(len(data))+firstBuffer {
			t.Fatalf("%d bytes taken for %d", bu.InUse(), len(data))
		}
		b.Release()
		b.Release()
		if bu.InUse() != 0 {
			t.Fatalf("%d bytes left", bu.InUse())
		}
	})
}

func BenchmarkHTTP1(b *testing.B) { benchmark(b, "h1") }
func BenchmarkHTTP2(b *testing.B) { benchmark(b, "h2") }

func benchmark(b *testing.B, proto string) {
	s, err := New(withDefaults(Options{Listen: "127.0.0.1:0", Handler: handlerFunc(echo), Log: discard()}))
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(b.Context())
	defer s.Shutdown(b.Context())
	p := new(http.Protocols)
	p.SetHTTP1(proto == "h1")
	p.SetUnencryptedHTTP2(proto == "h2")
	c := &http.Client{Transport: &http.Transport{Protocols: p, MaxIdleConnsPerHost: 64}}
	defer c.CloseIdleConnections()
	payload := make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		res, err := c.Post("http://"+s.Addr().String()+"/model/m/converse", "", bytes.NewReader(payload))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
