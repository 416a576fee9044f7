package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/config/syntax"
)

// decoder walks syntax trees into structs and collects every mistake on its
// way: a fault never stops it.
type decoder struct {
	faults []Fault
	files  []*file
	env    func(string) string
	// includes are the globs of further files, absolute.
	includes []string
	terms    []Terms // of all catalogues
	// previous is an earlier configuration whose included files may be the same;
	// nil for none.
	previous *Config
	parts    []part           // included so far
	shipped  map[string]place // what main has of the price books in the program
	// shape gets the JSON Schema of what would be read; nil to read.
	shape shape
	// nodes is how many values were read, bounded because aliases multiply.
	nodes int
	// reading is whether commands only read by the configuration: what only a gateway that
	// serves needs, as deep as served, may then be unset, and unset has the paths of it.
	reading bool
	served  int
	unset   map[string]bool
	// unreadable is whether a file is no YAML or another one than was meant: what it should have had is unknown.
	unreadable bool
}

// maxNodes is far beyond any real file: 20,000 tenants are about a million.
const maxNodes = 10_000_000

// tree is what the values of one file share.
type tree struct {
	file    *file
	anchors map[string]ast.Node
	at      map[string]place // where each path is
}

// value is one node of a tree and its path from the root.
type value struct {
	*tree
	node ast.Node
	path string
}

// child is the value of node below v, at path.
func (v value) child(node ast.Node, path string) value { return value{v.tree, node, path} }

// decode reads a value into dst, or reports why it cannot.
type decode[T any] func(d *decoder, v value, dst *T)

// field is one row of a schema table.
type field struct {
	name     string
	required bool
	decode   func(d *decoder, v value)
}

// key is a row: the value of name is read by f into dst.
func key[T any](name string, dst *T, f decode[T]) field {
	return field{name: name, decode: func(d *decoder, v value) {
		f(d, v, dst)
		if d.shape != nil {
			d.shape.preset(*dst)
		}
	}}
}

// need is a key that must be there.
func need[T any](name string, dst *T, f decode[T]) field {
	row := key(name, dst, f)
	row.required = true
	return row
}

// section reads a mapping whose keys are the names of fields.
func (d *decoder) section(v value, fields ...field) {
	if d.shape != nil {
		d.shape.section(fields)
		return
	}
	entries, ok := d.entries(v)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, e := range entries {
		row := findField(fields, e.name)
		if row == nil {
			seen[d.unknownKey(v, e, fields)] = true
			continue
		}
		seen[e.name] = true
		row.decode(d, d.visit(v.child(e.node, joinPath(v.path, e.name))))
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			d.fault(v, "needs the key %q", f.name)
		}
	}
}

func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// oddKey says how a key came about that nobody can have meant, "" when it is none.
func oddKey(name string) string {
	const noBreak = "\u00a0"
	switch {
	case strings.HasPrefix(name, noBreak):
		return ": there is a no-break space (U+00A0) before it; indent with plain ones"
	case strings.HasPrefix(name, "//"):
		return `: a comment begins with "#"`
	case len(name) == 3 && strings.Trim(name, "0123456789") == "":
		return ": the comma before it ends a value; write numbers without commas, as 1000"
	}
	return ""
}

// unknownKey reports a key and returns the one that was probably meant, or "".
func (d *decoder) unknownKey(v value, e entry, fields []field) string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	rememberAnchors(v, e.node)
	if key, rest, colon := strings.Cut(e.name, ":"); colon && rest != "" && slices.Contains(names, key) {
		d.faultAt(e.place, joinPath(v.path, key), "a space is missing after the colon")
		return key
	}
	d.faultAt(e.place, v.path, "unknown key %q%s", e.name, cmp.Or(similar.Hint(e.name, names), oddKey(e.name)))
	return similar.Nearest(e.name, names)
}

// list reads a sequence, each element by f, and appends to what is there.
func list[T any](f decode[T]) decode[[]T] {
	return func(d *decoder, v value, dst *[]T) {
		if d.shape != nil {
			d.shape["type"], d.shape["items"] = "array", shapeOf(f)
			return
		}
		n, ok := v.node.(*ast.SequenceNode)
		if !ok {
			d.fault(v, "must be a list, not %s", kindOf(v.node))
			return
		}
		if *dst == nil {
			*dst = make([]T, 0, len(n.Values)) // an empty list is not an absent one
		}
		for _, node := range n.Values {
			var element T
			path := fmt.Sprintf("%s[%d]", v.path, len(*dst))
			f(d, d.visit(v.child(node, path)), &element)
			*dst = append(*dst, element)
		}
	}
}

// table reads a mapping with free keys, each value by f.
func table[T any](f decode[T]) decode[map[string]T] {
	return func(d *decoder, v value, dst *map[string]T) {
		if d.shape != nil {
			d.shape["type"], d.shape["additionalProperties"] = "object", shapeOf(f)
			return
		}
		entries, _ := d.entries(v)
		*dst = make(map[string]T, len(entries))
		for _, e := range entries {
			var element T
			f(d, d.visitMember(v, e), &element)
			(*dst)[e.name] = element
		}
	}
}

// visitMember visits the value of a free key, which At also finds as path.key.
func (d *decoder) visitMember(v value, e entry) value {
	element := d.visit(v.child(e.node, member(v.path, e.name)))
	v.at[joinPath(v.path, e.name)] = v.at[element.path]
	return element
}

// optional reads a section whose absence means something.
func optional[T any](f decode[T]) decode[*T] {
	return func(d *decoder, v value, dst **T) {
		*dst = new(T)
		f(d, v, *dst)
	}
}

// coreTag reports whether a tag says what YAML can see by itself: the type of a value.
func coreTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!seq", "!!map":
		return true
	}
	return false
}

// visit resolves tags, anchors and aliases and remembers where the value is.
func (d *decoder) visit(v value) value {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.fault(v, "more than %d values", maxNodes)
		}
		v.node = nil
		return v
	}
	for range 100 { // an alias may name an anchor that wraps an alias
		switch n := v.node.(type) {
		case *ast.AnchorNode:
			v.anchors[n.Name.String()] = n.Value
			v.node = n.Value
		case *ast.TagNode:
			if !coreTag(n.Start.Value) {
				at := placeOf(v.file, n)
				at.width = len(n.Start.Value)
				d.faultAt(at, v.path, `a value has no tag here: remove %q, or put quotes around a text that begins with "!"`,
					n.Start.Value)
				v.node = nil
				return v
			}
			v.node = n.Value
		case *ast.AliasNode:
			target, ok := v.anchors[n.Value.String()]
			if !ok {
				at := placeOf(v.file, n)
				at.width = 1 + len(n.Value.String())
				d.faultAt(at, v.path, `alias *%s has no anchor before it; a text that begins with "*" needs quotes`, n.Value)
				v.node = nil
				return v
			}
			v.node = target
		default:
			if _, known := v.at[v.path]; !known { // the first file's list, not an included one's
				v.at[v.path] = placeOf(v.file, v.node)
			}
			return v
		}
	}
	v.node = nil
	return v
}

// fault reports a mistake at v.
func (d *decoder) fault(v value, format string, args ...any) {
	if v.node == nil {
		return // an alias without anchor, say: reported there
	}
	d.faultAt(placeOf(v.file, v.node), v.path, format, args...)
}

// faultAt reports a mistake at a place, in the value at path.
func (d *decoder) faultAt(at place, path, format string, args ...any) {
	d.faults = append(d.faults, newFault(at, path, fmt.Sprintf(format, args...)))
}

// parseYAML returns the one document of a file, nil for an empty one and for one
// that is no YAML.
func (d *decoder) parseYAML(f *file, data []byte) ast.Node {
	body, mistake := syntax.Parse(data)
	if mistake != nil {
		d.unreadable = true
		d.faultAt(place{file: f, line: mistake.Line, col: mistake.Column, width: 1}, "", "%s", mistake.Message)
	}
	return body
}

// placeOf returns where a node begins.
func placeOf(f *file, n ast.Node) place {
	at := place{file: f, line: 1, col: 1, width: 1}
	switch node := n.(type) {
	case nil:
		return at
	case *ast.MappingNode:
		if !node.IsFlowStyle && len(node.Values) > 0 {
			return placeOf(f, node.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(f, node.Key)
	case *ast.LiteralNode:
		at.style = styleBlock
	case *ast.AliasNode:
		at.line, at.col = node.Start.Position.Line, node.Start.Position.Column
		return at
	case *ast.SequenceNode:
	default:
		at.style = stylePlain
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return at
	}
	at.line, at.col = t.Position.Line, t.Position.Column
	if at.style == stylePlain {
		at.style, at.width = scalarStyle(t)
	}
	return at
}

// scalarStyle returns how a scalar is written and about how wide that is.
func scalarStyle(t *token.Token) (style, int) {
	width := len([]rune(t.Value))
	switch t.Type {
	case token.SingleQuoteType:
		return styleSingle, width + 2
	case token.DoubleQuoteType:
		return styleDouble, width + 2
	default:
		return stylePlain, width
	}
}
