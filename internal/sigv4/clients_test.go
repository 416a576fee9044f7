package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	testKeyID  = "SLKTESTTESTTESTTEST"
	testSecret = "correct horse battery staple"
	testRegion = "eu-central-1"
)

var testTime = time.Date(2026, 11, 23, 18, 0, 1, 0, time.UTC)

// client is how one SDK was seen to sign a model call.
type client struct {
	name string
	// path as this client spells an ARN on the wire.
	path string
	// signed and unsigned fields beside host, x-amz-date and authorization.
	signed, unsigned wire.Header
	length           bool // content-length is signed
	hash             bool // x-amz-content-sha256 is sent and signed
	http2            bool // :authority in the place of host
}

const (
	arnEscaped = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123/converse"
	arnColons  = "/gw/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fabc123/invoke"
	nova       = "/model/amazon.nova-lite-v1%3A0/invoke"
)

var testBody = []byte(`{"messages":[{"content":[{"text":"hi"}],"role":"user"}]}`)

// The lists of signed fields were taken from real clients with a dump server.
func clients() []client {
	json := wire.Field{Name: "Content-Type", Value: "application/json"}
	sdk := wire.Header{{Name: "amz-sdk-invocation-id", Value: "0d5c7b0e"},
		{Name: "amz-sdk-request", Value: "attempt=1; max=3"}}
	js := wire.Header{json, sdk[0], sdk[1], {Name: "x-amz-user-agent", Value: "aws-sdk-js/3.1164.0"}}
	return []client{
		{name: "go", path: arnEscaped, length: true, signed: wire.Header{sdk[0], sdk[1], json},
			unsigned: wire.Header{{Name: "User-Agent", Value: "aws-sdk-go-v2/1.47.7"},
				{Name: "Accept-Encoding", Value: "gzip"}}},
		{name: "go with session token", path: arnEscaped, length: true,
			signed: wire.Header{sdk[0], sdk[1], json, {Name: "X-Amz-Security-Token", Value: "FwoGZXIvYXdzE//8="}}},
		{name: "js http1", path: arnEscaped, length: true, hash: true, signed: js},
		{name: "js http1 stream", path: arnEscaped, length: true, hash: true,
			signed: append(wire.Header{{Name: "x-amzn-bedrock-accept", Value: "application/json"}}, js...)},
		{name: "js http2", path: arnEscaped, length: true, hash: true, http2: true, signed: js},
		{name: "boto3", path: arnEscaped, signed: wire.Header{json},
			unsigned: append(wire.Header{{Name: "X-Amzn-Trace-Id", Value: "Root=1-2"}}, sdk...)},
		{name: "boto3 invoke", path: nova, unsigned: sdk},
		{name: "ai sdk", path: arnEscaped, unsigned: wire.Header{json}},
		{name: "anthropic", path: arnColons, hash: true,
			signed: wire.Header{{Name: "accept", Value: "application/json"}, json,
				{Name: "x-stainless-retry-count", Value: "0"}, {Name: "x-stainless-timeout", Value: "600"}}},
	}
}

// request returns what the gateway sees of this client's call.
func (c client) request(t testing.TB, body []byte) *Request {
	t.Helper()
	h := append(wire.Header{}, c.signed...)
	hash := sha256.Sum256(body)
	if c.hash {
		h = append(h, wire.Field{Name: "x-amz-content-sha256", Value: hex.EncodeToString(hash[:])})
	}
	req := &Request{Method: "POST", Path: c.path, Authority: "gw.example.com:8080", HTTP2: c.http2, Header: h,
		BodyHash: hash}
	if c.http2 {
		h = append(h, wire.Field{Name: "content-length", Value: "56"})
		req.Header = append(h, wire.Field{Name: "x-amz-date", Value: testTime.Format(stampLayout)})
		names := []string{":authority"}
		for _, f := range req.Header {
			names = append(names, strings.ToLower(f.Name))
		}
		req.Header = append(req.Header, wire.Field{Name: "authorization", Value: plainSign(req, names)})
	} else {
		length := int64(0)
		if c.length {
			length = int64(len(body))
		}
		req.Header = sdkSign(t, req, length)
	}
	req.Header = append(req.Header, c.unsigned...)
	return req
}

// sdkSign signs with the Go SDK and returns all fields as they would be sent.
func sdkSign(t testing.TB, req *Request, length int64) wire.Header {
	t.Helper()
	r := &http.Request{Method: req.Method, Host: req.Authority, Header: http.Header{}, ContentLength: length,
		URL: &url.URL{Scheme: "http", Host: req.Authority, Opaque: "//" + req.Authority + req.Path, RawQuery: req.Query}}
	for _, f := range req.Header {
		r.Header[f.Name] = append(r.Header[f.Name], f.Value)
	}
	creds := aws.Credentials{AccessKeyID: testKeyID, SecretAccessKey: testSecret}
	err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(req.BodyHash[:]), "bedrock",
		testRegion, testTime)
	if err != nil {
		t.Fatal(err)
	}
	req.Query = r.URL.RawQuery
	h := append(wire.Header{}, req.Header...)
	if length > 0 {
		h = append(h, wire.Field{Name: "Content-Length", Value: "56"})
	}
	for _, name := range []string{"X-Amz-Date", "Authorization"} {
		h = append(h, wire.Field{Name: name, Value: r.Header.Get(name)})
	}
	return h
}

func TestClientsVerify(t *testing.T) {
	if len(testBody) != 56 {
		t.Fatal("the content-length above is not the body's")
	}
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			req := c.request(t, testBody)
			claim, err := Parse(req.Header, req.Query)
			if err != nil {
				t.Fatal(err)
			}
			if claim.AccessKeyID != testKeyID || claim.Region != testRegion || !claim.Time.Equal(testTime) {
				t.Errorf("claim %+v", claim)
			}
			if err := claim.Verify(req, testSecret); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAuthorityNeedsHTTP2: over HTTP/1.1 there is no :authority to sign.
func TestAuthorityNeedsHTTP2(t *testing.T) {
	for _, c := range clients() {
		if !c.http2 {
			continue
		}
		req := c.request(t, testBody)
		req.HTTP2 = false
		claim, err := Parse(req.Header, req.Query)
		if err != nil {
			t.Fatal(err)
		}
		if claim.Verify(req, testSecret) == nil {
			t.Error("verified")
		}
	}
}

// TestAnyFlippedBitIsRefused turns one bit anywhere in what is signed.
func TestAnyFlippedBitIsRefused(t *testing.T) {
	rows := clients()
	rapid.Check(t, func(r *rapid.T) {
		c := rows[rapid.IntRange(0, len(rows)-1).Draw(r, "client")]
		body := append([]byte{}, testBody...)
		req := c.request(t, body)
		parts := []*string{&req.Method, &req.Path, &req.Authority}
		for i := range len(req.Header) - len(c.unsigned) {
			parts = append(parts, &req.Header[i].Value)
		}
		part := rapid.IntRange(-1, len(parts)-1).Draw(r, "part")
		if part < 0 {
			flipBit(r, body)
			req.BodyHash = sha256.Sum256(body)
		} else {
			b := []byte(*parts[part])
			flipBit(r, b)
			*parts[part] = string(b)
		}
		claim, err := Parse(req.Header, req.Query)
		if err != nil {
			return
		}
		if claim.AccessKeyID != testKeyID {
			return // the key id is not signed: it chooses the secret
		}
		if claim.Verify(req, testSecret) == nil {
			r.Fatalf("%s: verified with %+v", c.name, req)
		}
	})
}

func flipBit(r *rapid.T, b []byte) {
	i := rapid.IntRange(0, len(b)-1).Draw(r, "byte")
	b[i] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
}
