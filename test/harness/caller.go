package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Credential puts a tenant's credential on a request.
type Credential func(req *http.Request, body []byte) error

// Bearer authenticates with the key's bearer token.
func (k Key) BearerCredential(req *http.Request, _ []byte) error {
	req.Header.Set("Authorization", "Bearer "+k.Bearer)
	return nil
}

// SigV4Credential signs with the key's access key pair, with the AWS SDK's signer.
func (k Key) SigV4Credential(req *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey}
	return v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), "bedrock", "us-east-1",
		time.Now())
}

// Answer is a whole response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Post sends one request to the gateway and reads the whole answer.
func (g *Gateway) Post(t testing.TB, cred Credential, target, body string) Answer {
	t.Helper()
	return g.Do(t, cred, http.MethodPost, target, body)
}

// Get is Post with GET and no body.
func (g *Gateway) Get(t testing.TB, cred Credential, target string) Answer {
	t.Helper()
	return g.Do(t, cred, http.MethodGet, target, "")
}

// Do sends one request with a method and reads the whole answer.
func (g *Gateway) Do(t testing.TB, cred Credential, method, target, body string) Answer {
	t.Helper()
	req, err := http.NewRequest(method, g.URL()+target, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if cred != nil {
		if err := cred(req, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, got}
}
