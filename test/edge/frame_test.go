package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// row is one goal of docs/reliability.md. A goal is met when its run has not failed
// the test.
type row struct {
	name string // of the test: a case and a word or two
	goal string // what is sent
	must string // what has to come of it
	run  func(t *testing.T, m *measured)
}

// rows are all goals, in the order of the table. Each comes from the file of its topic.
func rows() []row {
	return []row{
		abandonedCalls(),
		largeBodies(), wrongSignatures(), translatedBodies(), largeAnswers(),
		quietCrowd(),
		prefaces(),
		oneBadKey(),
		nineFloods(),
		overload(),
		overlap(),
		badInputs(), h2spec(), badCredentials(),
		upstreamNonsense(), inventedNames(),
	}
}

// measured is what a row found, for the table.
type measured struct {
	// whole asks for the full size. Else the row is a part of `make test`, and should
	// take a second or two.
	whole bool

	mu      sync.Mutex
	figures []string
}

// note adds a figure to the table.
func (m *measured) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.figures = append(m.figures, fmt.Sprintf(format, args...))
}

// of is n in the full size, and part else.
func (m *measured) of(n, part int) int {
	if m.whole {
		return n
	}
	return part
}

// callers runs f for each of n callers, most of them at a time, and waits for all.
func callers(n, most int, f func(i int)) {
	places := make(chan struct{}, most)
	var all sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			f(i)
		})
	}
	all.Wait()
}

// TestEdge is the table of docs/reliability.md: shortened, or with SLUICE_EDGE=whole as
// `make test-edge` prints it.
func TestEdge(t *testing.T) { table(t, rows()) }

// table runs rows and prints what they found.
func table(t *testing.T, rows []row) {
	t.Helper()
	whole := os.Getenv("SLUICE_EDGE") == "whole"
	var out strings.Builder
	fmt.Fprint(&out, "| goal | must | measured | met |\n|---|---|---|---|\n")
	for _, r := range rows {
		m := &measured{whole: whole}
		began := time.Now()
		met, ran := "no", false
		t.Run(r.name, func(t *testing.T) { ran = true; r.run(t, m); met = verdict(t) })
		if ran {
			m.note("%.0f s", time.Since(began).Seconds())
			fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", r.goal, r.must, strings.Join(m.figures, "; "), met)
		}
	}
	t.Log("\n" + out.String())
	if file := os.Getenv("SLUICE_EDGE_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}

func verdict(t *testing.T) string {
	if t.Failed() {
		return "no"
	}
	return "yes"
}

// TestPage: docs/reliability.md has each goal as the table here has it.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(rows(), soak()...) {
		if want := fmt.Sprintf("| %s | %s |", r.goal, r.must); !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
