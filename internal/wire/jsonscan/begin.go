package jsonscan

// Beginnings are sets of texts that keys and strings may begin with. They never change
// and may be shared.
type Beginnings struct {
	texts [256][]beginning // by their first byte
}

// beginning is a text, and the bit of its set.
type beginning struct {
	text string
	set  uint8
}

// everySet is the bits of all sets that there may be.
const everySet = 0xff

// NewBeginnings prepares up to eight sets of texts, none of them empty. A text that ends
// with a quote is all of a key or string.
func NewBeginnings(sets ...[]string) *Beginnings {
	if len(sets) > 8 {
		panic("BUG: more sets than bits")
	}
	b := &Beginnings{}
	for i, set := range sets {
		for _, text := range set {
			b.texts[text[0]] = append(b.texts[text[0]], beginning{text, 1 << i})
		}
	}
	return b
}

// of is the bits of the sets of which a text begins a key or string, given without its
// opening quote, as it is written: an escape stands for nothing here.
func (b *Beginnings) of(raw []byte) uint8 {
	sets, texts := uint8(0), b.texts[raw[0]]
	for i := range texts {
		if t := &texts[i]; len(raw) >= len(t.text) && string(raw[:len(t.text)]) == t.text {
			sets |= t.set
		}
	}
	return sets
}

// In is of which sets a text begins any key or string of a JSON text; of all, where one
// may because it has an escape by number. A JSON text that is not well-formed counts as
// far as it is.
func (b *Beginnings) In(text []byte) uint8 {
	var s Scanner
	s.Reset(text)
	s.Watch(b)
	for t := s.Next(); t.Kind != End && t.Kind != Invalid; t = s.Next() {
	}
	return s.Met()
}
