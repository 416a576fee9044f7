package edge

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/harness"
)

// lenientHTTP2 are the cases of h2spec that fail, and why that is safe.
var lenientHTTP2 = map[string]string{
	"http2/3.5: Sends invalid connection preface": "it is HTTP/1.1 then, and answered with 400",
	"http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE": "frames up to 1 MB are " +
		"taken, and a head over 64 KB is answered with 431",
	"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE": "closed as a flood",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field": "400 on the stream " +
		"in place of a reset",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "400 " +
		"on the stream in place of a reset",
}

// h2spec is the suite of that name (github.com/summerwind/h2spec).
func h2spec() row {
	return row{
		name: "h2spec",
		goal: "h2spec, 145 cases of HTTP/2",
		must: "≥ 140 pass; the five that may fail are named in `test/edge/h2spec_test.go`",
		run: func(t *testing.T, m *measured) {
			program := filepath.Join(harness.Root(t), ".tools/bin/h2spec-v2.2.1")
			if _, err := os.Stat(program); err != nil {
				if m.whole {
					t.Fatal(err)
				}
				t.Skip("make test-edge installs h2spec")
			}
			g, _, _ := plain(t)
			file := filepath.Join(t.TempDir(), "report.xml")
			host, port, _ := strings.Cut(g.Addr, ":")
			args := []string{"-h", host, "-p", port, "-o", "5", "-j", file}
			if !m.whole {
				args = append(args, "generic/1", "generic/2", "hpack")
			}
			out, _ := exec.Command(program, args...).CombinedOutput() // it fails when a case does
			passed, failed := cases(t, file)
			m.note("%d of %d pass; fail: %s", passed, passed+len(failed), strings.Join(failed, "; "))
			for _, name := range failed {
				if lenientHTTP2[name] == "" {
					t.Errorf("%s fails:\n%s", name, out)
				}
			}
			if m.whole && passed < 140 {
				t.Errorf("%d cases pass", passed)
			}
		},
	}
}

// cases reads a report of h2spec.
func cases(t *testing.T, file string) (passed int, failed []string) {
	t.Helper()
	var report struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = xml.Unmarshal(b, &report)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			if c.Failure == nil && c.Error == nil {
				passed++
			} else {
				failed = append(failed, c.Package+": "+c.Name)
			}
		}
	}
	slices.Sort(failed)
	return passed, failed
}
