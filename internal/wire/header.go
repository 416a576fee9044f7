package wire

import "strings"

// Field is one header field as it stood on the wire.
type Field struct{ Name, Value string }

// Header is the header fields of one message in their order on the wire.
// Names keep their spelling; look-ups ignore case. The zero value is empty.
type Header []Field

// Get returns the value of the first field called name, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Count returns how many fields are called name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}
