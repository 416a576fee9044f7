package test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/test/harness"
)

// limit is a bound on one measure of the code.
type limit struct {
	what string
	most int
}

// The limits of the house. A package is named by its directory, a type, function
// or struct by directory and name, and a file by its path.
var (
	filesPerPackage  = limit{"files outside tests", 15}
	methodsPerType   = limit{"methods", 30}
	fieldsPerStruct  = limit{"fields", 20}
	linesPerFunction = limit{"lines in a function", 62}
	linesPerFile     = limit{"lines in a file", 500}
	linesOfTheLine   = limit{"lines outside tests", 1500}
	longLines        = limit{"lines over 120 columns", 0}
)

// theLine is the request line itself: linesOfTheLine holds there, so that a step is
// still one function and its work is elsewhere.
const theLine = "internal/gateway"

// line are the packages whose structs are part of a request: fieldsPerStruct
// holds there.
var line = []string{theLine, "internal/leg", "internal/shadow"}

const columns = 120

// TestShape measures every Go file of the repository.
func TestShape(t *testing.T) {
	found := map[*limit]map[string]int{}
	count := func(l *limit, name string, n int) {
		if found[l] == nil {
			found[l] = map[string]int{}
		}
		found[l][name] += n
	}
	root := harness.Root(t)
	for _, file := range goFiles(t, root) {
		measure(t, root, file, count)
	}
	for l, sizes := range found {
		for _, name := range slices.Sorted(maps.Keys(sizes)) {
			if n := sizes[name]; n > l.most {
				t.Errorf("%s: %d %s, at most %d", name, n, l.what, l.most)
			}
		}
	}
}

// goFiles lists the Go files of the repository by their paths below root.
func goFiles(t *testing.T, root string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); rel != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "bin") {
				return filepath.SkipDir
			}
		} else if strings.HasSuffix(rel, ".go") {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// measure counts what one file adds to each limit. Tests are free in the number
// and length of their functions.
func measure(t *testing.T, root, file string, count func(l *limit, name string, n int)) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(file)
	lines := bytes.Count(source, []byte("\n"))
	count(&linesPerFile, file, lines)
	count(&longLines, file, tooLong(source))
	if strings.HasSuffix(file, "_test.go") {
		return
	}
	count(&filesPerPackage, dir, 1)
	if dir == theLine {
		count(&linesOfTheLine, dir, lines)
	}
	positions := token.NewFileSet()
	tree, err := parser.ParseFile(positions, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for node := range ast.Preorder(tree) {
		switch n := node.(type) {
		case *ast.FuncDecl:
			name := dir + "." + receiver(n) + n.Name.Name
			count(&linesPerFunction, name, positions.Position(n.End()).Line-positions.Position(n.Pos()).Line+1)
			if n.Recv != nil {
				count(&methodsPerType, dir+"."+strings.TrimSuffix(receiver(n), "."), 1)
			}
		case *ast.TypeSpec:
			if fields, ok := n.Type.(*ast.StructType); ok && slices.Contains(line, dir) {
				count(&fieldsPerStruct, dir+"."+n.Name.Name, fields.Fields.NumFields())
			}
		}
	}
}

// tooLong counts the lines of a file that are longer than columns. A raw string, such as a body, is as long as it is.
func tooLong(source []byte) (n int) {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var tokens scanner.Scanner
	tokens.Init(file, source, nil, scanner.ScanComments)
	raw := map[int]bool{} // lines with a part of a raw string
	for pos, kind, text := tokens.Scan(); kind != token.EOF; pos, kind, text = tokens.Scan() {
		if kind == token.STRING && text[0] == '`' && len(text) > 40 {
			for i := range 1 + strings.Count(text, "\n") {
				raw[file.Line(pos)+i] = true
			}
		}
	}
	for i, text := range bytes.Split(source, []byte("\n")) {
		if utf8.RuneCount(text) > columns && !raw[i+1] {
			n++
		}
	}
	return n
}

// receiver is "Type." for a method, and "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	switch generic := of.(type) {
	case *ast.IndexExpr:
		of = generic.X
	case *ast.IndexListExpr:
		of = generic.X
	}
	return of.(*ast.Ident).Name + "."
}
