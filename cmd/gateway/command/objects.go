package command

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/s3"
)

// OpenS3 opens the buckets of batch jobs: in the region of the upstream, with the credentials of the AWS default chain.
func OpenS3(ctx context.Context, cfg *config.Config, calls s3.Calls) (*s3.Client, error) {
	return s3.Open(ctx, s3.Options{
		Region: cfg.Upstream.Region, Calls: calls, Now: time.Now,
		Endpoint: cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")),
	})
}
