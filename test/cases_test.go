package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestEveryCaseOfOperatorsHasATest looks for tests that name the cases U1 to U22 of issue 12. That the case is right is
// the test's own work.
func TestEveryCaseOfOperatorsHasATest(t *testing.T) {
	named, root := map[string]bool{}, harness.Root(t)
	form := regexp.MustCompile(`\bU[0-9]{1,2}\b`)
	for _, file := range goFiles(t, root) {
		if !strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "test/cases_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range form.FindAll(text, -1) {
			named[string(name)] = true
		}
	}
	for n := range 22 {
		if name := fmt.Sprint("U", n+1); !named[name] {
			t.Errorf("no test names %s", name)
		}
	}
}
