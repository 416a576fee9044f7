package share

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrMalformed is returned for text that is no hint.
var ErrMalformed = errors.New("this is no hint")

func (h *Hint) fits() bool {
	return h.Kind < Kinds && len(h.Key)+len(h.Value) <= MaxBytes && h.Until.Unix() > 0
}

// Text returns the hint, without its kind, as a ledger keeps it: Until in Unix
// seconds and the length of Key as unsigned varints, Key, and Value.
func (h *Hint) Text() string {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(h.Key)+len(h.Value))
	b = binary.AppendUvarint(b, uint64(max(h.Until.Unix(), 0)))
	b = binary.AppendUvarint(b, uint64(len(h.Key)))
	return string(append(append(b, h.Key...), h.Value...))
}

// Parse is the inverse of Text. It fails with ErrMalformed.
func Parse(kind Kind, text string) (Hint, error) {
	b := []byte(text)
	until, n := binary.Uvarint(b)
	if n <= 0 || until > 1<<40 {
		return Hint{}, ErrMalformed
	}
	b = b[n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return Hint{}, ErrMalformed
	}
	b = b[n:]
	h := Hint{Kind: kind, Key: string(b[:length]), Value: string(b[length:]), Until: time.Unix(int64(until), 0).UTC()} //nolint:gosec // bounded above
	if !h.fits() {
		return Hint{}, ErrMalformed
	}
	return h, nil
}
