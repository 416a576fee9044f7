package refusal

import (
	_ "embed" // the table
	"strings"
)

//go:embed languages.txt
var table string

// language has the words by which models decline in one language.
type language struct {
	leads   []pattern
	fillers []string
	cores   []pattern
}

var languages = readTable(strings.ReplaceAll(table, "\n  ", ""))

// readTable reads languages.txt, whose head says what its lines are. A line of
// another form is a mistake of ours, and panics.
func readTable(text string) []language {
	var all []language
	for line := range strings.Lines(text) {
		kind, words, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		words = strings.ReplaceAll(words, "_", " ")
		switch {
		case kind == "" || kind == "#":
			continue
		case kind[0] == '[':
			all = append(all, language{})
			continue
		}
		last := &all[len(all)-1]
		switch kind {
		case "lead":
			last.leads = append(last.leads, parse(words))
		case "filler":
			last.fillers = append(last.fillers, strings.Split(words, "|")...)
		case "core":
			last.cores = append(last.cores, parse(words))
		default:
			panic("BUG: a line of languages.txt is none: " + line)
		}
	}
	return all
}
