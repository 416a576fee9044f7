package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestCanonicalPath(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		if got := string(appendPath(nil, path)); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	f("", "/")
	f("/", "/")
	f("/model/a%3A0/invoke", "/model/a%253A0/invoke")
	f("/model/a:0/invoke", "/model/a%3A0/invoke")
	f("/a%2Fb", "/a%252Fb")
	f("/a b+c~d", "/a%20b%2Bc~d")
	f("/.././/x", "/.././/x")
	f("/ü", "/%C3%BC")
}

func TestCanonicalQuery(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		if got := string(appendQuery(nil, query)); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	f("", "")
	f("a", "a=")
	f("b=2&a=1", "a=1&b=2")
	f("a=2&a=1&a", "a=&a=1&a=2")
	f("a=%2f&b=%7E", "a=%2F&b=~")
	f("a=b=c", "a=b%3Dc")
	f("&&a=1&", "a=1")
	f("a=1+2%zz%4", "a=1%2B2%25zz%254")
	f("a=%2F&a=-", "a=%2F&a=-") // sorted after encoding
}

func TestCanonicalValue(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got := string(appendValue([]byte("x:"), value)); got != "x:"+want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	f("", "")
	f("  ", "")
	f(" a  b ", "a b")
	f("a\tb\t\t", "a b")
	f("a\r\n  b", "a b")
	f("\"a   b\"", "\"a b\"")
}

func TestSignAddsOnlyWhatIsAsked(t *testing.T) {
	f := func(token string, change func(*Request), want ...string) {
		t.Helper()
		req := &Request{Method: "POST", Path: "/", Authority: "h"}
		change(req)
		var got []string
		for _, field := range New("r", "bedrock").Sign(nil, req, Credentials{"id", "secret", token}, testTime) {
			got = append(got, field.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	plain := func(*Request) {}
	f("", plain, "x-amz-date", "authorization")
	f("token", plain, "x-amz-date", "x-amz-security-token", "authorization")
	f("", func(r *Request) { r.SendBodyHash = true }, "x-amz-date", "x-amz-content-sha256", "authorization")
}

func TestSignLeavesTheRequestAlone(t *testing.T) {
	header := make(wire.Header, 1, 9)
	header[0] = wire.Field{Name: "Accept", Value: "a  b"}
	req := &Request{Method: "POST", Path: "/", Authority: "h", Header: header}
	New("r", "bedrock").Sign(nil, req, Credentials{"id", "secret", "token"}, testTime)
	want := make(wire.Header, 9)
	want[0] = wire.Field{Name: "Accept", Value: "a  b"}
	if diff := cmp.Diff(want, header[:9]); diff != "" {
		t.Error(diff)
	}
}

// macOf is the HMAC of a text under the key that s has for a secret and a day.
func macOf(s *Signer, secret string, day time.Time) [sha256.Size]byte {
	_, key := s.prepared(secret, day)
	m, _ := key.macs.Get().(*keyedMAC)
	defer key.macs.Put(m)
	m.Reset()
	m.Write([]byte("text"))
	return [sha256.Size]byte(m.Sum(nil))
}

func TestKeysAreBounded(t *testing.T) {
	s := New("r", "bedrock")
	today := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
	tomorrow := today.Add(time.Second)
	for i := range 3 * maxKeys {
		secret := fmt.Sprint(i)
		key := scope{"20261123", "r", "bedrock"}.key(secret)
		fresh, cached := macOf(s, secret, today), macOf(s, secret, today)
		if want := mac(key[:], []byte("text")); fresh != want || cached != want {
			t.Fatal("another key out of the cache")
		}
		if len(s.keys) > maxKeys {
			t.Fatalf("%d keys", len(s.keys))
		}
	}
	if macOf(s, "a", today) == macOf(s, "a", tomorrow) {
		t.Error("one key for two days")
	}
	if stamp, _ := s.prepared("a", today); stamp != "20261123T235959Z" {
		t.Errorf("%s after a later one", stamp)
	}
}

// FuzzSignMatchesSDK signs the same request here and with the Go SDK, and
// verifies what the SDK signed.
func FuzzSignMatchesSDK(f *testing.F) {
	f.Add("POST", "/model/a%3Ab/converse", "", "gw:8080", "Content-Type", "application/json", "b", "{}", "")
	f.Add("GET", "/async-invoke/x:y%2Fz", "b=%2f&a=1&a", "h", "x-amz-meta", "  a   b ", "", "", "token+/=")
	f.Add("PUT", "//a/../b//", "%zz=1&&x=+", "h", "Accept", "*", "text/html", "\x00\xff", "")
	f.Fuzz(func(t *testing.T, method, path, query, host, name, first, second, body, token string) {
		if !plainSpaces(method, host, first, second, token) || !wire.IsToken(strings.ToLower(name)) ||
			strings.Contains(path, "?") || strings.Contains(host, "/") || !strings.HasPrefix(path, "/") ||
			token != strings.TrimSpace(token) {
			t.Skip()
		}
		switch strings.ToLower(name) {
		case "host", "content-length", "connection", fieldDate, fieldToken, fieldBodyHash:
			t.Skip()
		}
		hash := sha256.Sum256([]byte(body))
		name = http.CanonicalHeaderKey(name)
		r := &http.Request{Method: method, Host: host, Header: http.Header{name: {first, second}},
			URL: &url.URL{Scheme: "https", Opaque: "//x" + path, RawQuery: query}}
		creds := aws.Credentials{AccessKeyID: testKeyID, SecretAccessKey: testSecret, SessionToken: token}
		err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(hash[:]), "bedrock", testRegion,
			testTime)
		if err != nil {
			t.Skip(err)
		}
		req := &Request{Method: method, Path: path, Query: r.URL.RawQuery, Authority: r.Host, BodyHash: hash,
			Header: wire.Header{{Name: name, Value: first}, {Name: name, Value: second}}}
		if r.Host == "" {
			t.Skip("the SDK takes the host of the URL")
		}
		added := New(testRegion, "bedrock").Sign(nil, req, Credentials{testKeyID, testSecret, token}, testTime)
		want := r.Header.Get("Authorization")
		if name == "Authorization" {
			t.Skip("replaced by the SDK")
		}
		if got := added.Get("authorization"); got != want {
			t.Fatalf("signed\n%s, the SDK\n%s", got, want)
		}
		req.Header = append(req.Header, added...)
		claim, refusal := parse(req.Header, "")
		if refusal != nil {
			t.Fatal(refusal)
		}
		if err := claim.Verify(req, testSecret); err != nil {
			t.Error(err)
		}
	})
}

// plainSpaces reports whether the Go SDK's reading of white space is ours.
func plainSpaces(values ...string) bool {
	for _, v := range values {
		for i := range len(v) {
			if v[i] < ' ' || v[i] > '~' {
				return false
			}
		}
	}
	return true
}

func BenchmarkSign(b *testing.B) {
	req := clients()[0].request(b, testBody)
	req.Header = req.Header[:3]
	s := New(testRegion, Service)
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(nil, req, Credentials{AccessKeyID: testKeyID, SecretAccessKey: testSecret}, testTime)
	}
}

func BenchmarkParse(b *testing.B) {
	req := clients()[0].request(b, testBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(req.Header, req.Query); err != nil {
			b.Fatal(err)
		}
	}
}
