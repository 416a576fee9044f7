package serving

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// readAtStart is what parts of the gateway take from a configuration by themselves, and what makes that true after a
// reload. All else is read from the snapshot, which a reload replaces as a whole.
var readAtStart = map[string]string{
	"DataDir": "needs a restart", "Ledger.Redis": "needs a restart", "Listen": "needs a restart",
	"Admin.Listen": "needs a restart", "Telemetry.OTLP": "needs a restart", "Telemetry.AccessLog": "needs a restart",
	"Telemetry.Sample": "telemetry.Sample", "Admin.Token": "admin.Use",
	"TLS": "edge.Use", "Timeouts": "edge.Use", "Limits": "edge.Use", "TrustedProxies": "edge.Use and admin.Use",
	"Timeouts.Drain":   "read again when the gateway drains",
	"Upstream":         "connect makes the engine anew",
	"Upstreams":        "connect makes the engine anew",
	"Timeouts.Request": "connect makes the engine anew",
	"Upstream.Proxy":   "connect gives them to all calls that leave", "Upstream.CAFile": "connect gives them too",
	"Upstream.Endpoint": "connect starts the stand-in, or ends it", "Upstream.Region": "only logged at the start",
	"Tenants": "counted for the log", "Cascades": "counted for the log",
}

// TestWhatIsReadAtStart finds what the code of this package takes from a configuration that it was given: a key that is
// taken at the start and in no reload would be in use as it was, without a word (U19).
func TestWhatIsReadAtStart(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	positions := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "quickstart.go" { // which writes a configuration and ends
			continue
		}
		tree, err := parser.ParseFile(positions, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		whole := map[ast.Node]bool{} // parts of longer selectors
		for node := range ast.Preorder(tree) {
			call, ok := node.(*ast.CallExpr)
			if ok {
				whole[call.Fun] = whole[call.Fun] || isMethod(call.Fun)
			}
			selector, ok := node.(*ast.SelectorExpr)
			if !ok || whole[selector] {
				whole[selectorOf(node)] = true
				continue
			}
			whole[selector.X] = true
			if key, ok := keyOf(selector); ok {
				if seen[key] = true; readAtStart[key] == "" {
					t.Errorf("%s: reads %s of a configuration: say in readAtStart how a reload applies it",
						positions.Position(node.Pos()), key)
				}
			}
		}
	}
	for key := range readAtStart {
		if !seen[key] {
			t.Errorf("nothing reads %s", key)
		}
	}
}

// isMethod reports whether a call is of a method of the configuration, such as cfg.At, and not of a field's.
func isMethod(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "cfg"
}

// selectorOf is what a selector selects from, nil for other nodes.
func selectorOf(n ast.Node) ast.Node {
	if s, ok := n.(*ast.SelectorExpr); ok {
		return s.X
	}
	return nil
}

// keyOf is A.B of cfg.A.B.
func keyOf(e ast.Expr) (key string, ok bool) {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		before, ok := keyOf(e.X)
		if before != "" {
			before += "."
		}
		return before + e.Sel.Name, ok
	case *ast.Ident:
		return "", e.Name == "cfg"
	}
	return "", false
}
