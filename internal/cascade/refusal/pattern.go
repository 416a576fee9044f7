package refusal

import (
	"slices"
	"strings"
)

// pattern is a sequence of words: parts that follow one another, each one of
// several phrases.
type pattern []part

type part struct {
	gap     gap
	phrases []string
}

// gap is what may be between two parts.
type gap uint8

const (
	none    gap = iota
	filling     // words of the language that change nothing
	words       // any words of the same sentence
	far         // any words of the same sentence, from its beginning on
)

// widest bounds the words between two parts, in bytes.
const widest = 90

// parse reads a pattern: phrases are separated by |, parts by ~ (fillers may be
// between them) or … (any words of the sentence). A pattern that begins with …
// need not begin the sentence.
func parse(s string) pattern {
	var p pattern
	next := none
	for s != "" {
		i := strings.IndexAny(s, "~…")
		text := s
		if i >= 0 {
			text = s[:i]
		}
		if text != "" {
			p = append(p, part{next, strings.Split(text, "|")})
		}
		switch {
		case i < 0:
			return p
		case s[i] == '~':
			next, s = filling, s[i+1:]
		default:
			next, s = words, s[i+len("…"):]
		}
		if len(p) == 0 {
			next = far
		}
	}
	return p
}

// match reports whether s begins as the pattern says, and what follows.
func (p pattern) match(s string, fillers []string) (rest string, ok bool) {
	rest = s
	for _, part := range p {
		if part.gap == filling {
			rest = withoutFillers(rest, fillers)
		}
		if rest, ok = part.match(rest); !ok {
			return "", false
		}
	}
	return rest, true
}

func (p *part) match(s string) (rest string, ok bool) {
	best, longest := -1, 0
	anywhere, within := p.gap == words || p.gap == far, ""
	if anywhere {
		within = sentence(s)
	}
	for _, phrase := range p.phrases {
		at := 0
		if anywhere {
			at = strings.Index(within, phrase)
		} else if !strings.HasPrefix(s, phrase) {
			at = -1
		}
		if end := at + len(phrase); at >= 0 && (best < 0 || at < best || at == best && end > longest) {
			best, longest, rest = at, end, s[end:]
		}
	}
	return rest, best >= 0
}

// sentence is the rest of the sentence that s begins in.
func sentence(s string) string {
	s = s[:min(len(s), widest)]
	for i, r := range s {
		switch r {
		case '.', '!', '?', '\n', '。', '！', '？', '؟', '।':
			return s[:i]
		}
	}
	return s
}

// withoutFillers drops spaces, commas and fillers.
func withoutFillers(s string, fillers []string) string {
	for {
		s = strings.TrimLeft(s, " ,")
		i := slices.IndexFunc(fillers, func(f string) bool { return begins(s, f) })
		if i < 0 {
			return s
		}
		s = s[len(fillers[i]):]
	}
}

// begins reports whether s begins with a whole word, or with one that ends in an
// apostrophe.
func begins(s, word string) bool {
	rest, ok := strings.CutPrefix(s, word)
	return ok && (strings.HasPrefix(rest, " ") || strings.HasSuffix(word, "'"))
}
