package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

func wantText(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%q is not in\n%s", text, got)
		}
	}
}

// TestVerifyAndRebuild: a ledger that lost everything, and one that lost a
// counter, are found and mended.
func TestVerifyAndRebuild(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.NewServer(t)
	gw, key := ledgerAway(t, redis)
	command := func(want int, name string, more ...string) string {
		t.Helper()
		return harness.Run(t, want, nil, append([]string{name, "--config", gw.ConfigFile()}, more...)...)
	}
	postGood(t, gw, key, 5)
	wantCounted(t, gw, 5)
	wantText(t, command(0, "verify"), "\n0 differences")
	command(1, "rebuild") // the gateway has the journal
	gw.Stop()
	redis.CLI("FLUSHALL")
	wantText(t, command(1, "verify"), "the ledger lacks numbers")
	wantText(t, command(0, "rebuild"), "posted", "\n0 differences")
	for _, name := range strings.Fields(redis.CLI("KEYS", "*:r:*")) {
		redis.CLI("DEL", name)
	}
	command(1, "verify")
	command(1, "rebuild")
	wantText(t, command(0, "rebuild", "--wipe"), "wiped", "\n0 differences")
	if rows := gw.Report("model"); len(rows) != 1 || rows[0].Input != 15 {
		t.Errorf("rebuilt: %+v", rows)
	}
}

// TestResolveAndAdjust corrects the records of a running gateway.
func TestResolveAndAdjust(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			broken := `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn"}`
			upstream := harness.StartScripted(t, map[string]harness.Play{goodModel: writes(answerWith(200, jsonHeader, broken))})
			key := harness.NewKey(t, "acme")
			gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: "+
				"[{id: acme, keys: [%s]}]\n%s", upstream.URL(), key.KeyID, ledger)})
			gw.Post(t, key.BearerCredential, goodCall, ask)
			correct(t, gw)
		})
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}

func correct(t *testing.T, gw *harness.Gateway) {
	t.Helper()
	command := func(want int, name string, more ...string) string {
		t.Helper()
		return harness.Run(t, want, nil, append([]string{name, "--config", gw.ConfigFile()}, more...)...)
	}
	list := strings.Split(strings.TrimSpace(command(0, "resolve")), "\n")
	if len(list) != 2 {
		t.Fatalf("%q", list)
	}
	id := strings.Fields(list[1])[0]
	command(2, "resolve", id, "--input", "30")
	command(1, "resolve", "nobody", "--input", "30", "--output", "20")
	wantText(t, command(0, "resolve", id, "--input", "30", "--output", "20"), "resolved: 30 input")
	wantText(t, command(0, "resolve", id, "--input", "30", "--output", "20"), "before")
	command(1, "resolve", id, "--input", "31", "--output", "20")
	if left := command(0, "resolve"); strings.Contains(left, id) {
		t.Errorf("still listed:\n%s", left)
	}

	credit := []string{"--tenant", "acme", "--model", goodModel, "--input=-10", "--output", "1", "--usd=-1.5", "--reason",
		"credit note", "--id", "credit-7", "--force"}
	wantText(t, command(0, "adjust", credit...), "credit-7 made", "$-1.50")
	wantText(t, command(0, "adjust", credit...), "made before")
	command(1, "adjust", append(credit, "--output", "2")...)
	command(2, "adjust", "--tenant", "acme", "--model", goodModel, "--reason", "nothing")

	var input, output, unknown int64
	for _, r := range gw.Report("tenant,model") {
		input, output, unknown = input+r.Input, output+r.Output, unknown+r.Unknown
	}
	if input != 20 || output != 21 || unknown != 0 {
		t.Errorf("%d input, %d output, %d unknown", input, output, unknown)
	}
	wantText(t, command(0, "verify"), "\n0 differences")
}

// TestWebhook: passing a threshold of a budget is sent to the tenant's webhook,
// signed.
func TestWebhook(t *testing.T) {
	type message struct {
		signature string
		body      []byte
	}
	told := make(chan message, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told <- message{r.Header.Get(notify.SignatureHeader), body}
	}))
	t.Cleanup(receiver.Close)
	sandbox := harness.StartSandbox(t, cascadeScript)
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants:
  - id: acme
    keys: [%s]
    budgets: [{period: month, usd: 0.00001, on_exceed: notify}]
    webhook: %q
    webhook_secret: hook-secret
`, sandbox.URL(), key.KeyID, receiver.URL)})
	for range 3 {
		if err := post(gw, key, "/model/"+cascadeLight+"/converse", ask); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case m := <-told:
		seconds, _, _ := strings.Cut(strings.TrimPrefix(m.signature, "t="), ",")
		at, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || m.signature != notify.Sign("hook-secret", time.Unix(at, 0), m.body) {
			t.Errorf("signature %q: %v", m.signature, err)
		}
		wantText(t, string(m.body), `"tenant":"acme"`, `"limit_usd":"0.00001"`, `"percent":`)
	case <-time.After(10 * time.Second):
		t.Errorf("no message\n%s", gw.Log)
	}
	gw.Stop()
}

// TestCalibrate: what a gateway logged gives a certificate that its own
// configuration accepts, once there is enough of it.
func TestCalibrate(t *testing.T) {
	t.Parallel() // it mostly waits
	const observe = "    mode: observe\n    shadow: {tenant: acme/shadow, fraction: 1}\n"
	_, gw, key := startCascade(t, observe)
	if err := post(gw, key, "/model/auto/converse", ask); err != nil {
		t.Fatal(err)
	}
	var line []byte
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var err error
		line, err = os.ReadFile(filepath.Join(gw.Dir, "data", "pairs", "support.jsonl"))
		return bytes.HasSuffix(line, []byte("\n")), fmt.Sprint(err)
	})
	calibrate := func(want int, more ...string) (stdout, stderr string) {
		t.Helper()
		return harness.RunBoth(t, want, nil, append([]string{"calibrate", "--config", gw.ConfigFile(), "--cascade",
			"support"}, more...)...)
	}
	cert, svg := filepath.Join(gw.Dir, "support.cert"), filepath.Join(gw.Dir, "curve.svg")
	_, refusal := calibrate(1, "--out", cert)
	wantText(t, refusal, "cannot certify: about")
	if _, err := os.Stat(cert); err == nil {
		t.Error("a refusal wrote a certificate")
	}
	calibrate(2, "--cascade", "nobody")

	many := filepath.Join(gw.Dir, "many.jsonl")
	unlike := bytes.Replace(line, []byte(`"policy_hash":"`), []byte(`"policy_hash":"0`), 1)
	if err := os.WriteFile(many, append(bytes.Repeat(line, 500), unlike...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, refusal = calibrate(1, "--pairs", many, "--min-saving", "0.999")
	wantText(t, refusal, "target above the ceiling")
	out, _ := calibrate(0, "--pairs", many, "--out", cert, "--svg", svg)
	wantText(t, out, "500 pairs taken", "1 pairs left out: of another policy", "certificate written")
	if picture, err := os.ReadFile(svg); err != nil || !bytes.Contains(picture, []byte("<svg")) {
		t.Errorf("%v in %.40q", err, picture)
	}
	wantText(t, out, "labels: 0 by humans, 0 by a judge, 500 by comparing keys")

	var pair struct{ ID string }
	if err := json.Unmarshal(line, &pair); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(gw.Dir, "labels.jsonl")
	if err := os.WriteFile(labels, fmt.Appendf(nil,
		"{\"id\":%q,\"winner\":\"tie\"}\n{\"id\":\"stray\",\"winner\":\"light\"}\n", pair.ID), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = calibrate(0, "--pairs", many, "--labels", labels, "--out", cert)
	wantText(t, out, "labels: 500 by humans, 0 by a judge, 0 by comparing keys",
		"1 human labels have no pair among those taken: stray")
	if contents, err := os.ReadFile(cert); err != nil || !bytes.Contains(contents, []byte(`"human": 500`)) {
		t.Errorf("%v in %s", err, contents)
	}
	if err := os.WriteFile(labels, []byte(`{"id":"x","winner":"nobody"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, refusal = calibrate(2, "--pairs", many, "--labels", labels)
	wantText(t, refusal, "labels.jsonl: line 1: winner is \"nobody\"")

	settings, err := os.ReadFile(gw.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	enforcing := filepath.Join(gw.Dir, "enforce.yaml")
	settings = bytes.Replace(settings, []byte(observe), fmt.Appendf(nil, "    mode: enforce\n    certificate: %q\n", cert),
		1)
	if err := os.WriteFile(enforcing, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, warnings := harness.RunBoth(t, 0, nil, "check", "--config", enforcing); strings.Contains(warnings,
		"certificate") {
		t.Error(warnings)
	}
	wantTaken(t, gw, key, cert, bytes.Replace(settings, []byte(cert), []byte(cert+".late"), 1))
}

// wantTaken has a running gateway enforce without a certificate, gives it one,
// and wants it served without a word to the gateway.
func wantTaken(t *testing.T, gw *harness.Gateway, key harness.Key, cert string, settings []byte) {
	t.Helper()
	served := func(want string) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			_, h, _ := postWith(t, http.DefaultClient, gw.URL()+"/model/auto/converse", ask, key)
			got := h.Get("x-sluice-path") + " " + h.Get("x-sluice-reason")
			return got == want, got
		})
	}
	if err := os.WriteFile(gw.ConfigFile(), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	served("direct uncertified")
	data, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert+".late", data, 0o600); err != nil {
		t.Fatal(err)
	}
	served("light agree")
}
