package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// frame is one event-stream message.
func frame(messageType, name, payload string, more ...eventstream.Header) []byte {
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers = append(m.Headers, more...)
	m.Headers.Set(":"+messageType+"-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	m.Headers.Set(":message-type", eventstream.StringValue(messageType))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		panic("BUG: a frame that cannot be encoded: " + err.Error())
	}
	return b.Bytes()
}

// frames are a stream that a gateway must not understand to pass on: hostile JSON, an event and a field of tomorrow.
func frames() [][]byte {
	return [][]byte{
		frame("event", "messageStart", `{"p":"abcd","role":"assistant"}`),
		frame("event", "contentBlockDelta", `{"zeta":0.20,"delta":{"text":"\u00e9\/"},"contentBlockIndex":0,"zeta":2}`,
			eventstream.Header{Name: ":of-tomorrow", Value: eventstream.Int64Value(7)}),
		frame("event", "eventOfTomorrow", `{"n":12345678901234567890123}`),
		frame("event", "contentBlockStop", `{"contentBlockIndex":0}`),
		frame("event", "messageStop", `{"stopReason":"end_turn"}`),
		frame("event", "metadata", `{"metrics":{"latencyMs":1E1},"usage":{"inputTokens":11,"outputTokens":7,"totalTokens":18}}`),
	}
}

// stream answers with frames and what then does; step is called before each.
func stream(parts [][]byte, step func(i int) bool) func(w http.ResponseWriter, e *exchange) {
	return func(w http.ResponseWriter, _ *exchange) {
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		flush := http.NewResponseController(w)
		for i, part := range parts {
			if step != nil && !step(i) {
				return
			}
			if _, err := w.Write(part); err != nil {
				return
			}
			if flush.Flush() != nil {
				return
			}
		}
	}
}

func streamChecks() []check {
	return []check{
		{"streams/bytes", "Frames come as they were sent: fields, payloads and events that nobody knows.",
			func(s *suite) (string, error) {
				err := s.echo(novaModel, "converse-stream", plain, stream(frames(), nil))
				return fmt.Sprintf("%d frames, identical", len(frames())), err
			}},
		{"streams/at-once", "Each frame is with the caller before the next one is sent.", frameByFrame},
		{"streams/exception", "An exception within a stream reaches the caller as the frame that it was.", exception},
		{"streams/cut", "A stream that broke off ends with an error at the caller, never as if it were whole.", cutStream},
		{"streams/error-first", "An error before the first frame is an answer with its status, not a stream.", errorFirst},
	}
}

// frameByFrame sends the next frame only when the caller has the one before.
func frameByFrame(s *suite) (string, error) {
	parts := frames()
	got := make(chan struct{}, len(parts))
	late := make(chan int, len(parts))
	v := s.up.expect(stream(parts, func(i int) bool {
		if i == 0 || len(late) > 0 {
			return true
		}
		select {
		case <-got:
			return true
		case <-time.After(s.wait):
			late <- i
			return true
		}
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	res, err := s.begin(ctx, request{path: path(novaModel, "converse-stream"), body: plain(v.mark)})
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", res.StatusCode)
	}
	for i, part := range parts {
		if _, err := io.ReadFull(res.Body, make([]byte, len(part))); err != nil {
			return "", fmt.Errorf("frame %d: %w", i, err)
		}
		got <- struct{}{}
	}
	select {
	case i := <-late:
		return "", fmt.Errorf("frame %d had not come after %v, while the upstream waited", i-1, s.wait)
	default:
		return fmt.Sprintf("%d frames, each before the next", len(parts)), nil
	}
}

func exception(s *suite) (string, error) {
	parts := append(frames()[:2:2], frame("exception", "modelStreamErrorException",
		`{"message":"The model broke off.","originalStatusCode":500,"n":0.20}`))
	err := s.echo(novaModel, "converse-stream", plain, stream(parts, nil))
	return "modelStreamErrorException after 2 frames, identical", err
}

func cutStream(s *suite) (string, error) {
	parts := frames()
	var ways []string
	for name, sent := range map[string][]byte{"between frames": bytes.Join(parts[:2], nil),
		"within a frame": bytes.Join(parts[:3], nil)[:len(parts[0])+len(parts[1])+9]} {
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(sent), sent)
		v := s.up.expect(cut(head))
		a, err := s.ask(request{path: path(troubleModel, "converse-stream"), body: plain(v.mark)})
		if _, often := v.once(); often != nil {
			return "", often
		}
		how, shown := endOf(a, err)
		if !shown {
			return "", fmt.Errorf("cut %s, the stream ends as if it were whole", name)
		}
		ways = append(ways, name+": "+how)
	}
	return strings.Join(ways, "; "), nil
}

// endOf says how a caller sees that a stream broke off.
func endOf(a answer, err error) (how string, shown bool) {
	switch {
	case err != nil || a.cut != nil:
		return "the connection ends", true
	case a.status != http.StatusOK:
		return fmt.Sprintf("status %d", a.status), true
	}
	for r := bytes.NewReader(a.body); r.Len() > 0; {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			return "half a frame", true
		}
		if kind := m.Headers.Get(":exception-type"); kind != nil {
			return kind.String(), true
		}
	}
	return "", false
}

func errorFirst(s *suite) (string, error) {
	v := s.up.expect(reply(http.StatusBadRequest, map[string]string{"x-amzn-ErrorType": "ValidationException"},
		`{"message":"no"}`))
	a, err := s.ask(request{path: path(novaModel, "converse-stream"), body: plain(v.mark)})
	if err != nil {
		return "", err
	}
	if a.status != http.StatusBadRequest || string(a.body) != `{"message":"no"}` {
		return "", fmt.Errorf("status %d: %s", a.status, clip(a.body))
	}
	return "400 ValidationException", nil
}

func hangupChecks() []check {
	return []check{
		{"callers/hang-up", "When a caller leaves a stream, it is read to its end or closed within 10 s, and asked once.",
			hangUp},
		{"callers/crowd", "Fifty callers who leave at once do not hold up the next one.", crowd},
	}
}

// hangUp leaves after the first frame. Some 30 MB follow, which no socket holds for somebody who does not read.
func hangUp(s *suite) (string, error) {
	parts := frames()
	chunk := frame("event", "contentBlockDelta",
		`{"contentBlockIndex":0,"delta":{"text":"`+strings.Repeat("word ", 6_000)+`"}}`)
	long := append([][]byte{parts[0]}, repeat(chunk, 1_000)...)
	long = append(long, parts[3:]...)
	left, ended := make(chan struct{}), make(chan string, 1)
	v := s.up.expect(func(w http.ResponseWriter, e *exchange) {
		sent := 0
		stream(long, func(i int) bool {
			if i == 1 {
				<-left
			}
			sent = i + 1
			return true
		})(w, e)
		how := "closed"
		if sent == len(long) {
			how = "read to its end"
		}
		select {
		case ended <- how:
		default: // asked again, which once finds
		}
	})
	if err := s.leave(v, len(parts[0]), func() {}); err != nil {
		close(left)
		return "", err
	}
	close(left)
	select {
	case how := <-ended:
		_, err := v.once()
		return how + ", asked once", err
	case <-time.After(s.wait):
		return "", fmt.Errorf("after %v the upstream's stream was neither read nor closed", s.wait)
	}
}

func repeat(part []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, part)
	}
	return all
}

// leave reads n bytes of a stream, waits and goes away.
func (s *suite) leave(v *visit, n int, wait func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := s.begin(ctx, request{path: path(novaModel, "converse-stream"), body: plain(v.mark)})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err = io.ReadFull(res.Body, make([]byte, n)); err == nil {
		wait()
	}
	return err
}

func crowd(s *suite) (string, error) {
	const callers = 50
	gone := make(chan struct{})
	parts := frames()
	var here sync.WaitGroup // until all are served, or not
	here.Add(callers)
	err := atOnce(callers, func(int) error {
		done := sync.OnceFunc(here.Done)
		defer done()
		v := s.up.expect(stream(parts, func(i int) bool {
			if i == 1 {
				<-gone
			}
			return true
		}))
		return s.leave(v, len(parts[0]), func() { done(); here.Wait() })
	})
	defer close(gone)
	if err != nil {
		return "", err
	}
	began := time.Now()
	v := s.up.expect(nil)
	if _, err := s.whole(request{path: path(novaModel, "converse"), body: plain(v.mark)}); err != nil {
		return "", err
	}
	took := time.Since(began)
	if took > s.wait {
		return "", fmt.Errorf("the next caller waited %v", took)
	}
	return "the next caller was answered", nil
}

func jsonMessage(body []byte) bool {
	var e map[string]any
	if json.Unmarshal(body, &e) != nil {
		return false
	}
	message, _ := e["message"].(string)
	if message == "" {
		message, _ = e["Message"].(string)
	}
	return message != ""
}
