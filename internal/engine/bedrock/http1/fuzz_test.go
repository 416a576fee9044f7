package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// FuzzAnswer reads arbitrary bytes as an answer. Whatever we accept, net/http
// accepts too, with the same status and body: we are only ever stricter.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		ok("hello"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nrest", "HTTP/1.0 404 x\r\nA:  b \r\n\r\n", "HTTP/1.1 204 \r\n\r\n",
		"HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		status, body, err := readWhole(data)
		if err != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), &http.Request{Method: "POST"})
		if err != nil {
			t.Fatalf("accepted what net/http refuses: %v", err)
		}
		want, err := io.ReadAll(theirs.Body)
		if err != nil || theirs.StatusCode != status || !bytes.Equal(want, body) {
			t.Fatalf("status %d body %q, net/http %d %q %v", status, body, theirs.StatusCode, want, err)
		}
	})
}

// readWhole reads one final answer from memory.
func readWhole(data []byte) (int, []byte, error) {
	r := bufio.NewReaderSize(bytes.NewReader(data), readBuffer)
	h, err := readHead(r, nil)
	if err != nil {
		return 0, nil, err
	}
	if h.status < 200 {
		return 0, nil, errors.New("interim")
	}
	c := &Client{options: Options{Now: time.Now}}
	c.pool = pool{now: time.Now, closed: true, open: 1}
	x := &exchange{client: c, conn: &conn{raw: nowhere{}, net: nowhere{}, r: r}}
	x.ctx = context.Background()
	x.body.begin(x, h)
	body, err := x.body.ReadAll(1<<16, nil)
	var failed *engine.Error
	if err != nil && !errors.As(err, &failed) {
		panic("BUG: not an *engine.Error")
	}
	return h.status, body, err
}
