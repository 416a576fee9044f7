package jsonscan

import (
	"math/bits"
	"unicode/utf8"

	simd "github.com/segmentio/asm/utf8"
)

// block is how many bytes mark looks at.
const block = 64

// prose moves from pos, which begins a character within a string, over blocks that need no
// more care than their escapes of two bytes: to the first byte that does, to a block with a
// control byte, or to where no block is left. It counts the escapes. It does not move over what
// is not UTF-8, nor over anything from then on: that is left to whoever goes by the character.
func (s *Scanner) prose(pos int) (next, escapes int) {
	if !marked || s.byWord || len(s.data)-pos < block {
		return pos, 0
	}
	from, wide, carry := pos, uint32(0), uint64(0)
	for ; len(s.data)-pos >= block; pos += block {
		quotes, slashes, ens, controls, w := mark((*[block]byte)(s.data[pos:]))
		if controls != 0 {
			break
		}
		wide |= w
		begun, escaped := escapesOf(slashes, carry)
		carry = begun >> (block - 1)
		end := quotes &^ escaped
		escaped &= end&-end - 1
		for rare := escaped &^ (quotes | slashes | ens); rare != 0; rare &= rare - 1 {
			if at := bits.TrailingZeros64(rare); !isShort(s.data[pos+at]) {
				return s.proven(from, pos+at-1, escapes+bits.OnesCount64(escaped&(1<<at-1)), wide)
			}
		}
		escapes += bits.OnesCount64(escaped)
		if end != 0 {
			return s.proven(from, pos+bits.TrailingZeros64(end), escapes, wide)
		}
	}
	return s.proven(from, s.boundary(pos-int(carry)), escapes, wide)
}

// proven is what prose returns, if what it went over is UTF-8.
func (s *Scanner) proven(from, pos, escapes int, wide uint32) (next, all int) {
	if wide != 0 && !simd.Valid(s.data[from:pos]) {
		s.byWord = true
		return from, 0
	}
	return pos, escapes
}

// boundary is pos, or where the character begins that lies across it, if one does.
func (s *Scanner) boundary(pos int) int {
	for back := 0; back < utf8.UTFMax && pos < len(s.data) && !utf8.RuneStart(s.data[pos]); back++ {
		pos--
	}
	return pos
}

// escapesOf returns which of the backslashes begin an escape, and which bytes are escaped by one.
// carry is 1 where the byte before the block begins one. In a run of backslashes
// every other one begins an escape: the carries of a subtraction run through it (Langdale and
// Lemire, "Parsing gigabytes of JSON per second", 2019).
func escapesOf(slashes, carry uint64) (begun, escaped uint64) {
	const odd = 0xaaaaaaaaaaaaaaaa
	able := slashes &^ carry
	runs := (able<<1 | odd) - able ^ odd
	return runs & slashes, runs ^ (slashes | carry)
}
