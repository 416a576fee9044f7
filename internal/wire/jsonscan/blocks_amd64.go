package jsonscan

// marked is whether there is a mark that is faster than a word at a time.
const marked = true

// mark looks at a block at once: which bytes are quotes, backslashes, and the letter n, the
// first byte in the lowest bit; and whether any is a control byte, or of a character of more than one
// byte: then the last two are not 0.
//
//go:noescape
func mark(b *[block]byte) (quotes, slashes, ens uint64, controls, wide uint32)
