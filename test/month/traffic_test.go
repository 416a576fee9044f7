package month

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

// request is a line of the model's traffic.
type request struct {
	At          int64  `json:"at"` // milliseconds since the month began
	Tenant      string `json:"tenant"`
	Op          string `json:"op"`
	Model       string `json:"model"`
	System      string `json:"system"`
	SystemBytes int    `json:"system_bytes"`
	Talk        string `json:"talk"`
	Turn        int    `json:"turn"`
	UserBytes   int    `json:"user_bytes"`
	ReplyBytes  int    `json:"reply_bytes"`
	Marks       string `json:"marks"`
	Own         bool   `json:"own"`
}

// drawn has the model draw so many days, and write down what they cost. It returns the traffic, and what each
// run costs each tenant, in pico-dollars.
func drawn(t *testing.T, days int) (requests []request, expected map[string]map[string]int64) {
	t.Helper()
	python := filepath.Join(harness.Root(t), ".tools", "python", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	dir := t.TempDir()
	out, err := exec.Command(python, "model.py", "--days", strconv.Itoa(days), "--out", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err == nil {
		err = json.Unmarshal(data, &expected)
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "traffic.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, r)
	}
	return requests, expected
}

func (r *request) at() time.Time { return begins.Add(time.Duration(r.At) * time.Millisecond) }

// text is so many bytes that begin with a name.
func text(name string, bytes int) string {
	rest := strings.Repeat("word ", bytes/5+1)
	return (name + " " + rest)[:bytes]
}

// turns are the texts of the conversation, the user's and the model's in turn.
func (r *request) turns() []string {
	var all []string
	for i := range 2*r.Turn - 1 {
		if i%2 == 0 {
			all = append(all, text(fmt.Sprint(r.Talk, "/", i, " ", r.Marks), r.UserBytes))
		} else {
			all = append(all, text(fmt.Sprint(r.Talk, "/", i), r.ReplyBytes))
		}
	}
	return all
}

// call is the request on the wire.
func (r *request) call() (op wire.Operation, body string) {
	var messages []string
	kind := ""
	if r.Op == "invoke" {
		kind = `"type":"text",`
	}
	for i, turn := range r.turns() {
		messages = append(messages, `{"role":"`+[...]string{"user", "assistant"}[i%2]+`","content":[{`+kind+`"text":"`+
			turn+`"}]}`)
	}
	system, list := text(r.System, r.SystemBytes), strings.Join(messages, ",")
	if r.Op == "invoke" {
		return wire.OpInvoke, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":4096,"system":"` + system +
			`","messages":[` + list + `]}`
	}
	point := ""
	if r.Own {
		point = `,{"cachePoint":{"type":"default"}}`
	}
	op, _ = wire.ParseOperation(cmp.Or(r.Op, "converse"))
	return op, `{"system":[{"text":"` + system + `"}` + point + `],"messages":[` + list + `]}`
}
