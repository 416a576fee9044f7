package bedrock

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Server-sent events come as they were sent, each in a frame, wherever reads end; what is cut off is no event.
func TestServerSentEvents(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(body), "bytes": iotest.OneByteReader(strings.NewReader(body)),
			"end at once": iotest.DataErrReader(strings.NewReader(body)),
		} {
			h := wire.Header{{Name: "content-type", Value: "text/event-stream; charset=utf-8"}}
			frames := framesIn(wire.OpChatStream, h, bufio.NewReader(r), nil)
			var got []string
			raw, err := frames.Next()
			for ; err == nil; raw, err = frames.Next() {
				got = append(got, string(wire.SplitFrame(raw).Payload))
			}
			end := "whole"
			if !errors.Is(err, io.EOF) {
				end = "cut"
			}
			if got = append(got, end); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("%s %q: %q", name, body, got)
			}
		}
	}
	f("", "whole")
	f("data: a\n\ndata: [DONE]\n\n", "data: a\n\n", "data: [DONE]\n\n", "whole")
	f("event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", "event: x\r\ndata: a\r\n\r\n", "data: b\r\n\r\n", "whole")
	f(": keep-alive\n\ndata: a\rdata: b\r\r", ": keep-alive\n\n", "data: a\rdata: b\r\r", "whole")
	f("data: a\n\ndata: b\n", "data: a\n\n", "data: b\n\n", "whole") // the last line ends, and so does the event
	f("data: a\n\ndata: b", "data: a\n\n", "cut")
	f(strings.Repeat("data: "+strings.Repeat("x", 9000)+"\n\n", 2), "data: "+strings.Repeat("x", 9000)+"\n\n",
		"data: "+strings.Repeat("x", 9000)+"\n\n", "whole")
}

// An event that never ends does not fill the memory.
func TestEndlessEvent(t *testing.T) {
	h := wire.Header{{Name: "content-type", Value: "text/event-stream"}}
	endless := strings.NewReader(strings.Repeat("x", mostEvent+1))
	body := bufio.NewReader(endless)
	if _, err := framesIn(wire.OpResponseStream, h, body, nil).Next(); !errors.Is(err, wire.ErrFrameTooLarge) {
		t.Error(err)
	}
	if framesIn(wire.OpConverseStream, h, body, nil) != nil {
		t.Error("Converse answers with frames of its own")
	}
}
