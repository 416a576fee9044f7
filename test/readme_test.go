package test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// mostWords is how long a sentence of README may be.
const mostWords = 25

var (
	codeBlock   = regexp.MustCompile("(?ms)^```.*?^```$")
	comment     = regexp.MustCompile(`(?s)<!--.*?-->`)
	paragraph   = regexp.MustCompile(`\n\n+|\n(?:\* |\d\. )`)
	link        = regexp.MustCompile(`\]\([^)]*\)`)
	sentenceEnd = regexp.MustCompile(`[.:;?!][*)"]*\s+`)
)

// TestReadmeReadsEasily: its lines have at most 120 characters, and its sentences 25 words. A colon or a semicolon ends
// a sentence here.
func TestReadmeReadsEasily(t *testing.T) {
	text := string(readFile(t, "README.md"))
	for i, l := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(l); n > columns {
			t.Errorf("line %d has %d characters", i+1, n)
		}
	}
	prose := comment.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
	seen := 0
	for _, p := range paragraph.Split(prose, -1) {
		if p = strings.TrimSpace(p); strings.HasPrefix(p, "|") || strings.HasPrefix(p, "#") {
			continue
		}
		for _, sentence := range sentenceEnd.Split(link.ReplaceAllString(p, "]"), -1) {
			seen++
			if n := len(strings.Fields(sentence)); n > mostWords {
				t.Errorf("%d words: %s", n, sentence)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d sentences: the test reads them wrongly", seen)
	}
}

// TestReadmeFigures: the figures of the first screen are those of the last measurements.
func TestReadmeFigures(t *testing.T) {
	text := string(readFile(t, "README.md"))
	for _, f := range []struct{ file, found, shown string }{
		{"bench/results.md", `everything on / bare proxy +\| ([\d.]+)`, "%s × a bare proxy"},
		{"bench/results.md", `the same / ReverseProxy +\| ([\d.]+)`, "%s × Go's ReverseProxy"},
		{"docs/faults.md", `(?m)^\| 1 \| \d+ \| (\d+) `, "in %s kills of gateways"},
		{"docs/faults.md", `Tokens lost and counted twice: (\d+)`, "| %[1]s and %[1]s, in"},
		{"docs/cascade-evaluation.md", `natural mix, certified 2 points, n = 1000 [^|]*offline\) \|[^|]*\|[^|]*\| ([\d.]+ %)`,
			"%s, at a loss of quality of at most 2 points"},
	} {
		m := regexp.MustCompile(f.found).FindSubmatch(readFile(t, f.file))
		if m == nil {
			t.Errorf("%s has no %s", f.file, f.found)
		} else if want := fmt.Sprintf(f.shown, m[1]); !strings.Contains(text, want) {
			t.Errorf("README lacks %q, as %s has it", want, f.file)
		}
	}
}

// useCase is what one of README's configurations promises, seen by one request.
type useCase struct {
	model string
	key   int // which of the configuration's keys calls
	want  func(status int, h http.Header) bool
}

func header(name, value string) func(int, http.Header) bool {
	return func(status int, h http.Header) bool { return status == http.StatusOK && h.Get(name) == value }
}

// useCases are README's, by the words that begin them.
func useCases() map[string]useCase {
	const (
		nova   = "amazon.nova-lite-v1:0"
		claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
		haiku  = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
	)
	return map[string]useCase{
		"Say which team spends what":              {model: nova, key: 1, want: header("x-sluice-path", "passthrough")},
		"Stop a loop before it costs":             {model: nova, want: header("x-sluice-model", nova)},
		"Cap answers":                             {model: nova, want: header("x-sluice-capped", "500")},
		"Ask the light model first":               {model: "auto", want: header("x-sluice-path", "light")},
		"Check its answer before the caller":      {model: "auto", want: header("x-sluice-reason", "agree")},
		"Prove what it would save":                {model: "auto", want: header("x-sluice-model", claude)},
		"Move applications to another model":      {model: "assistant", want: header("x-sluice-model", haiku)},
		"Share budgets between gateways":          {model: nova, want: header("x-sluice-model", nova)},
		"Keep tenants in accounts and regions of": {model: nova, key: 1, want: header("x-sluice-model", nova)},
	}
}

// TestUseCases starts a gateway with each configuration that README shows as a use, in front of the stand-in, and sees
// that it does what it is shown for.
func TestUseCases(t *testing.T) {
	text := string(readFile(t, "README.md"))
	_, text, _ = strings.Cut(text, "## What it is for")
	text, _, _ = strings.Cut(text, "\n## ")
	shown := regexp.MustCompile("(?ms)^\\*\\*(.*?)\\.\\*\\*.*?^```yaml\n(.*?)^```").FindAllStringSubmatch(text, -1)
	cases := useCases()
	if len(shown) != len(cases) {
		t.Errorf("README shows %d uses, and %d are tried", len(shown), len(cases))
	}
	for _, m := range shown {
		t.Run(m[1], func(t *testing.T) {
			if n := strings.Count(m[2], "\n"); n > 10 {
				t.Errorf("it has %d lines", n)
			}
			for begin, c := range cases {
				if strings.HasPrefix(m[1], begin) {
					c.try(t, m[2])
					return
				}
			}
			t.Error("nobody tries it")
		})
	}
}

// try runs the configuration with keys, ports and a Redis of the test.
func (c useCase) try(t *testing.T, yaml string) {
	ids := regexp.MustCompile(`\bSLK\w{21}\b`)
	keys := map[string]harness.Key{}
	var order []string
	yaml = ids.ReplaceAllStringFunc(yaml, func(id string) string {
		if !slices.Contains(order, id) {
			order = append(order, id)
			keys[id] = harness.NewKey(t, "acme")
		}
		return keys[id].KeyID
	})
	yaml = regexp.MustCompile(`(?m)^listen:.*\n`).ReplaceAllString(yaml, "")
	sandbox := harness.StartSandbox(t, `rules: [{answer: {text: "The answer is 42.", input_tokens: 11, output_tokens: 7}}]`)
	yaml = strings.ReplaceAll(yaml, "{region: ", fmt.Sprintf("{endpoint: %q, region: ", sandbox.URL()))
	yaml = regexp.MustCompile(`role_arn: \S+, external_id: [^},]+`).ReplaceAllString(yaml, "retry: {max_attempts: 1}")
	var env []string
	if strings.Contains(yaml, "SLUICE_REDIS_URL") {
		env = append(env, "SLUICE_REDIS_URL="+redistest.NewServer(t).URL())
	}
	gw := harness.Start(t, harness.Config{YAML: yaml, Env: env})
	status, h, body := postWith(t, http.DefaultClient, gw.URL()+"/model/"+c.model+"/converse", converse("hello"),
		keys[order[c.key]])
	if !c.want(status, h) {
		t.Errorf("%d %v\n%s", status, h, body)
	}
}
