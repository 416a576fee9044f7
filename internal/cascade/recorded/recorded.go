// Package recorded reads recorded answers of real models, with right or wrong,
// for tests and evaluations. No part of the gateway imports it.
package recorded

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Row is one prompt with the recorded answers by model. The file's own notion
// of the final answer and the reference are not read: checks work on the text.
type Row struct {
	ID       string            `json:"id"`
	Task     string            `json:"task"`
	Prompt   string            `json:"prompt"`
	InTokens int               `json:"in_tokens"`
	Answers  map[string]Answer `json:"answers"`
}

// Answer is what one model answered.
type Answer struct {
	Output    string `json:"output"`
	Correct   bool   `json:"correct"`
	OutTokens int    `json:"out_tokens"`
	// Scores are grades from 1 to 10 by judge, of free text; nil where answers are right
	// or wrong.
	Scores map[string]float64 `json:"scores"`
}

// Quality is 1 for a right answer, else 0.
func (a Answer) Quality() float64 {
	if a.Correct {
		return 1
	}
	return 0
}

// longestLine bounds a line of a file in bytes.
const longestLine = 8 << 20

// Dir returns the folder of the recordings: $SLUICE_SHARED/cascade, else
// ../shared/cascade beside the module root above the working directory.
func Dir() string {
	if dir := os.Getenv("SLUICE_SHARED"); dir != "" {
		return filepath.Join(dir, "cascade")
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "..", "shared", "cascade")
}

// Read reads NAME.jsonl of a folder for each name.
func Read(dir string, names ...string) ([]Row, error) {
	var rows []Row
	for _, name := range names {
		more, err := readFile(filepath.Join(dir, name+".jsonl"))
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func readFile(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	var rows []Row
	in := bufio.NewScanner(f)
	in.Buffer(nil, longestLine)
	for in.Scan() {
		var r Row
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, len(rows)+1, err)
		}
		rows = append(rows, r)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}
