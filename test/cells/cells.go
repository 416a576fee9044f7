// Package cells has what the tests of docs/dialects.md share: those of the translators, which write its tables, and the
// end-to-end ones, which walk them by the gateway.
package cells

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// Data is what the cells of a dialect are asked with: testdata/cells.json of its package.
type Data struct {
	Families   []Family                     // models of each kind, by what the page calls them
	Embeddings []Family                     // the same for embeddings
	Samples    map[string]json.RawMessage   // a value of each field that is not the same as none
	Responses  map[string]json.RawMessage   // those that Responses spells in another way
	Blocks     map[string][]json.RawMessage // a content block of each kind, in the turns that it needs
}

// Family is models of one kind, and one of them.
type Family struct{ Name, Model string }

// Of reads the data of a dialect: "openai" or "anthropic".
func Of(t testing.TB, dialect string) (d Data) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "internal/wire", dialect, "testdata/cells.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Update compares a dialect's part of docs/dialects.md with what it has to be; SLUICE_UPDATE=1 writes it.
func Update(t testing.TB, dialect, want string) {
	t.Helper()
	file := filepath.Join(harness.Root(t), "docs/dialects.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+dialect+": written by its test -->\n", "\n<!-- "+dialect+" ends -->"
	before, rest, found := strings.Cut(string(page), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatal("docs/dialects.md has no place for the tables")
	case got == want:
	case os.Getenv("SLUICE_UPDATE") == "":
		t.Errorf("docs/dialects.md is not what the tables say: SLUICE_UPDATE=1 go test ./internal/wire/%s writes it", dialect)
	default:
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
