package ground

import (
	_ "embed" // for the lexicon
	"slices"
	"strconv"
	"strings"
)

//go:embed lexicon.txt
var lexiconText string

// unit is what a number counts. Units that are not listed are none: they neither
// support a number nor contradict it.
type unit uint8

const (
	noUnit unit = iota
	percent
	seconds
	minutes
	hours
	days
	weeks
	months
	years
	metres
	kilometres
	centimetres
	millimetres
	miles
	feet
	inches
	grams
	kilograms
	pounds
	litres
	degrees
	megabytes
	gigabytes
	terabytes
	kilobytes
	watts
	dollars
	euros
	sterling
	yen
	rupees
	won
	roubles
	francs
	yuan
	zloty
	crowns
	reais
)

const firstCurrency = dollars

// measure is what units have in common: a dimension, named by one of its units, and
// how many of those a unit is.
type measure struct {
	dimension unit
	factor    float64
	rough     bool // conversions to it are rounded
}

var measures = [reais + 1]measure{
	seconds: {seconds, 1, false}, minutes: {seconds, 60, false}, hours: {seconds, 3600, false},
	days: {seconds, 86400, false}, weeks: {seconds, 7 * 86400, false},
	months: {months, 1, false}, years: {months, 12, false},
	metres: {metres, 1, false}, kilometres: {metres, 1000, false}, centimetres: {metres, 0.01, false},
	millimetres: {metres, 0.001, false}, miles: {metres, 1609.344, true}, feet: {metres, 0.3048, true},
	inches: {metres, 0.0254, true},
	grams:  {grams, 1, false}, kilograms: {grams, 1000, false}, pounds: {grams, 453.59237, true},
	kilobytes: {kilobytes, 1, false}, megabytes: {kilobytes, 1e3, false}, gigabytes: {kilobytes, 1e6, false},
	terabytes: {kilobytes, 1e9, false},
}

// signUnits are units that are written as one sign.
var signUnits = map[rune]unit{
	'%': percent, '％': percent, '٪': percent, '°': degrees, '℃': degrees,
	'$': dollars, '€': euros, '£': sterling, '¥': yen, '￥': yen, '₹': rupees, '₩': won, '₽': roubles, '＄': dollars,
	'天': days, '日': days, '秒': seconds, '分': minutes, '週': weeks, '周': weeks, '年': years, '岁': years, '歳': years,
	'元': yuan, '円': yen, '米': metres, '원': won,
}

// part is the parts that a word can have in what is looked for, as bits.
type part uint32

const (
	isTitle    part = 1 << iota // Mr, Dr: a name follows
	isHalf                      // am, pm
	isClock                     // Uhr, h
	isOf                        // de, of: between a day and its month
	isOrdinal                   // st, th
	isCommon                    // a month that is a word of another kind too
	isStop                      // says nothing about the subject of a sentence
	isAsk                       // asks for something, or is of the frame of a question
	isArticle                   // a noun follows
	isTotal                     // a sum or a difference follows
	isAbout                     // the number behind it is rounded
	isGeneric                   // a word in capitals that names nothing
	isNegative                  // not, no
	isStrong                    // mention, specify: with a negative word, that something is not there
	isWeak                      // contain, find: only beside the name of the documents, or in the first person
	isMatter                    // documents, context
	isFirst                     // first person
	isWho                       // asks for a person
	isWhere                     // asks for a place
	isWhen                      // asks for a time
	isHowMany                   // asks for a number
	isCost                      // asks for money
	isPlace                     // in, aus: a name without an article may follow
	isStarter                   // begins sentences, and is no part of a name that follows
	isYes                       // yes, no: an answer by itself
	isCiting                    // Document, Source: a number cites
)

// bitNames are the bits as lexicon.txt names them.
var bitNames = map[string]part{
	"title": isTitle, "half": isHalf, "clock": isClock, "of": isOf, "ordinal": isOrdinal, "common": isCommon,
	"ask":     isAsk,
	"article": isArticle, "total": isTotal, "about": isAbout, "generic": isGeneric, "negative": isNegative,
	"strong": isStrong, "weak": isWeak, "matter": isMatter, "i": isFirst, "who": isWho, "where": isWhere, "when": isWhen,
	"howMany": isHowMany, "cost": isCost, "place": isPlace, "starter": isStarter, "yes": isYes, "citing": isCiting,
}

// unitNames are the units as lexicon.txt names them, in their order.
var unitNames = strings.Fields("none percent seconds minutes hours days weeks months years metres kilometres " +
	"centimetres millimetres miles feet inches grams kilograms pounds litres degrees megabytes gigabytes terabytes " +
	"kilobytes watts dollars euros sterling yen rupees won roubles francs yuan zloty crowns reais")

// entry is what is known of a word.
type entry struct {
	bits  part
	lang  uint16 // languages whose stop word it is
	unit  unit
	month uint8 // 1 to 12
	day   uint8 // of the week, 1 is Monday
	short uint8 // day of the week that it abbreviates
	value int8  // 2 to 90
	scale float64
}

// maxLanguages is how many languages have stop words.
const maxLanguages = 16

// vocabulary is lexicon.txt.
type vocabulary struct {
	words      map[string]entry // folded
	labels     map[string]label
	tags       map[string]bool
	denials    []string
	honorifics []string
	languages  []string
}

// lexicon has the words of all languages.
var lexicon = compileLexicon(lexiconText)

// compileLexicon reads the lexicon. A line that it cannot read is a bug.
func compileLexicon(text string) *vocabulary {
	v := &vocabulary{words: make(map[string]entry, 2048), labels: map[string]label{}, tags: map[string]bool{}}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n  ", " "), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		head, list, _ := strings.Cut(line, ": ")
		kind, name, _ := strings.Cut(head, " ")
		switch kind {
		case "label":
			for one := range strings.SplitSeq(list, ", ") {
				v.labels[string(appendFolded(nil, []byte(one)))] = labelNames[name]
			}
		case "denial":
			v.denials = strings.Split(list, ", ")
		case "honorific":
			v.honorifics = strings.Split(list, ", ")
		case "tag":
			for one := range strings.FieldsSeq(list) {
				v.tags[one] = true
			}
		default:
			v.mark(kind, name, list)
		}
	}
	return v
}

// mark gives words a meaning.
func (v *vocabulary) mark(kind, name, list string) {
	if kind == "stop" {
		v.languages = append(v.languages, name)
	}
	for w := range strings.FieldsSeq(list) {
		w = string(appendFolded(nil, []byte(w)))
		e := v.words[w]
		switch kind {
		case "month":
			e.month = uint8(whole(name))
		case "day":
			e.day = uint8(whole(name))
		case "short":
			e.short = uint8(whole(name))
		case "number":
			e.value = int8(whole(name))
		case "unit":
			e.unit = unit(slices.Index(unitNames, name))
		case "scale":
			e.scale = whole(name)
		case "stop":
			e.bits |= isStop
			e.lang |= 1 << (len(v.languages) - 1)
		case "word":
			e.bits |= bitNames[name]
		default:
			panic("BUG: the lexicon has a line of an unknown kind: " + kind)
		}
		v.words[w] = e
	}
}

func whole(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("BUG: no number: " + text)
	}
	return n
}

// measures reports whether a word belongs to numbers and dates.
func (e entry) measures() bool { return e.unit != noUnit || e.month > 0 || e.scale > 0 || e.day > 0 }

// of is what is known of a word, which is folded.
func (v *vocabulary) of(folded []byte) entry { return v.words[string(folded)] }
