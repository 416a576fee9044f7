package gossip

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrMalformed is returned for text that is no fact.
var ErrMalformed = errors.New("this is no fact")

func (f *Fact) fits() bool {
	return f.Kind < Kinds && len(f.Key)+len(f.Value) <= MaxBytes && f.Until.Unix() > 0
}

// Text returns the fact, without its kind, as a ledger keeps it: Until in Unix
// seconds and the length of Key as unsigned varints, Key, and Value.
func (f *Fact) Text() string {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(f.Key)+len(f.Value))
	b = binary.AppendUvarint(b, uint64(max(f.Until.Unix(), 0)))
	b = binary.AppendUvarint(b, uint64(len(f.Key)))
	return string(append(append(b, f.Key...), f.Value...))
}

// Parse is the inverse of Text. It fails with ErrMalformed.
func Parse(kind Kind, text string) (Fact, error) {
	b := []byte(text)
	until, n := binary.Uvarint(b)
	if n <= 0 || until > 1<<40 {
		return Fact{}, ErrMalformed
	}
	b = b[n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return Fact{}, ErrMalformed
	}
	b = b[n:]
	f := Fact{Kind: kind, Key: string(b[:length]), Value: string(b[length:]),
		Until: time.Unix(int64(until), 0).UTC()} //nolint:gosec // bounded
	if !f.fits() {
		return Fact{}, ErrMalformed
	}
	return f, nil
}
