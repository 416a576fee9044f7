package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const trainScript = `rules:
  - {match: {model: "*claude-3-haiku*", text: "prove"}, answer: {text: "the light answer is 41", input_tokens: 10, output_tokens: 5}}
  - {match: {model: "*claude-3-5-haiku*", text: "prove"}, answer: {text: "the answer is 43", input_tokens: 10, output_tokens: 5}}
  - {match: {model: "*haiku*"}, answer: {text: "the light answer is 42", input_tokens: 10, output_tokens: 5}}
  - {answer: {text: "the strong answer is 42", input_tokens: 12, output_tokens: 6}}
`

const trainObserve = "    mode: observe\n    shadow: {tenant: acme/shadow, fraction: 1}\ntelemetry: {content: true}\n"

// TestTrain: what a gateway logged with texts gives a pre-score, a score and a
// certificate about both, and a cascade that names them sends straight what
// gains, and serves what does not from the light model.
func TestTrain(t *testing.T) {
	_, gw, key := startScripted(t, trainScript, trainObserve)
	easy, hard := loggedPair(t, gw, key, "say hello", 1), loggedPair(t, gw, key, "prove the theorem", 2)
	many := filepath.Join(gw.Dir, "many.jsonl")
	lines := [][]byte{easy, easy, easy, hard}
	writePairs(t, many, 2000, lines, "")
	calibrate := func(want int, log string, more ...string) (stdout, stderr string) {
		t.Helper()
		return harness.RunBoth(t, want, nil, append([]string{"calibrate", "--config", gw.ConfigFile(), "--cascade", "support",
			"--pairs", log}, more...)...)
	}
	gate, ranks, cert := filepath.Join(gw.Dir, "support.gate"), filepath.Join(gw.Dir,
		"support.score"), filepath.Join(gw.Dir, "support.cert")
	out, _ := calibrate(0, many, "--train-pre-score", gate, "--out", cert)
	wantText(t, out, "1340 pairs taken", "trained on the 660 pairs", "pre-score: trained on",
		"from texts, lengths and routes",
		"light alone below a gain of", "straight from a gain of",
		"25.0 % straight to the escalation model",
		"pre-score written", "certificate written")
	for _, file := range []string{gate, cert} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v of %s: %v", info, file, err)
		}
	}
	textless := filepath.Join(gw.Dir, "textless.jsonl")
	writePairs(t, textless, 2000, lines, "content")
	_, refusal := calibrate(1, many, "--train-score", ranks)
	wantText(t, refusal, "cannot train: 0 pairs") // answers with keys leave a score nothing to rank
	out, _ = calibrate(0, textless, "--train-pre-score", gate+"2")
	wantText(t, out, "lengths and routes alone")
	enforceTrained(t, gw, fmt.Sprintf("    mode: enforce\n    pre_score: %q\n    certificate: %q\n", gate,
		cert))
	served := func(text, want string) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			_, h, _ := postWith(t, http.DefaultClient, gw.URL()+"/model/auto/converse", converse(text), key)
			got := h.Get("x-sluice-path") + " " + h.Get("x-sluice-reason")
			return got == want, got
		})
	}
	served("say hello", "light agree")
	served("prove the theorem", "direct pre_score")
	wantBound(t, cert, map[string]string{"pre_score": gate})
}

// converse is the body of a Converse request.
func converse(text string) string {
	return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}]}`, text)
}

// loggedPair asks once and returns the line that the log has then, its n-th.
func loggedPair(t *testing.T, gw *harness.Gateway, key harness.Key, text string, n int) (line []byte) {
	t.Helper()
	if err := post(gw, key, "/model/auto/converse", converse(text)); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		log, err := os.ReadFile(filepath.Join(gw.Dir, "data", "pairs", "support.jsonl"))
		lines := bytes.SplitAfter(log, []byte("\n"))
		if len(lines) != n+1 {
			return false, fmt.Sprint(err, len(lines))
		}
		line = lines[n-1]
		return true, ""
	})
	return line
}

// enforceTrained has a running gateway take up what replaces its observing.
func enforceTrained(t *testing.T, gw *harness.Gateway, settings string) {
	t.Helper()
	data, err := os.ReadFile(gw.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gw.ConfigFile(), []byte(strings.Replace(string(data), trainObserve, settings, 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	if _, warnings := harness.RunBoth(t, 0, nil, "check", "--config", gw.ConfigFile()); strings.Contains(warnings,
		"cascades") {
		t.Error(warnings)
	}
}

// wantBound reads which score files a certificate is about.
func wantBound(t *testing.T, cert string, want map[string]string) {
	t.Helper()
	var c struct{ Scores map[string]string }
	data, err := os.ReadFile(cert)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	bound := map[string]string{}
	for role, file := range want {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bound[role] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	if !maps.Equal(c.Scores, bound) {
		t.Errorf("the certificate is about %v, want %v", c.Scores, bound)
	}
}

// writePairs writes n lines of the log, a second apart, each like one of the
// lines in turn; without texts when a member is to be left out.
func writePairs(t *testing.T, file string, n int, lines [][]byte, without string) {
	t.Helper()
	var log []byte
	begin := time.Now().Add(-time.Duration(n) * time.Second).UTC()
	for i := range n {
		var members map[string]any
		if err := json.Unmarshal(lines[i%len(lines)], &members); err != nil {
			t.Fatal(err)
		}
		members["time"] = begin.Add(time.Duration(i) * time.Second)
		delete(members, without)
		line, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		log = append(append(log, line...), '\n')
	}
	if err := os.WriteFile(file, log, 0o600); err != nil {
		t.Fatal(err)
	}
}
