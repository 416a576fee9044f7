package edge

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/test/harness"
)

// strict is a gateway with an upstream that counts what reaches it, by the name that a body
// begins with.
type strict struct {
	*harness.Gateway
	key     harness.Key
	mu      sync.Mutex // guards reached
	reached map[string]int64
}

// named is a body of a request; a name has twelve letters.
func named(name string) string {
	return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":"name %s"}]}]}`, name)
}

// number is a name that no small change makes that of another number.
func number(i int) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(i)))
	return hex.EncodeToString(sum[:6])
}

// received counts a request.
func (s *strict) received(body []byte) {
	_, rest, _ := strings.Cut(string(body), `"name `)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached[rest[:min(len(rest), 12)]]++
}

// count returns how many requests of a name have come since the last call.
func (s *strict) count(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.reached[name]
	delete(s.reached, name)
	return n
}

func startStrict(t *testing.T) *strict {
	s := &strict{key: harness.NewKey(t, "acme"), reached: map[string]int64{}}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.received(body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",`+
			`"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}`)
	}))
	t.Cleanup(upstream.Close)
	s.Gateway = harness.Start(t, harness.Config{YAML: fmt.Sprintf(
		"upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n", upstream.URL, s.key.KeyID)})
	return s
}

// exchange sends bytes over a connection of their own, and returns what comes back until the
// gateway closes it, or is silent for as long as patience. With none, nothing more will be sent.
func (s *strict) exchange(t *testing.T, ip string, sent []byte, patience time.Duration) (answer []byte) {
	t.Helper()
	c, err := from(ip).Dial("tcp", s.Addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer c.Close()
	go func() {
		c.Write(sent)
		if patience == 0 {
			c.(*net.TCPConn).CloseWrite()
		}
	}()
	for room := make([]byte, 4<<10); ; {
		c.SetReadDeadline(time.Now().Add(cmp.Or(patience, 20*time.Second)))
		n, err := c.Read(room)
		answer = append(answer, room[:n]...)
		if err != nil {
			return answer
		}
	}
}

// alive reports whether the gateway serves and has not panicked.
func (s *strict) alive(t *testing.T) {
	t.Helper()
	if answer := s.exchange(t, neighbour, s.sized(named("a good one  ")), 0); s.count("a good one  ") != 1 {
		t.Errorf("a good request does not reach the upstream: %.200s", answer)
	}
	if strings.Contains(s.Log.String(), "panic") {
		t.Errorf("a panic:\n%s", s.Log)
	}
}

// sized is a good request.
func (s *strict) sized(body string) []byte {
	return s.post(fmt.Sprintf("Content-Length: %d", len(body)), body)
}

// post is a request with a good credential and these lines in its head.
func (s *strict) post(lines, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", askTarget,
		s.key.Bearer, lines, body)
}

// badHTTP1 are the inputs that a strict server refuses, by RFC 9110, RFC 9112 and what is known
// of request smuggling. In each, AUTH is a good credential and TARGET a good target.
func badHTTP1() (all []string) {
	add := func(format string, values ...string) {
		for _, v := range values {
			all = append(all, strings.ReplaceAll(format, "@@", v))
		}
	}
	head := "POST TARGET HTTP/1.1\r\nHost: a\r\nAUTH\r\n"
	add(head+"Content-Length: @@\r\n\r\nabcde", "+5", "-5", "5, 5", "5,6", "0x5", "5 5", "5;", "٥", "5.0", "1e1", "",
		"five",
		"18446744073709551621", "9223372036854775808", `"5"`, "5abc", "_5", "5\x00", "5\v", "26214401")
	add(head+"@@\r\n\r\nabcde", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\ncontent-length: 6",
		"Content-Length : 5", "Content-Length\t: 5", " Content-Length: 5", "Content-Length:\r\n 5")
	add(head+"@@\r\n\r\n0\r\n\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: chunked\r\nContent-Length: 0",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
		"Transfer-Encoding:\r\n chunked", "Transfer\x00Encoding: chunked", "Transfer-Encoding: chunked\r\n\tx")
	add(head+"Transfer-Encoding: @@\r\n\r\n0\r\n\r\n", "identity", "gzip", "gzip, chunked", "chunked, gzip",
		"chunked, chunked",
		"chunked;q=1", "xchunked", "chunked\v", "\vchunked", "chunked,", `"chunked"`, "chunk", "chunked\x00", "", "deflate",
		"chunked, identity")
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n"
	add(chunked+"@@\r\nab\r\n0\r\n\r\n", "", "-2", "+2", "0x2", "g", "2 ", "2\t", "2\n", "FFFFFFFFFFFFFFFFF",
		"100000000000000000000", strings.Repeat("0", 30)+"2", "2;"+strings.Repeat("a", 64<<10), "2;a\rb", "2;a\x00b",
		"1", "2;a\nb")
	add(chunked+"2\r\nab@@", "c\r\n0\r\n\r\n", "\n0\r\n\r\n", "\r\n0\r\nx: "+strings.Repeat("a", 2<<10)+"\r\n\r\n",
		"\r\n0\r\nx: y\n\r\n", "\r\n0;"+strings.Repeat("a", 2<<10)+"\r\n\r\n")
	add(head+"@@\r\n\r\n", "X-A: b\nX-B: c", "X-A: b\rX-B: c", "X-A: b\x00c", "X\x00A: b", "X-A: b\x01c",
		"X-A: b\x7fc", "X-A: b\vc",
		"x amz date: b", "X-A : b", "X-A\t: b", ": b", "nonsense", "x[a]: b", `x"a: b`, "x,a: b", "x/a: b", "x@a: b",
		"xé: b",
		"X-A: b\r\n c", "X-A: b\r\n\tc", "Authorization: Bearer b", "Content-Encoding: gzip",
		"Content-Encoding: br", "X-A: "+strings.Repeat("b", 66_000), strings.Repeat("X-A: b\r\n", 201)+"X-B: b",
		"Expect: 100-continue\r\nContent-Length: 104857600")
	add("POST TARGET HTTP/1.1\r\n@@AUTH\r\n\r\n", "", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n",
		"Host: a@b\r\n", "Host: a/b\r\n",
		"Host: \r\n", "Host: a b\r\n", "Host: a,b\r\n", "Host: a\\b\r\n", "Host: a?b\r\n", "Host: a#b\r\n",
		"Host: <a>\r\n", "Host:\r\n a\r\n",
		" X: y\r\nHost: a\r\n")
	add("POST TARGET @@\r\nHost: a\r\nAUTH\r\n\r\n", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3", "HTTP/01.1",
		"http/1.1", "HTTP/1.10",
		"HTTP/1,1", "HTTP 1.1", "HTTP/1.", "HTTP/1.1 x", "HTTP/1.1\t")
	add("POST @@ HTTP/1.1\r\nHost: a\r\nAUTH\r\n\r\n", "http://evilTARGET", "http://u@evilTARGET",
		"https://evilTARGET", "*", "evil:443",
		"TARGET#b", "TARGET%zz", "TARGET%2", "TARGET%", "TARGETé", `TARGET\b`, `TARGET"b`, "TARGET b", "TARGET\tb",
		"TARGET<", "TARGET^",
		"TARGET`", "TARGET{", "TARGET|", "TARGET\x00", "TARGET\x7f", "TARGET?"+strings.Repeat("a", 9000), "",
		"model/x/converse", "?x")
	add("@@ TARGET HTTP/1.1\r\nHost: a\r\nAUTH\r\n\r\n", "TRACE", "CONNECT", "post", "BREW", "", "PO ST", "POST\t",
		"PRI", " POST", "POST\x00")
	add("@@ TARGET HTTP/1.1\r\nHost: a\r\nAUTH\r\nContent-Length: 3\r\n\r\nabc", "GET", "HEAD", "\r\n\r\nPOST",
		"\nPOST", "\rPOST",
		strings.Repeat("\r\n", 1000)+"POST")
	add("@@", "POST TARGET HTTP/1.0\r\nAUTH\r\n\r\n", "POST TARGET\r\n\r\n",
		"POST TARGET HTTP/1.1\r\nHost: a\r\nAUTH\r\n\n",
		"POST TARGET HTTP/1.0\r\nHost: a\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET TARGET HTTP/1.1\r\nHost: a\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	return all
}

// badHTTP2 are what HTTP/2 forbids, or a strict server refuses, in fields of a request. The first
// four fields of a request are replaced where a row has them.
func badHTTP2() [][]string {
	rows := [][]string{
		{":path", ""}, {":path", "a"}, {":path", "http://evil/m"}, {":path", "/a b"}, {":path", "*"}, {":path", "/a#b"},
		{":path", "/a%zz"}, {":path", "/a\r\nX: y"}, {":path", "/" + strings.Repeat("a", 9000)}, {":path", "-"},
		{":method", "TRACE"}, {":method", "CONNECT"}, {":method", "post"}, {":method", ""}, {":method", "PO ST"},
		{":method", "-"},
		{":method", "GET", "content-length", "3"}, {":scheme", "-"}, {":authority", "a@b"}, {":authority", "a/b"},
		{":authority", "a b"}, {":authority", "a", "host", "b"}, {"host", "a", "host", "a"},
		{":method", "POST", ":method", "POST"}, {":path", askTarget, ":path", askTarget}, {":foo", "b"}, {":status", "200"},
		{"x-a", "b", ":path", askTarget}, {":protocol", "websocket"},
		{"content-length", "3", "content-length", "3"}, {"content-length", "-1"}, {"content-length", "+3"},
		{"content-length", "5"}, {"content-length", "2"}, {"content-length", "26214401"}, {"content-encoding", "gzip"},
		{"authorization", "Bearer b"}, {"connection", "close"}, {"keep-alive", "5"}, {"proxy-connection", "x"},
		{"transfer-encoding", "chunked"}, {"upgrade", "h2c"}, {"te", "gzip"},
		{"X-A", "b"}, {"x a", "b"}, {"x\r\na", "b"}, {"x\x00a", "b"}, {"", "b"}, {"x-a", "b\r\nc"}, {"x-a", "b\rc"},
		{"x-a", "b\nc"},
		{"x-a", "b\x00c"}, {"x-a", strings.Repeat("b", 66_000)},
	}
	many := []string{}
	for range 201 {
		many = append(many, "x-a", "b")
	}
	return append(rows, many)
}

// talk is a whole conversation over HTTP/2: the preface, and requests with these fields and this body.
func (s *strict) talk(body string, requests ...[]string) []byte {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, nil)
	f.AllowIllegalWrites = true
	f.WriteSettings()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i, fields := range requests {
		block.Reset()
		for j := 0; j < len(fields); j += 2 {
			e.WriteField(hpack.HeaderField{Name: fields[j], Value: fields[j+1]})
		}
		id := uint32(2*i + 1)
		rest := block.Bytes()
		for first := true; first || len(rest) > 0; first = false {
			n := min(len(rest), 16<<10)
			if first {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: rest[:n], EndHeaders: n == len(rest)})
			} else {
				f.WriteContinuation(id, n == len(rest), rest[:n])
			}
			rest = rest[n:]
		}
		f.WriteData(id, true, []byte(body))
	}
	return out.Bytes()
}

// fields is a good request over HTTP/2, with more. A pseudo field of it replaces the request's own;
// "-" leaves it out.
func (s *strict) fields(more ...string) []string {
	own := []string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", askTarget}
	seen := map[string]bool{}
	for len(more) > 0 && strings.HasPrefix(more[0], ":") && !seen[more[0]] {
		i := 0
		for i < len(own) && own[i] != more[0] {
			i += 2
		}
		if i == len(own) {
			break // it is not one of a request
		}
		seen[more[0]] = true
		own[i+1], more = more[1], more[2:]
	}
	kept := []string{}
	for i := 0; i < len(own); i += 2 {
		if own[i+1] != "-" {
			kept = append(kept, own[i], own[i+1])
		}
	}
	return append(append(kept, "authorization", "Bearer "+s.key.Bearer), more...)
}

// badInputs is B1 and B2 of reliability.md section 6.
func badInputs() row {
	return row{
		name: "E10 bad inputs",
		goal: "bad HTTP/1 and HTTP/2 inputs with a good credential, 20,000 mutations of each",
		must: "each refused, none reaches the upstream; 0 crashes, no request that was not sent",
		run: func(t *testing.T, m *measured) {
			s := startStrict(t)
			s.alive(t)
			s.refuseHTTP1(t, m)
			s.refuseHTTP2(t, m)
			s.alive(t)
			body := named("NUMBERNUMBER") // as long as a number
			chunks := s.post("Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
			s.mutate(t, m, mutation{
				protocol: "HTTP/1", good: slices.Concat(s.sized(body), chunks, s.sized(body)), requests: requestsHTTP1,
			})
			s.mutate(t, m, mutation{
				protocol: "HTTP/2", good: s.talk(body, s.fields(), s.fields("x-a", "b")), from: len(http2.ClientPreface),
				requests: requestsHTTP2, patience: 200 * time.Millisecond,
			})
			s.alive(t)
		},
	}
}

// refuseHTTP1 sends each bad input, and a good request behind it on the same connection.
func (s *strict) refuseHTTP1(t *testing.T, m *measured) {
	inputs, refused := badHTTP1(), 0
	fill := strings.NewReplacer("TARGET", askTarget, "AUTH", "Authorization: Bearer "+s.key.Bearer)
	for _, input := range inputs {
		answer := s.exchange(t, neighbour, append([]byte(fill.Replace(input)), s.sized(named("a second one"))...), 0)
		n, answers := s.count("a second one")+s.count(""), bytes.Count(answer, []byte("HTTP/1.1 "))
		if n == 0 && answers <= 1 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 2")) {
			refused++
		} else {
			t.Errorf("%.200q: %d reached the upstream, answer %.100q", input, n, answer)
		}
	}
	m.note("HTTP/1: %d of %d refused", refused, len(inputs))
}

// refuseHTTP2 sends each bad input on a connection of its own.
func (s *strict) refuseHTTP2(t *testing.T, m *measured) {
	const patient = time.Second
	inputs := badHTTP2()
	var refused atomic.Int64
	var wg sync.WaitGroup
	for i, fields := range inputs {
		wg.Go(func() {
			name := number(i)
			if s.exchange(t, neighbour, s.talk(named(name), s.fields(fields...)), patient); s.count(name) == 0 {
				refused.Add(1)
			} else {
				t.Errorf("%.200q reached the upstream", fields)
			}
		})
	}
	wg.Wait()
	m.note("HTTP/2: %d of %d refused", refused.Load(), len(inputs))
}

// mutation is how good requests are changed.
type mutation struct {
	protocol string
	good     []byte // NUMBERNUMBER in it becomes the mutation's
	from     int    // the first byte that may change
	requests func([]byte) int64
	patience time.Duration
}

// mutate sends good requests with something changed, from many callers at once.
func (s *strict) mutate(t *testing.T, m *measured, of mutation) {
	most := make([]int64, m.of(20_000, 300))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(most)); i = next.Add(1) - 1 {
				own := bytes.ReplaceAll(of.good, []byte("NUMBERNUMBER"), []byte(number(int(i))))
				sent := changed(rand.New(rand.NewPCG(10, uint64(i))), own, of.from)
				most[i] = of.requests(sent)
				s.exchange(t, fmt.Sprintf("127.1.%d.%d", i>>8, i&255), sent, of.patience)
			}
		})
	}
	wg.Wait()
	time.Sleep(100 * time.Millisecond) // for what callers have left behind
	var passed, left int64
	for i, most := range most {
		reached := s.count(number(i))
		passed += reached
		left += most - reached
		if reached > most {
			t.Errorf("%s, mutation %d: %d requests reached the upstream, %d were sent", of.protocol, i, reached, most)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.reached { // their number was changed
		passed += n
		left -= n
	}
	clear(s.reached)
	if passed == 0 {
		t.Errorf("no mutation of %s is a good request", of.protocol)
	}
	if left < 0 {
		t.Errorf("%d more requests reached the upstream than were sent", -left)
	}
	m.note("%d mutations of %s: %d requests reached the upstream, none that was not sent",
		len(most), of.protocol, passed)
}

// changed returns a copy in which one to three things are changed.
func changed(random *rand.Rand, in []byte, from int) []byte {
	out := bytes.Clone(in)
	spice := []string{"\r\n", "\n", "\r", "\x00", " ", "\t", ":", ",", ";", "0", "5", "\xff", "chunked",
		"Content-Length: 3\r\n",
		"Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "\r\n\r\n", "GET / HTTP/1.1\r\n"}
	for range 1 + random.IntN(3) {
		at := from + random.IntN(len(out)-from)
		to := min(at+1+random.IntN(8), len(out))
		switch random.IntN(6) {
		case 0:
			out[at] ^= 1 << random.IntN(8)
		case 1:
			out[at] = byte(random.IntN(256))
		case 2:
			out = append(out[:at], out[to:]...)
		case 3:
			out = append(out[:to:to], append(bytes.Clone(out[at:to]), out[to:]...)...)
		case 4:
			out = append(out[:at:at], append([]byte(spice[random.IntN(len(spice))]), out[at:]...)...)
		case 5:
			out = out[:at+1]
		}
		if len(out) <= from {
			return out
		}
	}
	return out
}

// requestsHTTP1 is how many requests a lenient server reads.
func requestsHTTP1(sent []byte) (n int64) {
	for r := bufio.NewReader(bytes.NewReader(sent)); ; n++ {
		if next, _ := r.Peek(2); string(next) == "\r\n" { // which RFC 9112 asks to ignore
			_, _ = r.Discard(2)
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return n
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return n
		}
	}
}

// requestsHTTP2 is how many heads of requests there are.
func requestsHTTP2(sent []byte) (n int64) {
	rest := sent[len(http2.ClientPreface):]
	for len(rest) >= 9 {
		if http2.FrameType(rest[3]) == http2.FrameHeaders {
			n++
		}
		length := 9 + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
		rest = rest[min(length, len(rest)):]
	}
	return n
}
