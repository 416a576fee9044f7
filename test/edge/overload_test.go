package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// messages is how many a stream has. Those of real answers have hundreds.
const messages = 300

// quickUpstream answers each request with a stream, or with an answer, as
// cheaply as it can.
func quickUpstream(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	usage := `{"usage":{"inputTokens":5,"outputTokens":300,"totalTokens":305},"metrics":{"latencyMs":3}`
	stream := harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	for range messages - 4 {
		stream = append(stream, harness.EncodeFrame(t, "event", "contentBlockDelta",
			`{"contentBlockIndex":0,"delta":{"text":" a piece of text"}}`)...)
	}
	stream = append(stream, harness.EncodeFrame(t, "event", "contentBlockStop", `{"contentBlockIndex":0}`)...)
	stream = append(stream, harness.EncodeFrame(t, "event", "messageStop", `{"stopReason":"end_turn"}`)...)
	stream = append(stream, harness.EncodeFrame(t, "event", "metadata", usage+"}")...)
	answer := usage + `,"stopReason":"end_turn","output":{"message":{"role":"assistant","content":[{"text":"` +
		strings.Repeat("words ", 200) + `"}]}}}`
	whole := func(kind, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
	}
	answers := map[bool]string{
		true: whole("application/vnd.amazon.eventstream", string(stream)), false: whole("application/json", answer),
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, answers)
		}
	}()
	return "http://" + ln.Addr().String()
}

func answerAll(c net.Conn, answers map[bool]string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		head, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil {
			return
		}
		length, _ := strconv.Atoi(head.Get("Content-Length"))
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := io.WriteString(c, answers[strings.Contains(line, "-stream ")]); err != nil {
			return
		}
	}
}

// overload is E11. The gateway has one processor, its callers and its upstream the other.
func overload() row {
	return row{
		name: "E11 overload",
		goal: "5 × the sustainable rate for 60 s, open loop",
		must: "goodput ≥ 80 % of peak, rejects within 5 ms p99, normal again within 2 s",
		run: func(t *testing.T, m *measured) {
			key := harness.NewKey(t, "acme")
			g := harness.Start(t, harness.Config{Env: []string{"GOMAXPROCS=1"}, YAML: fmt.Sprintf(
				"upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n", quickUpstream(t), key.KeyID,
			)})
			refuses := time.Now().Add(2 * time.Second) // a gateway that has just begun refuses nobody
			t.Cleanup(pin(t, os.Getpid(), 1))
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			pin(t, g.Pid(), 0)
			l := newLoad(g.Addr, streamTarget, key, ask)
			defer l.close()
			peak, part := 0.0, time.Duration(m.of(3000, 200))*time.Millisecond
			for _, callers := range []int{8, 32, 64} {
				peak = max(peak, l.closed(callers, part, http.StatusOK)/part.Seconds())
			}
			l.warm(m.of(8192, 1024))
			time.Sleep(time.Until(refuses))
			used := processor(t, g.Pid())
			lasting := time.Duration(m.of(60_000, 1500)) * time.Millisecond
			began := time.Now()
			l.open(5*peak, lasting)
			ended := time.Now()
			lasting = ended.Sub(began)
			used = processor(t, g.Pid()) - used
			during := l.take()
			m.note("the gateway used %.0f %% of a processor", 100*used.Seconds()/lasting.Seconds())
			l.open(peak/2, time.Duration(m.of(5000, 2500))*time.Millisecond)
			time.Sleep(100 * time.Millisecond) // for the last answers
			report(t, m, peak, lasting, during, sinceTrouble(l.take(), ended))
			m.note("%d connections", l.opened.Load())
		},
	}
}

// sinceTrouble is how long after a moment the last request was due that was not answered
// with 200 within 100 ms.
func sinceTrouble(all []answered, moment time.Time) (last time.Duration) {
	for _, r := range all {
		if r.due.After(moment) && (r.status != 200 || r.took > 100*time.Millisecond) {
			last = max(last, r.due.Sub(moment))
		}
	}
	return last
}

// report judges what was answered under overload.
func report(t *testing.T, m *measured, peak float64, lasting time.Duration, all []answered, again time.Duration) {
	var good, rejected, behind, unread []time.Duration
	others := 0
	for _, r := range all {
		behind, unread = append(behind, r.behind), append(unread, r.unread)
		switch {
		case r.status == 200:
			good = append(good, r.took)
		case r.status == 503 && r.later:
			rejected = append(rejected, r.took)
		default:
			others++
		}
	}
	goodput := float64(len(good)) / lasting.Seconds() / peak
	m.note("peak %.0f/s; %.0f/s offered, of them %.0f/s rejected; goodput %.0f %% of peak", peak,
		float64(len(all))/lasting.Seconds(), float64(len(rejected))/lasting.Seconds(), 100*goodput)
	m.note("rejects p50 %.1f ms, p99 %.1f ms; good ones p99 %.0f ms; normal again after %.1f s", at(rejected, .5),
		at(rejected, .99), at(good, .99), again.Seconds())
	m.note("of the load itself: late by p99 %.1f ms, read answers late by p99 %.1f ms", at(behind, .99), at(unread, .99))
	if others > 0 {
		t.Errorf("%d answers were neither good nor rejected", others)
	}
	missed := len(rejected) == 0 || goodput < .8 || at(rejected, .99) > 5 || again > 2*time.Second
	if m.whole && missed { // a part is too short to tell
		t.Errorf("goodput %.2f, rejects %.1f ms, normal after %v", goodput, at(rejected, .99), again)
	}
}

// at is a quantile in milliseconds.
func at(all []time.Duration, share float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
}
