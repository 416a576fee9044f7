// Package refusal says whether a text declines to answer, in the languages that
// models write.
//
// Only an opening counts, and only of a short text: "I can't help you" in the
// middle of a story is no refusal. An opening is a refusal when a model says of
// itself that it will not do what was asked, in the words of languages.txt. One that
// merely begins like it is an answer: that something could not be found, that a
// refund is not granted, an apology with what was asked behind it.
//
// All functions are pure.
package refusal

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// longest is up to how many letters a text may be a refusal. A longer one explains,
// and an explanation may be what was asked for.
const longest = 800

// Declines reports whether a text is a refusal.
func Declines(text string) bool {
	if len(text) > 4*longest || utf8.RuneCountInString(text) > longest {
		return false
	}
	s := spoken(unwrapped(text)) + "." // what ends a sentence ends a request too
	opening := sentences(s)
	for range mostLeads {
		if rest, ok := core(opening); ok {
			return !answersAnyway(rest, s[len(opening):])
		}
		shorter, ok := withoutLead(opening)
		if !ok {
			return false
		}
		opening = shorter
	}
	return false
}

// mostLeads is how many phrases of regret may come before a refusal.
const mostLeads = 8

// unwrapped is the text inside a JSON object that has nothing else.
func unwrapped(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		return text
	}
	var members map[string]string
	if json.Unmarshal([]byte(text), &members) != nil || len(members) != 1 {
		return text
	}
	for _, only := range members {
		text = only
	}
	return text
}

// spoken is a text without marks of layout, in lower case, with one spelling of
// what is often shortened.
func spoken(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	space := true
	for _, r := range norm.NFC.String(withoutTags(text)) {
		switch {
		case unicode.IsSpace(r) && r != '\n':
			r = ' '
		case r == '’' || r == 'ʼ' || r == '`' || r == '´':
			r = '\''
		case strings.ContainsRune("*_#>~\"“”„«»「」『』\ufe0f\u200b\u200d", r), unicode.Is(unicode.So, r):
			continue
		}
		if r == ' ' && space {
			continue
		}
		space = r == ' ' || r == '\n'
		b.WriteRune(unicode.ToLower(r))
	}
	return short.Replace(strings.TrimLeft(b.String(), " \n-–—:.…"))
}

// withoutTags drops elements such as <p> that a text begins with.
func withoutTags(s string) string {
	for strings.HasPrefix(s, "<") {
		_, after, closed := strings.Cut(s, ">")
		if !closed {
			return s
		}
		s = strings.TrimLeft(after, " \r\n\t")
	}
	return s
}

// short has what English shortens; a typed apostrophe is often left out.
var short = strings.NewReplacer(
	"can't", "cannot", "can not", "cannot", "cant ", "cannot ", "i'm", "i am", "i’m", "i am",
	"won't", "will not", "wouldn't", "would not", "couldn't", "could not", "don't", "do not", "isn't", "is not",
	"we're", "we are", "aren't", "are not", "that's", "that is", "it's", "it is", "i'd", "i would", "i've", "i have",
)

// openingBytes is how much of a text can be its opening.
const openingBytes = 400

// sentences is the opening of a text: a few sentences.
func sentences(s string) string {
	if len(s) <= openingBytes {
		return s
	}
	s = s[:openingBytes]
	for !utf8.ValidString(s[max(0, len(s)-4):]) && len(s) > 0 {
		s = s[:len(s)-1]
	}
	return s
}

// withoutLead drops a phrase of regret, and what connects it with what follows.
func withoutLead(s string) (string, bool) {
	trimmed := strings.TrimLeft(s, " \n,.;:!-–—、，。！،؛…")
	if trimmed != s {
		return trimmed, trimmed != ""
	}
	for i := range languages {
		for _, lead := range languages[i].leads {
			rest, ok := lead.match(s, nil)
			if ok && rest != "" && !splits(s, rest) {
				return rest, true
			}
		}
	}
	return s, false
}

// splits reports whether rest begins in the middle of a word of s, in scripts that
// write spaces between words.
func splits(s, rest string) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:len(s)-len(rest)])
	after, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsLetter(before) && unicode.IsLetter(after) &&
		unicode.In(after, unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Arabic, unicode.Hebrew)
}

// core reports whether s begins with the words of a refusal, and what follows them.
func core(s string) (rest string, ok bool) {
	for i := range languages {
		for _, c := range languages[i].cores {
			if rest, ok = c.match(s, languages[i].fillers); ok && !idiom(s, rest) {
				return rest, true
			}
		}
	}
	return "", false
}

// idiom reports English words that look like a refusal and are none: I cannot help
// but agree, I cannot help thinking, I cannot help on Friday.
func idiom(s, rest string) bool {
	if !strings.HasSuffix(s[:len(s)-len(rest)], "help") || !strings.HasPrefix(rest, " ") {
		return false
	}
	word, _, _ := strings.Cut(rest[1:], " ")
	return strings.HasSuffix(word, "ing") || notHelped[word]
}

var notHelped = map[string]bool{
	"but": true, "it": true, "on": true, "at": true, "until": true, "before": true, "after": true, "tomorrow": true,
	"today": true, "next": true,
}

// contrasts are the words behind which an answer may follow after all.
var contrasts = []string{
	" but ", " however", " pero ", " mais ", " aber ", " ma ", " mas ", " maar ", " ale ", " но ", " однако", "但",
	"ですが",
	"しかし", "ただし", "하지만", " لكن", " ولكن", " लेकिन", " ama ", " ancak ", " nhưng ", " tetapi ", " tapi ", " men ",
	" mutta ", " sin embargo", " cependant", " jedoch", " tuttavia", " porém", " instead",
}

// sources are what an answer about supplied texts speaks of: that something is not
// in them is what was asked for.
var sources = []string{
	"provided", "the context", "the document", "the text", "the passage", "the sources", "the article", "the given",
	"documento", "contexto", "texto proporcionado", "le document", "les documents", "le contexte", "le texte", "dokument",
	"bereitgestellt", "kontext", "nel testo", "contesto", "in de tekst", "документ", "контекст", "文档", "上下文", "文書",
	"資料", "문서", "المستند", "النص", "दस्तावेज",
}

// answersAnyway reports whether what was asked for follows the refusal: that supplied
// texts do not say it; or a contrast, and behind it a figure or what it announces.
func answersAnyway(rest, more string) bool {
	all := rest + more
	if slices.ContainsFunc(sources, func(word string) bool { return strings.Contains(all, word) }) {
		return true
	}
	for _, word := range contrasts {
		_, after, found := strings.Cut(all, word)
		if !found {
			continue
		}
		if strings.ContainsAny(after, "0123456789") || strings.HasPrefix(strings.TrimLeft(after, " ,"), "here is") ||
			strings.HasPrefix(strings.TrimLeft(after, " ,"), "here are") {
			return true
		}
	}
	return false
}
