// Package celltext makes what somebody else chose, such as the name of a model, safe to show
// in a cell of a table.
package celltext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// NoFormula is a text for a cell of CSV, so that no spreadsheet runs it: what looks like a
// formula gets a quote before it. Numbers must not pass through it.
func NoFormula(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// Printable is a text for a terminal: it cannot move the reader's cursor, nor make a column
// of its own.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}
