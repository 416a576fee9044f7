package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Bounds of one event-stream frame, those of botocore; Go's decoder has none.
const (
	maxFrameHeaders = 128 << 10
	maxFramePayload = 24 << 20
	// frameOverhead is the prelude of twelve bytes and the last checksum.
	frameOverhead = 16
	frameBuffer   = 1 << 10  // at first
	mostBatched   = 8 << 10  // of frames that come faster than they are read
	smallBuffer   = 16 << 10 // a buffer up to which nobody is asked for memory
)

// What can be wrong with a frame.
var (
	ErrFrameMalformed = errors.New("wire: malformed event-stream frame")
	ErrFrameChecksum  = errors.New("wire: event-stream checksum mismatch")
	ErrFrameTooLarge  = errors.New("wire: event-stream frame too large")
	ErrFrameNoRoom    = errors.New("wire: no memory for an event-stream frame")
)

// Frame is one event-stream message (application/vnd.amazon.eventstream). It
// points into the bytes that it was parsed from.
type Frame struct {
	Raw, Headers, Payload []byte
	// Data is what a chunk or a server-sent event says, decoded; nil where nobody has decoded it yet.
	Data []byte
}

// ParseFrame checks and splits raw, which must be exactly one frame. It fails
// with ErrFrameMalformed, ErrFrameChecksum or ErrFrameTooLarge.
func ParseFrame(raw []byte) (Frame, error) {
	if len(raw) < frameOverhead {
		return Frame{}, ErrFrameMalformed
	}
	total, err := frameLength(raw)
	if err != nil {
		return Frame{}, err
	}
	if total != len(raw) {
		return Frame{}, ErrFrameMalformed
	}
	end := total - 4
	if crc32.ChecksumIEEE(raw[:end]) != binary.BigEndian.Uint32(raw[end:]) {
		return Frame{}, ErrFrameChecksum
	}
	f := SplitFrame(raw)
	for rest := f.Headers; len(rest) > 0; {
		var ok bool
		if _, rest, ok = nextHeader(rest); !ok {
			return Frame{}, ErrFrameMalformed
		}
	}
	return f, nil
}

// SplitFrame splits a frame that was checked before: by ParseFrame, or by the
// FrameReader that returned it.
func SplitFrame(raw []byte) Frame {
	headers, end := 12+int(binary.BigEndian.Uint32(raw[4:])), len(raw)-4
	return Frame{Raw: raw, Headers: raw[12:headers], Payload: raw[headers:end]}
}

// frameLength reads the length of the frame whose first twelve bytes begin
// prelude, after checking them.
func frameLength(prelude []byte) (int, error) {
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return 0, ErrFrameChecksum
	}
	total, headers := binary.BigEndian.Uint32(prelude), binary.BigEndian.Uint32(prelude[4:])
	switch {
	case headers > maxFrameHeaders || total > maxFrameHeaders+maxFramePayload+frameOverhead:
		return 0, ErrFrameTooLarge
	case total < headers+frameOverhead:
		return 0, ErrFrameMalformed
	case total-headers-frameOverhead > maxFramePayload:
		return 0, ErrFrameTooLarge
	}
	return int(total), nil
}

// header is one header of a frame. value is set for strings only.
type header struct{ name, value []byte }

// Types of header values that begin with their length.
const (
	headerBytes  = 6
	headerString = 7
)

// headerSizes is the length of the values of the other types.
var headerSizes = [...]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

func nextHeader(b []byte) (h header, rest []byte, ok bool) {
	if len(b) < 2 || b[0] == 0 || len(b) < 2+int(b[0]) {
		return h, nil, false
	}
	h.name, b = b[1:1+b[0]], b[1+b[0]:]
	kind := b[0]
	b = b[1:]
	size := 0
	switch {
	case kind == headerBytes || kind == headerString:
		if len(b) < 2 {
			return h, nil, false
		}
		size, b = int(binary.BigEndian.Uint16(b)), b[2:]
	case int(kind) < len(headerSizes):
		size = headerSizes[kind]
	default:
		return h, nil, false
	}
	if len(b) < size {
		return h, nil, false
	}
	if kind == headerString {
		h.value = b[:size:size]
	}
	return h, b[size:], true
}

// Header returns the value of the string header called name. It allocates only
// for values that are not among words.
func (f Frame) Header(name string) (string, bool) {
	v, ok := f.header(name)
	return intern(v), ok
}

// Is reports whether the string header called name has a value.
func (f Frame) Is(name, value string) bool {
	v, ok := f.header(name)
	return ok && string(v) == value
}

func (f Frame) header(name string) ([]byte, bool) {
	for rest := f.Headers; len(rest) > 0; {
		h, next, ok := nextHeader(rest)
		if !ok {
			return nil, false
		}
		if string(h.name) == name && h.value != nil {
			return h.value, true
		}
		rest = next
	}
	return nil, false
}

// FrameReader reads frames from a stream of bytes. Its buffer grows to the
// largest frame and is reused.
type FrameReader struct {
	// Memory is asked for room for large frames; nil gives any.
	Memory Memory
	// Buffered is how many bytes can be read without waiting, or less; nil is 0.
	Buffered func() int

	r          io.Reader
	buf        []byte
	start, end int // bytes that were read but not returned
	err        error
}

// Memory is what large buffers are taken from.
type Memory interface {
	// Grow takes n bytes more, or reports that they are not there.
	Grow(n int64) bool
}

// Room asks m for a buffer of size bytes in the place of one of have bytes, and reports
// whether it is there. Small buffers count with their request. A nil m gives any.
func Room(m Memory, have, size int64) bool {
	if m == nil || size <= smallBuffer {
		return true
	}
	if have > smallBuffer { // and was asked for
		size -= have
	}
	return m.Grow(size)
}

// NewFrameReader returns a reader of r's frames.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: r} }

// Next returns the next whole frame, its checksums verified, as soon as its
// last byte has arrived. It stays valid until the following call. Next returns
// io.EOF after the last frame, io.ErrUnexpectedEOF when the stream ends inside
// one, an ErrFrame… for bad bytes or no room, or the reader's error.
func (fr *FrameReader) Next() ([]byte, error) {
	if err := fr.fill(12); err != nil {
		return nil, err
	}
	n, err := frameLength(fr.buf[fr.start:])
	if err != nil {
		return nil, err
	}
	if err := fr.fill(n); err != nil {
		return nil, err
	}
	raw := fr.buf[fr.start : fr.start+n : fr.start+n]
	if _, err := ParseFrame(raw); err != nil {
		return nil, err
	}
	fr.start += n
	return raw, nil
}

// Ready reports whether Next returns without waiting: the next frame, or what is wrong with it, has
// come. What Next returned before is not valid after that.
func (fr *FrameReader) Ready() bool {
	for {
		missing := fr.missing()
		if missing == 0 || fr.err != nil || fr.Buffered == nil || fr.Buffered() == 0 ||
			!fr.room(fr.end-fr.start+missing) {
			return missing == 0
		}
		fr.read()
	}
}

// missing is how many bytes are not in the buffer yet of the next frame, or of its beginning.
func (fr *FrameReader) missing() int {
	have := fr.buf[fr.start:fr.end]
	if len(have) < 12 {
		return 12 - len(have)
	}
	n, err := frameLength(have)
	if err != nil {
		return 0
	}
	return max(n-len(have), 0)
}

// fill reads until the buffer has n bytes. It reads nothing when it has them.
func (fr *FrameReader) fill(n int) error {
	for empty := 0; fr.end-fr.start < n; {
		if fr.err != nil {
			return fr.failure()
		}
		if !fr.room(n) {
			fr.err = ErrFrameNoRoom
			return fr.err
		}
		got := fr.read()
		if empty++; got > 0 {
			empty = 0
		}
		if empty == 100 && fr.err == nil {
			fr.err = io.ErrNoProgress
		}
	}
	return nil
}

// read reads once into the room that there is.
func (fr *FrameReader) read() int {
	n, err := fr.r.Read(fr.buf[fr.end:])
	fr.end, fr.err = fr.end+n, err
	return n
}

func (fr *FrameReader) failure() error {
	if errors.Is(fr.err, io.EOF) && fr.end > fr.start {
		return io.ErrUnexpectedEOF
	}
	return fr.err
}

// room makes space for a frame of n bytes. The buffer grows with the bytes that
// arrive, not with the length that a frame announces: when a frame does not fit,
// and a little when a read has filled it, for then more is waiting. It reports false
// when there is no memory for that.
func (fr *FrameReader) room(n int) bool {
	full := fr.end == len(fr.buf) && fr.end < mostBatched
	if fr.start > 0 && (fr.start == fr.end || fr.start+n > len(fr.buf)) {
		fr.end = copy(fr.buf, fr.buf[fr.start:fr.end])
		fr.start = 0
	}
	if fr.end < len(fr.buf) && !full {
		return true
	}
	size := max(frameBuffer, 2*len(fr.buf))
	if !Room(fr.Memory, int64(len(fr.buf)), int64(size)) {
		return false
	}
	grown := make([]byte, size)
	copy(grown, fr.buf[:fr.end])
	fr.buf = grown
	return true
}

// AppendFrame appends one frame with string headers. Names must be at most 255
// bytes long and values at most 32,767.
func AppendFrame(dst []byte, headers []Field, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 12)...)
	for _, h := range headers {
		if h.Name == "" || len(h.Name) > 255 || len(h.Value) > 32767 {
			panic("BUG: event-stream header out of bounds: " + h.Name)
		}
		dst = append(append(dst, byte(len(h.Name))), h.Name...)
		dst = append(dst, headerString, byte(len(h.Value)>>8), byte(len(h.Value)))
		dst = append(dst, h.Value...)
	}
	headerLen := len(dst) - start - 12
	dst = append(dst, payload...)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start+4))
	binary.BigEndian.PutUint32(dst[start+4:], uint32(headerLen))
	binary.BigEndian.PutUint32(dst[start+8:], crc32.ChecksumIEEE(dst[start:start+8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}

// ExceptionFrame is e as an exception frame, which ends a stream. Its name is one that all SDKs know.
func ExceptionFrame(e *Error) Frame {
	headers := [...]Field{
		{":exception-type", e.ExceptionName()},
		{":content-type", "application/json"},
		{":message-type", "exception"},
	}
	return SplitFrame(AppendFrame(nil, headers[:], e.AppendJSON(nil)))
}

// EventSSE is the :event-type of a frame whose payload is a server-sent event, as it came. Upstreams answer with such
// events on OpenAI's paths; as frames they pass like all other streams.
const EventSSE = "server-sent-event"

// AppendEvent appends the frame of a server-sent event: its lines, with the empty one that ends it.
func AppendEvent(dst, event []byte) []byte {
	headers := [...]Field{{":event-type", EventSSE}, {":message-type", "event"}}
	return AppendFrame(dst, headers[:], event)
}

// AppendEventData appends the data of a server-sent event, without line feeds between its lines, which are white space
// in JSON. It appends nothing for one without data.
func AppendEventData(dst, event []byte) []byte {
	for line := range bytes.FieldsFuncSeq(event, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			dst = append(dst, bytes.TrimPrefix(data, []byte(" "))...)
		}
	}
	return dst
}

// AppendChunk appends the decoded bytes of a chunk event of
// InvokeModelWithResponseStream. It appends nothing for other frames and for
// chunks that are not valid.
func AppendChunk(dst []byte, f Frame) []byte {
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(chunkTree, f.Payload)
	m := w.Next()
	if m.Role == 0 || m.Kind != jsonscan.String {
		return dst
	}
	quoted := f.Payload[m.Start:m.End]
	raw := quoted[1 : len(quoted)-1]
	if m.Shrink > 0 {
		raw = jsonscan.AppendString(nil, quoted) // "\/" is allowed in JSON
	}
	out, err := base64.StdEncoding.AppendDecode(dst, raw)
	if err != nil {
		return dst
	}
	return out
}

// envelope are members whose strings describe an event and are not written by the
// model.
var envelope = []string{
	"type", "id", "object", "model", "role", "event", "event_type", "system_fingerprint", "service_tier", "logprobs",
	"stop_reason", "stopReason", "finish_reason", "completionReason", "amazon-bedrock-guardrailAction",
}

// spokenBytes is how many bytes of text a chunk of any family carries: at least as
// many as it has tokens, because a token of text is at least one byte. A chunk
// that is not JSON counts whole.
func spokenBytes(chunk []byte) int64 {
	var s jsonscan.Scanner
	s.Reset(chunk)
	n, skip := int64(0), false
	for t := s.Next(); ; t = s.Next() {
		switch t.Kind {
		case jsonscan.End:
			return n
		case jsonscan.Invalid:
			return int64(len(chunk))
		case jsonscan.Key:
			skip = slices.Contains(envelope, string(chunk[t.Start+1:t.End-1]))
		case jsonscan.String:
			if !skip {
				n += int64(t.TextLen())
			}
		case jsonscan.BeginObject, jsonscan.BeginArray:
			skip = false
		}
	}
}

// words are strings that are frequent in answers and streams, kept so that
// reading one does not allocate.
var words = func() map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(`default priority flex reserved standard optimized 5m 1h
		end_turn tool_use max_tokens stop_sequence guardrail_intervened content_filtered malformed_model_output
		malformed_tool_use model_context_window_exceeded refusal pause_turn stop length tool_calls content_filter
		FINISH LENGTH COMPLETE MAX_TOKENS STOP_SEQUENCE CONTENT_FILTERED endoftext
		event exception error application/json chunk messageStart contentBlockStart contentBlockDelta
		contentBlockStop messageStop metadata internalServerException modelStreamErrorException
		validationException throttlingException modelTimeoutException serviceUnavailableException`) {
		m[w] = w
	}
	return m
}()

func intern(b []byte) string {
	if w, ok := words[string(b)]; ok {
		return w
	}
	return string(b)
}

// textOf returns the meaning of a JSON string, quotes included in quoted.
func textOf(quoted []byte, shrink int) string {
	if shrink > 0 {
		return string(jsonscan.AppendString(nil, quoted))
	}
	return intern(quoted[1 : len(quoted)-1])
}
