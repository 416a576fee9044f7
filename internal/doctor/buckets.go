package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// Lister lists objects in S3 by the beginning of their names. *s3.Client is one.
type Lister interface {
	List(ctx context.Context, begin string, yield func(name string, written time.Time) error) error
}

// Places are where input of batch jobs is that the gateway reads, as far as they are fixed, each once.
func Places(cfg *config.Config) (all []string) {
	for i := range cfg.Tenants {
		b := cfg.Tenants[i].Batch
		if b == nil {
			continue
		}
		for _, glob := range b.Input {
			place := glob
			if end := strings.IndexAny(glob, "*?["); end >= 0 {
				place = glob[:end]
			}
			bucket := strings.TrimPrefix(place, "s3://")
			if strings.Contains(bucket, "/") || place == glob && bucket != place {
				all = append(all, place)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// errEnough ends a list of which the first object is enough.
var errEnough = errors.New("enough was listed")

// Buckets looks whether the gateway may list what is at places in S3. open says how they are reached.
func Buckets(ctx context.Context, places []string, open func() (Lister, error)) (all []Finding) {
	if len(places) == 0 {
		return nil
	}
	objects, err := open()
	if err != nil {
		a := about{"batch input", "S3"}
		return []Finding{a.fail("give the gateway credentials and a region, as for Bedrock", "%v", err)}
	}
	for _, place := range places {
		a, found := about{"batch input", place}, false
		err := objects.List(ctx, place, func(string, time.Time) error { found = true; return errEnough })
		switch {
		case err != nil && !errors.Is(err, errEnough):
			all = append(all, a.fail("let the gateway's credentials do s3:ListBucket there, and s3:GetObject; without them"+
				" batch jobs are refused, or held as hold_usd says", "%v", err))
		case !found:
			all = append(all, a.ok("it may be listed; nothing is there yet"))
		default:
			all = append(all, a.ok("it may be listed"))
		}
	}
	return all
}
