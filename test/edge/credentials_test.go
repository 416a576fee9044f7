package edge

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// badBody is the 2 KB of the row.
var badBody = `{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat("words and ", 195) + `"}]}]}`

// bearerRequest and signedRequest are requests as they are on the wire.
func bearerRequest(token string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", askTarget, token, len(badBody), badBody)
}

func signedRequest(t *testing.T, g *harness.Gateway, key harness.Key) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, g.URL()+askTarget, strings.NewReader(badBody))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := key.SigV4Credential(req, []byte(badBody)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signedWith is a signed request whose signature is another one.
func signedWith(request []byte, change func(signature []byte)) []byte {
	out := bytes.Clone(request)
	at := bytes.Index(out, []byte("Signature=")) + len("Signature=")
	change(out[at : at+64])
	return out
}

// other makes a letter of a signature or key another one.
func other(b *byte) {
	if *b == 'a' {
		*b = 'b'
	} else {
		*b = 'a'
	}
}

// badCredentials is S3 and S4 of reliability.md section 6.
func badCredentials() row {
	return row{
		name: "E13 bad credentials",
		goal: "bad credentials, on a kept connection",
		must: "≤ 2 × a request of the bare proxy (bearer), ≤ 2.5 × (Signature V4, 2 KB) in one run; " +
			"Welch t < 4.5 over 20,000 samples",
		run: func(t *testing.T, m *measured) {
			upstream := quickUpstream(t)
			key := harness.NewKey(t, "acme")
			g := harness.Start(t, harness.Config{YAML: fmt.Sprintf(
				"upstream: {region: us-east-1, endpoint: %q}\ntenants: [{id: acme, keys: [%s]}]\n", upstream, key.KeyID)})
			bearers, signatures := variants(t, g, key)
			if m.whole {
				m.costs(t, g, bearers[1], signatures[1], strings.TrimPrefix(upstream, "http://"))
			}
			m.timing(t, g, "bearer", bearers)
			m.timing(t, g, "Signature V4", signatures)
		},
	}
}

// variants are requests whose credentials are wrong in different places: an unknown key id, a known
// one with another secret from the first letter on, and one that is wrong in its last letter alone.
func variants(t *testing.T, g *harness.Gateway, key harness.Key) (bearers, signatures [3][]byte) {
	t.Helper()
	token := []byte(key.Bearer)
	secret := bytes.LastIndexByte(token, '_') + 1
	id := bytes.Index(token, []byte(key.KeyID)) + len(key.KeyID) - 1
	for i, at := range []int{id, secret, len(token) - 1} {
		wrong := bytes.Clone(token)
		other(&wrong[at])
		bearers[i] = bearerRequest(string(wrong))
	}
	good := signedRequest(t, g, key)
	stranger := key
	stranger.AccessKeyID = string(bearers[0][bytes.Index(bearers[0], []byte("SLK")):][:len(key.AccessKeyID)])
	signatures = [3][]byte{
		signedRequest(t, g, stranger),
		signedWith(good, func(s []byte) { other(&s[0]) }),
		signedWith(good, func(s []byte) { other(&s[63]) }),
	}
	return bearers, signatures
}

// costs compares what a refusal costs with what the bare proxy's requests do, in turns.
func (m *measured) costs(t *testing.T, g *harness.Gateway, bearer, signature []byte, upstream string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "proxy")
	build := exec.Command("go", "build", "-o", program, "./bench/proxy")
	build.Dir = harness.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	addr := harness.FreeAddr(t)
	proxy := exec.Command(program, "-listen", addr, "-upstream", upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Process.Kill(); proxy.Wait() })
	harness.Eventually(t, time.Minute, func() (bool, string) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil, fmt.Sprint(err)
	})
	cost := func(pid int, addr string, request []byte, status int) float64 {
		l, before := &load{addr: addr, request: request}, processor(t, pid)
		answered := l.closed(4, time.Second, status)
		return (processor(t, pid) - before).Seconds() / answered
	}
	var times [2][]float64
	for range 7 {
		bare := cost(proxy.Process.Pid, addr, bearer, http.StatusOK)
		for i, request := range [][]byte{bearer, signature} {
			times[i] = append(times[i], cost(g.Pid(), g.Addr, request, http.StatusForbidden)/bare)
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	m.note("bearer %.2f × [%.2f–%.2f], Signature V4 %.2f × [%.2f–%.2f], medians and quartiles of 7 rounds", times[0][3],
		times[0][1], times[0][5], times[1][3], times[1][1], times[1][5])
	if times[0][3] > 2 || times[1][3] > 2.5 {
		t.Error("a refusal costs more than that")
	}
}

// timing looks whether answers tell by their time where a credential is wrong. Their texts must not
// tell it either.
func (m *measured) timing(t *testing.T, g *harness.Gateway, kind string, requests [3][]byte) {
	t.Helper()
	samples := m.of(20_000, 100)
	var took [3][]float64
	var conns [3]net.Conn
	var texts [3]string
	random := rand.New(rand.NewPCG(13, 4))
	room := make([]byte, 16<<10)
	for n := 0; n < 3*samples; n++ {
		i := random.IntN(3)
		if len(took[i])%500 == 0 { // before it is closed for its failures
			if conns[i] != nil {
				conns[i].Close()
			}
			conn, err := from(fmt.Sprintf("127.2.%d.%d", n>>8&255, n&255)).Dial("tcp", g.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns[i] = conn
		}
		began := time.Now()
		conns[i].Write(requests[i])
		status, _, err := readReply(conns[i], room)
		if err != nil || status != http.StatusForbidden {
			t.Fatalf("%s, variant %d, sample %d: status %d, %v", kind, i, n, status, err)
		}
		took[i] = append(took[i], float64(time.Since(began)))
		if texts[i] == "" {
			texts[i] = withoutIDs(string(room))
		}
	}
	worst := 0.0
	for i := range 3 {
		if texts[i] != texts[0] {
			t.Errorf("%s: variant %d is answered with %q, the first with %q", kind, i, texts[i], texts[0])
		}
		worst = max(worst, math.Abs(welch(took[i], took[(i+1)%3])))
	}
	m.note("%s: Welch t %.1f at most, of %d samples each", kind, worst, samples)
	if m.whole && worst >= 4.5 { // a part is too small to tell
		t.Errorf("%s: the time of an answer tells where the credential is wrong", kind)
	}
}

// withoutIDs is what an answer says, without what differs each time.
func withoutIDs(answer string) string {
	var kept []string
	for line := range strings.Lines(strings.TrimRight(answer, "\x00")) {
		if name, _, _ := strings.Cut(strings.ToLower(line), ":"); !strings.HasSuffix(name, "requestid") &&
			!strings.HasSuffix(name, "request-id") && name != "date" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// welch is Welch's t of two samples, each without its slowest tenth: those waited for others.
func welch(a, b []float64) float64 {
	moments := func(all []float64) (mean, variance, n float64) {
		all = slices.Clone(all)
		slices.Sort(all)
		all = all[:len(all)*9/10]
		n = float64(len(all))
		for _, x := range all {
			mean += x / n
		}
		for _, x := range all {
			variance += (x - mean) * (x - mean) / (n - 1)
		}
		return mean, variance, n
	}
	ma, va, na := moments(a)
	mb, vb, nb := moments(b)
	return (ma - mb) / math.Sqrt(va/na+vb/nb)
}
