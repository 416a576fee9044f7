package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is one mistake with its position.
type Fault struct {
	Position
	Path    string // "tenants[1].budgets[0]", "" for a whole file
	Message string
	// Warning does not make the configuration invalid.
	Warning bool

	width int // of what the caret shows, in characters; 0 counts as 1
	order int // of the file among all that were read
}

// Error is everything that is wrong with a configuration, sorted by position.
// It has at least one fault that is not a warning.
type Error struct {
	Faults []Fault
	// Partial is what could be read of the configuration. It is there so that
	// other packages can look for their mistakes too, and for nothing else; nil
	// when Report made the error.
	Partial *Config
}

// With returns the error with the problems added, warnings too. Those that
// are where there is one already, or about all around one, are left out: they follow
// from it.
func (e *Error) With(problems []Problem) *Error {
	taken := map[Position]bool{}
	paths := map[string]bool{}
	for _, f := range e.Faults {
		taken[f.Position] = true
		for path := f.Path; path != ""; path = around(path) {
			paths[path] = true
		}
	}
	all := slices.Clone(e.Faults)
	for _, f := range e.Partial.Faults(problems) {
		if !taken[f.Position] && !paths[f.Path] {
			all = append(all, f)
		}
	}
	return &Error{Faults: onePerPlace(all), Partial: e.Partial}
}

// around is the path of what is around the value at path, "" at the top.
func around(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// Error renders all faults as compilers do, each with its line and a caret,
// and a last line that counts them.
func (e *Error) Error() string { return render(e.Faults) }

// Report renders the problems that other packages found as the loader renders
// its own. It returns nil when all are warnings, else an *Error with all.
func (c *Config) Report(problems []Problem) error {
	return faultError(c.Faults(problems))
}

// Render returns the text of the problems, warnings too, "" when there are none.
func (c *Config) Render(problems []Problem) string {
	if len(problems) == 0 {
		return ""
	}
	return render(c.Faults(problems))
}

// Faults are the problems with their positions, sorted by them, each once.
func (c *Config) Faults(problems []Problem) []Fault {
	faults := make([]Fault, 0, len(problems))
	for _, p := range problems {
		if c.source == nil || !c.source.unset[p.Path] {
			faults = append(faults, c.source.fault(p))
		}
	}
	return onePerPlace(faults)
}

// EndColumn is the column after what the fault is about, in the same line.
func (f *Fault) EndColumn() int {
	return f.Column + utf8.RuneCountInString(strings.TrimLeft(caret(f.Text, f.Column, f.width), " \t"))
}

// fault gives a problem its position.
func (s *source) fault(p Problem) Fault {
	at := s.find(p.Path)
	f := newFault(at.into(p.Offset), cmp.Or(at.written, p.Path), p.Message)
	f.Warning = p.Warning
	return f
}

func newFault(at place, path, message string) Fault {
	f := Fault{Position: at.position(), Path: path, Message: message, width: at.width}
	if at.file != nil {
		f.order = at.file.order
		var book int
		if n, _ := fmt.Sscanf(path, "prices[%d]", &book); n == 1 && f.order == 0 && book >= shippedBooks {
			_, rest, _ := strings.Cut(path, "]")
			f.Path = fmt.Sprintf("prices[%d]%s", book-shippedBooks, rest) // as the main file counts them
		}
	}
	return f
}

// onePerPlace sorts the faults and drops the second of two that say the same of the
// same place: one entry of a price book gives one for each of its rows, and what is
// used by an alias or merged gives one for each use.
func onePerPlace(faults []Fault) []Fault {
	sortFaults(faults)
	type mistake struct {
		at      Position
		message string
	}
	seen := make(map[mistake]bool, len(faults))
	return slices.DeleteFunc(faults, func(f Fault) bool {
		of := mistake{f.Position, f.Message}
		twice := seen[of]
		seen[of] = true
		return twice
	})
}

// faultError is nil unless one of the faults is an error.
func faultError(faults []Fault) error {
	if !slices.ContainsFunc(faults, func(f Fault) bool { return !f.Warning }) {
		return nil
	}
	return &Error{Faults: faults}
}

func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func render(faults []Fault) string {
	var b strings.Builder
	var errors, warnings int
	for _, f := range faults {
		kind := "error"
		if f.Warning {
			kind = "warning"
			warnings++
		} else {
			errors++
		}
		f.render(&b, kind)
	}
	b.WriteString(plural(errors, "error"))
	if warnings > 0 {
		b.WriteString(", " + plural(warnings, "warning"))
	}
	return b.String()
}

func (f Fault) render(b *strings.Builder, kind string) {
	if f.File != "" {
		fmt.Fprintf(b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	}
	b.WriteString(kind + ": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message + "\n")
	if f.Text == "" {
		return
	}
	text, column := excerpt(strings.Map(printable, f.Text), f.Column)
	fmt.Fprintf(b, "%5d | %s\n", f.Line, text)
	fmt.Fprintf(b, "      | %s\n", caret(text, column, f.width))
}

// printable is r, or what a terminal shows in its place: contents of a file must not
// command it.
func printable(r rune) rune {
	if r == '\t' || unicode.IsGraphic(r) {
		return r
	}
	return utf8.RuneError
}

// excerpt is what of a long line is worth showing: what is around a column, which is
// returned as it is in there.
func excerpt(text string, column int) (string, int) {
	const most, before = 160, 60
	if len(text) <= most {
		return text, column
	}
	runes := []rune(text)
	from := min(max(0, column-1-before), max(0, len(runes)-most))
	if to := from + most; to < len(runes) {
		runes = append(runes[:to:to], '…')
	}
	if from == 0 {
		return string(runes), column
	}
	return "…" + string(runes[from:]), column - from + 1
}

// caret underlines width characters from column on, inside the line. Tabs stay
// tabs, so that the caret is below what it means.
func caret(text string, column, width int) string {
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text)
	length := utf8.RuneCountInString(text)
	before := min(column-1, length)
	runes := []rune(pad)[:before]
	return string(runes) + strings.Repeat("^", max(1, min(width, length-before)))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
