package test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// visitor is one request from an address of loopback, over a connection of its own.
type visitor struct {
	from      string
	announces string // by PROXY protocol v2; "" nothing
	forwarded string // X-Forwarded-For
}

// visit asks once.
func (v visitor) visit(t *testing.T, g *harness.Gateway, key harness.Key) (status int, body, id string) {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.from)}}
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err == nil && v.announces != "" {
			a := netip.MustParseAddr(v.announces).As4()
			_, err = io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"+string(a[:])+"\x7f\x00\x00\x01\x04\xd2\x01\xbb")
		}
		return c, err
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, g.URL()+lightCall, bytes.NewReader([]byte(ask)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if v.forwarded != "" {
		req.Header.Set("X-Forwarded-For", v.forwarded)
	}
	if err := key.SigV4Credential(req, []byte(ask)); err != nil { // which does not sign what proxies add
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header.Get("x-sluice-request-id")
}

// TestTrustedProxies: only a trusted proxy says who calls, by PROXY protocol or
// X-Forwarded-For, and networks of keys, the log and the access log go by it.
func TestTrustedProxies(t *testing.T) {
	key := harness.NewKey(t, "acme")
	yaml := "upstream: {endpoint: sandbox, region: us-east-1}\ntelemetry: {access_log: data/access.jsonl}\n" +
		"tenants: [{id: acme, keys: [" + key.KeyID + "]}]\n"
	g := harness.Start(t, harness.Config{YAML: yaml + "trusted_proxies: [127.0.0.2]\n", AdminToken: adminToken})
	if status, text := g.API("PATCH", keysAPI+"/"+key.KeyID, `{"networks":["203.0.113.0/24"]}`, nil); status != 200 {
		t.Fatal(status, text)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		status, body, _ := visitor{from: "127.0.0.1"}.visit(t, g, key)
		return status == 403, body
	})
	const proxy, stranger = "127.0.0.2", "127.0.0.1"
	whose := map[string]string{} // by request
	f := func(v visitor, want int, from string) {
		t.Helper()
		status, body, id := v.visit(t, g, key)
		if status != want || want == 403 && !strings.Contains(body, "may not be used from "+from) {
			t.Errorf("%+v: %d %s, want %d and %s", v, status, body, want, from)
		}
		whose[id] = from
	}
	f(visitor{proxy, "", "203.0.113.7"}, 200, "203.0.113.7")
	f(visitor{proxy, "", "203.0.113.8, 198.51.100.1"}, 403, "198.51.100.1") // the left one is anybody's word
	f(visitor{proxy, "203.0.113.9", ""}, 200, "203.0.113.9")
	f(visitor{proxy, "198.51.100.2", "203.0.113.7"}, 403, "198.51.100.2")
	f(visitor{proxy, "127.0.0.2", "203.0.113.7"}, 200, "203.0.113.7") // one proxy behind another
	f(visitor{proxy, "", ""}, 403, proxy)
	f(visitor{stranger, "", "203.0.113.7"}, 403, stranger)
	f(visitor{stranger, "203.0.113.7", ""}, 400, stranger)
	g.Write(yaml + "trusted_proxies: [127.0.0.1]\n")
	harness.Eventually(t, time.Minute, func() (bool, string) {
		status, body, _ := visitor{from: stranger, forwarded: "203.0.113.7"}.visit(t, g, key)
		return status == 200, body
	})
	f(visitor{proxy, "", "203.0.113.7"}, 403, proxy)
	g.Stop()
	text, err := os.ReadFile(filepath.Join(g.Dir, "data", "access.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := logLines(t, g.Log.String()+string(text))
	for id, from := range whose {
		found := about(lines, id)
		if len(found) == 0 {
			t.Errorf("request %s of %s is in no log", id, from)
		}
		for _, l := range found {
			if l.From != from && l.From != "" {
				t.Errorf("%+v, want %s", l, from)
			}
		}
	}
}
