package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

var (
	pageFile    = regexp.MustCompile("(?ms)^```yaml\n# (\\S+)\n(.*?)^```$")
	pageCommand = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
)

// TestObservePage pastes what docs/observe.md shows, in its order and into an empty
// folder, with ports that are free and fewer questions: the way to the first pairs and how
// far they are. `make observe-page` pastes the whole page, to the answers of a cascade that
// is switched over.
func TestObservePage(t *testing.T) {
	t.Parallel() // it mostly waits
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "observe.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, port := range []string{"127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:8081"} {
		page = strings.ReplaceAll(page, port, harness.FreeAddr(t))
	}
	whole := os.Getenv("SLUICE_PAGE") == "whole"
	if whole {
		page = strings.ReplaceAll(page, "seq 600", "seq 200")
	} else {
		page, _, _ = strings.Cut(page, "## 4.")
		page = strings.ReplaceAll(page, "seq 600", "seq 12")
	}
	dir := t.TempDir()
	for _, m := range pageFile.FindAllStringSubmatch(page, -1) {
		if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n"
	for _, m := range pageCommand.FindAllStringSubmatch(page, -1) {
		script += m[1]
	}
	var out, failed bytes.Buffer
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &failed
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"))
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &failed)
	}
	wantText(t, out.String(),
		"500 after 6.3 days", "500 pairs $5.62", // simulate, as the page has it
		"20 of about 500 labelled pairs, less than a day left, $0.0", "light answers have no key to compare: --train-score",
		"cascade support observes: at 1800 input and 250 output tokens a pair costs")
	if !whole {
		return
	}
	wantText(t, out.String(),
		"adequate from grade 5 on: fair: it serves", "a second reading says the same of 100.0 %",
		"the judge agrees with the human labels on 100.0 % of 40 pairs",
		"certificate written to support.cert.json", "x-sluice-path: light", "x-sluice-path: escalated")
}
