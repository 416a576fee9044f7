package test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// fault is an upstream's misbehaviour, what its caller must get and how it must
// be counted.
type fault struct {
	name   string
	stream bool
	play   harness.Play

	status     int
	errorType  string // of an answer that is not 200
	exceptions string // names of the exception frames, comma separated
	body       []byte // exactly, nil: not compared

	legs, unknown int64 // attempts, and those of unknown usage
	known         int64 // input tokens counted
}

const okBody = `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`

func answerWith(status int, header, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), header, body)
}

const jsonHeader = "Content-Type: application/json\r\n"

func errorWith(status int, name string) []byte {
	return answerWith(status,
		jsonHeader+"x-amzn-ErrorType: "+name+":http://internal.amazon.com/coral/com.amazon.bedrock/\r\n", `{"message":"no"}`)
}

var streamHead = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n")

func chunk(b []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b) }

var lastChunk = []byte("0\r\n\r\n")

// writes plays bytes; pauses between them are given as durations, nil resets the
// connection.
func writes(parts ...any) harness.Play {
	return func(conn *net.TCPConn, _ int) bool {
		for _, part := range parts {
			switch p := part.(type) {
			case []byte:
				conn.Write(p)
			case time.Duration:
				time.Sleep(p)
			case nil:
				conn.SetLinger(0)
				return false
			}
		}
		return true
	}
}

// inTurn plays the n-th of the plays for the n-th call, and the last from then on.
func inTurn(plays ...harness.Play) harness.Play {
	return func(conn *net.TCPConn, n int) bool { return plays[min(n, len(plays))-1](conn, n) }
}

// idle is how long the upstream of TestUpstreamFaults may be silent.
const idle = 3 * time.Second

// upstreamFaults are those that a raw socket plays.
func upstreamFaults(t *testing.T) []fault {
	start := harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	delta := harness.EncodeFrame(t, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"ok"}}`)
	stop := harness.EncodeFrame(t, "event", "messageStop", `{"stopReason":"end_turn"}`)
	usage := harness.EncodeFrame(t, "event", "metadata",
		`{"metrics":{"latencyMs":1},"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`)
	spoilt := bytes.Clone(delta)
	spoilt[len(spoilt)-1] ^= 0xff
	exception := func(name string) []byte { return harness.EncodeFrame(t, "exception", name, `{"message":"no"}`) }
	whole := bytes.Join([][]byte{start, delta, stop, usage}, nil)
	ok := writes(answerWith(200, jsonHeader, okBody))
	okJSON := []byte(okBody)
	hang := func(conn *net.TCPConn, _ int) bool { io.Copy(io.Discard, conn); return false }
	const pause = idle / 2 // three of them are longer than idle
	const broke, gone = "modelStreamErrorException", "ServiceUnavailableException"
	// U1: what may have been billed is answered with an error that SDKs do not repeat by themselves.
	const billed, lost = http.StatusFailedDependency, "ModelErrorException"
	// A kept connection that ends within a second counts as given up before the
	// request came, and is no fault. It is also time enough for the gateway to
	// read what came before a reset, which would discard it.
	const late = 1200 * time.Millisecond
	return []fault{
		{name: "reset-before-head", play: writes(late, nil), status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "half-close", play: func(*net.TCPConn, int) bool { time.Sleep(late); return false }, status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "reset-in-head", play: writes([]byte("HTTP/1.1 200 OK\r\nContent-Le"), late, nil), status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "reset-in-body",
			play:   writes([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"+jsonHeader+"\r\n{\"output\""), late, nil),
			status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "body-too-short", play: func(c *net.TCPConn, _ int) bool {
			c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n" + jsonHeader + "\r\n{}"))
			return false
		}, status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "truncated-json", play: writes(answerWith(200, jsonHeader, `{"output":{"mess`)), status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "no-usage", play: writes(answerWith(200, jsonHeader, `{"output":{}}`)), status: 200,
			body: []byte(`{"output":{}}`), legs: 1, unknown: 1},
		{name: "not-http", play: writes([]byte("SSH-2.0-OpenSSH\r\n\r\n")), status: billed, errorType: lost,
			legs: 1, unknown: 1},
		{name: "bare-newline-in-header", play: writes([]byte("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n")),
			status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "two-lengths", play: writes([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
			status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "endless-answer", play: writes([]byte("HTTP/1.1 200 OK\r\n" + jsonHeader +
			"Content-Length: 1099511627776\r\n\r\n{}")), status: billed, errorType: lost, legs: 1, unknown: 1},
		{name: "continue-first", play: writes([]byte("HTTP/1.1 100 Continue\r\n\r\n"), answerWith(200, jsonHeader, okBody)),
			status: 200, body: okJSON, legs: 1, known: 3},
		{name: "hang", play: hang, status: billed, errorType: lost, legs: 1, unknown: 1},

		{name: "500-then-ok", play: inTurn(writes(errorWith(500, "InternalServerException")), ok), status: 200, body: okJSON,
			legs: 2, known: 3},
		{name: "503-then-ok", play: inTurn(writes(errorWith(503, "ServiceUnavailableException")), ok), status: 200,
			body: okJSON, legs: 2, known: 3},
		{name: "429-then-ok", play: inTurn(writes(errorWith(429, "ThrottlingException")), ok), status: 200, body: okJSON,
			legs: 2, known: 3},
		{name: "not-ready-twice-then-ok", play: inTurn(writes(errorWith(429, "ModelNotReadyException")),
			writes(errorWith(429, "ModelNotReadyException")), ok),
			status: 200, body: okJSON, legs: 3, known: 3},
		{name: "503-for-good", play: writes(errorWith(503, "ServiceUnavailableException")), status: 503, errorType: gone,
			body: []byte(`{"message":"no"}`), legs: 3},
		{name: "408", play: writes(errorWith(408, "ModelTimeoutException")), status: 408, errorType: "ModelTimeoutException",
			body: []byte(`{"message":"no"}`), legs: 1},
		{name: "400", play: writes(errorWith(400, "ValidationException")), status: 400, errorType: "ValidationException",
			body: []byte(`{"message":"no"}`), legs: 1},
		{name: "proxy-page", play: writes(answerWith(502, "Content-Type: text/html\r\n", "<html>Bad Gateway</html>")),
			status: billed, errorType: lost, legs: 1, unknown: 1},

		{name: "stream", stream: true, play: writes(streamHead, chunk(whole), lastChunk), status: 200, body: whole, legs: 1,
			known: 3},
		{name: "slow-stream", stream: true, play: writes(streamHead, chunk(start), pause, chunk(delta[:9]), pause,
			chunk(delta[9:]), chunk(stop), pause, chunk(usage), lastChunk),
			status: 200, body: whole, legs: 1, known: 3},
		{name: "silent-stream", stream: true, play: writes(streamHead, chunk(start), 2*idle), status: 200, exceptions: broke,
			legs: 1, unknown: 1},
		{name: "reset-before-frames", stream: true, play: writes(streamHead, late, nil), status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "reset-in-frame", stream: true, play: writes(streamHead, chunk(start), chunk(delta[:20]), late, nil),
			status: 200, exceptions: broke, legs: 1, unknown: 1},
		{name: "reset-between-frames", stream: true, play: writes(streamHead, chunk(start), chunk(delta), late, nil),
			status: 200, exceptions: broke, legs: 1, unknown: 1},
		{name: "reset-after-usage", stream: true, play: writes(streamHead, chunk(whole), late, nil), status: 200,
			exceptions: broke, legs: 1, known: 3},
		{name: "end-in-frame", stream: true, play: writes(streamHead, chunk(start), chunk(delta[:20]), lastChunk),
			status: 200, exceptions: broke, legs: 1, unknown: 1},
		{name: "corrupt-frame", stream: true, play: writes(streamHead, chunk(start), chunk(spoilt), chunk(usage), lastChunk),
			status: 200, exceptions: broke, legs: 1, unknown: 1},
		{name: "corrupt-first-frame", stream: true, play: writes(streamHead, chunk(spoilt), lastChunk), status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "no-frames", stream: true, play: writes(streamHead, lastChunk), status: billed,
			errorType: lost, legs: 1, unknown: 1},
		{name: "no-metadata", stream: true, play: writes(streamHead, chunk(start), chunk(delta), chunk(stop), lastChunk),
			status: 200, exceptions: broke, legs: 1, unknown: 1},
		{name: "metadata-twice", stream: true, play: writes(streamHead, chunk(whole), chunk(usage), lastChunk), status: 200,
			body: append(bytes.Clone(whole), usage...), legs: 1, known: 3},
		{name: "exception-first", stream: true, play: writes(streamHead, chunk(exception("throttlingException")), lastChunk),
			status: 200, exceptions: "throttlingException",
			body: exception("throttlingException"), legs: 1},
		{name: "broken-model-first", stream: true,
			play: writes(streamHead, chunk(exception("modelStreamErrorException")), lastChunk), status: 200, exceptions: broke,
			body: exception("modelStreamErrorException"), legs: 1, unknown: 1},
		{name: "exception-in-the-middle", stream: true,
			play:       writes(streamHead, chunk(start), chunk(delta), chunk(exception("internalServerException")), lastChunk),
			status:     200,
			exceptions: "internalServerException", body: bytes.Join([][]byte{start, delta, exception("internalServerException")},
				nil), legs: 1, unknown: 1},
		{name: "stream-throttled", stream: true, play: inTurn(writes(errorWith(429, "ThrottlingException")),
			writes(streamHead, chunk(whole), lastChunk)),
			status: 200, body: whole, legs: 2, known: 3},
	}
}

// unreachable are upstreams that no connection, or no trusted one, leads to.
func unreachable() []fault {
	f := func(name string) fault {
		return fault{name: name, status: 503, errorType: "ServiceUnavailableException", legs: 3}
	}
	return []fault{f("down"), f("tls"), f("dns")}
}

// TestUpstreamFaults breaks answers in every way that a socket allows, while
// good requests go on beside them.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel() // it mostly waits
	faults := upstreamFaults(t)
	plays := map[string]harness.Play{"good": writes(answerWith(200, jsonHeader, okBody))}
	for _, f := range faults {
		plays["fault."+f.name] = f.play
	}
	upstream := harness.StartScripted(t, plays)
	key := harness.NewKey(t, "acme")
	const retry = "retry: {base_delay: 1ms, max_delay: 2ms, budget_percent: 100}"
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, %s}
upstreams:
  down: {region: us-east-1, endpoint: "http://%s", %[2]s}
  tls: {region: us-east-1, endpoint: "https://%[4]s", %[2]s}
  dns: {region: us-east-1, endpoint: "http://nowhere.invalid", %[2]s}
model_upstreams: {fault.down: down, fault.tls: tls, fault.dns: dns}
timeouts: {first_byte: 3s, idle: %[6]v}
tenants: [{id: acme, keys: [%[5]s]}]
`, upstream.URL(), retry, harness.FreeAddr(t), upstream.Addr, key.KeyID, idle)})
	faults = append(faults, unreachable()...)
	before := gw.Metric("go_goroutines")

	stop, neighbours := make(chan struct{}), sync.WaitGroup{}
	var good int64
	neighbours.Go(func() {
		for ; ; good++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := post(gw, key, "/model/good/converse", ask); err != nil {
				t.Errorf("a good request beside the faults: %v", err)
			}
		}
	})
	var all sync.WaitGroup
	for _, f := range faults {
		all.Go(func() { f.check(t, gw, key) })
	}
	all.Wait()
	close(stop)
	neighbours.Wait()
	checkFaultReport(t, gw, faults, good)
	harness.Eventually(t, time.Minute, func() (bool, string) {
		now, inFlight := gw.Metric("go_goroutines"), gw.Metric("sluice_requests_in_flight")
		// Kept connections to upstream and callers have a goroutine or two each.
		return inFlight == 0 && now <= before+60, fmt.Sprintf("%v goroutines, %v before, %v requests in flight", now, before,
			inFlight)
	})
}

func (f *fault) check(t *testing.T, gw *harness.Gateway, key harness.Key) {
	t.Helper()
	operation := "/converse"
	if f.stream {
		operation += "-stream"
	}
	got := gw.Post(t, key.BearerCredential, "/model/fault."+f.name+operation, ask)
	errorType, _, _ := strings.Cut(got.Header.Get("x-amzn-errortype"), ":")
	if got.Status != f.status || errorType != f.errorType {
		t.Errorf("%s: %d %s, want %d %s: %s", f.name, got.Status, errorType, f.status, f.errorType, got.Body)
		return
	}
	if f.body != nil && !bytes.Equal(got.Body, f.body) {
		t.Errorf("%s: the body differs:\n got %q\nwant %q", f.name, got.Body, f.body)
	}
	if f.status != http.StatusOK && !bytes.HasPrefix(got.Body, []byte(`{"message":"`)) {
		t.Errorf("%s: not a Bedrock error: %s", f.name, got.Body)
	}
	if f.stream && f.status == http.StatusOK {
		if names := strings.Join(harness.Exceptions(t, got.Body), ","); names != f.exceptions {
			t.Errorf("%s: exception frames %q, want %q", f.name, names, f.exceptions)
		}
	}
}

func checkFaultReport(t *testing.T, gw *harness.Gateway, faults []fault, good int64) {
	t.Helper()
	want := map[string]harness.Row{"good": {Requests: good, Legs: good, Input: 3 * good, Output: 2 * good}}
	for _, f := range faults {
		want["fault."+f.name] = harness.Row{Requests: 1, Legs: f.legs, Input: f.known, Output: f.known / 3 * 2,
			Unknown: f.unknown}
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		var wrong []string
		for _, row := range rows {
			got := harness.Row{Requests: row.Requests, Legs: row.Legs, Input: row.Input, Output: row.Output,
				Unknown: row.Unknown}
			if got != want[row.Model] {
				wrong = append(wrong, fmt.Sprintf("%s: %+v, want %+v", row.Model, got, want[row.Model]))
			}
		}
		return len(wrong) == 0 && len(rows) == len(want), strconv.Itoa(len(rows)) + " rows\n" + strings.Join(wrong, "\n")
	})
}

// TestLostOnKeptConnection (E9) ends a kept connection when the next request is on it:
// that may be billed, so it is not sent again, the caller gets an error that no SDK
// repeats, and the books have it as unknown. No other request may be about, because it
// could take the kept connection.
func TestLostOnKeptConnection(t *testing.T) {
	ok := writes(answerWith(200, jsonHeader, okBody))
	end := func(*net.TCPConn, int) bool { return false }
	upstream := harness.StartScripted(t, map[string]harness.Play{"stale": inTurn(ok, end, ok)})
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), key.KeyID)})
	for i, want := range []int{200, 424, 200} {
		got := gw.Post(t, key.BearerCredential, "/model/stale/converse", ask)
		if got.Status != want || want == 200 && string(got.Body) != okBody {
			t.Errorf("request %d: %d %s", i, got.Status, got.Body)
		}
	}
	want := harness.Row{Requests: 3, Legs: 3, Input: 6, Output: 4, Unknown: 1}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := gw.Report("model")
		if len(rows) != 1 {
			return false, fmt.Sprintf("%+v", rows)
		}
		row := rows[0]
		got := harness.Row{Requests: row.Requests, Legs: row.Legs, Input: row.Input, Output: row.Output, Unknown: row.Unknown}
		return got == want, fmt.Sprintf("%+v, want %+v", got, want)
	})
}

// TestBreaker fails one model until its breaker opens: the model is left alone,
// others are not, and when it is well again it is found out.
func TestBreaker(t *testing.T) {
	t.Parallel() // it mostly waits
	const failures = 3
	upstream := harness.StartScripted(t, map[string]harness.Play{
		"good": writes(answerWith(200, jsonHeader, okBody)),
		"ill":  inTurn(writes(nil), writes(nil), writes(nil), writes(answerWith(200, jsonHeader, okBody))),
	})
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, breaker: {failures: %d, open_for: 5s}}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL(), failures, key.KeyID)})
	ask := func(model string) harness.Answer {
		return gw.Post(t, key.BearerCredential, "/model/"+model+"/converse", ask)
	}
	state := func() float64 { return gw.Metric(`sluice_breaker_state{model="ill",upstream=""}`) }
	for range failures {
		ask("ill")
	}
	got := ask("ill")
	if got.Status != 503 || !bytes.Contains(got.Body, []byte("left alone")) || upstream.Calls("ill") != failures ||
		state() != 2 {
		t.Errorf("an open breaker: %d %s after %d calls upstream, metric %v", got.Status, got.Body, upstream.Calls("ill"),
			state())
	}
	if got := ask("good"); got.Status != 200 {
		t.Errorf("another model: %d %s", got.Status, got.Body)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		got := ask("ill")
		return got.Status == 200 && state() == 0, fmt.Sprintf("%d %s, metric %v", got.Status, got.Body, state())
	})
	harness.Eventually(t, time.Minute, func() (bool, string) {
		for _, row := range gw.Report("model") {
			if row.Model == "ill" && row.Unknown != failures {
				return false, fmt.Sprintf("%+v, want %d unknown: what never left is not", row, failures)
			}
		}
		return true, ""
	})
}
