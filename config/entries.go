package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/config/variables"
)

// entry is one member of a mapping.
type entry struct {
	name  string
	place place // of the key
	node  ast.Node
}

// maxMerges is how deep mappings may be merged into one another: an anchor can
// contain its own alias.
const maxMerges = 20

// entries returns the members of a mapping in the file's order, each key once: a
// second one is a fault. Those that "<<" merges into it come last, and only those
// whose keys it does not have itself.
func (d *decoder) entries(v value) ([]entry, bool) { return mergedEntries(d, v, 0) }

func mergedEntries(d *decoder, v value, depth int) ([]entry, bool) {
	written, ok := pairs(d, v)
	if !ok {
		return nil, false
	}
	first := make(map[string]int, len(written))
	entries := make([]entry, 0, len(written))
	var merged []ast.Node
	for _, pair := range written {
		if _, merges := pair.Key.(*ast.MergeKeyNode); merges {
			merged = append(merged, pair.Value)
			continue
		}
		at := placeOf(v.file, pair.Key)
		name, ok := keyName(pair.Key)
		if !ok {
			d.faultAt(at, v.path, "a key must be plain or quoted text")
			continue
		}
		if line, twice := first[name]; twice {
			d.faultAt(at, v.path, "key %q is already in line %d", name, line)
			continue
		}
		first[name] = at.line
		entries = append(entries, entry{name, at, pair.Value})
	}
	for _, node := range merged {
		for _, e := range merge(d, v.child(node, v.path), depth+1) {
			if _, own := first[e.name]; !own {
				first[e.name] = e.place.line
				entries = append(entries, e)
			}
		}
	}
	return entries, true
}

// pairs returns the members of a mapping as they are written.
func pairs(d *decoder, v value) ([]*ast.MappingValueNode, bool) {
	switch n := v.node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	d.fault(v, "must be a mapping (key: value), not %s", kindOf(v.node))
	return nil, false
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// merge returns the members of what "<<" names: a mapping, or a list of them of which
// the first one wins.
func merge(d *decoder, v value, depth int) []entry {
	if depth > maxMerges {
		d.fault(v, "merges itself")
		return nil
	}
	path, known := v.path, v.at[v.path]
	v = d.visit(v)
	v.at[path] = known // what is merged in is not where the value is
	switch n := v.node.(type) {
	case nil:
		return nil
	case *ast.SequenceNode:
		var all []entry
		have := map[string]bool{}
		for _, node := range n.Values {
			for _, e := range merge(d, v.child(node, path), depth+1) {
				if !have[e.name] {
					have[e.name] = true
					all = append(all, e)
				}
			}
		}
		return all
	case *ast.MappingNode, *ast.MappingValueNode:
		all, _ := mergedEntries(d, v, depth)
		return all
	}
	d.fault(v, `"<<" merges a mapping, as in "<<: *base", not %s`, kindOf(v.node))
	return nil
}

// rememberAnchors makes the anchors in a value known that is not read.
func rememberAnchors(v value, node ast.Node) {
	ast.Walk(anchorVisitor{v.anchors}, node)
}

type anchorVisitor struct{ anchors map[string]ast.Node }

// Visit implements ast.Visitor.
func (a anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		a.anchors[anchor.Name.String()] = anchor.Value
	}
	return a
}

func keyName(n ast.MapKeyNode) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// unsplit returns the text that the YAML library takes for a mapping: in a list in
// brackets it splits a:0 at the colon, which has no space after it. Other nodes it
// returns as they are.
func unsplit(n ast.Node) ast.Node {
	if of, ok := n.(*ast.MappingNode); ok && len(of.Values) == 1 && !of.IsFlowStyle {
		n = of.Values[0]
	}
	of, ok := n.(*ast.MappingValueNode)
	if !ok || of.Start == nil {
		return n
	}
	key, isText := of.Key.(*ast.StringNode)
	value := of.Value.GetToken()
	colon := of.Start.Position
	if !isText || value == nil || value.Position.Line != colon.Line || value.Position.Column != colon.Column+1 ||
		key.Token.Position.Column+len([]rune(key.Token.Value)) != colon.Column {
		return n
	}
	switch of.Value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		whole := *key
		whole.Value = key.Value + ":" + value.Value
		return &whole
	}
	return n
}

// kindOf names a node for a message.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping" + lackingSpace(n)
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.StringNode, *ast.LiteralNode:
		return "text" + lackingSpace(n)
	default:
		return "this kind of value"
	}
}

// lackingSpace adds to the name of a node what it would be with one space more.
func lackingSpace(n ast.Node) string {
	text := n.GetToken().Value
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			text = n.Values[0].Key.GetToken().Value
		}
	case *ast.MappingValueNode:
		text = n.Key.GetToken().Value
	case *ast.StringNode:
		if key, rest, colon := strings.Cut(text, ":"); colon && rest != "" && variables.IsName(key) {
			return ": a space is missing after the colon"
		}
		return ""
	}
	if strings.HasPrefix(text, "-") && len(text) > 1 {
		return ": a space is missing after the dash"
	}
	return ""
}

// modelUpstreams reads a mapping whose order decides: the first glob that
// matches wins.
func modelUpstreams(d *decoder, v value, dst *[]ModelUpstream) {
	if d.shape != nil {
		table(name)(d, v, nil)
		return
	}
	entries, _ := d.entries(v)
	for _, e := range entries {
		m := ModelUpstream{Glob: e.name}
		name(d, d.visitMember(v, e), &m.Name)
		*dst = append(*dst, m)
	}
}

func poolSection(d *decoder, v value, p *pools.Pool) {
	*p = pools.Pool{Order: pools.ByWeight}
	d.section(v,
		key("order", &p.Order, oneOf(pools.ByWeight, pools.AsListed)),
		need("members", &p.Members, list(memberSection)),
	)
}

func memberSection(d *decoder, v value, m *pools.Member) {
	*m = pools.Member{Weight: 1}
	d.section(v,
		need("upstream", &m.Upstream, name),
		key("weight", &m.Weight, whole(1, 1000)),
	)
}
