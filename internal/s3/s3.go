// Package s3 reads and writes objects of S3, or of another store that speaks its API. Objects are named by URIs,
// s3://bucket/key.
package s3

import (
	"bytes"
	"cmp"
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

	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrRegion is that neither options nor environment say in which region buckets are.
var ErrRegion = errors.New("the region of the bucket is not known")

// Client makes the calls. Make it with Open. It is safe for concurrent use.
type Client struct {
	region, endpoint string
	credentials      aws.CredentialsProvider
	signer           *v4.Signer
	calls            http.RoundTripper
	now              func() time.Time
}

// Options say where buckets are.
type Options struct {
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

// Open finds the credentials, which are those of the AWS default chain. It fails with ErrRegion.
func Open(ctx context.Context, o Options) (*Client, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(o.Calls.Apply, seldom)))
	if err != nil {
		return nil, err
	}
	if o.Region == "" {
		o.Region = cfg.Region
	}
	if o.Region == "" {
		return nil, ErrRegion
	}
	signer := v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })
	return &Client{o.Region, strings.TrimRight(o.Endpoint, "/"), cfg.Credentials, signer, o.Calls, o.Now}, nil
}

// Scheme begins the name of every object.
const Scheme = "s3://"

// Split reads a URI. It is false for what names no bucket.
func Split(uri string) (bucket, key string, ok bool) {
	rest, ok := strings.CutPrefix(uri, Scheme)
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, ok && bucket != "" && !strings.ContainsAny(bucket, " ?#%")
}

// errURI is of names that Split refuses.
var errURI = errors.New("it is no s3://bucket/key")

// address is where an object is reached. AWS's certificates do not fit a bucket whose name has dots before its host.
func (c *Client) address(uri string) (*url.URL, error) {
	bucket, key, ok := Split(uri)
	if !ok {
		return nil, fmt.Errorf("%q: %w", uri, errURI)
	}
	end := ".amazonaws.com"
	if wire.Partition(c.region) == "aws-cn" {
		end += ".cn"
	}
	var base string
	switch {
	case c.endpoint != "":
		base = c.endpoint + "/" + bucket
	case strings.Contains(bucket, "."):
		base = "https://s3." + c.region + end + "/" + bucket
	default:
		base = "https://" + bucket + ".s3." + c.region + end
	}
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	at.Path += "/" + key
	at.RawPath = escaped(at.Path)
	return at, nil
}

// tries is how often one call is made.
const tries = 4

// call is one that is made again where that may help.
type call struct {
	method string
	at     *url.URL
	body   []byte
	region string // where its bucket is, "" for the client's
}

// move reports whether a call is to be made in the region that an answer names: AWS has each bucket in one alone.
func (c *Client) move(one *call, region string) bool {
	host, rest, ok := strings.Cut(one.at.Host, "s3."+c.region)
	name := strings.Trim(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	if region == c.region || one.region != "" || c.endpoint != "" || !ok || !name ||
		wire.Partition(region) != wire.Partition(c.region) {
		return false
	}
	at := *one.at
	at.Host = host + "s3." + region + rest
	one.at, one.region = &at, region
	return true
}

// do makes a call until it is answered. The caller closes the answer's body.
func (c *Client) do(ctx context.Context, one *call) (*http.Response, error) {
	var err error
	for n := range tries {
		var res *http.Response
		var again bool
		in := one.region
		if res, again, err = c.once(ctx, one); err == nil || !again {
			return res, err
		}
		if one.region != in {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(time.Second << n):
		}
	}
	return nil, err
}

// answer is one whose call ends when it is closed.
type answer struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close implements io.Closer.
func (a *answer) Close() error {
	defer a.end()
	return a.ReadCloser.Close()
}

// once makes one try. again is whether another one may help.
func (c *Client) once(ctx context.Context, one *call) (res *http.Response, again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(within, cancel)
	defer func() {
		if late.Stop(); err != nil {
			cancel()
		}
	}()
	req, err := http.NewRequestWithContext(ctx, one.method, one.at.String(), bytes.NewReader(one.body))
	if err != nil {
		return nil, false, err
	}
	digest := sha256.Sum256(one.body)
	sum := hex.EncodeToString(digest[:])
	req.Header.Set("X-Amz-Content-Sha256", sum)
	who, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return nil, true, fmt.Errorf("credentials for the bucket: %w", err)
	}
	if err := c.signer.SignHTTP(ctx, who, req, sum, "s3", cmp.Or(one.region, c.region), c.now()); err != nil {
		return nil, false, err
	}
	if res, err = c.calls.RoundTrip(req); err != nil {
		return nil, true, err
	}
	if res.StatusCode == http.StatusOK {
		res.Body = &answer{res.Body, cancel}
		return res, false, nil
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	const most = 2048
	text, _ := io.ReadAll(io.LimitReader(res.Body, most)) // it only explains
	again = res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests
	err = fmt.Errorf("the bucket answers %s to %s: %s", res.Status, one.at.Path, text)
	if region := res.Header.Get("X-Amz-Bucket-Region"); region != "" && region != cmp.Or(one.region, c.region) {
		err = fmt.Errorf("the bucket is in region %s, not in %s: %w", region, cmp.Or(one.region, c.region), err)
		again = c.move(one, region) || again
	}
	return nil, again, err
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
