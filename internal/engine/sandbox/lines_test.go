package sandbox

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// readLines decodes a file of JSON lines.
func readLines[T any](t *testing.T, path string) (rows []T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows = append(rows, row)
	}
	return rows
}
