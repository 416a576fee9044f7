package recorded

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.jsonl",
		`{"id":"1","task":"a","prompt":"p","in_tokens":3,"answers":{"m":{"output":"o","correct":true,"out_tokens":2}}}`+"\n")
	write("b.jsonl", "{\n")
	rows, err := Read(dir, "a")
	if err != nil || len(rows) != 1 || rows[0].Answers["m"].Quality() != 1 || rows[0].Answers["none"].Quality() != 0 {
		t.Errorf("Read = %+v, %v", rows, err)
	}
	if _, err := Read(dir, "a", "b"); err == nil {
		t.Error("a broken line went unnoticed")
	}
	if _, err := Read(dir, "c"); err == nil {
		t.Error("a missing file went unnoticed")
	}
}
