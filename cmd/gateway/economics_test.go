package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

var span = regexp.MustCompile("`([^`]+)`")

// economics are the blocks of commands of a page, each with the text up to the next one.
func economics(page string) (blocks [][2]string) {
	parts := strings.Split(page, "```sh\n")
	for _, part := range parts[1:] {
		commands, text, _ := strings.Cut(part, "```\n")
		blocks = append(blocks, [2]string{commands, text})
	}
	return blocks
}

// TestEconomics runs the commands of docs/economics.md and finds what each row of the tables below them says.
func TestEconomics(t *testing.T) {
	root := harness.Root(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "economics.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	rows := 0
	for _, block := range economics(string(page)) {
		var printed []string
		for line := range strings.Lines(continued.ReplaceAllString(block[0], " ")) {
			words := strings.Fields(line)
			out, err := execute(t, words[1:])
			if err != nil || words[0] != "gateway" {
				t.Fatalf("%s: %v", line, err)
			}
			printed = append(printed, strings.Split(out, "\n")...)
		}
		for line := range strings.Lines(block[1]) {
			if cells := strings.Split(line, "|"); len(cells) == 6 && !strings.Contains(line, "---") && cells[2] != " printed " {
				rows++
				look(t, cells, printed)
			}
		}
	}
	if rows < 100 {
		t.Errorf("only %d rows: the test reads them wrongly", rows)
	}
}

func execute(t *testing.T, args []string) (string, error) {
	t.Helper()
	return harness.Execute(t, root().Commands(), args...)
}

// look finds what a row says that is printed, in one line.
func look(t *testing.T, cells, printed []string) {
	t.Helper()
	wanted := span.FindAllStringSubmatch(cells[2], -1)
	if holds := strings.TrimSpace(cells[3]); len(wanted) == 0 || holds != "" && holds != "yes" && holds != "no" &&
		holds != "in part" {
		t.Errorf("%q is no row: it has to say what is printed, and whether that holds", cells[1])
	}
	if !found(wanted, printed) {
		t.Errorf("%q: no line has %s in\n%s", cells[1], cells[2], strings.Join(printed, "\n"))
	}
}

func found(wanted [][]string, printed []string) bool {
	for _, line := range printed {
		all := true
		for _, w := range wanted {
			all = all && strings.Contains(line, w[1])
		}
		if all {
			return true
		}
	}
	return false
}

// TestEconomicsFound: a figure that is not printed is seen.
func TestEconomicsFound(t *testing.T) {
	wanted := span.FindAllStringSubmatch("`saving` `50.0 %`", -1)
	if found(wanted, []string{"saving 15.0 %", "50.0 %"}) || !found(wanted, []string{"", "  saving  50.0 %"}) {
		t.Error("figures are found where they are not, or not where they are")
	}
}
