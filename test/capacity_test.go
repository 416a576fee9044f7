package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// TestSpillsAreInTheBooks has capacity that saturates, throttles, hangs and breaks before and after the first byte.
// Each call is answered on demand, but for one whose answer had begun. What was billed on demand is what the stand-in
// says, each token once. What was left in the capacity is there with its tokens or as unknown, never as nothing.
func TestSpillsAreInTheBooks(t *testing.T) {
	const floor = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/floor"
	const model = "amazon.nova-pro-v1:0"
	const imported = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama"
	sandbox := harness.StartSandbox(t, `
rules:
  - {match: {model: "arn:*", text: "hang"}, fault: {hang: true}}
  - {match: {model: "arn:*", text: "before"}, fault: {cut_after_frames: 0}}
  - {match: {model: "arn:*", text: "after"}, fault: {cut_after_frames: 2}}
  - {match: {model: "arn:*", text: "throttle"}, error: {status: 429, type: ThrottlingException, message: no}}
  - {match: {model: "arn:*", text: "full"}, room: {requests: 1}}
  - {match: {model: "arn:*", text: "cold"}, error: {status: 429, type: ModelNotReadyException, message: no}}
`)
	key := harness.NewKey(t, "acme/app")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {cold_start: 300ms}}
timeouts: {drain: 2s}
tenants:
  - {id: acme/app, keys: [%s], budgets: [{period: month, usd: 5}]}
capacity:
  - {name: floor, kind: provisioned, arn: %q, models: [%q], usd_per_hour: 39.60,
     from: %[5]s, first_byte: 5s}
  - {name: llama, kind: imported, arn: %[6]q, models: [amazon.nova-micro-v1:0], units: 8, usd_per_minute: 0.05718,
     usd_per_month: 1.95, spill_to: amazon.nova-lite-v1:0, from: %[5]s}
`, sandbox.URL(), key.KeyID, floor, model, time.Now().UTC().Format(time.DateOnly), imported)})
	importedSpills(t, gw, key.BearerCredential)
	ask := func(text, op, capacity string) {
		t.Helper()
		got := gw.Post(t, key.BearerCredential, "/model/"+strings.ReplaceAll(model, ":", "%3A")+"/"+op,
			`{"messages":[{"role":"user","content":[{"text":"`+text+`"}]}],"inferenceConfig":{"maxTokens":50}}`)
		if header := got.Header.Get("x-sluice-capacity"); got.Status != 200 || header != capacity {
			t.Errorf("%s %s: %d, capacity %q, want %q: %s", op, text, got.Status, header, capacity, got.Body)
		}
	}
	for _, op := range []string{"converse", "converse-stream"} {
		ask("plain", op, "floor")
		ask("throttle", op, "floor throttled, on demand")
		ask("hang", op, "floor late, on demand")
	}
	ask("before", "converse-stream", "floor failed, on demand")
	ask("after", "converse-stream", "floor")
	spilled := 0
	for range 20 { // as many in a second as the machine likes, of which one a second fits
		got := gw.Post(t, key.BearerCredential, "/model/"+strings.ReplaceAll(model, ":", "%3A")+"/converse",
			`{"messages":[{"role":"user","content":[{"text":"full"}]}],"inferenceConfig":{"maxTokens":50}}`)
		if got.Status != 200 {
			t.Errorf("full: %d %s", got.Status, got.Body)
		}
		if strings.HasSuffix(got.Header.Get("x-sluice-capacity"), "on demand") {
			spilled++
		}
	}
	told := harness.Run(t, 0, nil, "requests", "--config", gw.ConfigFile(), "--format", "json")
	for _, want := range []string{"floor", "floor throttled, on demand", "floor late, on demand",
		"llama not_ready, spilled"} {
		if !strings.Contains(strings.ReplaceAll(told, `": "`, `":"`), `"capacity":"`+want+`"`) {
			t.Errorf("no decision has the capacity %q", want)
		}
	}
	var input, output, calls int64 // on demand
	for _, s := range sandbox.Log() {
		if s.Model == model && s.Status == 200 {
			input, output, calls = input+s.Input, output+s.Output, calls+1
		}
	}
	if want := int64(5 + spilled); calls != want {
		t.Errorf("%d calls on demand, want %d", calls, want)
	}
	rows := map[string]harness.Row{}
	harness.Eventually(t, 20*time.Second, func() (bool, string) {
		for _, r := range gw.Report("model") {
			rows[r.Model] = r
		}
		return rows[floor].Unknown == 4, fmt.Sprintf("%+v", rows)
	})
	if r, spare := rows[imported], rows["amazon.nova-lite-v1:0"]; r.Requests != 2 || r.Input == 0 || r.Unpriced != 0 ||
		spare.Requests != 2 || spare.Unpriced != 0 || spare.Cost == "0.00" {
		t.Errorf("imported %+v, spilled %+v", r, spare)
	}
	if r := rows[model]; r.Input != input || r.Output != output || r.Requests != calls || r.Unknown != 0 {
		t.Errorf("on demand %+v, want %d calls, %d and %d tokens", r, calls, input, output)
	}
	if r := rows[floor]; r.Input == 0 || r.Unpriced != 0 || r.Cost == "0.00" {
		t.Errorf("capacity %+v", r)
	}
	const picoInput, picoOutput = 800_000, 3_200_000
	want := fmt.Sprintf("%.12f", float64(input*picoInput+output*picoOutput)/1e12)
	if want = strings.TrimRight(want, "0"); rows[model].Cost != want {
		t.Errorf("on demand cost %s, want %s", rows[model].Cost, want)
	}
	if page := harness.Run(t, 0, nil, "commitments", "--config", gw.ConfigFile()); !strings.Contains(page,
		"# Capacity floor\n") || !strings.Contains(page, "| acme/app |") || !strings.Contains(page, "| idle |") ||
		!strings.Contains(page, "# Capacity llama\n") || !strings.Contains(page, "# Capacity llama storage\n") ||
		!strings.Contains(page, "| of that idle | 0.00 |") { // of its windows: each was used
		t.Error(page)
	}
	reasons := fmt.Sprintf(`"calls":%d,"not_served":%d,"reasons":"throttled %d, late 2, failed 1"`, 23-spilled, 5+spilled,
		2+spilled)
	if status, page := gw.Page("/api/v1/views/capacity"); status != 200 || !strings.Contains(page, reasons) ||
		!strings.Contains(page, `"calls":2,"not_served":2,"reasons":"not_ready 2"`) ||
		!strings.Contains(page, `{"tenant":"acme/app","capacity":"floor",`) {
		t.Errorf("want %s: %d %s", reasons, status, page)
	}
}

// importedSpills asks an imported model that is awake, and one that is not loaded in time: then another one answers.
func importedSpills(t *testing.T, gw *harness.Gateway, bearer harness.Credential) {
	t.Helper()
	const path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aimported-model%2Fllama/"
	for _, op := range []string{"converse", "converse-stream"} {
		for text, capacity := range map[string]string{"plain": "llama", "cold": "llama not_ready, spilled"} {
			got := gw.Post(t, bearer, path+op,
				`{"messages":[{"role":"user","content":[{"text":"`+text+`"}]}],"inferenceConfig":{"maxTokens":50}}`)
			if header := got.Header.Get("x-sluice-capacity"); got.Status != 200 || header != capacity {
				t.Errorf("%s %s: %d, capacity %q, want %q: %s", op, text, got.Status, header, capacity, got.Body)
			}
		}
	}
}
