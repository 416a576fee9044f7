package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// start makes a gateway of ours with its upstream, of which more is in the configuration, and a suite before it.
func start(t *testing.T, more string) *suite {
	t.Helper()
	up, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.close)
	gateway, err := startOwn(harness.Binary(t), up.url, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.stop)
	s, err := newSuite(gateway.target, up)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs all rows against our own gateway. What needs clients that are not part of this module is in
// TestClients of package test.
func TestConformance(t *testing.T) {
	s := start(t, "")
	for _, r := range s.run(func(id string) bool { return true }, func(result) {}) {
		if r.Verdict == "fail" || r.Verdict == "skip" && (!strings.HasPrefix(r.ID, "clients/") || r.ID == "clients/go") {
			t.Errorf("%s: %s: %s", r.ID, r.Verdict, r.Evidence)
		}
	}
}

// TestRowsOfTheDocument compares the program's rows with those of its page.
func TestRowsOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range checks() {
		want = append(want, "| <a id=\""+strings.ReplaceAll(c.id, "/", "-")+"\"></a>`"+c.id+"` | "+c.owes+" |")
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| <a id=") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/conformance.md does not have the rows of the program:\n%s", strings.Join(want, "\n"))
	}
}

// TestReadmeLinksToRows finds the rows that the README names.
func TestReadmeLinksToRows(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`docs/conformance\.md#([a-z0-9-]+)`).FindAllSubmatch(text, -1)
	for _, link := range links {
		if !slices.ContainsFunc(checks(), func(c check) bool {
			return strings.ReplaceAll(c.id, "/", "-") == string(link[1])
		}) {
			t.Errorf("README.md links to %s, which is no row", link[0])
		}
	}
	if len(links) < 5 {
		t.Errorf("README.md links to %d rows", len(links))
	}
}
