package value

import (
	"math"
	"slices"
	"strings"
)

// latexWords maps LaTeX and Unicode spellings to plain ones. Longer ones come
// first where one begins another.
var latexWords = strings.NewReplacer(
	`\dfrac`, `\frac`, `\tfrac`, `\frac`, `\left`, "", `\right`, "", `\!`, "", `\,`, "", `\;`, "", `\ `, "", `\:`, "",
	`\cdot`, "*", `\times`, "*", "×", "*", "·", "*", `\pi`, "pi", "π", "pi", `\sqrt`, "sqrt", "√", "sqrt",
	`^{\circ}`, "°", `^\circ`, "°", `\%`, "%", `\$`, "$", `\infty`, "inf", "∞", "inf",
	`\text`, "", `\mathrm`, "", `\mathbf`, "", `\textbf`, "", "−", "-", "–", "-",
	`\le`, "<=", "≤", "<=", `\ge`, ">=", "≥", ">=",
	`\cup`, "∪", `\in`, "∈", `\{`, "{", `\}`, "}", "²", "^2", "³", "^3", "**", "^",
)

// latexMarks show that a text is mathematics, where spaces carry no meaning.
var latexMarks = []string{
	`\frac`, `\dfrac`, `\tfrac`, `\sqrt`, `\pi`, `\cdot`, `\times`, `\left`, `\text{`, `\mathrm{`, `\cup`,
	`\in `, `\infty`, `\le `, `\ge `, `\circ`, `\begin{`, `\binom`, "√", "π", "∞", "²", "³",
}

// expression is the last resort: mathematics by value where it can be evaluated,
// otherwise the text, in which every sign counts. A single leading variable ("x =
// 5") is a label.
func expression(s string) Value {
	latex := slices.ContainsFunc(latexMarks, func(mark string) bool { return strings.Contains(s, mark) })
	if !latex && !strings.ContainsAny(s, "^/=") && !strings.Contains(s, "sqrt") && !strings.Contains(s, "pi") {
		return Value{text: words(s)}
	}
	e := strings.Join(strings.Fields(latexWords.Replace(s)), "")
	var v Value
	if len(e) > 2 && e[1] == '=' && isLetter(e[0]) {
		v.label, e = e[:1], e[2:]
	}
	e = fractions(e)
	if n, ok := evaluate(e); ok {
		n.label = v.label
		if !latex && allDigits(strings.Replace(e, "/", "", 1)) {
			n.ratio = e
		}
		return n
	}
	if all, ok := tuple(e); ok {
		return Value{text: all, label: v.label, read: true}
	}
	if !latex {
		return Value{text: words(s)}
	}
	v.text = braced.Replace(e)
	if lit, _, ok := literal(e); ok {
		v.text = lit
	}
	return v
}

// braced takes single characters out of the braces that LaTeX allows around them.
var braced = func() *strings.Replacer {
	var pairs []string
	for c := byte('0'); c <= 'z'; c++ {
		if c <= '9' || isLetter(c) {
			pairs = append(pairs, "{"+string(c)+"}", string(c))
		}
	}
	return strings.NewReplacer(pairs...)
}()

// tuple works out what is between brackets: a point, an interval.
func tuple(e string) (string, bool) {
	if len(e) < 5 || strings.IndexByte("([", e[0]) < 0 || strings.IndexByte(")]", e[len(e)-1]) < 0 {
		return "", false
	}
	out := e[:1]
	start, depth := 1, 0
	for i := 1; i < len(e); i++ {
		switch c := e[i]; {
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case c == ',' && depth == 0, i == len(e)-1:
			v, ok := evaluate(e[start:i])
			if !ok {
				return "", false
			}
			out, start = out+v.text+e[i:i+1], i+1
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		}
	}
	return out, true
}

// evaluate works a text out, if it is arithmetic of numbers that a float holds
// exactly. What has two slashes is a date or a path.
func evaluate(e string) (Value, bool) {
	if n, ok := plainNumber(e); ok {
		return n, true
	}
	if strings.Count(e, "/") > 1 && !strings.Contains(e, "(") {
		return Value{}, false
	}
	p := evaluator{rest: e}
	f, ok := p.sum(0)
	return result(f), ok && p.rest == ""
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
	if arg, rest, ok := Group(s); ok {
		return arg, rest
	}
	return s[1:], ""
}

// Group reads the contents of the braces that s begins with. It reports false when
// they are not closed.
func Group(s string) (contents, rest string, ok bool) {
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
	n, ok := measured(p.rest[:end])
	p.rest = p.rest[end:]
	return n.number, ok && math.Abs(n.number) <= maxExact
}

// maxExact is up to where a float holds every integer.
const maxExact = 1 << 53
