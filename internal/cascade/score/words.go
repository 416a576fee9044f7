package score

// maxWords bounds the words of a text that are hashed, its pairs besides.
const maxWords = 1024

// appendWords appends the hashes of the words and of the pairs of neighbours
// of a text, lower-cased, digits as one word class. Hashing is FNV-1a, so a
// file means the same everywhere.
func appendWords(dst []uint32, text string) []uint32 {
	const offset, prime = 2166136261, 16777619
	var previous uint32
	n := 0
	for i := 0; i < len(text) && n < maxWords; {
		h, start := uint32(offset), i
		for i < len(text) && wordByte(text[i]) {
			h = (h ^ uint32(fold(text[i]))) * prime
			i++
		}
		if i == start {
			i++
			continue
		}
		dst = append(dst, mix(h))
		if previous != 0 {
			dst = append(dst, mix(h*31+previous))
		}
		previous = h
		n++
	}
	return dst
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || c == '\\' || c == '_'
}

// fold lowers letters and maps all digits to one.
func fold(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case c >= '0' && c <= '9':
		return '0'
	}
	return c
}

// mix spreads a hash over its low bits, which pick the bucket.
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	return h ^ h>>13
}
