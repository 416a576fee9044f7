//go:build !linux

package heap

// releaseProgram does nothing: only Linux can be asked for it.
func releaseProgram() error { return nil }
