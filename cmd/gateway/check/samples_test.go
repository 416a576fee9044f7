package check

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sluice-gateway/sluice/test/harness"
)

// sample is a configuration that users are shown.
type sample struct{ from, text string }

var (
	fence    = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	topLevel = regexp.MustCompile(`(?m)^(listen|upstream|tenants|cascades|aliases|ledger|discounts|prices|timeouts):`)
	variable = regexp.MustCompile(`\$\{([A-Z_]+)\}`)
)

// samples are those of README, docs and deploy, and the quickstart's.
func samples(t *testing.T) []sample {
	t.Helper()
	root := harness.Root(t)
	var all []sample
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "node_modules" || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".md") && !strings.HasSuffix(name, ".yaml") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(name, ".md"):
			all = append(all, fenced(name, string(data))...)
		case name == "config/quickstart.yaml", strings.HasPrefix(name, "deploy/sluice/"):
			all = append(all, sample{name, string(data)})
		case strings.HasPrefix(name, "deploy/") && strings.HasSuffix(name, ".yaml"):
			all = append(all, configMaps(name, data)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fenced are the blocks of a page that are configurations, or parts of one.
func fenced(name, page string) []sample {
	var all []sample
	for i, m := range fence.FindAllStringSubmatch(page, -1) {
		if language := m[1]; (language == "" || language == "yaml") && topLevel.MatchString(m[2]) {
			all = append(all, sample{fmt.Sprintf("%s, block %d", name, i+1), m[2]})
		}
	}
	return all
}

// configMaps are the configurations in manifests for Kubernetes.
func configMaps(name string, data []byte) []sample {
	var all []sample
	for _, doc := range strings.Split(string(data), "\n---\n") {
		var manifest struct {
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &manifest); err != nil {
			continue
		}
		for key, text := range manifest.Data {
			if strings.HasSuffix(key, ".yaml") {
				all = append(all, sample{name + ", " + key, text})
			}
		}
	}
	return all
}

// TestSamplesAreClean checks every configuration that users are shown: none has a
// mistake, and none a warning. U17
func TestSamplesAreClean(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1") // parts of configurations name none
	all := samples(t)
	for _, s := range all {
		for _, m := range variable.FindAllStringSubmatch(s.text, -1) {
			value := map[bool]string{true: "redis://127.0.0.1:6379/0", false: "SLK4KOIN3BQ2DVOYV6L65QBZ"}
			t.Setenv(m[1], value[strings.Contains(m[1], "URL")])
		}
		found := look(harness.File(t, "sluice.yaml", s.text), time.Now())
		for i := range found.faults {
			f := &found.faults[i]
			if !strings.Contains(s.text, "upstream:") && strings.HasPrefix(f.Message, "needs the key") {
				continue // a part of a configuration, about other keys
			}
			t.Errorf("%s, line %d: %s: %s: %s", s.from, f.Line, severity(f), f.Path, f.Message)
		}
		if found.err != nil && len(found.faults) == 0 {
			t.Errorf("%s: %v", s.from, found.err)
		}
	}
	if len(all) < 5 {
		t.Errorf("only %d samples", len(all))
	}
	t.Log(len(all), "samples")
}
