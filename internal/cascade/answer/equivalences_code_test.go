package answer

import (
	"fmt"
	"strings"
)

func hexOf(r *rng, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[r.IntN(16)]
	}
	b[0] = 'a' + byte(r.IntN(6))
	return string(b)
}

var code = []equivalence{
	{"Hashes and codes", "one character", "Another object.", false, func(r *rng) (string, string) {
		h := hexOf(r, pick(r, 7, 8, 32, 40))
		return h, h[:3] + pick(r, "x", "y", "z") + h[4:]
	}, final},
	{"Hashes and codes", "case", "Base64, identifiers and part numbers have one.", false,
		func(r *rng) (string, string) {
			h := "q" + hexOf(r, pick(r, 7, 8, 32, 40))
			return h, strings.ToUpper(h)
		}, final},
	{"Hashes and codes", "marks", "A-100 and A100 are two parts.", false, func(r *rng) (string, string) {
		a, b := strings.ToUpper(hexOf(r, 2)), digits(r, 3)
		return a + "-" + b, a + pick(r, "", "_", "/", " ") + b
	}, final},
	{"Code", "the marks of layout around it", "Backticks are Markdown.", true, func(r *rng) (string, string) {
		c := pick(r, "len(xs)", "x+1", "foo.bar(1)", "a[0]", "x == y") + strings.Repeat(" ", 0)
		return c, "`" + c + "`"
	}, final},
	{"Code", "quotes around the whole of it", "Models quote a text at random.", true, func(r *rng) (string, string) {
		w := word(r) + " " + word(r)
		return w, pick(r, `'`+w+`'`, `"`+w+`"`)
	}, final},
	{"Code", "spaces at the ends, in quotes on one side", "Without quotes nobody can see them.", true,
		func(r *rng) (string, string) {
			w := word(r) + " " + word(r)
			return w, "' " + w + "'"
		}, final},
	{"Code", "spaces at the ends, in quotes on both sides", "They are a part of it.", false,
		func(r *rng) (string, string) {
			w := word(r)
			return `'` + w + `'`, pick(r, `' `+w+`'`, `"`+w+` "`)
		}, final},
	{"Code", "brackets", "(a+b)/2 is the mean, a+b/2 is not.", false, func(r *rng) (string, string) {
		a, b, n := word(r), word(r), digits(r, 1)
		return fmt.Sprintf("return (%s+%s)/%s", a, b, n), fmt.Sprintf("return %s+%s/%s", a, b, n)
	}, final},
	{"Code", "an operator", "Another program.", false, func(r *rng) (string, string) {
		a, b := word(r), word(r)
		i := r.IntN(5)
		ops := []string{"+", "-", "*", "<=", "=="}
		return "x = " + a + " " + ops[i] + " " + b, "x = " + a + " " + ops[(i+1+r.IntN(4))%5] + " " + b
	}, final},
	{"Code", "spaces in a string", "They are a part of it.", false, func(r *rng) (string, string) {
		a, b := word(r), word(r)
		return fmt.Sprintf(`print("%s %s")`, a, b), fmt.Sprintf(`print("%s  %s")`, a, b)
	}, final},
	{"Code", "the case of a name", "Two variables.", false, func(r *rng) (string, string) {
		a := word(r)
		return "get_" + a + "()", "get_" + strings.ToUpper(a[:1]) + a[1:] + "()"
	}, final},
	{"Code", "the variable that is assigned to", "x = 5 is not y = 5.", false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return "x = " + n, "y = " + n
	}, final},
	{"Shell commands", "a sign", "rm -rf build/* keeps the folder, rm -rf build/ does not.", false,
		func(r *rng) (string, string) {
			c := "rm -rf /srv/" + word(r) + "/"
			return c + "*", pick(r, c, c+"**", c+" *", c+".*")
		}, final},
	{"Shell commands", "a flag", "Another command.", false, func(r *rng) (string, string) {
		w := word(r)
		return "ls -l " + w, pick(r, "ls "+w, "ls -L "+w, "ls -la "+w, "ls --l "+w)
	}, final},
	{"Shell commands", "the full stop that is a path", "cp a . copies here.", false, func(r *rng) (string, string) {
		w := word(r)
		return "cp " + w + "/x .", "cp " + w + "/x"
	}, final},
	{"Shell commands", "redirection", "> overwrites, >> appends.", false, func(r *rng) (string, string) {
		w := word(r)
		return "echo " + w + " > log", "echo " + w + pick(r, " >> log", " | log", " 2> log")
	}, final},
	{"Shell commands", "a path", "Another file.", false, func(r *rng) (string, string) {
		w := word(r)
		return "cat /etc/" + w, pick(r, "cat /etc/"+w+"/", "cat etc/"+w, "cat ./etc/"+w, "cat /etc/"+w+".bak")
	}, final},
	{"Regular expressions", "a sign", "Another language.", false, func(r *rng) (string, string) {
		w := word(r)
		return "^" + w + "+$", pick(r, "^"+w+"*$", w+"+$", "^"+w+"+", "^("+w+")+$")
	}, final},
}

var documents_ = []equivalence{
	{"JSON", "the order of members", "Objects have none.", true, func(r *rng) (string, string) {
		a, b, n := word(r), word(r), digits(r, 3)
		return fmt.Sprintf(`{"sku":%q,"qty":%s,"to":%q}`, a, n, b), fmt.Sprintf(`{"to":%q,"sku":%q,"qty":%s}`, b, a, n)
	}, text},
	{"JSON", "spaces between tokens, the fence around it", "Layout.", true, func(r *rng) (string, string) {
		a, n := word(r), digits(r, 3)
		return fmt.Sprintf(`{"sku":%q,"qty":%s}`, a, n),
			fmt.Sprintf("```json\n{\n  \"sku\": %q,\n  \"qty\": %s\n}\n```", a, n)
	}, text},
	{"JSON", "the form of a number", "JSON's numbers have a value.", true, func(r *rng) (string, string) {
		a, n := word(r), digits(r, 3)
		return fmt.Sprintf(`{"sku":%q,"qty":%s}`, a, n), fmt.Sprintf(`{"sku":%q,"qty":%s%s}`, a, n, pick(r, ".0",
			".00", "e0"))
	}, text},
	{"JSON", "escapes, and Unicode's normal forms", "The same characters.", true, func(r *rng) (string, string) {
		n := digits(r, 3)
		return fmt.Sprintf(`{"city":"Zürich","n":%s}`, n),
			pick(r, fmt.Sprintf(`{"city":"Z\u00fcrich","n":%s}`, n), fmt.Sprintf(`{"city":"Zu%crich","n":%s}`, '\u0308', n))
	}, text},
	{"JSON", "an explanation of five words or more", "In members called reasoning, explanation, why, …", true,
		func(r *rng) (string, string) {
			m, n := pick(r, "reasoning", "explanation", "rationale", "why", "reason"), digits(r, 3)
			return fmt.Sprintf(`{%q:"it is so because of the %s","sku":%q,"qty":%s}`, m, word(r), "a", n),
				fmt.Sprintf(`{"sku":%q,"qty":%s,%q:"the customer asked for it in %s"}`, "a", n, m, digits(r, 4))
		}, text},
	{"JSON", "how sure a model says that it is", "Another number each time that it is asked.", true,
		func(r *rng) (string, string) {
			a, n := word(r), digits(r, 2)
			return fmt.Sprintf(`{"label":%q,"n":%s,"confidence":0.8}`, a, n),
				fmt.Sprintf(`{"label":%q,"n":%s,"confidence":0.%s}`, a, n, digits(r, 2))
		}, text},
	{"JSON", "a member's value", "Every member counts.", false, func(r *rng) (string, string) {
		n := digits(r, 4)
		doc := func(n string) string { return fmt.Sprintf(`{"sku":"A","list":[1,{"deep":{"qty":%s}}],"to":"B"}`, n) }
		return doc(n), doc(other(r, n))
	}, text},
	{"JSON", "a member more", "As above.", false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return `{"sku":"A","qty":` + n + `}`, `{"sku":"A","qty":` + n + `,"` + word(r) + `":` + pick(r, "null", "0",
			`""`, "false", "[]") + `}`
	}, text},
	{"JSON", "the type of a value", `5 is not "5", null is not absent.`, false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return `{"a":1,"b":` + n + `}`, `{"a":1,"b":` + pick(r, `"`+n+`"`, "["+n+"]", "null", "true") + `}`
	}, text},
	{"JSON", "the order of an array", "Arrays have one.", false, func(r *rng) (string, string) {
		a, b := digits(r, 2), digits(r, 3)
		return `{"x":1,"list":[` + a + `,` + b + `]}`, `{"x":1,"list":[` + b + `,` + a + `]}`
	}, text},
	{"JSON", "an element of an array of objects", "The whole value is compared, not its first object.", false,
		func(r *rng) (string, string) {
			n := digits(r, 2)
			doc := func(n string) string { return `[{"sku":"A","qty":1},{"sku":"B","qty":` + n + `}]` }
			return doc(n), pick(r, doc(other(r, n)), strings.TrimSuffix(doc(n), "]")+`,{"sku":"C","qty":1}]`)
		}, text},
	{"JSON", "a further object", "Often it corrects the first.", false, func(r *rng) (string, string) {
		first := `{"sku":"A","qty":` + digits(r, 1) + `}`
		return first, first + pick(r, "\n\nCorrection:\n", "\n", "\n```\nor\n```json\n") + `{"sku":"A","qty":` +
			digits(r, 2) + `}`
	}, text},
	{"JSON", "a text behind it", "It may take the document back.", false, func(r *rng) (string, string) {
		first := `{"sku":"A","qty":` + digits(r, 1) + `}`
		return first, first + "\n\n" + pick(r, "Make that ", "Correction: the quantity is ",
			"On reflection it is ") + digits(r, 2) + "."
	}, text},
	{"JSON", "spaces in a string", "They are a part of it.", false, func(r *rng) (string, string) {
		a, b := word(r), word(r)
		return fmt.Sprintf(`{"n":1,"cmd":"%s %s"}`, a, b), fmt.Sprintf(`{"n":1,"cmd":"%s"}`, pick(r, a+"  "+b,
			a+" "+b+" ", " "+a+" "+b))
	}, text},
	{"JSON", "a longer text", "Nobody can tell: unknown.", false, func(r *rng) (string, string) {
		doc := func() string {
			s := "we saw that the"
			for range 10 {
				s += " " + word(r) + " " + digits(r, 1)
			}
			return `{"ok":true,"summary":"` + s + `"}`
		}
		return doc(), doc()
	}, text},
	{"JSON", "a short reason, where it is not beside an answer", "It may be a code.", false,
		func(r *rng) (string, string) {
			w := word(r)
			return `{"decision":"deny","reason":"` + w + `"}`, `{"decision":"deny","reason":"no ` + w + `"}`
		}, text},
	{"JSON", "a second member of the same name", "Readers differ in which they take: unknown.", false,
		func(r *rng) (string, string) {
			n := digits(r, 2)
			return `{"a":1,"qty":` + n + `}`, `{"a":1,"qty":` + n + `,"qty":` + n + `}`
		}, text},
	{"Tool calls", "the order of arguments", "Objects have none.", true, func(r *rng) (string, string) {
		n := digits(r, 3)
		return `{"path":"/a","n":` + n + `}`, `{"n":` + n + `.0, "path": "/a"}`
	}, call},
	{"Tool calls", "an argument", "It is carried out.", false, func(r *rng) (string, string) {
		n := digits(r, 5)
		return `{"path":"/a","n":` + n + `}`, pick(r, `{"path":"/a","n":`+other(r, n)+`}`, `{"path":"/a ","n":`+n+`}`,
			`{"path":"/A","n":`+n+`}`, `{"path":"/a","n":"`+n+`"}`)
	}, call},
	{"Tool calls", "an explanation", "A program may show it.", false, func(r *rng) (string, string) {
		return `{"reasoning":"because the user wants it now","n":1}`, `{"reasoning":"since the user wants it ` +
			word(r) + `","n":1}`
	}, call},
	{"Lists", "spaces and kinds of quotes", "Python and JSON write the same list.", true,
		func(r *rng) (string, string) {
			a, b := word(r), word(r)
			return fmt.Sprintf(`['%s', '%s']`, a, b), fmt.Sprintf(`["%s","%s"]`, a, b)
		}, final},
	{"Lists", "the order of a set or of a dict", "They have none.", true, func(r *rng) (string, string) {
		n := digits(r, 2)
		return fmt.Sprintf(`{'a': %s, 'b': 2}`, n), fmt.Sprintf(`{'b': 2, 'a': %s}`, n)
	}, final},
	{"Lists", "the order", "A list has one.", false, func(r *rng) (string, string) {
		a, b := digits(r, 2), digits(r, 3)
		return "[" + a + ", " + b + "]", "[" + b + ", " + a + "]"
	}, final},
	{"Lists", "an element", "As above.", false, func(r *rng) (string, string) {
		a, b := digits(r, 2), digits(r, 3)
		return "[" + a + ", " + b + "]", pick(r, "["+a+", "+other(r, b)+"]", "["+a+"]", "["+a+", "+b+", "+b+"]",
			"("+a+", "+b+")")
	}, final},
	{"Lists", "words of a list without brackets", "Their order may rank them.", false, func(r *rng) (string, string) {
		a, b := word(r), digits(r, 2)
		return a + ", " + b, pick(r, b+", "+a, a, a+" and "+b)
	}, final},
}

var sentences = []equivalence{
	{"Yes and no", "case and a full stop", "No yes means another thing than Yes.", true, func(r *rng) (string, string) {
		w := pick(r, "yes", "no", "true", "false", "oui", "nein", "sí", "да")
		return w, pick(r, strings.ToUpper(w), strings.ToUpper(w)+".", w+".")
	}, final},
	{"Yes and no", "the word", "The contrary, or another language.", false, func(r *rng) (string, string) {
		return pick(r, "yes", "Yes."), pick(r, "no", "No.", "true", "oui", "not yes", "yes, if paid")
	}, final},
	{"Sentences", "a full stop, marks of emphasis", "Layout.", true, func(r *rng) (string, string) {
		s := "the " + word(r) + " is " + word(r)
		return s, pick(r, s+".", "**"+s+"**", "  "+s)
	}, text},
	{"Sentences", "a word", "It may be not.", false, func(r *rng) (string, string) {
		a, b := word(r), word(r)
		return "the " + a + " is the " + b, pick(r, "the "+a+" is not the "+b, "the "+a+" was the "+b, "a "+a+" is the "+b)
	}, text},
	{"Sentences", "a word, with the same number at the end", "The last number of a sentence is not what it says.",
		false,
		func(r *rng) (string, string) {
			n := digits(r, 2)
			return "Your order 1187 shipped on May " + n, "Your order 1187 is delayed until May " + n
		}, text},
	{"Sentences", "a longer text", "Two models never write the same: unknown, for the score of free text.", false,
		func(r *rng) (string, string) {
			s := "We looked at your order and at what the carrier says about it. The " + word(r) + " arrives on Monday "
			return s + digits(r, 2), s + digits(r, 3)
		}, text},
	{"Sentences", "an answer that is taken back", "What follows it counts.", false, func(r *rng) (string, string) {
		n := digits(r, 2)
		return "The answer is " + n + ".", "The answer is " + n + "." + pick(r, " Wait, it is ",
			"\nCorrection: it should be ",
			"\n\nActually, that is wrong: ") + other(r, n) + "."
	}, text},
}
