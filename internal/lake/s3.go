package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// Bucket is a store below a prefix of an S3 bucket. Make it with OpenBucket.
type Bucket struct {
	base        *url.URL // of the prefix
	region      string
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	calls       http.RoundTripper
	now         func() time.Time
}

// BucketOptions say which bucket it is.
type BucketOptions struct {
	To       string // s3://bucket/prefix
	Region   string // "" for that of the environment
	Endpoint string // "" for AWS; with another one, the bucket is the first element of the path
	Calls    Calls
	Now      func() time.Time
}

// Calls are how all that is asked for is reached. *outbound.Shared is one.
type Calls interface {
	http.RoundTripper
	// Apply makes a transport reach it the same way.
	Apply(t *http.Transport)
}

// seldom is for calls between which no connection is worth keeping.
func seldom(t *http.Transport) { t.DisableKeepAlives = true }

// OpenBucket finds out how to reach a bucket. Credentials are those of the AWS default chain.
func OpenBucket(ctx context.Context, o BucketOptions) (*Bucket, error) {
	bucket, prefix, err := parseBucket(o.To)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(o.Calls.Apply, seldom)))
	if err != nil {
		return nil, err
	}
	if o.Region == "" {
		o.Region = cfg.Region
	}
	if o.Region == "" {
		return nil, errors.New("the region of the bucket is not known: set export.region or AWS_REGION")
	}
	host := fmt.Sprintf("https://%s.s3.%s.amazonaws.com", bucket, o.Region)
	if strings.HasPrefix(o.Region, "cn-") {
		host += ".cn"
	}
	if o.Endpoint != "" {
		host = strings.TrimRight(o.Endpoint, "/") + "/" + bucket
	}
	base, err := url.Parse(host + "/" + prefix)
	if err != nil {
		return nil, err
	}
	signer := v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })
	return &Bucket{base, o.Region, cfg.Credentials, signer, o.Calls, o.Now}, nil
}

// parseBucket reads s3://bucket/prefix. The prefix ends with a slash, unless it is empty.
func parseBucket(to string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(to, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" || strings.ContainsAny(bucket, " ?#%") || strings.ContainsAny(prefix, " ?#%") {
		return "", "", fmt.Errorf("%q is no s3://bucket/prefix", to)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix, nil
}

// putTries is how often one file is sent, putWithin how long each may take.
const (
	putTries  = 4
	putWithin = time.Minute
)

// Put implements Store. S3 shows an object whole or not at all.
func (b *Bucket) Put(ctx context.Context, name string, body []byte) error {
	var err error
	for n := range putTries {
		var again bool
		if again, err = b.put(ctx, name, body); err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Second << n):
		}
	}
	return err
}

func (b *Bucket) put(ctx context.Context, name string, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, putWithin)
	defer cancel()
	at := *b.base
	at.Path += name
	at.RawPath = escaped(at.Path)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256(body)
	sum := hex.EncodeToString(digest[:])
	req.Header.Set("X-Amz-Content-Sha256", sum)
	who, err := b.credentials.Retrieve(ctx)
	if err != nil {
		return true, fmt.Errorf("credentials for the bucket: %w", err)
	}
	if err := b.signer.SignHTTP(ctx, who, req, sum, "s3", b.region, b.now()); err != nil {
		return false, err
	}
	res, err := b.calls.RoundTrip(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	const most = 2048
	text, _ := io.ReadAll(io.LimitReader(res.Body, most)) // it only explains
	if res.StatusCode == http.StatusOK {
		return false, nil
	}
	again = res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests
	return again, fmt.Errorf("the bucket answers %s to %s: %s", res.Status, at.Path, text)
}

// escaped is a path as S3 wants it signed: all but unreserved characters and slashes.
func escaped(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
