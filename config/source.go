package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/config/masked"
	"github.com/sluice-gateway/sluice/config/syntax"
)

// source keeps where each value is, for messages. The zero value knows no
// positions. It is read only once the configuration is loaded.
type source struct {
	files []*file
	parts []part           // the included ones of files
	globs []string         // of include
	unset map[string]bool  // paths of what was not needed and is not known
	at    map[string]place // without what is in tenants and cascades of parts
	// shipped is the part of at that is in the price books of the program.
	shipped map[string]place

	reopened reopened
}

// file is one file that took part.
type file struct {
	name  string
	lines []string
	order int // of reading, to sort messages by
}

// part is an included file and what it added to a configuration. It keeps neither
// the text (but for the first lists) nor the syntax tree: there may be thousands of files, and positions
// are needed for messages only. A later configuration takes its tenants and
// cascades over when the file's contents are the same.
type part struct {
	file  *file // without lines
	hash  [sha256.Size]byte
	size  int  // bytes
	ended bool // by a newline
	nodes int  // values in the file
	// tenants and cascades are those of the configuration that are in the file.
	tenants, cascades span
	// lists are the places of the keys tenants and cascades.
	lists map[string]place
}

// span is a range of a list; to is not in it.
type span struct{ from, to int }

func newFile(name string, data []byte) *file {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n") // as YAML ends lines
	text = strings.TrimPrefix(text, syntax.ByteOrderMark)
	return &file{name: name, lines: strings.Split(text, "\n")}
}

// line returns the text of line n, counted from 1.
func (f *file) line(n int) string {
	if f == nil || n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}

// style is how a scalar is written, which decides where its bytes are.
type style uint8

const (
	styleNone style = iota // a list or a mapping
	stylePlain
	styleSingle
	styleDouble
	styleBlock
)

// place is where a value is. Line and col count from 1, col and width in
// characters.
type place struct {
	file      *file
	line, col int
	width     int
	style     style
	written   string // the path in the file itself, where the configuration has it by another one
}

// position is p for the outside.
func (p place) position() Position {
	pos := Position{Line: p.line, Column: p.col, Text: masked.Line(p.file.line(p.line))}
	if p.file != nil {
		pos.File = p.file.name
	}
	return pos
}

// into returns the place of the byte that is offset bytes into the scalar
// at p, which is exact for scalars on one line and for literal blocks, and the
// start of the scalar for what was folded. It does not follow ${NAME} and the
// numeric escapes of double quotes: behind them it points too far left or right.
func (p place) into(offset int) place {
	if offset <= 0 || p.style == styleNone {
		return p
	}
	if p.style == styleBlock {
		return p.intoBlock(offset)
	}
	rest := p.rest()
	if p.style != stylePlain {
		rest = rest[min(1, len(rest)):]
	}
	skipped := 0
	for offset > 0 && skipped < len(rest) {
		n := 1
		if written := rest[skipped:]; p.style == styleDouble && written[0] == '\\' ||
			p.style == styleSingle && strings.HasPrefix(written, "''") {
			n = 2
		}
		offset--
		skipped += n
	}
	if offset > 0 {
		return p // it goes on in another line
	}
	raw := p.rest()
	skipped = len(raw) - len(rest) + min(skipped, len(rest))
	return place{p.file, p.line, p.col + utf8.RuneCountInString(raw[:skipped]), 1, p.style, p.written}
}

// intoBlock is into for a literal block, whose text begins in the next line.
func (p place) intoBlock(offset int) place {
	first := p.file.line(p.line + 1)
	indent := len(first) - len(strings.TrimLeft(first, " "))
	for n := p.line + 1; n <= len(p.file.lines); n++ {
		text := p.file.line(n)
		text = text[min(indent, len(text)):]
		if offset <= len(text) {
			return place{p.file, n, indent + utf8.RuneCountInString(text[:offset]) + 1, 1, p.style, p.written}
		}
		offset -= len(text) + 1
	}
	return p
}

// rest is the line of p from its column on.
func (p place) rest() string {
	text := p.file.line(p.line)
	for range p.col - 1 {
		_, n := utf8.DecodeRuneInString(text)
		text = text[n:]
	}
	return text
}

// find returns the place of path, or of the nearest value around it that is
// written down: a default has no place.
func (s *source) find(path string) place {
	if s == nil {
		return place{}
	}
	for {
		if p, ok := s.at[path]; ok {
			return p
		}
		if p, ok := s.inPart(path); ok {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	if len(s.files) == 0 {
		return place{}
	}
	return place{file: s.files[0], line: 1, col: 1, width: 1}
}

// opened is a part that was read again for the positions in it. Its paths begin
// with the file's own tenants[0] and cascades[0].
type opened struct {
	part *part
	at   map[string]place
}

// reopened are the parts that were read again last: problems come in the order of
// the files, or point back to one of them. The zero value is empty. It is safe for
// concurrent use.
type reopened struct {
	mu   sync.Mutex
	last []opened
}

const maxReopened = 8

// at are the places of what is in p.
func (r *reopened) at(p *part) map[string]place {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.last {
		if o.part == p {
			return o.at
		}
	}
	if len(r.last) == maxReopened {
		r.last = slices.Delete(r.last, 0, 1)
	}
	at := p.read()
	r.last = append(r.last, opened{p, at})
	return at
}

// read decodes p again for its positions. A file that has changed in the meantime
// has none but its beginning.
func (p *part) read() map[string]place {
	f := &file{name: p.file.name, order: p.file.order}
	begin := map[string]place{"tenants": {file: f, line: 1, col: 1, width: 1}}
	begin["cascades"] = begin["tenants"]
	data, err := os.ReadFile(p.file.name)
	if err != nil || sha256.Sum256(data) != p.hash {
		return begin
	}
	d := &decoder{env: func(string) string { return "" }} // values do not matter here
	t := d.newTree(p.file.name, data)
	t.file.order = f.order
	if body := d.parseYAML(t.file, data); body != nil {
		includedSection(d, value{t, body, ""}, &Config{})
	}
	return t.at
}

// inPart returns the place of a path below tenants[N] or cascades[N] that is in an
// included file.
func (s *source) inPart(path string) (place, bool) {
	list, rest, _ := strings.Cut(path, "[")
	index, below, closed := strings.Cut(rest, "]")
	n, err := strconv.Atoi(index)
	if !closed || err != nil || list != "tenants" && list != "cascades" {
		return place{}, false
	}
	of := func(p *part) span {
		if list == "tenants" {
			return p.tenants
		}
		return p.cascades
	}
	i, has := slices.BinarySearchFunc(s.parts, n, func(p part, n int) int {
		switch in := of(&p); {
		case in.to <= n:
			return -1
		case in.from > n:
			return 1
		}
		return 0
	})
	if !has {
		return place{}, false
	}
	p := &s.parts[i]
	at, known := s.reopened.at(p), fmt.Sprintf("%s[%d]%s", list, n-of(p).from, below)
	if place, has := at[known]; has {
		return place, true
	}
	if begin, changed := at[list]; changed && below == "" {
		return begin, true
	}
	return place{}, false
}

// At maps the path of a value, "cascades[0].match" or `aliases["auto"]`, to
// where it is. A value that is not written down has the position of what
// is nearest around it, at last the start of the file.
func (c *Config) At(path string) Position { return c.source.find(path).position() }

// Written reports whether the value at path is in a file, not a default.
func (c *Config) Written(path string) bool {
	_, is := c.source.at[path]
	return is
}

// member returns the path of the entry key of the mapping at path, as At and
// Problem name it.
func member(path, key string) string { return path + `["` + key + `"]` }
