package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestFrameVectors(t *testing.T) {
	dir := shared(t, "vectors", "eventstream-aws-sdk-go-v2", "testdata", "encoded")
	check := func(kind string, want int) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, kind, "*"))
		if err != nil || len(files) != want {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = wire.NewFrameReader(bytes.NewReader(raw)).Next()
			if (err == nil) != (kind == "positive") {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	check("positive", 5)
	check("negative", 4)
}

// TestSmithyFrames checks every frame of Smithy's restJson1 event-stream tests.
func TestSmithyFrames(t *testing.T) {
	text, err := os.ReadFile(shared(t, "vectors", "smithy-restjson1", "event-stream.smithy"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`bytes: "([A-Za-z0-9+/=]+)"`).FindAllSubmatch(text, -1) {
		raw, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		want, sdkErr := eventstream.NewDecoder().Decode(bytes.NewReader(raw), nil)
		got, err := wire.ParseFrame(raw)
		if (err == nil) != (sdkErr == nil) {
			t.Fatalf("%s: %v, the SDK says %v", m[1], err, sdkErr)
		}
		if err != nil {
			continue
		}
		n++
		sameFrame(t, got, want)
	}
	if n < 20 {
		t.Errorf("only %d frames", n)
	}
}

func sameFrame(t *testing.T, got wire.Frame, want eventstream.Message) {
	t.Helper()
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("payload %q, want %q", got.Payload, want.Payload)
	}
	seen := map[string]bool{}
	for _, h := range want.Headers {
		v, isString := h.Value.(eventstream.StringValue)
		if !isString || seen[h.Name] {
			continue
		}
		seen[h.Name] = true
		if have, ok := got.Header(h.Name); !ok || have != string(v) {
			t.Errorf("header %s: %q, want %q", h.Name, have, v)
		}
	}
	if _, ok := got.Header(":no-such"); ok {
		t.Error("a header that is not there")
	}
}

func TestAppendFrameReadsInTheSDK(t *testing.T) {
	raw := wire.ExceptionFrame(wire.Errorf(wire.KindModelStream, "the upstream \"broke\"")).Raw
	msg, err := eventstream.NewDecoder().Decode(bytes.NewReader(raw), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := wire.ParseFrame(raw)
	if err != nil {
		t.Fatal(err)
	}
	sameFrame(t, f, msg)
	if name, _ := f.Header(":exception-type"); name != "modelStreamErrorException" {
		t.Errorf("exception %q", name)
	}
	if string(f.Payload) != `{"message":"the upstream \"broke\""}` {
		t.Errorf("payload %s", f.Payload)
	}
}

// TestFrameComesWithItsLastByte feeds a frame and a half through a pipe that
// would block for ever if the reader asked for more than it needs.
func TestFrameComesWithItsLastByte(t *testing.T) {
	one := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"}}, []byte("{}"))
	r, w := io.Pipe()
	taken := make(chan error)
	go func() {
		_, err := w.Write(one[:7])
		if err == nil {
			_, err = w.Write(append(bytes.Clone(one[7:]), one[:9]...))
		}
		taken <- err
	}()
	fr := wire.NewFrameReader(r)
	got, err := fr.Next() // the pipe has 9 bytes of the second frame and no end
	if err != nil || !bytes.Equal(got, one) {
		t.Fatalf("%x, %v", got, err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if _, err := fr.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a frame: %v", err)
	}
}

func TestFrameReaderSplits(t *testing.T) {
	var stream []byte
	var want [][]byte
	for i := range 50 {
		f := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"}}, bytes.Repeat([]byte{'x'}, i*i*20))
		stream, want = append(stream, f...), append(want, f)
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "bytes": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves": iotest.HalfReader(bytes.NewReader(stream)), "data with EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		fr := wire.NewFrameReader(r)
		for i, f := range want {
			got, err := fr.Next()
			if err != nil || !bytes.Equal(got, f) {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
		}
		if _, err := fr.Next(); err != io.EOF {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
}

func TestFrameBounds(t *testing.T) {
	prelude := func(total, headers uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, total)
		b = binary.BigEndian.AppendUint32(b, headers)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	f := func(total, headers uint32, want error) {
		t.Helper()
		r := io.MultiReader(bytes.NewReader(prelude(total, headers)), iotest.ErrReader(errors.New("asked for more")))
		if _, err := wire.NewFrameReader(r).Next(); !errors.Is(err, want) {
			t.Errorf("%d, %d: %v", total, headers, err)
		}
	}
	f(0xffffffff, 0, wire.ErrFrameTooLarge)
	f(0xffffffff, 0xffffffff, wire.ErrFrameTooLarge)
	f(24<<20+17, 0, wire.ErrFrameTooLarge)
	f(16+128<<10+1, 128<<10+1, wire.ErrFrameTooLarge)
	f(15, 0, wire.ErrFrameMalformed)
	f(20, 5, wire.ErrFrameMalformed)
}

func FuzzFrameAgreesWithTheSDK(f *testing.F) {
	f.Add(wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"}, {Name: "a", Value: ""}},
		[]byte(`{"bytes":""}`)))
	f.Add(wire.AppendFrame(nil, nil, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= 16 { // give the fuzzer valid checksums
			raw = bytes.Clone(raw)
			binary.BigEndian.PutUint32(raw, uint32(len(raw)))
			binary.BigEndian.PutUint32(raw[8:], crc32.ChecksumIEEE(raw[:8]))
			binary.BigEndian.PutUint32(raw[len(raw)-4:], crc32.ChecksumIEEE(raw[:len(raw)-4]))
		}
		got, err := wire.ParseFrame(raw)
		want, sdkErr := eventstream.NewDecoder().Decode(bytes.NewReader(raw), nil)
		if err == nil && sdkErr != nil {
			t.Fatalf("%x: accepted, the SDK says %v", raw, sdkErr)
		}
		if err == nil {
			sameFrame(t, got, want)
		}
	})
}

func BenchmarkFrameReader(b *testing.B) {
	one := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "contentBlockDelta"},
		{Name: ":content-type", Value: "application/json"}, {Name: ":message-type", Value: "event"}},
		[]byte(`{"contentBlockIndex":0,"delta":{"text":" of the"},"p":"abcdefghijkl"}`))
	stream := bytes.Repeat(one, 1000)
	b.ReportAllocs()
	fr, left := wire.NewFrameReader(bytes.NewReader(stream)), 1000
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			fr, left = wire.NewFrameReader(bytes.NewReader(stream)), 1000
			b.StartTimer()
		}
		left--
		if _, err := fr.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
