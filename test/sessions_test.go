package test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// inSession is a credential whose requests name a session, by a header.
func inSession(key harness.Key, header, session string) harness.Credential {
	return func(req *http.Request, body []byte) error {
		req.Header.Set(header, session)
		return key.BearerCredential(req, body)
	}
}

// TestSessionBudget: two gateways let a session spend its budget and no more. The answer tells what is left, the
// refusal too, in the dialect of the caller; decisions name the session, and add up to what it spent.
func TestSessionBudget(t *testing.T) {
	p := startTwins(t, map[string]string{
		"acme/agents": "session_budget: {usd: 2, on_exceed: light_only, hard_usd: 2.5}, operations: [converse, invoke]",
	})
	key := p.keys["acme/agents"]
	in := func(n int, session, target, body string) harness.Answer {
		return p.gateways[n].Post(t, inSession(key, "x-sluice-session", session), target, body)
	}
	var last harness.Answer
	tries, served := 0, 0
	for failed := 0; failed < 6 && tries < 60; tries++ { // what the other gateway has leased comes back within a second
		if last = in(tries%2, "chain-1", heavyCall, ask); last.Status != http.StatusOK {
			failed++
			time.Sleep(500 * time.Millisecond)
			continue
		}
		served++
		failed = 0
		left, err := strconv.ParseFloat(last.Header.Get("x-sluice-session-left-usd"), 64)
		if err != nil || left > 2.5-0.1*float64(served) {
			t.Errorf("%d served: %q left of the session", served, last.Header.Get("x-sluice-session-left-usd"))
		}
	}
	text := string(last.Body) // a call may take 1.125 dollars, and costs 0.1
	if served < 8 || served > 9 || last.Status != http.StatusBadRequest ||
		!strings.Contains(text, `budget of session \"chain-1\" is used up`) || !strings.Contains(text, "is left") {
		t.Errorf("%d served, then %d %s", served, last.Status, text)
	}
	light := in(0, "chain-1", "/model/auto/converse", ask)
	if light.Status != http.StatusOK || light.Header.Get("x-sluice-reason") != "session_budget" ||
		light.Header.Get("x-sluice-path") != "light" {
		t.Errorf("the light model: %d %v %s", light.Status, light.Header, light.Body)
	}
	if a := in(1, "chain-2", heavyCall, ask); a.Status != http.StatusOK {
		t.Errorf("another session: %d %s", a.Status, a.Body)
	}
	const messages = `{"model":"dear.heavy-v1:0","max_tokens":10,"messages":[{"role":"user","content":"hello"}]}`
	said := p.gateways[0].Post(t, inSession(key, "x-claude-code-session-id", "chain-1"), "/v1/messages", messages)
	if said.Status != http.StatusTooManyRequests || !strings.Contains(string(said.Body), "billing_error") ||
		!strings.Contains(string(said.Body), "chain-1") || said.Header.Get("x-sluice-session-left-usd") == "" {
		t.Errorf("to Claude Code: %d %v %s", said.Status, said.Header, said.Body)
	}
	wantSession(t, p, fmt.Sprintf("chain-1 %d %d %.1f", tries+2, tries-served+1, 0.1*float64(served+1)))
}

// wantSession looks in decisions for what the first session came to: requests, refused ones, dollars.
func wantSession(t *testing.T, p *twins, want string) {
	t.Helper()
	args := []string{"requests", "--admin", p.gateways[0].Admin, "--admin", p.gateways[1].Admin, "--format", "json"}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		out := harness.Run(t, 0, nil, append(args, "--by", "session")...)
		var sums []struct {
			Session           string
			Requests, Refused int
			Cost              string `json:"cost_usd"`
		}
		if err := json.Unmarshal([]byte(out), &sums); err != nil || len(sums) != 2 {
			return false, out
		}
		got := fmt.Sprint(sums[0].Session, " ", sums[0].Requests, " ", sums[0].Refused, " ", sums[0].Cost)
		return strings.HasPrefix(got, want), got + ", want " + want
	})
	out := harness.Run(t, 0, nil, append(args, "--session", "chain-2")...)
	if strings.Count(out, `"session": "chain-2"`) != 1 || strings.Contains(out, "chain-1") {
		t.Errorf("of one session: %s", out)
	}
	reportsSessions(t, p, strings.Fields(want)[3])
}

// reportsSessions: the report of both gateways by session, and that of the API, have what the first session cost, and
// in all what the ledger has.
func reportsSessions(t *testing.T, p *twins, cost string) {
	t.Helper()
	type row struct {
		Session string
		Cost    string `json:"cost_usd"`
	}
	read := func(text string) (costs map[string]string, sum float64) {
		var rows []row
		if start := strings.IndexByte(text, '['); start < 0 || json.Unmarshal([]byte(text[start:]), &rows) != nil {
			t.Fatal(text)
		}
		costs = map[string]string{}
		for _, r := range rows {
			usd, _ := strconv.ParseFloat(r.Cost, 64)
			costs[r.Session], sum = r.Cost, sum+usd
		}
		return costs, sum
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		args := []string{"report", "--config", p.gateways[0].ConfigFile(), "--format", "json"}
		text := harness.Run(t, 0, nil, append(args, "--by", "session")...)
		costs, sum := read(text)
		_, all := read(harness.Run(t, 0, nil, append(args, "--by", "root")...))
		return strings.HasPrefix(costs["chain-1"], cost) && costs["chain-2"] != "" && math.Abs(sum-all) < 1e-9, text
	})
	_, body := p.gateways[1].Page("/api/v1/report?by=tenant,session")
	if !strings.Contains(body, `"session":"chain-1"`) || !strings.Contains(body, `"session":"chain-2"`) {
		t.Error(body)
	}
}

// looped is what an agent asks that has called one tool so many times with the same arguments.
func looped(times int) string {
	turn := `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"t%d","name":"read","input":{"path":"a.go"}}}]},` +
		`{"role":"user","content":[{"toolResult":{"toolUseId":"t%d","content":[{"text":"no such file"}]}}]}`
	body := `{"messages":[{"role":"user","content":[{"text":"hello"}]}`
	for i := range times {
		body += fmt.Sprintf(turn, i, i)
	}
	return body + `],"toolConfig":{"tools":[{"toolSpec":{"name":"read","inputSchema":{"json":{}}}}]}}`
}

// TestSessionLoop: an agent that calls one tool again and again with the same arguments gets the light model alone, or
// is refused, as its tenant's policy says.
func TestSessionLoop(t *testing.T) {
	p := startTwins(t, map[string]string{
		"acme/light":  "session_budget: {usd: 50, loop: {repeats: 3}}",
		"acme/refuse": "session_budget: {usd: 50, loop: {repeats: 3, then: reject}}",
		"acme/strict": "session_budget: {usd: 50, missing: reject}",
	})
	call := func(tenant string, times int) harness.Answer {
		key := inSession(p.keys[tenant], "x-sluice-session", "s")
		return p.gateways[0].Post(t, key, "/model/auto/converse", looped(times))
	}
	for times := range 5 {
		light, refused := call("acme/light", times), call("acme/refuse", times)
		if times < 3 {
			if light.Status != 200 || refused.Status != 200 || light.Header.Get("x-sluice-reason") == "session_loop" {
				t.Errorf("after %d calls: %d %v, %d %s", times, light.Status, light.Header, refused.Status, refused.Body)
			}
			continue
		}
		if light.Status != 200 || light.Header.Get("x-sluice-reason") != "session_loop" {
			t.Errorf("after %d calls: %d %v %s", times, light.Status, light.Header, light.Body)
		}
		if refused.Status != 400 || !strings.Contains(string(refused.Body), "same tool with the same arguments") {
			t.Errorf("after %d calls: %d %s", times, refused.Status, refused.Body)
		}
	}
	if n := p.gateways[0].Metric(`sluice_session_signals_total{action="reject",signal="same_tool"}`); n != 2 {
		t.Errorf("%g signals counted", n)
	}
	strict := p.keys["acme/strict"]
	for session, want := range map[string]string{
		"": "needs the session of each request", strings.Repeat("x", 257): "is longer than 256 bytes",
		"a b": "visible ASCII",
	} {
		a := p.gateways[0].Post(t, inSession(strict, "x-sluice-session", session), heavyCall, ask)
		if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), want) {
			t.Errorf("session %.9q: %d %s, want %q", session, a.Status, a.Body, want)
		}
	}
}

// TestSessionChain: responses that go on from each other are one session, whichever call began it; two chains are two.
func TestSessionChain(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book.yaml")
	prices := strings.ReplaceAll(budgetPrices, "dear.light-v1:0", "openai.gpt-5.6")
	if err := os.WriteFile(book, []byte(prices), 0o600); err != nil {
		t.Fatal(err)
	}
	g, _, key := dialects(t, counts11, ", store: allow, output_tokens: {max: 99}, session_budget: {usd: 50000}",
		fmt.Sprintf("prices: [%q]\n", book))
	ask := func(rest string) (id string) {
		res, body := sendBearer(t, g, key, "POST", "/v1/responses", toGPT+`"hello"`+rest+`}`)
		if res.StatusCode != 200 || res.Header.Get("X-Sluice-Session-Left-Usd") == "" {
			t.Fatal(res.Status, res.Header, body)
		}
		_, id, _ = strings.Cut(body, `"id":"resp_`)
		id, _, _ = strings.Cut(id, `"`)
		return "resp_" + id
	}
	for id, n := ask(""), 0; n < 2; n++ {
		id = ask(`,"previous_response_id":"` + id + `"`)
	}
	ask("")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		out := harness.Run(t, 0, nil, "requests", "--admin", g.Admin, "--by", "session", "--format", "json")
		var sums []struct{ Requests int }
		err := json.Unmarshal([]byte(out), &sums)
		return err == nil && len(sums) == 2 && sums[0].Requests == 3 && sums[1].Requests == 1, out
	})
}
