package wire_test

import (
	"os"
	"path/filepath"
	"testing"
)

// shared finds the reference data beside the repository and skips loudly when
// it is not there.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("SLUICE_SHARED")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir != "/" {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: reference data absent: %v", err)
	}
	return path
}
