package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesThatCannotBe names in turn what is no file of text to every command that reads one.
// Each answer names the file, says what it is, and has nothing of the system's or a parser's
// own words. What another user may not read is in config/userfile.
func TestFilesThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"empty": "", "program": "\x7fELF\x02\x01\x00\xff", "latin": "upstream: {}\n# M\xfcller\n", "utf16": "\xff\xfea\x00",
		"packed": "\x1f\x8b\x08\x00", "ok.yaml": `upstream: {endpoint: sandbox, region: us-east-1}
data_dir: ./d
tenants: [{id: acme}]
cascades: [{name: c, match: "true", light: amazon.nova-lite-v1:0, escalation: amazon.nova-pro-v1:0}]
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"folder", "d"} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string]string{
		"missing": "there is no such file", "folder": "is a folder", "empty": "empty", "program": "is a program",
		"latin": "not UTF-8", "utf16": "UTF-16", "packed": "gunzip",
	}
	configured := []string{"check", "serve", "report", "budgets", "keys list", "keys audit", "verify", "prices list",
		"explain --model m", "calibrate --cascade c", "report savings"}
	lines := []string{
		"explain --config ok.yaml --request F", "simulate --light nova-lite --escalation claude-3.5-sonnet --usage F",
		"simulate --requests-per-day 1 --input 1 --output 1 --light nova-lite --escalation claude-3.5-sonnet --prices F",
		"prices diff F", "prices import F", "sandbox --script F", "close 2026-10 --config ok.yaml --shared F",
		"calibrate --config ok.yaml --cascade c --pairs F", "calibrate --config ok.yaml --cascade c --labels F",
	}
	for _, c := range configured {
		lines = append(lines, c+" --config F")
	}
	for _, line := range lines {
		lined := strings.HasPrefix(line, "calibrate --config ok") // it is read line by line, and may be empty
		for name, want := range wants {
			if lined && name != "missing" && name != "folder" {
				continue
			}
			code, text := runLine(t, strings.Fields(strings.ReplaceAll(line, " F", " "+name)))
			if code != exitInvalid || !strings.Contains(text, name) || !strings.Contains(text, want) {
				t.Errorf("gateway %s with %s: exit %d, want %q of it\n%s", line, name, code, want, text)
			}
			for _, raw := range []string{"open ", "read ", "EOF", "file or directory", "invalid character", "gateway: "} {
				if strings.Contains(text, raw) {
					t.Errorf("gateway %s with %s: says %q\n%s", line, name, raw, text)
				}
			}
			if n := strings.Count(text, "\n"); n > 5 {
				t.Errorf("gateway %s with %s: %d lines\n%s", line, name, n, text)
			}
		}
	}
}

// runLine runs the program in this process, and returns what it printed to standard error.
func runLine(t *testing.T, args []string) (code int, text string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	code = run(args)
	out, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(bytes.TrimSpace(out))
}
