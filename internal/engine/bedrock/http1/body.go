package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Body reads an answer's body as it arrives. It is not safe for concurrent use,
// except Close.
type Body struct {
	x     *exchange
	head  head
	left  int64 // bytes left of a sized body or of the current chunk
	begun bool  // a chunk has been read, so its CRLF is due
	err   error // what every further Read returns
}

func (b *Body) begin(x *exchange, h head) {
	*b = Body{x: x, head: h, left: h.framing.length}
}

// Read returns what has arrived, at the latest when the silence bound has passed.
// It returns io.EOF after a body that ended as its framing says, and the
// connection is then kept; every other error is an *engine.Error.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := 0, b.wait()
	if err == nil {
		n, err = b.read(p)
	}
	if err != nil {
		b.over(err)
	}
	return n, b.err
}

// wait waits for bytes of the answer. A stream that says little spends its life
// here: the fewer calls lie between, the smaller is its stack, which is freed by
// half only when three quarters of it are not used.
func (b *Body) wait() error {
	r, kind, need := b.x.conn.r, b.head.framing.kind, 1
	if kind == chunked && b.begun && b.left == 0 {
		need = len("\r\n") + 1 // the end of the last chunk, and of the next one the beginning
	}
	if r.Buffered() >= need || kind == sized && b.left == 0 {
		return nil
	}
	_, err := r.Peek(need)
	if kind == untilClose {
		return err
	}
	return cutShort(err)
}

// Buffered is how many bytes Read returns without waiting, or less.
func (b *Body) Buffered() int {
	r := b.x.conn.r
	switch {
	case b.err != nil:
		return 0
	case b.head.framing.kind == untilClose:
		return r.Buffered()
	case b.left > 0:
		return int(min(b.left, int64(r.Buffered())))
	case b.head.framing.kind == chunked && b.begun && b.chunkBuffered(r):
		return 1
	}
	return 0
}

// over notes how the body ended.
func (b *Body) over(err error) {
	switch {
	case errors.Is(err, io.EOF):
		b.err = io.EOF
		if !b.x.release(b.head.keepAlive) {
			b.err = b.x.fail(engine.Cancelled, err)
		}
	default:
		b.err = b.x.fail(failureOf(err), err)
	}
}

// Fail ends the exchange because the reader cannot make sense of the body.
func (b *Body) Fail(why engine.Failure, cause error) *engine.Error {
	failed := b.x.fail(why, cause)
	b.err = failed
	return failed
}

// ReadAll reads a body of at most limit bytes, of which those beyond the first few
// count in m, which may be nil. A larger one fails as Corrupt, and one for which there is no
// room as NoRoom.
func (b *Body) ReadAll(limit int64, m wire.Memory) ([]byte, error) {
	if b.head.framing.kind == sized && b.left > limit {
		return nil, b.Fail(engine.Corrupt, errTooLarge)
	}
	size := b.firstSize()
	if !wire.Room(m, 0, size) {
		return nil, b.Fail(engine.NoRoom, errNoRoom)
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			var err *engine.Error
			if buf, err = b.grow(buf, limit, m); err != nil {
				return nil, err
			}
		}
		n, err := b.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

var (
	errTooLarge = errors.New("the answer is larger than the bound")
	errNoRoom   = errors.New("no memory for the answer")
)

// grow makes room behind what was read: for all that was announced once a part of it
// has come, else as much again.
func (b *Body) grow(buf []byte, limit int64, m wire.Memory) ([]byte, *engine.Error) {
	have := int64(len(buf))
	if have > limit {
		return nil, b.Fail(engine.Corrupt, errTooLarge)
	}
	next := min(2*have, limit+1)
	if b.head.framing.kind == sized && have >= wholeAfter {
		next = have + b.left + 1
	}
	if !wire.Room(m, have, next) {
		return nil, b.Fail(engine.NoRoom, errNoRoom)
	}
	return append(make([]byte, 0, next), buf...), nil
}

// wholeAfter is how much of a long answer must have come before its whole length is
// believed.
const wholeAfter = 256 << 10

// firstSize is what to allocate before the body comes: an announced length
// counts up to a bound only. One byte more lets the last Read see the end.
func (b *Body) firstSize() int64 {
	if b.head.framing.kind != sized {
		return 4 << 10
	}
	return min(b.left, wholeAfter) + 1
}

// Close ends the exchange. When the body was not read to its end, the
// connection is closed and a Read that waits fails as Cancelled.
func (b *Body) Close() error {
	b.x.watch.Stop()
	b.x.end(engine.Cancelled)
	return nil
}

// Timing returns what the attempt took so far.
func (b *Body) Timing() engine.Timing { return b.x.timing }

func (b *Body) read(p []byte) (int, error) {
	r := b.x.conn.r
	switch b.head.framing.kind {
	case sized:
		return b.readLeft(r, p)
	case chunked:
		return b.readChunked(r, p)
	default:
		return r.Read(p)
	}
}

// readLeft reads from the announced bytes; io.EOF is their end.
func (b *Body) readLeft(r *bufio.Reader, p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, cutShort(err)
}

// readChunked reads from the current chunk, and from those behind it that are
// buffered. A chunk's bytes never wait for the line after it.
func (b *Body) readChunked(r *bufio.Reader, p []byte) (n int, err error) {
	for err == nil && n < len(p) && (n == 0 || b.chunkBuffered(r)) {
		if b.left == 0 {
			if err = b.nextChunk(r); err != nil {
				break
			}
		}
		var got int
		got, err = b.readLeft(r, p[n:])
		n += got
	}
	return n, err
}

// nextChunk reads the line that ends a chunk and the one that begins the next.
// It returns io.EOF after the last chunk.
func (b *Body) nextChunk(r *bufio.Reader) error {
	if b.begun {
		if line, err := readLine(r); err != nil || len(line) > 0 {
			return orMalformed(err, "chunk longer than announced")
		}
	}
	b.begun = true
	size, err := readChunkSize(r)
	if err == nil && size == 0 {
		return skipTrailers(r)
	}
	b.left = size
	return err
}

// chunkBuffered reports whether there is more of the body, or its end, that can
// be read without waiting.
func (b *Body) chunkBuffered(r *bufio.Reader) bool {
	buffered, _ := r.Peek(r.Buffered())
	if b.left > 0 || len(buffered) < 2 {
		return len(buffered) > 0 && b.left > 0
	}
	next := buffered[2:] // behind CR LF
	if len(next) > 0 && next[0] == '0' {
		return bytes.HasPrefix(next, []byte("0\r\n\r\n")) // trailers would be waited for
	}
	line := bytes.IndexByte(next, '\n')
	return line >= 0 && line+1 < len(next)
}

func readChunkSize(r *bufio.Reader) (int64, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";")) // extensions are ignored
	digits = bytes.TrimRight(digits, " \t")
	size, err := strconv.ParseUint(string(digits), 16, 60)
	if err != nil || len(digits) > 15 || bytes.IndexByte(line, '\r') >= 0 {
		return 0, malformed("bad chunk size")
	}
	return int64(size), nil
}

// skipTrailers reads to the end of a chunked body and returns io.EOF. Trailers
// are checked and dropped: no operation of Bedrock has any.
func skipTrailers(r *bufio.Reader) error {
	block, err := readBlock(r)
	if err != nil {
		return err
	}
	if _, err := parseFields(nil, block); err != nil {
		return err
	}
	return io.EOF
}

// readLine returns one line without its CRLF, valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = readLongLine(r, line)
	}
	if err != nil {
		return nil, cutShort(err)
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, malformed("line without CRLF")
	}
	return line[:len(line)-2], nil
}

// readLongLine reads on in a line that does not fit into the buffer.
func readLongLine(r *bufio.Reader, begun []byte) ([]byte, error) {
	line := bytes.Clone(begun)
	for len(line) < maxLine {
		more, err := r.ReadSlice('\n')
		line = append(line, more...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return nil, malformed("line too long")
}

func orMalformed(err error, what string) error {
	if err != nil {
		return err
	}
	return malformed(what)
}
