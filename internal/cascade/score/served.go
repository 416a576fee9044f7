package score

import (
	"crypto/sha256"
	"encoding/hex"
)

// Served is a score file as a cascade serves with it. nil is the order of
// Untrained. It is safe for concurrent use.
//
// Load and Risk are all that the request line knows of scores: what a file
// holds, and which part of it looks at which request, is told here alone.
type Served struct {
	model *Model
	hash  string
}

// Load reads a score file. Its error wraps ErrFile.
func Load(data []byte) (*Served, error) {
	m, err := DecodeModel(data)
	if err != nil {
		return nil, err
	}
	return &Served{model: m, hash: FileHash(data)}, nil
}

// FileHash is the name of a score file's contents in certificates and logs.
func FileHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Hash returns the FileHash of what was loaded, "" for nil.
func (s *Served) Hash() string {
	if s == nil {
		return ""
	}
	return s.hash
}

// Risk places a light answer on the scale of Untrained. It depends on the input
// alone, so the same request always has the same risk.
func (s *Served) Risk(in *Input) float64 {
	if s == nil {
		return Untrained(in)
	}
	return s.model.Risk(in)
}
