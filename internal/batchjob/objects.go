package batchjob

import (
	"context"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// scheme begins places in S3.
const scheme = "s3://"

// InS3 reports whether output is in S3 itself, and not in a folder.
func InS3(place string) bool { return strings.HasPrefix(place, scheme) }

// Objects are what S3 has. *s3.Client is one.
type Objects interface {
	// List yields all objects whose names begin with a text, and when they were written.
	List(ctx context.Context, begin string, yield func(name string, written time.Time) error) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
}

// FindIn looks for jobs below a place in S3, s3://bucket/prefix, or where an object of output is. It fails as of does,
// or with ErrInput. Jobs read their records from there until ctx ends.
func FindIn(ctx context.Context, of Objects, place string) (*Found, error) {
	if base := path.Base(place); isManifest(base) || isOutput(base) {
		place = folderOf(place)
	}
	place = strings.TrimRight(place, "/")
	if bucket, _, _ := strings.Cut(strings.TrimPrefix(place, scheme), "/"); bucket == "" || place == "s3:" {
		return nil, wrong(place, "it is no s3://bucket/prefix")
	}
	w := newWalk(place, func(name string) (io.ReadCloser, error) { return of.Get(ctx, name) })
	if err := of.List(ctx, place+"/", w.see); err != nil {
		return nil, err
	}
	return w.found()
}

// folderOf is where a file or object is. That of a bucket is the bucket.
func folderOf(name string) string {
	if key, inS3 := strings.CutPrefix(name, scheme); inS3 {
		if up := path.Dir(key); up != "." {
			return scheme + up
		}
		return name
	}
	return filepath.Dir(name)
}
