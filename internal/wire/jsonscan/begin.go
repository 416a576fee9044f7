package jsonscan

// Beginnings are texts that keys and strings may begin with. They never change and
// may be shared.
type Beginnings struct {
	texts []string
	first [256]bool // bytes that a text begins with
}

// NewBeginnings prepares texts, none of them empty.
func NewBeginnings(texts ...string) *Beginnings {
	b := &Beginnings{texts: texts}
	for _, text := range texts {
		b.first[text[0]] = true
	}
	return b
}

// of reports whether a key or string, without its opening quote, begins with one of
// the texts as it is written: an escape stands for nothing here.
func (b *Beginnings) of(raw []byte) bool {
	if !b.first[raw[0]] {
		return false
	}
	for _, text := range b.texts {
		if len(raw) >= len(text) && string(raw[:len(text)]) == text {
			return true
		}
	}
	return false
}

// In reports whether a key or string of a JSON text begins so, or may because it has
// an escape by number. A text that is not well-formed counts as far as it is.
func (b *Beginnings) In(text []byte) bool {
	var s Scanner
	s.Reset(text)
	s.Watch(b)
	for t := s.Next(); t.Kind != End && t.Kind != Invalid; t = s.Next() {
		if s.Met() {
			return true
		}
	}
	return s.Met()
}
