package traits

import (
	"strconv"
	"strings"
	"unicode"
)

// Asked is what a request asks for, as far as its words say so. The zero value asks
// for nothing in particular, and then no answer misses anything.
type Asked struct {
	text      text
	known     bool // there is a request
	questions int
	numbered  int // questions or tasks of the request that are numbered
	list      bool
	table     bool
	code      bool
	json      bool
	brief     bool
	long      bool
	count     int // items, 0 when none are counted
	words     int // the words that the answer shall have, 0 for any
	language  language
}

// Instructions stand at the start or the end of a request, around what they are
// about: so many bytes of both are looked at.
const (
	opening = 1 << 10
	closing = 2 << 10
)

// Ask reads the text of a request; "" is none.
func Ask(prompt string) *Asked {
	a := &Asked{}
	if prompt == "" {
		return a
	}
	a.known = true
	a.text.read(prompt)
	a.questions = strings.Count(prompt, "?") + strings.Count(prompt, "？")
	a.numbered = a.text.items
	where := prompt
	if len(prompt) > opening+closing {
		where = prompt[:opening] + "\n" + prompt[len(prompt)-closing:]
	}
	a.language = a.text.language()
	a.instructions(strings.FieldsFunc(strings.ToLower(where), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}))
	return a
}

// instructions reads the words of what is asked for. Later words count more.
func (a *Asked) instructions(words []string) {
	for i, w := range words {
		switch formats[w] {
		case asksList:
			a.list = true
		case asksTable:
			a.table = true
		case asksCode:
			a.code = true
		case asksJSON:
			a.json = true
		case asksBrief:
			a.brief = true
		case asksLong:
			a.long = true
		}
		if l, named := languages[w]; named && i > 0 && introduces[words[i-1]] {
			a.language = l
		}
		if n := numberOf(w); n > 0 {
			a.counted(n, words[i+1:])
		}
	}
}

// counted notes a number of items or words: one of the next two words is what is
// counted.
func (a *Asked) counted(n int, next []string) {
	for _, w := range next[:min(len(next), 2)] {
		switch units[w] {
		case countsItems:
			a.count, a.list = n, true
			return
		case countsWords:
			a.words = n
			return
		case countsSentences:
			a.words = n * 18 // words, as sentences have them
			return
		}
	}
}

func numberOf(w string) int {
	if n := numerals[w]; n > 0 {
		return n
	}
	if w[0] < '0' || w[0] > '9' || len(w) > 4 {
		return 0
	}
	n, err := strconv.Atoi(w)
	if err != nil {
		return 0
	}
	return n
}

// What a word asks for.
const (
	asksList = iota + 1
	asksTable
	asksCode
	asksJSON
	asksBrief
	asksLong
)

var formats = meanings(map[int]string{
	asksList:  "list bullet bullets enumerate itemized lista listado liste aufzählung elenco liste",
	asksTable: "table tabla tableau tabelle tabela tabella 表格",
	asksCode: "code function script regex sql python javascript java golang rust html css implement " +
		"program código codigo fonction funktion função",
	asksJSON:  "json",
	asksBrief: "briefly brief concise short succinct shortly breve brevemente bref kurz",
	asksLong: "detailed essay comprehensive thorough detail article story detallado ensayo détaillé " +
		"ausführlich detalhado",
})

// What a number counts.
const (
	countsItems = iota + 1
	countsWords
	countsSentences
)

var units = meanings(map[int]string{
	countsItems: "ideas idea examples example reasons steps tips points ways items questions bullets bullet " +
		"facts names titles suggestions options things benefits advantages differences strategies " +
		"topics headlines keywords recommendations ejemplos razones ideas pasos consejos puntos " +
		"formas preguntas exemples raisons étapes conseils idées façons beispiele gründe schritte " +
		"tipps ideen punkte exemplos razões passos dicas",
	countsWords:     "words word palabras mots wörter worte palavras parole",
	countsSentences: "sentences sentence oraciones frases phrases sätze sätzen frasi",
})

var numerals = map[string]int{
	"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"twelve": 12, "fifteen": 15, "twenty": 20, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "diez": 10,
	"deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "dix": 10, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
	"zehn": 10, "três": 3, "dez": 10,
}

func meanings(of map[int]string) map[string]int {
	table := map[string]int{}
	for meaning, words := range of {
		for _, w := range strings.Fields(words) {
			table[w] = meaning
		}
	}
	return table
}

// misses fills in what the request asked for and the answer does not have.
func (a *Asked) misses(t *text, x *Row) {
	if !a.known {
		return
	}
	x[askedBytes] = logOf(a.text.bytes)
	x[askedQuestions] = logOf(a.questions)
	x[askedNumbered] = logOf(a.numbered)
	x[askedCode] = flag(a.code)
	x[askedBrief] = flag(a.brief)
	x[askedLong] = flag(a.long)
	listed := t.bullets + t.items + t.rows
	x[missesList] = flag(a.list && listed < 2)
	x[missesTable] = flag(a.table && t.rows < 2)
	x[missesCode] = flag(a.code && t.fences == 0)
	x[missesJSON] = flag(a.json && !t.json)
	if a.count > 0 {
		x[missesItems] = abs(logOf(max(t.items, t.bullets, t.rows)) - logOf(a.count))
	}
	if a.words > 0 {
		x[missesWords] = abs(logOf(t.words) - logOf(a.words))
	}
	x[missesLanguage] = flag(differ(a.language, t.language()))
	if a.numbered > 1 {
		x[missesAnswers] = max(0, logOf(a.numbered)-logOf(max(t.items, t.headings, t.bullets)))
	}
	x[askedShared] = cosine(&a.text.grams[0], &t.grams[0])
	x[askedNumbers] = overlap(&a.text.numbers, &t.numbers)
	x[askedLonger] = logOf(t.bytes) - logOf(a.text.bytes)
}

func abs(x float32) float32 { return max(x, -x) }
