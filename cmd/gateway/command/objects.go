package command

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/outbound"
	"github.com/sluice-gateway/sluice/internal/s3"
)

// OpenS3 opens the buckets of batch jobs: in the region of the upstream, with the credentials of the AWS default chain.
func OpenS3(ctx context.Context, cfg *config.Config, calls s3.Calls) (*s3.Client, error) {
	return s3.Open(ctx, s3.Options{
		Region: cfg.Upstream.Region, Calls: calls, Now: time.Now,
		Endpoint: cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")),
	})
}

// ReachS3 opens them for a command, which has no calls of a gateway: by the proxy and the authorities of the upstream.
func ReachS3(ctx context.Context, cfg *config.Config) (*s3.Client, error) {
	calls := &outbound.Shared{}
	if err := calls.Use(outbound.Settings{Proxy: cfg.Upstream.Proxy, CAFile: cfg.Upstream.CAFile}); err != nil {
		return nil, err
	}
	return OpenS3(ctx, cfg, calls)
}
