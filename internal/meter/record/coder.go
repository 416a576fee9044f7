package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrRecord is returned for bytes that are no record.
var ErrRecord = errors.New("usage record cannot be read")

// coder writes or reads the fields of a record in order. One list of fields
// thus serves both ways and they cannot differ.
type coder struct {
	b       []byte
	v       uint64 // the record's version
	reading bool
	bad     bool
	seen    *Decoder // what was read before, nil for nothing
}

func reader(b []byte) coder { return coder{b: b, reading: true} }

func (c *coder) err() error {
	switch {
	case !c.bad:
		return nil
	case c.v > recordVersion:
		return fmt.Errorf("%w: it has version %d and this program knows %d", ErrRecord, c.v, recordVersion)
	default:
		return ErrRecord
	}
}

func (c *coder) version() {
	v := uint64(recordVersion)
	c.uint(&v)
	if v == 0 || v > recordVersion {
		c.bad = true
	}
	c.v = v
}

func (c *coder) fixed(v *uint64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
		return
	}
	if len(c.b) < 8 {
		c.bad = true
		return
	}
	*v, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n := 0
	*v, n = binary.Uvarint(c.b)
	c.skip(n)
}

func (c *coder) int(v *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *v)
		return
	}
	n := 0
	*v, n = binary.Varint(c.b)
	c.skip(n)
}

// skip goes on behind a number of n bytes.
func (c *coder) skip(n int) {
	if n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	c.b = c.b[n:]
}

func (c *coder) str(s *string) {
	if c.reading {
		*s = c.seen.text(c.text())
		return
	}
	c.b = append(binary.AppendUvarint(c.b, uint64(len(*s))), *s...)
}

// text reads a text and returns its bytes, which are the record's.
func (c *coder) text() []byte {
	var n uint64
	c.uint(&n)
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	text := c.b[:n]
	c.b = c.b[n:]
	return text
}

// bytes are a copy, nil when there are none.
func (c *coder) bytes(b *[]byte) {
	s := string(*b)
	c.str(&s)
	if c.reading && s != "" {
		*b = []byte(s)
	}
}

func (c *coder) small(v *int) {
	n := int64(*v)
	c.int(&n)
	*v = int(n)
}

func (c *coder) byte(v *uint8) {
	n := uint64(*v)
	c.uint(&n)
	*v = uint8(n)
}

// time is nanoseconds since 1970 in UTC; 0 is the zero time.
func (c *coder) time(t *time.Time) {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano()
	}
	c.int(&n)
	if !c.reading {
		return
	}
	*t = time.Time{}
	if n != 0 {
		*t = time.Unix(0, n).UTC()
	}
}

func (c *coder) pico(p *money.Pico) {
	n := int64(*p)
	c.int(&n)
	*p = money.Pico(n)
}

// count is 0 for unknown, else the number and one.
func (c *coder) count(n *wire.Count) {
	var v uint64
	if n.Known {
		v = uint64(n.N) + 1
	}
	c.uint(&v)
	*n = wire.Count{}
	if v > 0 {
		*n = wire.Known(int64(v - 1))
	}
}
