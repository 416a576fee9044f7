package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	keysAPI    = "/api/v1/keys"
	adminToken = "the admin token of the test"
)

// fleet is gateways on one ledger whose keys are acted on while they run.
type fleet struct {
	t        *testing.T
	ledger   string // line of the configuration
	sandbox  *harness.Sandbox
	listed   harness.Key // in the configuration, of acme/app
	gateways []*harness.Gateway
	slowest  time.Duration // until an act was in effect everywhere
}

func newFleet(t *testing.T, ledger string, gateways int) *fleet {
	t.Helper()
	const script = "rules:\n" +
		"  - {match: {text: slow}, answer: {text: 'one two three four five six'}, delay: {frame: 300ms}}\n" +
		"  - {answer: {text: ok, input_tokens: 95, output_tokens: 5}}\n"
	f := &fleet{t: t, ledger: ledger, listed: harness.NewKey(t, "acme/app"), sandbox: harness.StartSandbox(t, script)}
	return f.grow(gateways)
}

func (f *fleet) grow(gateways int) *fleet {
	for range gateways {
		f.gateways = append(f.gateways, f.start(f.t.TempDir()))
	}
	return f
}

func (f *fleet) yaml() string {
	return fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\nprices: [books.yaml]\n%s"+
		"tenants: [{id: acme/app, output_tokens: {max: 10}, keys: [%s]}, {id: other}]\n",
		f.sandbox.URL(), f.ledger, f.listed.KeyID)
}

func (f *fleet) start(dir string) *harness.Gateway {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(budgetPrices), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return harness.Start(f.t, harness.Config{YAML: f.yaml(), Dir: dir, AdminToken: adminToken})
}

// api acts through a gateway and demands a status.
func (f *fleet) api(gateway int, want int, method, path, body string) (made harness.Key) {
	f.t.Helper()
	if status, text := f.gateways[gateway].API(method, keysAPI+path, body, &made); status != want {
		f.t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	return made
}

// want waits until all gateways answer the key so, in both styles and over both
// protocols. What refuses it must be in the answer.
func (f *fleet) want(what string, key harness.Key, status int, text string) {
	f.t.Helper()
	begin := time.Now()
	for i := range f.gateways {
		for style, cred := range map[string]harness.Credential{
			"bearer": key.BearerCredential, "signed": key.SigV4Credential,
		} {
			for deadline := begin.Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				a := f.gateways[i].Post(f.t, cred, lightCall, ask)
				if a.Status == status && strings.Contains(string(a.Body), text) {
					break
				}
				if time.Now().After(deadline) {
					f.t.Fatalf("%s, %s at gateway %d: %d %s, want %d %s", what, style, i, a.Status, a.Body, status, text)
				}
			}
		}
	}
	if text != "has expired" { // which comes when it comes
		f.slowest = max(f.slowest, time.Since(begin))
	}
}

const unknownKey = "" // bearer keys and signatures have their own texts of a key that never was

// keyLedgers are the ledgers of these tests, and how many gateways share them.
func keyLedgers(t *testing.T) map[string]func() *fleet {
	line := func(url string) string { return fmt.Sprintf("ledger: {redis: %q}\n", url) }
	return map[string]func() *fleet{
		"embedded": func() *fleet { return newFleet(t, "", 1) },
		"redis":    func() *fleet { return newFleet(t, line(redistest.NewServer(t).URL()), 2) },
		"cluster":  func() *fleet { return newFleet(t, line(redistest.NewCluster(t, 3).URL()), 2) },
	}
}

// TestKeysAtRunTime acts on keys through the first gateway, and on each of them expects
// the effect. All callers keep their connections, so each act meets one that its key has
// used before.
func TestKeysAtRunTime(t *testing.T) {
	for name := range keyLedgers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := keyLedgers(t)[name]()
			f.walk()
			t.Logf("an act was in effect everywhere, in both styles, after %s at most", f.slowest)
		})
	}
}

func (f *fleet) walk() {
	issued := f.api(0, 201, "POST", "", `{"tenant":"acme/app","name":"ci","owner":"a@b"}`)
	f.want("issued", issued, 200, "")
	for what, key := range map[string]harness.Key{"listed": f.listed, "issued": issued} {
		path := "/" + key.KeyID
		f.api(0, 200, "PATCH", path, `{"networks":["192.0.2.0/24"]}`)
		f.want(what+" of another network", key, 403, "may not be used from 127.0.0.1")
		f.api(0, 200, "PATCH", path, `{"networks":["127.0.0.0/8","2001:db8::/32"]}`)
		f.want(what+" of this network", key, 200, "")
		f.api(0, 200, "POST", path+"/freeze", `{"reason":"leaked?"}`)
		f.want(what+" frozen", key, 403, "is frozen")
		f.api(0, 200, "POST", path+"/unfreeze", "")
		f.want(what+" thawed", key, 200, "")
		f.api(0, 200, "POST", "/tenants/freeze", `{"tenant":"acme"}`)
		f.want(what+" of a frozen tenant", key, 403, "is frozen")
		f.api(0, 200, "POST", "/tenants/unfreeze", `{"tenant":"acme"}`)
		f.want(what+" of a thawed tenant", key, 200, "")
		soon := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339)
		f.api(0, 200, "PATCH", path, `{"expires":"`+soon+`"}`)
		f.want(what+" expired", key, 403, "has expired")
		f.api(0, 200, "PATCH", path, `{"expires":null}`)
		f.want(what+" without expiry", key, 200, "")
		next := f.api(0, 201, "POST", path+"/rotate", `{"grace":"0s"}`)
		f.want(what+" replaced", key, 403, "has expired")
		f.want(what+"'s replacement", next, 200, "")
		f.api(0, 200, "POST", "/"+next.KeyID+"/revoke", "")
		f.want(what+"'s replacement revoked", next, 403, unknownKey)
		f.api(0, 200, "POST", path+"/revoke", "")
		f.want(what+" revoked", key, 403, unknownKey)
		f.api(0, 409, "POST", path+"/unfreeze", "")
		f.api(0, 409, "POST", path+"/rotate", "")
		f.api(0, 409, "PATCH", path, `{"name":"again"}`)
	}
	f.notByReload()
	for i, gw := range f.gateways {
		gw.Stop()
		f.gateways[i] = f.start(gw.Dir)
	}
	f.want("revoked, after a restart", f.listed, 403, unknownKey)
	f.want("revoked, after a restart", issued, 403, unknownKey)
	out := harness.Run(f.t, 0, nil, "keys", "audit", "--config", f.gateways[0].ConfigFile())
	if !strings.Contains(out, "leaked?") || !strings.Contains(out, "all links hold") {
		f.t.Errorf("audit:\n%s", out)
	}
	harness.Run(f.t, 0, nil, "verify", "--config", f.gateways[0].ConfigFile())
}

// notByReload takes the revoked key out of the configuration and lists it again.
func (f *fleet) notByReload() {
	f.t.Helper()
	for _, gw := range f.gateways {
		with := f.yaml()
		reloads := strings.Count(gw.Log.String(), "configuration reloaded")
		for _, text := range []string{strings.Replace(with, f.listed.KeyID, "", 1), with} {
			gw.Write(text)
			reloads++
			deadline := time.Now().Add(30 * time.Second)
			for strings.Count(gw.Log.String(), "configuration reloaded") < reloads {
				if time.Sleep(50 * time.Millisecond); time.Now().After(deadline) {
					f.t.Fatalf("no reload\n%s", gw.Log)
				}
			}
		}
	}
	f.want("revoked and listed again", f.listed, 403, unknownKey)
}

// TestKeysByCommand acts with commands beside running gateways, on the first one's data
// directory, and lists what they did.
func TestKeysByCommand(t *testing.T) {
	for _, name := range []string{"embedded", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := keyLedgers(t)[name]()
			run := func(args ...string) string {
				t.Helper()
				return harness.Run(t, 0, nil, append(args, "--config", f.gateways[0].ConfigFile())...)
			}
			run("keys", "freeze", f.listed.KeyID, "--reason", "holiday")
			f.want("frozen", f.listed, 403, "is frozen")
			run("keys", "unfreeze", f.listed.KeyID)
			f.want("thawed", f.listed, 200, "")
			run("keys", "revoke", f.listed.KeyID)
			f.want("revoked", f.listed, 403, unknownKey)
			if out := run("keys", "list"); !strings.Contains(out, "although the configuration lists it") {
				t.Error(out)
			}
			for _, gw := range f.gateways { // last use is noted at the latest at the end
				gw.Stop()
			}
			if out := run("keys", "show", f.listed.KeyID); !strings.Contains(out, "last used          20") {
				t.Error(out)
			}
		})
	}
}

// TestBudgetsOfKeys gives a key budgets and limits of its own. Gateways share them, and a
// rotation is no way to a fresh one.
func TestBudgetsOfKeys(t *testing.T) {
	for _, name := range []string{"embedded", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := keyLedgers(t)[name]()
			key := f.api(0, 201, "POST", "", `{"tenant":"acme/app","budgets":[{"period":"month","usd":"2"}]}`)
			f.settled(key)
			served, last := 0, harness.Answer{}
			for n := range 20 { // of ten cents each, for which it holds $1.125
				if last = f.gateways[n%len(f.gateways)].Post(t, key.BearerCredential, lightCall, ask); last.Status == 200 {
					served++
				}
			}
			const refusal = `budget \"month\" of this key is used up`
			if served != 9 || last.Status != 400 || !strings.Contains(string(last.Body), refusal) {
				t.Errorf("%d served of nine, then %d %s", served, last.Status, last.Body)
			}
			f.want("another key of the tenant", f.listed, 200, "")
			next := f.api(0, 201, "POST", "/"+key.KeyID+"/rotate", "")
			f.want("after a rotation", next, 400, "is used up")
			f.want("the old one meanwhile", key, 400, "is used up")
			f.api(0, 200, "PATCH", "/"+next.KeyID, `{"budgets":[{"period":"month","usd":"5"}]}`)
			f.want("with more", next, 200, "")

			limited := f.api(0, 201, "POST", "", `{"tenant":"acme/app","limits":{"requests_per_minute":3}}`)
			f.settled(limited)
			f.want("over its rate", limited, 429, "requests per minute")
			for _, gw := range f.gateways {
				gw.Stop()
			}
			harness.Run(t, 0, nil, "verify", "--config", f.gateways[0].ConfigFile())
		})
	}
}

// settled waits until all gateways know a key, without a request that counts.
func (f *fleet) settled(key harness.Key) {
	f.t.Helper()
	for i, gw := range f.gateways {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			status, text := gw.API("GET", keysAPI+"/"+key.KeyID, "", nil)
			if status == 200 {
				break
			}
			if time.Now().After(deadline) {
				f.t.Fatalf("gateway %d: %d %s", i, status, text)
			}
		}
	}
}

// TestKeysSurviveLosses revokes while the ledger, or a gateway, is away or loses things.
func TestKeysSurviveLosses(t *testing.T) {
	t.Parallel()
	redis := redistest.NewServer(t)
	f := newFleet(t, fmt.Sprintf("ledger: {redis: %q}\n", redis.URL()), 2)
	issue := func() harness.Key { return f.api(0, 201, "POST", "", `{"tenant":"acme/app"}`) }
	down, lost, away, both := issue(), issue(), issue(), issue()
	for _, key := range []harness.Key{down, lost, away, both} {
		f.want("issued", key, 200, "")
	}

	// A gateway that was down at the time knows before its first request.
	f.gateways[1].Stop()
	f.api(0, 200, "POST", "/"+down.KeyID+"/revoke", "")
	f.gateways[1] = f.start(f.gateways[1].Dir)
	if a := f.gateways[1].Post(t, down.BearerCredential, lightCall, ask); a.Status != 403 {
		t.Errorf("the first request after a start: %d", a.Status)
	}

	// The ledger loses everything: gateways fill it, and one without data learns it all.
	f.api(0, 200, "POST", "/"+lost.KeyID+"/revoke", "")
	f.want("revoked", lost, 403, unknownKey)
	redis.CLI("FLUSHALL")
	f.grow(1)
	f.want("after FLUSHALL, with a new gateway", lost, 403, unknownKey)
	f.want("after FLUSHALL, with a new gateway", down, 403, unknownKey)
	f.want("after FLUSHALL, with a new gateway", away, 200, "")

	// While the ledger is away, an act is in effect where it is done, and the others say
	// that they may not know; after a restart meanwhile nothing is forgotten.
	redis.Kill()
	var answer struct {
		Waiting bool `json:"waiting_for_ledger"`
	}
	status, text := f.gateways[0].API("POST", keysAPI+"/"+away.KeyID+"/revoke", "", &answer)
	if status != 200 || !answer.Waiting {
		t.Errorf("a revocation without the ledger: %d %s", status, text)
	}
	if a := f.gateways[0].Post(t, away.BearerCredential, lightCall, ask); a.Status != 403 {
		t.Errorf("revoked here: %d", a.Status)
	}
	f.degraded(1, "the ledger was last heard")
	f.gateways[1].Kill() // a stop would wait for the ledger
	f.gateways[1] = f.start(f.gateways[1].Dir)
	f.degraded(1, "was not heard since the start")
	if a := f.gateways[1].Post(t, lost.BearerCredential, lightCall, ask); a.Status != 403 {
		t.Errorf("revoked, after a restart without the ledger: %d", a.Status)
	}
	redis.Start() // it has kept nothing
	f.want("revoked without the ledger", away, 403, unknownKey)
	f.want("revoked before", down, 403, unknownKey)
	f.healthy()

	// All gateways stop, the ledger loses everything, and rebuild fills it from one data directory.
	f.api(2, 200, "POST", "/"+both.KeyID+"/revoke", "")
	f.want("revoked", both, 403, unknownKey)
	for _, gw := range f.gateways {
		gw.Stop()
	}
	redis.CLI("FLUSHALL")
	out := harness.Run(t, 0, nil, "rebuild", "--config", f.gateways[0].ConfigFile())
	if !strings.Contains(out, "8 acts on keys") {
		t.Error(out)
	}
	f.gateways = nil
	f.grow(1)
	for _, key := range []harness.Key{down, lost, away, both} {
		f.want("after rebuild, with an empty data directory", key, 403, unknownKey)
	}
}

// degraded waits until /readyz of a gateway says so of keys.
func (f *fleet) degraded(gateway int, text string) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, r := f.gateways[gateway].Readyz()
		if strings.Contains(r.Degraded["keys"], text) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("/readyz of gateway %d says %q of keys, want %q", gateway, r.Degraded["keys"], text)
		}
	}
}

func (f *fleet) healthy() {
	f.t.Helper()
	for i := range f.gateways {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if _, r := f.gateways[i].Readyz(); r.Degraded["keys"] == "" {
				break
			} else if time.Now().After(deadline) {
				f.t.Fatalf("/readyz of gateway %d says %q of keys", i, r.Degraded["keys"])
			}
		}
	}
}

// TestKeysOfCopies acts on one key at two gateways at once, copies a data directory, and
// expects that all agree in the end.
func TestKeysOfCopies(t *testing.T) {
	t.Parallel()
	redis := redistest.NewServer(t)
	f := newFleet(t, fmt.Sprintf("ledger: {redis: %q}\n", redis.URL()), 2)
	path := "/" + f.listed.KeyID
	redis.Pause() // what they do now they do at once
	for i := range f.gateways {
		f.api(i, 200, "PATCH", path, fmt.Sprintf(`{"name":"by %d"}`, i))
		f.api(i, 200, "POST", path+"/freeze", "")
	}
	f.api(1, 200, "POST", path+"/unfreeze", "") // of its own freeze alone
	redis.Resume()
	f.want("frozen at the other one too", f.listed, 403, "is frozen")
	f.agree(path)
	f.api(0, 200, "POST", path+"/unfreeze", "")
	f.want("thawed", f.listed, 200, "")

	f.gateways[0].Stop()
	dir := f.gateways[0].Dir
	f.gateways[0] = f.start(dir)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	f.gateways = append(f.gateways, f.start(copied))
	for i := range f.gateways { // both copies act, under writers of their own
		f.api(i, 200, "PATCH", path, fmt.Sprintf(`{"owner":"by %d"}`, i))
	}
	f.agree(path)
	f.api(2, 200, "POST", path+"/revoke", "")
	f.want("revoked at the copy", f.listed, 403, unknownKey)
	for _, gw := range f.gateways {
		out := harness.Run(t, 0, nil, "keys", "audit", "--config", gw.ConfigFile())
		if !strings.Contains(out, "10 acts, all links hold") {
			t.Error(out)
		}
	}
}

// agree waits until all gateways show a key alike.
func (f *fleet) agree(path string) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		texts := map[string]bool{}
		for _, gw := range f.gateways {
			var k struct{ Name, Owner, State, Version string }
			gw.API("GET", keysAPI+path, "", &k)
			texts[fmt.Sprintf("%+v", k)] = true
		}
		if len(texts) == 1 {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("the gateways differ: %v", texts)
		}
	}
}

// TestStreamOfARevokedKey: an answer that is under way goes on to its end, since it is paid
// for; over the same HTTP/2 connection the key gets no further one.
func TestStreamOfARevokedKey(t *testing.T) {
	for kind, act := range map[string]func(*fleet){
		"revoked": func(f *fleet) { f.api(0, 200, "POST", "/"+f.listed.KeyID+"/revoke", "") },
		"expired": func(f *fleet) {
			soon := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339)
			f.api(0, 200, "PATCH", "/"+f.listed.KeyID, `{"expires":"`+soon+`"}`)
		},
	} {
		for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(kind+" "+version, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t, "", 1)
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(version == "HTTP/1.1")
				transport.Protocols.SetUnencryptedHTTP2(version == "HTTP/2")
				t.Cleanup(transport.CloseIdleConnections)
				post := func(target string) *http.Response {
					t.Helper()
					body := strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"slow"}]}]}`)
					req, err := http.NewRequest("POST", f.gateways[0].URL()+target, body)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer "+f.listed.Bearer)
					res, err := transport.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { res.Body.Close() })
					return res
				}
				stream := post("/model/dear.light-v1:0/converse-stream")
				if stream.StatusCode != 200 || stream.Proto[:6] != version[:6] {
					t.Fatalf("%s %s", stream.Proto, stream.Status)
				}
				act(f)
				f.want(kind, f.listed, 403, "")
				if res := post(lightCall); res.StatusCode != 403 {
					t.Errorf("a further request: %s", res.Status)
				}
				text, err := io.ReadAll(stream.Body)
				if err != nil || !strings.Contains(string(text), "metadata") {
					t.Errorf("the stream: %v, %q", err, text)
				}
			})
		}
	}
}
