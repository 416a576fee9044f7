// Package foreign recognizes files that are named by mistake where one of Sluice's is meant: those of other programs,
// and Sluice's own of another kind.
package foreign

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Kind is what a file was meant to be.
type Kind int

// The kinds of files that a user names.
const (
	Configuration Kind = iota
	PriceFile
)

// form is a file that is not of the wanted kind.
type form struct {
	all, any []string // keys that its root has, each of all and one of any, where there are some
	within   []string // keys of one of its entries, of which one must be there; none: any entries
	says     string
}

const importing = "'gateway prices import FILE' makes a price file of it"

// elsewhere are the files of other programs, whatever was meant.
var elsewhere = []form{
	{all: []string{"offerCode", "products"}, says: "this is an offer of AWS's price list; " + importing},
	{within: []string{"input_cost_per_token", "litellm_provider"}, says: "this is LiteLLM's map of prices; " + importing},
	{all: []string{"model_list"}, says: "this is a configuration of LiteLLM; 'gateway quickstart' writes a first one"},
	{all: []string{"apiVersion", "kind"}, says: "this is a manifest of Kubernetes; a ConfigMap has the file below data"},
	{all: []string{"services"}, says: "this is a file of Docker Compose; a service's mounts show which file it names"},
	{all: []string{"image", "config"}, says: "these are values of a Helm chart; the file is what stands below config"},
}

// others are Sluice's own files of other kinds than the wanted one.
var others = map[Kind]form{
	Configuration: {
		all: []string{"prices"}, any: []string{"per", "effective", "source", "regions", "scopes", "lifecycle"},
		says: "this is a price file; a configuration names it, as in prices: [FILE]",
	},
	PriceFile: {
		any:  []string{"upstream", "tenants", "cascades", "ledger", "listen"},
		says: "this is a configuration; a price file has a list prices, as docs/operations.md shows",
	},
}

// What says what the file with this root is when it is not of the wanted kind, "" when nothing is known.
func What(wanted Kind, root ast.Node) string {
	keys, values := members(root)
	for _, f := range append(slices.Clone(elsewhere), others[wanted]) {
		if f.fits(keys, values) {
			return f.says
		}
	}
	return ""
}

func (f *form) fits(keys []string, values []ast.Node) bool {
	for _, k := range f.all {
		if !slices.Contains(keys, k) {
			return false
		}
	}
	one := func(of []string) func(string) bool { return func(k string) bool { return slices.Contains(of, k) } }
	if len(f.any) > 0 && !slices.ContainsFunc(keys, one(f.any)) {
		return false
	}
	return len(f.within) == 0 || slices.ContainsFunc(values, func(v ast.Node) bool {
		inner, _ := members(v)
		return slices.ContainsFunc(inner, one(f.within))
	})
}

// members are the keys and values of a mapping, none of anything else.
func members(n ast.Node) (keys []string, values []ast.Node) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	for _, p := range pairs {
		if t := p.Key.GetToken(); t != nil {
			keys, values = append(keys, t.Value), append(values, p.Value)
		}
	}
	return keys, values
}
