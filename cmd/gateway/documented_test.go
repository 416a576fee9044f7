package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/test/harness"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^ *```(?:sh|console)\n(.*?)^ *```$")
	inline     = regexp.MustCompile("`((?:bin/)?gateway [a-z][^`]*|make [a-z][^`]*)`")
	continued  = regexp.MustCompile(`\\\n\s*`)
	quoted     = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	spaces     = regexp.MustCompile(`\s+`)
	target     = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

// documented are the commands of a page that call the program or make, each as its words.
func documented(page string) (commands [][]string) {
	var lines []string
	for _, m := range shellBlock.FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.Split(continued.ReplaceAllString(m[1], " "), "\n")...)
	}
	for _, m := range inline.FindAllStringSubmatch(page, -1) {
		lines = append(lines, spaces.ReplaceAllString(m[1], " "))
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(quoted.ReplaceAllString(line, "TEXT"), "#")
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|&;<>()", r) }) {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(part), "$ "))
			for len(words) > 0 && strings.Contains(words[0], "=") { // the environment of one command
				words = words[1:]
			}
			if len(words) > 1 && (filepath.Base(words[0]) == "gateway" || words[0] == "make") {
				commands = append(commands, words)
			}
		}
	}
	return commands
}

// TestDocumentedCommands finds each command of README and docs, and each of its flags, in the program, and each target
// of make in the Makefile.
func TestDocumentedCommands(t *testing.T) {
	root := harness.Root(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range target.FindAllSubmatch(makefile, -1) {
		targets[string(m[1])] = true
	}
	seen := 0
	look := func(name string) {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range documented(string(page)) {
			seen++
			if words[0] == "make" {
				if !targets[words[1]] && !strings.Contains(words[1], "=") {
					t.Errorf("%s: make has no target %s", filepath.Base(name), words[1])
				}
			} else if problem := unknown(words[1:]); problem != "" {
				t.Errorf("%s: %s: %s", filepath.Base(name), strings.Join(words, " "), problem)
			}
		}
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		look(filepath.Join(root, name))
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(name string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") {
			look(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d commands: the test reads them wrongly", seen)
	}
}

// unknown says what of a command the program does not have, "" for nothing.
func unknown(words []string) string {
	cmd, rest, err := root().Find(words)
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "no such command"
	}
	if err := cmd.ParseFlags(flagsOf(cmd, rest)); err != nil {
		return err.Error()
	}
	return ""
}

// flagsOf are the flags among words, each with a value that its type takes.
func flagsOf(cmd *cobra.Command, words []string) (flags []string) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	for _, word := range words {
		if !strings.HasPrefix(word, "--") {
			continue
		}
		name, _, _ := strings.Cut(word, "=")
		name = strings.TrimRight(name, ".,:")
		f := cmd.Flag(name[2:])
		if f == nil {
			return []string{name} // which says so
		}
		flags = append(flags, name+"="+f.DefValue)
	}
	return flags
}

// TestUndocumentedCommands: what the program does not have is seen.
func TestUndocumentedCommands(t *testing.T) {
	for _, line := range []string{"serv", "keys frees", "report --colour", "serve --config FILE --port 1"} {
		if unknown(strings.Fields(line)) == "" {
			t.Errorf("gateway %s is taken", line)
		}
	}
	if problem := unknown(strings.Fields("report savings --config FILE --from 2026-11-01")); problem != "" {
		t.Error(problem)
	}
}
