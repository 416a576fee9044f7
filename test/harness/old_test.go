package harness

import "testing"

// TestOldBinary builds the program of the last release. make test-e2e has it done first:
// tests of two packages want it, and on a fresh machine compiling it takes minutes.
func TestOldBinary(t *testing.T) { OldBinary(t) }
