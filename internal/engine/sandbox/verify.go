package sandbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The credentials that are accepted when none are configured.
const (
	DefaultAccessKeyID     = "AKIDSANDBOX"
	DefaultSecretAccessKey = "sandbox-secret"
	DefaultBearerToken     = "sandbox"
)

// verifier decides who may call.
type verifier struct {
	keyID, secret, bearer string
}

// What stands behind an error's type, and messages of the real service.
const (
	badToken  = "Authentication failed: Please make sure your API Key is valid."
	badKey    = "The security token included in the request is invalid."
	noAuth    = "Missing Authentication Token"
	coralURI  = "http://internal.amazon.com/coral/com.amazon.coral.service/"
	modelsURI = "http://internal.amazon.com/coral/com.amazon.bedrock/"
)

// check returns nil for a caller with valid credentials, and the region that it
// signed for, "" for a bearer token.
func (v *verifier) check(r *http.Request, service string, body []byte, now time.Time) (
	region string, problem *failure,
) {
	auth := r.Header.Get("Authorization")
	if auth == "" {
		return "", authFailure("MissingAuthenticationTokenException", noAuth)
	}
	if token, ok := strings.CutPrefix(auth, "Bearer "); ok {
		if v.bearer != "" && same(token, v.bearer) {
			return "", nil
		}
		return "", authFailure("AccessDeniedException", badToken)
	}
	return v.checkSignature(r, service, body, now)
}

func (v *verifier) checkSignature(r *http.Request, service string, body []byte, now time.Time) (string, *failure) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	h := headerOf(r)
	claim, err := sigv4.ParseFor(service, h, query)
	if err != nil {
		return "", authFailure(err.Type(), err.Message)
	}
	if v.keyID == "" || !same(claim.AccessKeyID, v.keyID) {
		return "", authFailure("UnrecognizedClientException", badKey)
	}
	if err := claim.CheckTime(now); err != nil {
		return "", authFailure(err.Type(), err.Message)
	}
	req := &sigv4.Request{Method: r.Method, Path: path, Query: query, Authority: r.Host, Header: h,
		BodyHash: sha256.Sum256(body)}
	if err := claim.Verify(req, v.secret); err != nil {
		return "", authFailure(err.Type(), err.Message)
	}
	return claim.Region, nil
}

func authFailure(kind, message string) *failure {
	return &failure{http.StatusForbidden, kind, message, coralURI}
}

// headerOf returns the request's fields. net/http keeps the order of values of
// one name, which is the only order that a signature covers, and takes Host out.
func headerOf(r *http.Request) wire.Header {
	h := make(wire.Header, 1, len(r.Header)+1)
	h[0] = wire.Field{Name: "Host", Value: r.Host}
	for name, values := range r.Header {
		for _, value := range values {
			h = append(h, wire.Field{Name: name, Value: value})
		}
	}
	return h
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
