package jsonscan

// Check scans the whole of data and returns what is wrong with it, or nil.
func Check(data []byte) *Error {
	var s Scanner
	s.Reset(data)
	for {
		switch s.Next().Kind {
		case Invalid:
			return s.err
		case End:
			return nil
		}
	}
}

// ByWord has s scan without blocks, as on machines that cannot mark them.
func (s *Scanner) ByWord() { s.byWord = true }
