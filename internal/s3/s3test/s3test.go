// Package s3test is a server that speaks as much of S3's API as reading needs, and checks signatures.
package s3test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// KeyID and Secret are the credentials that it accepts, Region is where its buckets are.
const (
	KeyID  = "AKIDEXAMPLE"
	Secret = "secret"
	Region = "us-east-1"
)

// perPage is few, so that lists have several pages.
const perPage = 2

// Server has objects by bucket/key. Those in Cut break off halfway.
type Server struct {
	URL     string
	Objects map[string]string
	Cut     map[string]bool
}

// Serve starts a server that lasts as long as the test.
func Serve(t *testing.T, objects map[string]string) *Server {
	t.Helper()
	s := &Server{Objects: objects, Cut: map[string]bool{}}
	serving := httptest.NewServer(s)
	t.Cleanup(serving.Close)
	s.URL = serving.URL
	return s
}

// Written is when all objects were.
var Written = time.Date(2026, 11, 20, 10, 30, 0, 0, time.UTC)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !signed(r) {
		fault(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if r.URL.Query().Get("list-type") == "2" {
		s.list(w, strings.TrimSuffix(name, "/"), r.URL.Query())
		return
	}
	text, there := s.Objects[name]
	switch {
	case !there:
		fault(w, http.StatusNotFound, "NoSuchKey")
	case s.Cut[name]:
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		io.WriteString(w, text[:len(text)/2]) //nolint:gosec // the client may have left
	default:
		io.WriteString(w, text) //nolint:gosec // the client may have left
	}
}

func fault(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// signed reports whether a request has the signature that its signer would give it.
func signed(r *http.Request) bool {
	given := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	again, fault := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil || fault != nil {
		return false
	}
	sum := r.Header.Get("X-Amz-Content-Sha256")
	again.Header.Set("X-Amz-Content-Sha256", sum)
	again.ContentLength = r.ContentLength
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	who := aws.Credentials{AccessKeyID: KeyID, SecretAccessKey: Secret}
	return signer.SignHTTP(r.Context(), who, again, sum, "s3", Region, at) == nil &&
		again.Header.Get("Authorization") == given
}

// listed is an answer of ListObjectsV2.
type listed struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []entry
}

type entry struct{ Key, LastModified string }

func (s *Server) list(w http.ResponseWriter, bucket string, ask url.Values) {
	var keys []string
	for name := range s.Objects {
		key, here := strings.CutPrefix(name, bucket+"/")
		if here && strings.HasPrefix(key, ask.Get("prefix")) && key > ask.Get("continuation-token") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var l listed
	if len(keys) > perPage {
		keys = keys[:perPage]
		l.IsTruncated, l.NextContinuationToken = true, keys[perPage-1]
	}
	for _, key := range keys {
		l.Contents = append(l.Contents, entry{url.QueryEscape(key), Written.Format(time.RFC3339)})
	}
	xml.NewEncoder(w).Encode(&l) //nolint:gosec // the client may have left
}
