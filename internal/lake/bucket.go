package lake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/s3"
)

// Bucket is a store below a prefix of an S3 bucket. Make it with OpenBucket.
type Bucket struct {
	objects *s3.Client
	prefix  string // s3://bucket/prefix/
}

// BucketOptions say which bucket it is.
type BucketOptions struct {
	To       string // s3://bucket/prefix
	Region   string // "" for that of the environment
	Endpoint string // "" for AWS; with another one, the bucket is the first element of the path
	Calls    s3.Calls
	Now      func() time.Time
}

// OpenBucket finds out how to reach a bucket. Credentials are those of the AWS default chain.
func OpenBucket(ctx context.Context, o BucketOptions) (*Bucket, error) {
	bucket, prefix, ok := s3.Split(o.To)
	if !ok || strings.ContainsAny(prefix, " ?#%") {
		return nil, fmt.Errorf("%q is no s3://bucket/prefix", o.To)
	}
	objects, err := s3.Open(ctx, s3.Options{Region: o.Region, Endpoint: o.Endpoint, Calls: o.Calls, Now: o.Now})
	if errors.Is(err, s3.ErrRegion) {
		err = fmt.Errorf("%w: set export.region or AWS_REGION", err)
	}
	if err != nil {
		return nil, err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Bucket{objects, s3.Scheme + bucket + "/" + prefix}, nil
}

// Put implements Store.
func (b *Bucket) Put(ctx context.Context, name string, body []byte) error {
	return b.objects.Put(ctx, b.prefix+name, body)
}
