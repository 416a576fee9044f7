package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/test/clients"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestShapedAnswers sends random requests of the official shapes to the gateway: each is answered by 200 or 400, and
// each answer, event and error has the official shape. make shapes runs it.
func TestShapedAnswers(t *testing.T) {
	file := os.Getenv("SLUICE_SHAPES")
	if file == "" {
		t.Skip("SKIPPED: it wants requests that test/clients/python/shapes.py makes: make shapes")
	}
	g, _, key := dialects(t, fmt.Sprintf(`rules:
  - match: {text: "a"}
    answer: {text: %q, tool: {name: f, input: {a: 1}}, stop_reason: tool_use, input_tokens: 11, output_tokens: 7}
  - {answer: {text: %q, input_tokens: 11, output_tokens: 7}}
`, hello, hello), "", "")
	python := filepath.Join(harness.Root(t), ".tools/frameworks/bin/python")
	cmd := exec.CommandContext(t.Context(), python, filepath.Join(harness.Root(t), "test/clients/python/answers.py"), file)
	cmd.Env = clients.Env(g.URL(), "BASE="+g.URL(), "KEY="+key.Bearer,
		"MODELS="+sonnetID+",amazon.nova-lite-v1:0,meta.llama3-3-70b-instruct-v1:0,amazon.nova-2-lite-v1:0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var got struct {
		Seen  map[string]int
		Wrong []string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range got.Wrong {
		t.Error(wrong)
	}
	for _, path := range []string{"chat/completions", "responses", "embeddings", "messages", "messages/count_tokens"} {
		if got.Seen["/v1/"+path+" 200"] == 0 {
			t.Errorf("%s: nothing was answered", path)
		}
	}
	t.Log(got.Seen)
}
