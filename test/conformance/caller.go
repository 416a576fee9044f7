package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// patience is how long one answer may take.
const patience = 30 * time.Second

// answer is what a caller gets.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    error // why the body did not end as announced
}

// request is what a caller sends; the zero values are a POST with the suite's key.
type request struct {
	method, path, body string
	key                string // "" has the suite's
	header             map[string]string
	client             *http.Client
	sign               bool // by the key pair instead of the bearer key
	signed             string
}

// newSuite makes the callers for a gateway.
func newSuite(t target, up *upstream) (*suite, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, err
		}
		if secure.RootCAs = x509.NewCertPool(); !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", t.ca)
		}
	}
	over := func(set func(p *http.Protocols)) *http.Client {
		p := new(http.Protocols)
		set(p)
		return &http.Client{Transport: &http.Transport{
			Protocols: p, TLSClientConfig: secure, DisableCompression: true, MaxIdleConnsPerHost: 100,
			ExpectContinueTimeout: 5 * time.Second,
		}}
	}
	return &suite{target: t, up: up, wait: 10 * time.Second, earlier: up.requests(),
		http1: over(func(p *http.Protocols) { p.SetHTTP1(true) }),
		http2: over(func(p *http.Protocols) { p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) }),
	}, nil
}

// begin sends a request and returns when the answer's head is there.
func (s *suite) begin(ctx context.Context, q request) (*http.Response, error) {
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+q.path, strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	if req.Header.Get("Transfer-Encoding") == "chunked" {
		req.Header.Del("Transfer-Encoding")
		req.ContentLength = -1
	}
	if err := s.authorize(req, q); err != nil {
		return nil, err
	}
	client := q.client
	if client == nil {
		client = s.http1
	}
	return client.Do(req)
}

func (s *suite) authorize(req *http.Request, q request) error {
	switch {
	case q.sign:
		body := q.body
		if q.signed != "" {
			body = q.signed
		}
		sum := sha256.Sum256([]byte(body))
		return v4.NewSigner().SignHTTP(req.Context(), aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, req,
			hex.EncodeToString(sum[:]), "bedrock", "us-east-1", time.Now())
	case q.key == "none":
	case q.key != "":
		req.Header.Set("Authorization", "Bearer "+q.key)
	default:
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	return nil
}

// ask sends a request and reads the whole answer.
func (s *suite) ask(q request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := s.begin(ctx, q)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	var body bytes.Buffer
	_, err = io.Copy(&body, res.Body)
	return answer{res.StatusCode, res.Header, body.Bytes(), err}, nil
}

// whole is an answer of status 200 that is not cut.
func (s *suite) whole(q request) (answer, error) {
	a, err := s.ask(q)
	switch {
	case err != nil:
		return a, err
	case a.cut != nil:
		return a, fmt.Errorf("the answer breaks off: %w", a.cut)
	case a.status != http.StatusOK:
		return a, fmt.Errorf("status %d: %s", a.status, clip(a.body))
	}
	return a, nil
}

// path is the path of an operation on a model.
func path(model, operation string) string { return "/model/" + url.PathEscape(model) + "/" + operation }

// plain is a Converse body with a text, such that encoding it again changes nothing.
func plain(text string) string {
	return `{"inferenceConfig":{"maxTokens":64},"messages":[{"content":[{"text":"` + text + `"}],"role":"user"}]}`
}

// clip shows the beginning of a body.
func clip(b []byte) string {
	const most = 160
	if len(b) > most {
		return fmt.Sprintf("%.*q… (%d bytes)", most, b, len(b))
	}
	return fmt.Sprintf("%q", b)
}

// same compares bytes that must be equal, and shows where they differ first.
func same(what string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	from := max(0, at-20)
	return fmt.Errorf("%s: %d bytes of %d, different from byte %d: …%s instead of …%s", what, len(got), len(want), at,
		clip(got[min(from, len(got)):]), clip(want[from:]))
}
