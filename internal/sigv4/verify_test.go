package sigv4

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const goodSignature = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func authorization(names string) string {
	return "AWS4-HMAC-SHA256 Credential=SLKTESTTESTTESTTEST/20261123/eu-central-1/bedrock/aws4_request, SignedHeaders=" +
		names + ", Signature=" + goodSignature
}

func goodHeader() wire.Header {
	return wire.Header{
		{Name: "X-Amz-Date", Value: "20261123T180001Z"},
		{Name: "Content-Type", Value: "application/json"},
		{Name: "Authorization", Value: authorization("content-type;host;x-amz-date")},
	}
}

func TestParse(t *testing.T) {
	claim, refusal := Parse(goodHeader(), "maxResults=10")
	if refusal != nil {
		t.Fatal(refusal)
	}
	want := &Claim{
		AccessKeyID: "SLKTESTTESTTESTTEST", Date: "20261123", Region: "eu-central-1", Service: "bedrock",
		SignedHeaders: []string{"content-type", "host", "x-amz-date"}, Signature: claim.Signature, Time: testTime,
		Stamp: "20261123T180001Z",
	}
	if diff := cmp.Diff(want, claim); diff != "" {
		t.Error(diff)
	}
}

// TestParseOrderAndSpacing: the parts may stand in any order, with or without spaces.
func TestParseOrderAndSpacing(t *testing.T) {
	h := goodHeader()
	h[2].Value = "AWS4-HMAC-SHA256 Signature=" + goodSignature +
		",SignedHeaders=host;x-amz-date,  Credential=SLKTESTTESTTESTTEST/20261123/eu-central-1/bedrock/aws4_request"
	if _, err := Parse(h, ""); err != nil {
		t.Error(err)
	}
}

type change func(wire.Header) wire.Header

// refused checks that Parse refuses a good header after a change.
func refused(t *testing.T, name string, c change) {
	t.Helper()
	_, err := Parse(c(goodHeader()), "")
	if err == nil || err.Kind != wire.KindInvalidSignature {
		t.Errorf("%s: %v", name, err)
	}
}

func setField(i int, value string) change {
	return func(h wire.Header) wire.Header { h[i].Value = value; return h }
}

func addField(name, value string) change {
	return func(h wire.Header) wire.Header { return append(h, wire.Field{Name: name, Value: value}) }
}

func TestParseRefusesAuthorization(t *testing.T) {
	f := func(name, value string) { t.Helper(); refused(t, name, setField(2, value)) }
	swap := func(name, old, with string) {
		t.Helper()
		good := goodHeader()[2].Value
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good header", old)
		}
		f(name, strings.Replace(good, old, with, 1))
	}
	f("empty", "")
	f("basic", "Basic Zm9vOmJhcg==")
	swap("v4a", "HMAC-SHA256", "ECDSA-P256-SHA256")
	swap("other case of the algorithm", "HMAC", "hmac")
	swap("no credential", "Credential=", "Credentia=")
	swap("credential twice", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=A/20261123/r/bedrock/aws4_request, ")
	swap("no signature", ", Signature="+goodSignature, "")
	swap("empty signature", goodSignature, "")
	swap("short signature", goodSignature, goodSignature[:63])
	swap("long signature", goodSignature, goodSignature+"0")
	swap("upper-case signature", goodSignature, strings.ToUpper(goodSignature))
	swap("not hexadecimal", goodSignature, "g"+goodSignature[1:])
	swap("a part more", ", Signature", ", Extra=1, Signature")
	swap("trailing comma", goodSignature, goodSignature+",")
	swap("scope too short", "/aws4_request", "")
	swap("scope too long", "/aws4_request", "/aws4_request/x")
	swap("empty region", "eu-central-1", "")
	swap("empty key id", "SLKTESTTESTTESTTEST", "")
	swap("long key id", "SLKTESTTESTTESTTEST", strings.Repeat("A", 129))
	swap("terminator", "aws4_request", "aws5_request")
	swap("service", "/bedrock/", "/bedrock-mantle/")
	swap("scope of another day", "20261123", "20261122")
	swap("host unsigned", "content-type;host;", "content-type;")
	swap("date unsigned", ";x-amz-date", "")
	swap("names unsorted", "content-type;host", "host;content-type")
	swap("names twice", "content-type;host", "host;host")
	swap("name in upper case", "content-type", "Content-Type")
	swap("empty name", "content-type;", ";")
	swap("pseudo field", "content-type", ":path")
	swap("too many names", "content-type;", manyNames(maxNames-1))
	swap("long region", "eu-central-1", strings.Repeat("a", 129))
}

func TestParseRefusesFields(t *testing.T) {
	f := func(name string, c change) { t.Helper(); refused(t, name, c) }
	f("two authorizations", addField("authorization", authorization("host;x-amz-date")))
	f("no date", setField(0, ""))
	f("date of another form", setField(0, "Mon, 23 Nov 2026 18:00:01 GMT"))
	f("date with a fraction", setField(0, "20261123T180001.5Z"))
	f("impossible date", setField(0, "20261123T186001Z"))
	f("two dates", addField("X-Amz-Date", "20261123T180001Z"))
	f("unsigned x-amz field", addField("x-amz-security-token", "token"))
	f("unsigned x-amz field in upper case", addField("X-AMZ-ANYTHING", "1"))
	signsHash := func(values ...string) change {
		return func(h wire.Header) wire.Header {
			h[2].Value = authorization("host;x-amz-content-sha256;x-amz-date")
			for _, v := range values {
				h = append(h, wire.Field{Name: "X-Amz-Content-Sha256", Value: v})
			}
			return h
		}
	}
	f("unsigned payload", signsHash("UNSIGNED-PAYLOAD"))
	f("streaming payload", signsHash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"))
	f("streaming with trailer", signsHash("STREAMING-UNSIGNED-PAYLOAD-TRAILER"))
	f("two hashes", signsHash(goodSignature, goodSignature))
	if _, err := Parse(signsHash(goodSignature)(goodHeader()), ""); err != nil {
		t.Errorf("one good hash: %v", err)
	}
}

// manyNames returns n sorted names that come before "host".
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%03d;", i)
	}
	return b.String()
}

// TestParseBounds: as much as is allowed is accepted.
func TestParseBounds(t *testing.T) {
	h := goodHeader()
	h[2].Value = strings.NewReplacer("content-type;", manyNames(maxNames-2), "eu-central-1", strings.Repeat("r", maxKeyID),
		testKeyID, strings.Repeat("A", maxKeyID)).Replace(h[2].Value)
	if _, err := Parse(h, ""); err != nil {
		t.Error(err)
	}
}

func TestParseMissing(t *testing.T) {
	_, err := Parse(goodHeader()[:2], "")
	if err == nil || err.Kind != wire.KindMissingAuthentication {
		t.Error(err)
	}
}

func TestParsePresigned(t *testing.T) {
	f := func(query string, want bool) {
		t.Helper()
		_, err := Parse(goodHeader(), query)
		if (err != nil) != want {
			t.Errorf("%q: %v", query, err)
		}
	}
	f("X-Amz-Signature=00", true)
	f("a=b&x-amz-algorithm=AWS4-HMAC-SHA256", true)
	f("%58-Amz-Credential=x", true)
	f("X-Amz-Security-Token", true)
	f("maxResults=1&q=x-amz-date", false)
}

func TestCheckTime(t *testing.T) {
	f := func(offset time.Duration, want string) {
		t.Helper()
		c := Claim{Time: testTime}
		err := c.CheckTime(testTime.Add(offset))
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Message, want) {
			t.Errorf("%v: %v", offset, err)
		}
	}
	f(0, "")
	f(4*time.Minute+59*time.Second, "")
	f(5*time.Minute, "")
	f(5*time.Minute+time.Second, "Signature expired: 20261123T180001Z is now earlier than 20261123T180002Z")
	f(-5*time.Minute, "")
	f(-5*time.Minute-time.Second, "Signature not yet current: 20261123T180001Z is still later than 20261123T180000Z")
}

// TestVerifyRefuses covers what a valid signature alone does not make right.
func TestVerifyRefuses(t *testing.T) {
	f := func(name string, change func(*Request)) {
		t.Helper()
		req := clients()[2].request(t, testBody) // sends x-amz-content-sha256
		change(req)
		claim, err := Parse(req.Header, req.Query)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := claim.Verify(req, testSecret)
		if got == nil || got.Kind != wire.KindInvalidSignature || got.Message != Mismatch {
			t.Errorf("%s: %v", name, got)
		}
	}
	drop := func(name string) func(*Request) {
		return func(r *Request) {
			r.Header = slices.DeleteFunc(r.Header, func(f wire.Field) bool { return strings.EqualFold(f.Name, name) })
		}
	}
	f("a signed field is missing", drop("content-type"))
	f("a signed field came twice", func(r *Request) { r.Header = append(r.Header, wire.Field{Name: "Content-Type"}) })
	f("another Host field", func(r *Request) { r.Header = append(r.Header, wire.Field{Name: "Host", Value: "other"}) })
	f("another body", func(r *Request) { r.BodyHash[0] ^= 1 })
	f("another query", func(r *Request) { r.Query = "a=1" })
	f("an empty signed field is missing", func(r *Request) { signEmpty(r); drop("x-empty")(r) })

	// A body hash that is signed and right, on another body than it names.
	req := &Request{Method: "POST", Path: nova, Authority: "h", BodyHash: [32]byte{1}}
	req.Header = wire.Header{{Name: "x-amz-content-sha256", Value: goodSignature}}
	req.Header = append(req.Header, New(testRegion, Service).Sign(nil, req,
		Credentials{AccessKeyID: testKeyID, SecretAccessKey: testSecret}, testTime)...)
	claim, err := Parse(req.Header, "")
	if err != nil {
		t.Fatal(err)
	}
	if claim.Verify(req, testSecret) == nil {
		t.Error("a body that is not the one of x-amz-content-sha256 was accepted")
	}
}

// signEmpty signs anew with an empty field more.
func signEmpty(r *Request) {
	creds := Credentials{AccessKeyID: testKeyID, SecretAccessKey: testSecret}
	r.Header = wire.Header{{Name: "x-empty", Value: ""}}
	r.Header = append(r.Header, New(testRegion, Service).Sign(nil, r, creds, testTime)...)
}

func FuzzParse(f *testing.F) {
	f.Add(goodHeader()[2].Value, "20261123T180001Z", goodSignature, "")
	f.Add("AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=;, Signature=", "20261123T180001Z", "UNSIGNED-PAYLOAD",
		"X-Amz-Date=%")
	f.Add(authorization("host;x-amz-content-sha256;x-amz-date"), "20261123T180001Z", goodSignature, "%zz&=&a=%2")
	f.Fuzz(func(t *testing.T, auth, date, hash, query string) {
		h := wire.Header{{Name: "Authorization", Value: auth}, {Name: "x-amz-date", Value: date}}
		if hash != "" {
			h = append(h, wire.Field{Name: "x-amz-content-sha256", Value: hash})
		}
		claim, err := Parse(h, query)
		if err != nil {
			return
		}
		d := draft{names: claim.SignedHeaders, scope: scope{claim.Date, claim.Region, claim.Service}}
		h[0].Value = d.authorization(claim.AccessKeyID, claim.Signature[:])
		again, err := Parse(h, query)
		if err != nil {
			t.Fatalf("%q was read from %q but is refused: %v", h[0].Value, auth, err)
		}
		if diff := cmp.Diff(claim, again); diff != "" {
			t.Error(diff)
		}
		if claim.Verify(&Request{Method: "POST", Path: "/", Query: query, Header: h}, "secret") == nil {
			t.Error("a guessed signature was accepted")
		}
	})
}
