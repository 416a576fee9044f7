package keys

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Line is an act as a file has it.
type Line struct {
	Number int // from 1, 0 for one that the ledger has and the file has not
	Act    Act
	Hash   string
	// Broken is what is wrong with it, "" for nothing.
	Broken string
	// Sealed is whether a root secret that is loaded made its seal. Without, the one that
	// did is gone or not here: then the chain alone speaks for the act.
	Sealed bool
}

// ReadFile reads the lines of a data directory's file of acts, as they are. There are
// none when there is no file.
func ReadFile(dataDir string, by Sealer) ([]Line, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Line
	n := 0
	for line := range bytes.Lines(text) {
		n++
		all = append(all, readLine(n, bytes.TrimRight(line, "\n"), by))
	}
	return all, err
}

// Lines are the lines of the book's file.
func (b *Book) Lines() ([]Line, error) { return ReadFile(b.opts.DataDir, b.opts.Sealer) }

func readLine(n int, text []byte, by Sealer) Line {
	e, err := parseLine(text)
	if err != nil {
		return Line{Number: n, Broken: err.Error()}
	}
	k, err := open(e)
	if err != nil {
		return Line{Number: n, Hash: e.Hash(), Broken: err.Error()}
	}
	l := Line{Number: n, Act: k.Act, Hash: k.hash}
	ok, loaded := by.Sealed(e.Act, e.Seal)
	if l.Sealed = ok; loaded && !ok {
		l.Broken = "its seal is not that of its text: it was changed"
	}
	return l
}

// Verify checks the links of acts, each of which names its writer's act before it and
// the newest act that its writer knew. It says in Broken what does not fit, and returns
// the first such line of each writer, in order. Acts that somebody removed from the end
// leave no trace but in the files of other gateways, and in the ledger.
func Verify(lines []Line) (broken []*Line) {
	there, writers := map[string]bool{}, map[string][]*Line{}
	for i := range lines {
		l := &lines[i]
		if !there[l.Hash] || l.Hash == "" { // the same line twice is once
			writers[l.Act.Writer] = append(writers[l.Act.Writer], l)
		}
		there[l.Hash] = true
	}
	for _, writer := range slices.Sorted(maps.Keys(writers)) {
		chain := writers[writer]
		slices.SortStableFunc(chain, func(a, b *Line) int { return cmp.Compare(a.Act.Number, b.Act.Number) })
		if writer == "" { // unreadable lines have none, and each is for itself
			broken = append(broken, chain...)
			continue
		}
		verifyChain(chain, there)
		if i := slices.IndexFunc(chain, func(l *Line) bool { return l.Broken != "" }); i >= 0 {
			broken = append(broken, chain[i])
		}
	}
	slices.SortStableFunc(broken, func(a, b *Line) int { return cmp.Compare(a.Number, b.Number) })
	return broken
}

func verifyChain(chain []*Line, there map[string]bool) {
	var before Line
	for _, l := range chain {
		a := &l.Act
		switch {
		case l.Broken != "":
		case a.Number == before.Act.Number:
			l.Broken = fmt.Sprintf("another act has the number %d too", a.Number)
		case a.Number != before.Act.Number+1:
			l.Broken = fmt.Sprintf("act %d of this writer is missing before it", before.Act.Number+1)
		case a.Prev != before.Hash:
			l.Broken = fmt.Sprintf("it does not follow act %d as that is now", before.Act.Number)
		case a.After != "" && !there[a.After]:
			l.Broken = "the act that its writer knew last is missing: " + a.After
		}
		before = *l
	}
}

// WithBoard adds to lines the acts that the book has heard of and they lack.
func (b *Book) WithBoard(lines []Line) []Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	here := map[string]bool{}
	for i := range lines {
		here[lines[i].Hash] = true
	}
	for _, k := range b.sorted {
		if !here[k.hash] {
			lines = append(lines, readLine(0, appendEntry(nil, &k.Entry), b.opts.Sealer))
		}
	}
	return lines
}
