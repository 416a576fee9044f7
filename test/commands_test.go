package test

import (
	"fmt"
	"strings"
	"testing"

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

// TestResolveAndAdjust corrects the books of a running gateway.
func TestResolveAndAdjust(t *testing.T) {
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			broken := `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn"}`
			upstream := harness.StartScripted(t, map[string]harness.Play{goodModel: writes(answerWith(200, jsonHeader, broken))})
			key := harness.NewKey(t, "acme")
			gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n%s", upstream.URL(), key.KeyID, ledger)})
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

	credit := []string{"--tenant", "acme", "--model", goodModel, "--input=-10", "--output", "1", "--usd=-1.5", "--reason", "credit note", "--id", "credit-7"}
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
