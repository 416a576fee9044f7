package bedrock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// FuzzFrames reads arbitrary bytes as frames. What we accept is the input's own
// bytes, in order, and AWS's decoder accepts it unless it dislikes a header,
// into which we do not look.
func FuzzFrames(f *testing.F) {
	good := frame(f, `{"bytes":"e30="}`)
	f.Add(good)
	f.Add(append(bytes.Clone(good), good...))
	f.Add(good[:len(good)-1])
	f.Add(prelude(16, 0))
	f.Add(prelude(0xffffffff, 0xffffffff))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := frameReader{r: iotest.OneByteReader(bytes.NewReader(data))}
		rest := data
		for {
			got, err := r.next()
			if errors.Is(err, io.EOF) && len(rest) > 0 {
				t.Fatalf("a clean end with %d bytes left", len(rest))
			}
			if err != nil {
				return
			}
			if !bytes.HasPrefix(rest, got) {
				t.Fatalf("frame %x is not what came", got)
			}
			rest = rest[len(got):]
			decode(t, got)
		}
	})
}

func decode(t *testing.T, raw []byte) {
	t.Helper()
	m, err := eventstream.NewDecoder().Decode(bytes.NewReader(raw), nil)
	if binary.BigEndian.Uint32(raw[4:]) > 0 {
		return
	}
	if err != nil || !bytes.Equal(m.Payload, raw[preludeSize:len(raw)-4]) {
		t.Fatalf("AWS's decoder: %v, payload %x", err, m.Payload)
	}
}
