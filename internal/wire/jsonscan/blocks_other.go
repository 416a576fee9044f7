//go:build !amd64

package jsonscan

const marked = false

func mark(*[block]byte) (quotes, slashes, ens uint64, controls, wide uint32) {
	panic("BUG: not marked")
}
