package traits

import "strings"

// language is what a text is written in, as far as its commonest words or its script
// tell. The zero value is that they do not.
type language uint8

const (
	unknown language = iota
	english
	spanish
	french
	german
	portuguese
	italian
	dutch
	han // Chinese and Japanese, by script
	korean
	cyrillic
	arabic
	otherScript
	languageCount
)

// common are words that are frequent in one language and rare in the others.
var common = [languageCount]string{
	english:    "the and is of to that it with for this are was you have not what be can will which",
	spanish:    "el los las una por con para es que se del como más pero su este esta hay muy son",
	french:     "le les des une est pour dans que qui vous avec sur pas ce il au aux du nous être",
	german:     "der die das und ist nicht ein eine mit für auf sie den dem zu von wird sind auch werden",
	portuguese: "os uma não para com por você mais como foi são ao dos das mas ou isso ele pela também",
	italian:    "il gli una per con non che di della sono è come più anche nel alla questo dei delle ha",
	dutch:      "het een van niet en voor met zijn dat op te aan er wordt worden ook naar bij dit deze",
}

var commonWords = func() (table [languageCount][]uint32) {
	for l, words := range common {
		for _, w := range strings.Fields(words) {
			h := uint32(offset)
			for _, r := range w {
				h = (h ^ uint32(r)) * prime
			}
			table[l] = append(table[l], h)
		}
	}
	return table
}()

// enough is how many of its common words a text of a language has at least.
const enough = 3

// language tells by script, then by the number of common words that occur.
func (t *text) language() language {
	if l := t.script(); l != unknown {
		return l
	}
	best, most, second := unknown, 0, 0
	for l, words := range commonWords {
		n := 0
		for _, h := range words {
			if t.grams[0].has(h) {
				n++
			}
		}
		switch {
		case n > most:
			best, most, second = language(l), n, most
		case n > second:
			second = n
		}
	}
	if most < enough || most == second {
		return unknown
	}
	return best
}

// script is the language that a third of the letters tell by themselves.
func (t *text) script() language {
	for l, n := range t.scripts {
		if 3*n > t.letters && n > 3 {
			return language(l)
		}
	}
	return unknown
}

// scriptOf is the language that a letter outside ASCII tells.
func scriptOf(r rune) language {
	switch {
	case r < 0x0370:
		return unknown // Latin
	case r >= 0x0400 && r < 0x0530:
		return cyrillic
	case r >= 0x0600 && r < 0x0780:
		return arabic
	case r >= 0xAC00 && r < 0xD7B0:
		return korean
	case r >= 0x3040 && r < 0x3100, r >= 0x3400 && r < 0xA000, r >= 0x20000 && r < 0x40000:
		return han
	}
	return otherScript
}

func differ(a, b language) bool { return a != unknown && b != unknown && a != b }

// languages are the names of languages, as requests have them.
var languages = map[string]language{
	"english": english, "inglés": english, "anglais": english, "englisch": english, "inglês": english,
	"inglese": english,
	"spanish": spanish, "español": spanish, "espagnol": spanish, "castellano": spanish,
	"spanisch": spanish, //nolint:misspell // German
	"french":   french, "francés": french, "français": french, "französisch": french,
	"german": german, "alemán": german, "allemand": german, "deutsch": german,
	"portuguese": portuguese, "portugués": portuguese, "português": portuguese, "portugiesisch": portuguese,
	"italian": italian, "italiano": italian, "italienisch": italian,
	"dutch": dutch, "holländisch": dutch, "nederlands": dutch,
	"chinese": han, "japanese": han, "chino": han, "chinesisch": han, "japonés": han, "中文": han, "日本語": han,
	"korean": korean, "coreano": korean, "russian": cyrillic, "ruso": cyrillic, "russisch": cyrillic, "arabic": arabic,
}

// introduces are the words before the name of a language that an answer shall be in.
var introduces = map[string]bool{
	"in": true, "into": true, "to": true, "en": true, "al": true, "auf": true, "ins": true, "em": true, "para": true,
	"au": true, "vers": true, "naar": true,
}
