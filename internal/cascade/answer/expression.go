package answer

import (
	"math"
	"strings"
)

// latexWords maps LaTeX and Unicode spellings to plain ones. Longer ones come
// first where one begins another.
var latexWords = strings.NewReplacer(
	`\dfrac`, `\frac`, `\tfrac`, `\frac`, `\left`, "", `\right`, "", `\!`, "", `\,`, "", `\;`, "", `\ `, "", `\:`, "",
	`\cdot`, "*", `\times`, "*", "×", "*", "·", "*", `\pi`, "pi", "π", "pi", `\sqrt`, "sqrt", "√", "sqrt",
	`^{\circ}`, "", `^\circ`, "", "°", "", `\%`, "", "%", "", `\$`, "", "$", "", `\infty`, "inf", "∞", "inf",
	`\text`, "", `\mathrm`, "", `\mathbf`, "", `\textbf`, "", "−", "-", "–", "-",
	`\le`, "<=", "≤", "<=", `\ge`, ">=", "≥", ">=",
	`\cup`, "∪", `\in`, "∈", `\{`, "{", `\}`, "}", "²", "^2", "³", "^3", "**", "^",
)

// expression is the last resort: mathematics by value where it can be evaluated,
// otherwise the text. A single leading variable ("x = 5") is dropped.
func expression(s string) value {
	math := strings.ContainsAny(s, `\^√π/=`) || strings.Contains(s, "sqrt") || strings.Contains(s, "pi")
	if !math {
		return value{text: s}
	}
	e := latexWords.Replace(s)
	e = strings.Join(strings.Fields(e), "")
	if len(e) > 2 && e[1] == '=' && isLetter(e[0]) {
		e = e[2:]
	}
	e = fractions(e)
	if n, ok := plainNumber(e); ok {
		return n
	}
	p := evaluator{rest: e}
	if f, ok := p.sum(0); ok && p.rest == "" {
		return numberValue(f, -1)
	}
	if lit, _, ok := literal(e); ok {
		return value{text: lit}
	}
	return value{text: strings.NewReplacer("{", "", "}", "", "(", "", ")", "", "*", "").Replace(e)}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// fractions writes \frac{a}{b} as ((a)/(b)), also the short form \frac12.
func fractions(s string) string {
	for range 8 {
		before, rest, found := strings.Cut(s, `\frac`)
		if !found {
			return s
		}
		top, rest := argument(rest)
		bottom, rest := argument(rest)
		s = before + "((" + top + ")/(" + bottom + "))" + rest
	}
	return s
}

// argument reads one argument of a LaTeX command: a group or one byte.
func argument(s string) (arg, rest string) {
	if s == "" {
		return "", ""
	}
	if s[0] != '{' {
		return s[:1], s[1:]
	}
	if arg, rest, ok := group(s); ok {
		return arg, rest
	}
	return s[1:], ""
}

// group reads the contents of the braces that s begins with. It reports false when
// they are not closed.
func group(s string) (contents, rest string, ok bool) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

// evaluator works out arithmetic with roots, powers and pi. Multiplication
// may be left out, as in 3sqrt(2).
type evaluator struct{ rest string }

func (p *evaluator) sum(depth int) (float64, bool) {
	if depth > maxDepth {
		return 0, false
	}
	total, ok := p.product(depth)
	for ok && p.rest != "" && (p.rest[0] == '+' || p.rest[0] == '-') {
		sign := p.rest[0]
		p.rest = p.rest[1:]
		var term float64
		term, ok = p.product(depth)
		if sign == '-' {
			term = -term
		}
		total += term
	}
	return total, ok
}

func (p *evaluator) product(depth int) (float64, bool) {
	total, ok := p.power(depth)
	for ok && p.rest != "" {
		divide := p.rest[0] == '/'
		if divide || p.rest[0] == '*' {
			p.rest = p.rest[1:]
		} else if !p.startsFactor() {
			break
		}
		var f float64
		f, ok = p.power(depth)
		if divide {
			f = 1 / f
		}
		total *= f
	}
	return total, ok && !math.IsInf(total, 0) && !math.IsNaN(total)
}

// startsFactor reports a factor without a multiplication sign. Two numbers in
// a row are no product.
func (p *evaluator) startsFactor() bool {
	return strings.IndexByte("({ps", p.rest[0]) >= 0
}

func (p *evaluator) power(depth int) (float64, bool) {
	if rest, ok := strings.CutPrefix(p.rest, "-"); ok && depth <= maxDepth {
		p.rest = rest
		f, ok := p.power(depth + 1)
		return -f, ok
	}
	base, ok := p.atom(depth)
	if !ok || !strings.HasPrefix(p.rest, "^") || depth > maxDepth {
		return base, ok
	}
	p.rest = p.rest[1:]
	exponent, ok := p.power(depth + 1)
	return math.Pow(base, exponent), ok
}

func (p *evaluator) atom(depth int) (float64, bool) {
	if rest, ok := strings.CutPrefix(p.rest, "pi"); ok {
		p.rest = rest
		return math.Pi, true
	}
	if rest, ok := strings.CutPrefix(p.rest, "sqrt"); ok && depth <= maxDepth {
		p.rest = rest
		f, ok := p.atom(depth + 1)
		return math.Sqrt(f), ok && f >= 0
	}
	if p.rest != "" && (p.rest[0] == '(' || p.rest[0] == '{') {
		p.rest = p.rest[1:]
		f, ok := p.sum(depth + 1)
		if !ok || p.rest == "" || p.rest[0] != ')' && p.rest[0] != '}' {
			return 0, false
		}
		p.rest = p.rest[1:]
		return f, true
	}
	end := 0
	for end < len(p.rest) && (p.rest[end] >= '0' && p.rest[end] <= '9' || p.rest[end] == '.' || p.rest[end] == ',') {
		end++
	}
	n, ok := plainNumber(p.rest[:end])
	p.rest = p.rest[end:]
	return n.number, ok
}
